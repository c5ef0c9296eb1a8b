/* linear.c - a linear layer, y = x W^T + bias, spread over the workers.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * A task is a block of rows times a block of columns of y. It goes over the inner size in panels: the
 * panel of W is transposed, or cut into thirds, once and serves all rows of the block.
 */
#include "linear.h"

#include <string.h>

#include "base.h"
#include "queue.h"

enum {
  BLOCK_ROWS = 256,
  BLOCK_COLS = 64,
  PANEL = 128,
  THIRDS_COLS = 256,   /* of a block in thirds, at most: x is cut once for all of them */
  TASKS_PER_STRAND = 4 /* at least, if blocks of BLOCK_COLS make so many */
};

/* Of x and W before they are cut: no third and no product that counts is denormal then, which the unit takes for 0. */
#define THIRDS_FACTOR 0x1p32f

/* What a strand works with: this ... */
typedef struct linear_floats {
  float weight[PANEL * BLOCK_COLS]; /* packed: inner x cols, whole panels of up to BLOCK_COLS */
  float x[BLOCK_ROWS * PANEL];      /* where rows of x cannot be used in place */
} linear_floats;

/* ... or, where there are thirds, either. */
typedef union linear_scratch {
  linear_floats floats;
  struct {
    uint16_t weight[THIRDS_COLS * PANEL * 3], x[BLOCK_ROWS * PANEL * 3];
    float sums[BLOCK_ROWS > THIRDS_COLS ? BLOCK_ROWS : THIRDS_COLS];
  } thirds;
} linear_scratch;

typedef struct linear_job {
  const attn__linear *layer;
  const attn__kernels *kernels;
  const attn__engine *engine;
  int32_t in_thirds;
  char *scratch;
  int64_t row_blocks, col_blocks, block_cols;
  attn__queue *queue;
} linear_job;

static uint64_t strand_bytes(const attn__engine *engine) {
  return engine->thirds ? sizeof(linear_scratch) : sizeof(linear_floats);
}

uint64_t attn__linear_scratch(const attn__engine *engine, int64_t strands) {
  return (uint64_t)strands * strand_bytes(engine);
}

/* A block of y: where it is and how large. */
typedef struct linear_block {
  int64_t b, row, rows, col, cols;
} linear_block;

static const float *x_row(const linear_job *job, const linear_block *block, int64_t row) {
  return attn__input_row(&job->layer->x, block->b, 0, block->row + row);
}

static const float *weight_row(const linear_job *job, const linear_block *block, int64_t col) {
  return job->layer->weight + (block->col + col) * job->layer->dim_in;
}

