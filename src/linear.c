/* linear.c - a linear layer, y = x W^T + bias, spread over the workers.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A task is a block of rows times a block of columns of y. It goes over the inner size in panels: the
 * panel of W is transposed once and serves all rows of the block.
 */
#include "linear.h"

#include <stdatomic.h>
#include <string.h>

#include "base.h"

enum { BLOCK_ROWS = 256, BLOCK_COLS = 64, PANEL = 128 };

/* What a strand works with. */
typedef struct linear_scratch {
  float weight[PANEL * BLOCK_COLS]; /* packed: inner x cols, whole panels of up to BLOCK_COLS */
  float x[BLOCK_ROWS * PANEL];      /* where rows of x cannot be used in place */
} linear_scratch;

typedef struct linear_job {
  const attn__linear *layer;
  const attn__kernels *kernels;
  const attn__engine *engine;
  linear_scratch *scratch;
  int64_t row_blocks, col_blocks, tasks;
  atomic_int_least64_t next_task;
} linear_job;

uint64_t attn__linear_scratch(int64_t strands) {
  return (uint64_t)strands * sizeof(linear_scratch);
}

/* A block of y: where it is and how large. */
typedef struct linear_block {
  int64_t b, row, rows, col, cols;
} linear_block;

/* Columns [inner, inner + count) of the block's rows of x: the left operand of a product. */
static void set_left(const linear_job *job, const linear_block *block, int64_t inner, float *copy,
                     attn__product *product) {
  const attn__input *x = &job->layer->x;
  const float *first = attn__input_row(x, block->b, 0, block->row) + inner;
  product->a = first;
  product->stride_a = x->strides.row;
  if (x->strides.row >= job->layer->dim_in && x->strides.row <= INT32_MAX) return;
  for (int64_t r = 0; r < block->rows; r++)
    memcpy(copy + r * product->inner, first + r * x->strides.row, (size_t)product->inner * sizeof(float));
  product->a = copy;
  product->stride_a = product->inner;
}

/* y begins as the bias; the products are added. */
static void begin_block(const linear_job *job, const linear_block *block) {
  for (int64_t r = 0; r < block->rows; r++) {
    float *y = attn__output_row(&job->layer->y, block->b, 0, block->row + r) + block->col;
    if (job->layer->bias)
      memcpy(y, job->layer->bias + block->col, (size_t)block->cols * sizeof(float));
    else
      memset(y, 0, (size_t)block->cols * sizeof(float));
  }
}

static void run_block(const linear_job *job, const linear_block *block, linear_scratch *scratch) {
  const attn__linear *layer = job->layer;
  begin_block(job, block);
  for (int64_t inner = 0; inner < layer->dim_in; inner += PANEL) {
    const int64_t count = attn__min(PANEL, layer->dim_in - inner);
    const attn__rows weight = {layer->weight + block->col * layer->dim_in + inner, layer->dim_in,
                               block->cols, count};
    attn__product product = {
        .rows = block->rows,
        .cols = block->cols,
        .inner = count,
        .b = attn__product_pack_transposed(job->engine, job->kernels, &weight, 1, scratch->weight),
        .c = attn__output_row(&layer->y, block->b, 0, block->row) + block->col,
        .stride_c = layer->y.strides.row,
        .accumulate = 1};
    set_left(job, block, inner, scratch->x, &product);
    job->engine->multiply(&product);
  }
}

static void run_task(const linear_job *job, int64_t task, linear_scratch *scratch) {
  const attn__linear *layer = job->layer;
  const int64_t col = task % job->col_blocks * BLOCK_COLS;
  const int64_t row = task / job->col_blocks % job->row_blocks * BLOCK_ROWS;
  const int64_t b = task / job->col_blocks / job->row_blocks;
  const int64_t end = layer->lengths ? layer->lengths[b] : layer->rows;
  const linear_block block = {b, row, attn__min(BLOCK_ROWS, end - row), col,
                              attn__min(BLOCK_COLS, layer->dim_out - col)};
  if (block.rows > 0) run_block(job, &block, scratch);
}

static void run_strand(void *argument, int64_t index) {
  linear_job *job = argument;
  job->engine->enter();
  for (;;) {
    int64_t task = atomic_fetch_add_explicit(&job->next_task, 1, memory_order_relaxed);
    if (task >= job->tasks) break;
    run_task(job, task, &job->scratch[index]);
  }
  job->engine->leave();
}

void attn__linear_run(attn_context *context, const attn__linear *layer, void *scratch) {
  linear_job job = {
      .layer = layer, .kernels = context->kernels, .engine = &context->engine, .scratch = scratch};
  job.row_blocks = attn__divide_up(layer->rows, BLOCK_ROWS);
  job.col_blocks = attn__divide_up(layer->dim_out, BLOCK_COLS);
  job.tasks = layer->batch * job.row_blocks * job.col_blocks;
  attn__context_run(context, attn__min(attn__context_strands(context), job.tasks), run_strand, &job);
}
