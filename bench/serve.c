/* serve.c - attn-bench as another attn-bench's peer (peer.h).
 * SPDX-License-Identifier: BSD-3-Clause */
#define _POSIX_C_SOURCE 200809L
#include "serve.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "memory.h"
#include "onnx.h"
#include "peer.h"
#include "unfused.h"

typedef struct server {
  bench_shape shape;
  bench_inputs inputs;
  bench_crew *crew;
  bench_unfused unfused;
  bench_onnx *onnx; /* NULL: unfused */
  double first_seconds;
} server;

/* Says why not and ends the process if it cannot. */
static void call(server *self) {
  char text[ONNX_TEXT_SIZE];
  if (self->onnx == NULL)
    unfused_call(&self->unfused);
  else if (!onnx_call(self->onnx, text)) {
    printf("no %s\n", text);
    exit(BENCH_LIBRARY);
  }
}

static double time_calls(server *self, int64_t calls) {
  double start = bench_seconds();
  for (int64_t c = 0; c < calls; c++) call(self);
  return bench_seconds() - start;
}

static int answer_first(server *self) {
  int64_t before = memory_reset_peak();
  self->first_seconds = time_calls(self, 1);
  int64_t after = memory_peak(), growth = before >= 0 && after >= before ? after - before : -1;
  if (self->onnx != NULL) onnx_fetch(self->onnx, self->inputs.output);
  int code = inputs_publish(&self->inputs, &self->shape);
  if (code == BENCH_OK) printf("%.9f %" PRId64 "\n", self->first_seconds, growth);
  return code;
}

static void answer_run(server *self, int64_t calls) {
  if (self->first_seconds < BENCH_SHORT_CALL) call(self);
  printf("%.9f\n", time_calls(self, calls));
}

static int answer_all(server *self) {
  char line[PEER_LINE_SIZE];
  int code = BENCH_OK;
  while (code == BENCH_OK && fgets(line, sizeof line, stdin) != NULL) {
    if (strncmp(line, "run ", 4) == 0)
      answer_run(self, strtoll(line + 4, NULL, 10));
    else
      code = answer_first(self);
    fflush(stdout);
  }
  return code;
}

static int open_onnx(server *self, char **arguments) {
  char text[ONNX_TEXT_SIZE] = "";
  onnx_setup setup = {&self->shape, &self->inputs, crew_members(self->crew), atoi(arguments[0]),
                      arguments[1]};
  self->onnx = onnx_open(&setup, text);
  if (self->onnx == NULL)
    printf("no %s\n", text);
  else
    printf("ready %s\n", onnx_how(self->onnx));
  return self->onnx != NULL ? BENCH_OK : BENCH_LIBRARY;
}

static int open_unfused(server *self) {
  int code = unfused_open(&self->unfused, &self->shape, &self->inputs, self->crew);
  if (code == BENCH_OK) printf("ready %s\n", unfused_core());
  return code;
}

int serve(int count, char **arguments) {
  static server self;
  if (count != 3 && count != 5) return bench_error(BENCH_USAGE, "--serve: for attn-bench itself");
  int code = shape_parse(arguments[1], arguments[1], &self.shape);
  if (code != BENCH_OK) return code;
  self.crew = crew_open(atoi(arguments[2]));
  if (self.crew == NULL) return bench_error(BENCH_LIBRARY, "cannot start %s threads", arguments[2]);
  code = inputs_attach(&self.inputs, &self.shape, PEER_FILE);
  if (code == BENCH_OK) code = count == 5 ? open_onnx(&self, arguments + 3) : open_unfused(&self);
  fflush(stdout);
  if (code == BENCH_OK) code = answer_all(&self);
  unfused_close(&self.unfused);
  inputs_close(&self.inputs);
  crew_close(self.crew);
  return code;
}
