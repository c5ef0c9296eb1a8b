/* tables.c - the kernel tables that can run here.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "tables.h"

#include <stdlib.h>
#include <string.h>

#include "attn/attn.h"
#include "cpu.h"

#ifdef ATTN_TEST_EMULATED
extern const attn__kernels attn__kernels_avx512_emulated;
extern const attn__kernels attn__kernels_amx_emulated;
#endif

/* That of the CPU, but AMX only where Linux permits its tile registers. */
static int32_t isa_here(void) {
  const int32_t isa = attn__cpu_isa();
  return isa == ATTN_ISA_AMX && !attn__cpu_allow_tiles() ? ATTN_ISA_AVX512 : isa;
}

int tables_here(const attn__kernels *tables[MOST_TABLES]) {
  const int32_t best = isa_here();
  int count = 0;
  tables[count++] = &attn__kernels_reference;
  for (int32_t isa = ATTN_ISA_AVX2; isa <= best; isa++)
    if (attn__kernels_for(isa) != tables[count - 1]) tables[count++] = attn__kernels_for(isa);
#ifdef ATTN_TEST_EMULATED
  if (best >= ATTN_ISA_AMX && getenv("ATTN_TEST_UNEMULATED"))
    return count; /* what is emulated is here, and faster */
  if (attn__cpu_isa() >= ATTN_ISA_AVX2) {
    tables[count++] = &attn__kernels_avx512_emulated;
    tables[count++] = &attn__kernels_amx_emulated;
  }
#endif
  return count;
}

const attn__kernels *tables_named(const char *name) {
  const attn__kernels *tables[MOST_TABLES];
  const int count = tables_here(tables);
  for (int t = 0; t < count; t++)
    if (strcmp(tables[t]->name, name) == 0) return tables[t];
  return NULL;
}
