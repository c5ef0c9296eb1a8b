/* thirds_case.c - the kernel tables that have thirds, and operands in thirds as tests read them.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "thirds_case.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "context.h"

enum { TILE = ATTN__THIRDS_STEP / 3, UNTOUCHED = 0xffff };

static void for_each(thirds_check check, int begun) {
  const attn__kernels *tables[MOST_TABLES];
  const int count = tables_here(tables);
  for (int t = 0; t < count; t++) {
    if (!tables[t]->thirds) continue;
    if (begun) tables[t]->thirds->begin();
    check(tables[t]);
    if (begun) tables[t]->thirds->end();
  }
}

void thirds_for_each(thirds_check check) {
  for_each(check, 0);
}

void thirds_for_each_begun(thirds_check check) {
  for_each(check, 1);
}

static attn__thirds counting; /* of the table that contexts are over; its products are counted */
static void (*multiply)(const attn__thirds_product *product);
static atomic_int products, beside; /* these with weights made beside them */

static void count_and_multiply(const attn__thirds_product *product) {
  const int64_t before = product->beside ? attn__thirds_steps_left(product->beside) : 0;
  atomic_fetch_add(&products, 1);
  multiply(product);
  if (product->beside && attn__thirds_steps_left(product->beside) < before) atomic_fetch_add(&beside, 1);
}

attn_context *thirds_context(const attn__kernels *kernels, int32_t threads) {
  attn_context *context;
  const attn_options options = {.size = sizeof options, .threads = threads, .engine = ATTN_ENGINE_BUILTIN};
  if (attn_create(&context, &options) != ATTN_OK) fail_msg("%s", attn_last_error(NULL));
  counting = *kernels->thirds;
  multiply = counting.multiply;
  counting.multiply = count_and_multiply;
  context->kernels = kernels;
  context->engine = attn__product_builtin(kernels);
  context->engine.thirds = &counting;
  return context;
}

void thirds_count_from_zero(void) {
  atomic_store(&products, 0);
  atomic_store(&beside, 0);
}

int thirds_counted(void) {
  return atomic_load(&products);
}

int thirds_counted_beside(void) {
  return atomic_load(&beside);
}

int thirds_skip_missing(void) {
  const attn__kernels *tables[MOST_TABLES];
  const int count = tables_here(tables);
  int found = 0;
  for (int t = 0; t < count; t++) {
    if (!tables[t]->thirds) continue;
    printf("thirds: %s\n", tables[t]->name);
    found++;
  }
  if (!found) printf("SKIPPED: no kernels here multiply in thirds\n");
  return found ? 0 : SUPPORT_SKIPPED;
}

operand operand_make(int right, int64_t lines, int64_t inner) {
  const int64_t count = attn__product_thirds(lines, inner);
  operand o = {guarded_make(count / 2, GUARD_AFTER), right, lines, inner, attn__product_strip(inner), NULL};
  o.data = (uint16_t *)(void *)o.memory.data;
  memset(o.data, UNTOUCHED & 0xff, (size_t)count * sizeof *o.data);
  return o;
}

void operand_free(operand *o) {
  guarded_free(&o->memory);
}

/* The first third of number n of a line. */
static const uint16_t *first_third(const operand *o, int64_t line, int64_t n) {
  const int64_t row = o->right ? n % 16 : line % 16, pair = o->right ? line % 16 : n % 16;
  return o->data + line / 16 * o->strip + n / 32 * ATTN__THIRDS_STEP + row * 32 + 2 * pair + n % 32 / 16;
}

static double number_of(uint16_t bfloat) {
  return (double)float_of((uint32_t)bfloat << 16);
}

double operand_number(const operand *o, int64_t line, int64_t n) {
  const uint16_t *first = first_third(o, line, n);
  return number_of(first[0]) + number_of(first[TILE]) + number_of(first[2 * TILE]);
}

int operand_is_zero(const operand *o, int64_t line, int64_t n) {
  const uint16_t *first = first_third(o, line, n);
  return ((first[0] | first[TILE] | first[2 * TILE]) & 0x7fff) == 0;
}

int operand_is_untouched(const operand *o, int64_t line, int64_t n) {
  const uint16_t *first = first_third(o, line, n);
  return first[0] == UNTOUCHED && first[TILE] == UNTOUCHED && first[2 * TILE] == UNTOUCHED;
}
