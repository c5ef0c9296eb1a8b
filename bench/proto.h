/* proto.h - writes messages in the wire format of Protocol Buffers.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_PROTO_H
#define BENCH_PROTO_H

#include <stddef.h>
#include <stdint.h>

/* A message that grows; all zero at first. */
typedef struct proto_message {
  unsigned char *bytes;
  size_t size, room;
  int failed; /* for want of memory; then it is empty */
} proto_message;

/* A field of each kind; field is its number. */
void proto_number(proto_message *message, uint64_t field, int64_t number);
void proto_text(proto_message *message, uint64_t field, const char *text);

/* proto_embed - a field that is a message, which it frees. */
void proto_embed(proto_message *message, uint64_t field, proto_message *part);

/* proto_free - frees it, all zero again but for failed. */
void proto_free(proto_message *message);

#endif
