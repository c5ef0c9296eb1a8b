/* proto.c - writes messages in the wire format of Protocol Buffers.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "proto.h"

#include <stdlib.h>
#include <string.h>

/* How a field's value is written. */
enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };

static void append(proto_message *message, const void *bytes, size_t size) {
  if (message->failed || size == 0) return;
  if (message->size + size > message->room) {
    size_t room = 2 * (message->size + size);
    unsigned char *larger = realloc(message->bytes, room);
    if (larger == NULL) {
      proto_free(message);
      message->failed = 1;
      return;
    }
    message->bytes = larger;
    message->room = room;
  }
  memcpy(message->bytes + message->size, bytes, size);
  message->size += size;
}

/* Seven bits a byte, the lowest first; all but the last have the eighth set. */
static void append_varint(proto_message *message, uint64_t number) {
  for (; number > 0x7f; number >>= 7) append(message, &(unsigned char){(unsigned char)(number | 0x80)}, 1);
  append(message, &(unsigned char){(unsigned char)number}, 1);
}

static void append_bytes(proto_message *message, uint64_t field, const void *bytes, size_t size) {
  append_varint(message, field << 3 | WIRE_BYTES);
  append_varint(message, size);
  append(message, bytes, size);
}

void proto_number(proto_message *message, uint64_t field, int64_t number) {
  append_varint(message, field << 3 | WIRE_VARINT);
  append_varint(message, (uint64_t)number);
}

void proto_text(proto_message *message, uint64_t field, const char *text) {
  append_bytes(message, field, text, strlen(text));
}

void proto_embed(proto_message *message, uint64_t field, proto_message *part) {
  if (part->failed) {
    proto_free(message);
    message->failed = 1;
  }
  append_bytes(message, field, part->bytes, part->size);
  proto_free(part);
}

void proto_free(proto_message *message) {
  free(message->bytes);
  *message = (proto_message){.failed = message->failed};
}