/* Columns [inner, inner + count) of the block's rows of x: the left operand of a product. */
static void set_left(const linear_job *job, const linear_block *block, int64_t inner, float *copy,
                     attn__product *product) {
  const attn__input *x = &job->layer->x;
  const float *first = x_row(job, block, 0) + inner;
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

static void multiply_floats(const linear_job *job, const linear_block *block, linear_floats *scratch) {
  const attn__linear *layer = job->layer;
  for (int64_t inner = 0; inner < layer->dim_in; inner += PANEL) {
    const int64_t count = attn__min(PANEL, layer->dim_in - inner);
    const attn__rows weight = {weight_row(job, block, 0) + inner, layer->dim_in, block->cols, count};
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

/* sums = products of one row with so many others, stride numbers apart, as floats. */
static void multiply_row(const linear_job *job, const float *row, int64_t count, const float *others,
                         int64_t stride, float *sums) {
  const attn__product product = {.rows = 1,
                                 .cols = count,
                                 .inner = job->layer->dim_in,
                                 .a = row,
                                 .stride_a = job->layer->dim_in,
                                 .b = {others, stride, 0},
                                 .c = sums,
                                 .stride_c = count};
  job->kernels->multiply_transposed(&product);
}

static void put(const linear_job *job, const linear_block *block, int64_t row, int64_t col, float sum) {
  const attn__linear *layer = job->layer;
  float *y = attn__output_row(&layer->y, block->b, 0, block->row + row) + block->col + col;
  *y = layer->bias ? layer->bias[block->col + col] + sum : sum;
}

/* Rows and columns of y with numbers of x and W that thirds cannot hold are made anew. */
static void mend(const linear_job *job, const linear_block *block, float *sums) {
  const int64_t dim_in = job->layer->dim_in;
  for (int64_t row = 0; row < block->rows; row++) {
    const float *x = x_row(job, block, row);
    if (attn__product_held(dim_in, x, THIRDS_FACTOR)) continue;
    multiply_row(job, x, block->cols, weight_row(job, block, 0), dim_in, sums);
    for (int64_t col = 0; col < block->cols; col++) put(job, block, row, col, sums[col]);
  }
  for (int64_t col = 0; col < block->cols; col++) {
    const float *weight = weight_row(job, block, col);
    if (attn__product_held(dim_in, weight, THIRDS_FACTOR)) continue;
    multiply_row(job, weight, block->rows, x_row(job, block, 0), job->layer->x.strides.row, sums);
    for (int64_t row = 0; row < block->rows; row++) put(job, block, row, col, sums[row]);
  }
}

static void multiply_thirds(const linear_job *job, const linear_block *block, linear_scratch *scratch) {
  const attn__linear *layer = job->layer;
  const attn__thirds *thirds = job->engine->thirds;
  int32_t held = 1;
  for (int64_t inner = 0; inner < layer->dim_in; inner += PANEL) {
    const int64_t count = attn__min(PANEL, layer->dim_in - inner), strip = attn__product_strip(count);
    const attn__rows weight = {weight_row(job, block, 0) + inner, layer->dim_in, block->cols, count};
    const attn__rows x = {x_row(job, block, 0) + inner, layer->x.strides.row, block->rows, count};
    held &= thirds->right_transposed(&weight, THIRDS_FACTOR, scratch->thirds.weight);
    held &= thirds->left(&x, THIRDS_FACTOR, 0, scratch->thirds.x);
    const attn__thirds_product product = {.rows = block->rows,
                                          .cols = block->cols,
                                          .steps = attn__divide_up(count, ATTN__THIRDS_INNER),
                                          .left = {scratch->thirds.x, strip},
                                          .right = {scratch->thirds.weight, strip},
                                          .c = attn__output_row(&layer->y, block->b, 0, block->row) +
                                               block->col,
                                          .stride_c = layer->y.strides.row,
                                          .accumulate = 1,
                                          .factor = 1 / THIRDS_FACTOR / THIRDS_FACTOR};
    thirds->multiply(&product);
  }
  if (!held) mend(job, block, scratch->thirds.sums);
}

static void run_task(const linear_job *job, int64_t task, void *scratch) {
  const attn__linear *layer = job->layer;
  const int64_t col = task % job->col_blocks * job->block_cols;
  const int64_t row = task / job->col_blocks % job->row_blocks * BLOCK_ROWS;
  const int64_t b = task / job->col_blocks / job->row_blocks;
  const int64_t end = layer->lengths ? layer->lengths[b] : layer->rows;
  const linear_block block = {b, row, attn__min(BLOCK_ROWS, end - row), col,
                              attn__min(job->block_cols, layer->dim_out - col)};
  if (block.rows <= 0) return;
  begin_block(job, &block);
  if (job->in_thirds)
    multiply_thirds(job, &block, scratch);
  else
    multiply_floats(job, &block, scratch);
}

static void run_strand(void *argument, int64_t index) {
  linear_job *job = argument;
  void *scratch = job->scratch + (uint64_t)index * strand_bytes(job->engine);
  job->engine->enter();
  if (job->in_thirds) job->engine->thirds->begin();
  int64_t lane = attn__queue_lane(job->queue, index), task;
  while ((task = attn__queue_take(job->queue, &lane)) >= 0) run_task(job, task, scratch);
  if (job->in_thirds) job->engine->thirds->end();
  job->engine->leave();
}

/* Cuts y into blocks of so many columns, each of which is a task; returns how many these are. */
static int64_t cut_columns(linear_job *job, int64_t block_cols) {
  job->block_cols = block_cols;
  job->col_blocks = attn__divide_up(job->layer->dim_out, block_cols);
  return job->layer->batch * job->row_blocks * job->col_blocks;
}

void attn__linear_run(attn_context *context, const attn__linear *layer, void *scratch) {
  linear_job job = {
      .layer = layer, .kernels = context->kernels, .engine = &context->engine, .scratch = scratch};
  const int64_t strands = attn__context_strands(context);
  job.in_thirds = attn__product_in_thirds(job.engine, layer->rows, layer->dim_in);
  job.row_blocks = attn__divide_up(layer->rows, BLOCK_ROWS);
  int64_t tasks = cut_columns(&job, job.in_thirds ? THIRDS_COLS : BLOCK_COLS);
  while (tasks < strands * TASKS_PER_STRAND && job.block_cols > BLOCK_COLS)
    tasks = cut_columns(&job, job.block_cols / 2);
  attn__queue queue;
  attn__queue_fill(&queue, tasks, attn__min(strands, tasks));
  job.queue = &queue;
  attn__context_run(context, attn__min(strands, tasks), run_strand, &job);
}
