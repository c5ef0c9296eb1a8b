/* attn.h - libattn: attention on CPUs, softmax(Q K^T scale) V, on plain pointers.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * This is the whole public interface. In ten lines:
 *
 *     attn_context *context;
 *     if (attn_create(&context, NULL) != ATTN_OK) return 1;
 *     attn_args args = {.size = sizeof args, .batch = 1, .heads_q = 8, .len_q = 512, .len_k = 512,
 *                       .dim = 64, .query = q, .key = k, .value = v, .output = out};
 *     if (attn_global(context, &args) != ATTN_OK) puts(attn_last_error(context));
 *     attn_destroy(context);
 *
 * WORDS
 *   batch B, query heads Hq, key heads Hkv, queries Nq, keys Nk, head size D, value size Dv.
 *   query (B, Hq, Nq, D), key (B, Hkv, Nk, D), value (B, Hkv, Nk, Dv), output (B, Hq, Nq, Dv).
 *   A score is scale * (q . k); a weight is the softmax of a row of scores; the log-sum-exp (LSE) of a
 *   row is the natural logarithm of the sum of exp of its scores. A key is visible to a query unless a
 *   rule (so far: the causal one) masks it.
 *
 * CONVENTIONS
 *   Every struct starts with its own size: set it to sizeof, set what you need, leave the rest zero.
 *   Zero in a field means its default. Fields whose zero is a meaningful value have a flag beside them
 *   (has_scale for scale). Sizes (batch, lengths, ...) have no default: 0 is an empty array, and a call
 *   that has nothing to compute succeeds.
 *   Newer versions only append fields. A shorter struct of an older caller is read as if its missing
 *   tail were zero; a longer struct of a newer caller is accepted if the tail that this library does
 *   not know is all zero, and refused otherwise.
 *   Sizes and strides are int64_t. Strides count elements, not bytes.
 *   Functions return int32_t: ATTN_OK (0) or an ATTN_ERROR_ code. After an error nothing has been
 *   written to the caller's arrays, attn_last_error() has one sentence that names the argument, what
 *   was expected and what came, and the context works on.
 *
 * THREADS
 *   One call at a time per context: a second one that arrives meanwhile is refused with
 *   ATTN_ERROR_BUSY. Any number of contexts may work at once. A context may be used from any thread,
 *   and in a child process after fork().
 *
 * RESULTS
 *   The same call gives the same bits for any number of threads, for a batch entry alone or among
 *   others, and on every run. Other instruction sets, engines or BLAS builds may round differently.
 *   What a mask hides cannot leak: NaN, Inf or garbage in a masked key or value changes no bit. NaN in
 *   what is visible propagates, as in the formula.
 *   A query that sees no key gives an output of +0.0, weights of 0 and an LSE of -infinity.
 *
 * NOT PROMISED
 *   No autograd, no GPU, no protection against pointers to memory of the wrong size. Outputs must not
 *   overlap inputs or each other. The library never prints, aborts or exits, and never changes the
 *   environment, BLAS's thread count, the rounding mode or signal masks.
 */
#ifndef ATTN_ATTN_H
#define ATTN_ATTN_H

#include <stdint.h>

/* The version of this header; attn_version() is that of the library at run time. */
#define ATTN_VERSION_MAJOR 0
#define ATTN_VERSION_MINOR 1
#define ATTN_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

/* What a function returns. */
enum {
  ATTN_OK = 0,
  ATTN_ERROR_ARGUMENT = 1,    /* an argument is invalid */
  ATTN_ERROR_MEMORY = 2,      /* memory could not be had */
  ATTN_ERROR_UNSUPPORTED = 3, /* legal, but not possible in this build or on this machine */
  ATTN_ERROR_BUSY = 4         /* another thread is inside a call on this context */
};

/* Product engines: who multiplies the tiles. */
enum {
  ATTN_ENGINE_AUTO = 0, /* the library's choice, by rule and never by timing */
  ATTN_ENGINE_BLAS = 1  /* cblas_sgemm */
};

/* Instruction sets of the softmax kernels, in rising order. */
enum {
  ATTN_ISA_AUTO = 0,      /* the best that this CPU has */
  ATTN_ISA_REFERENCE = 1, /* plain C and libm, on any CPU */
  ATTN_ISA_AVX2 = 2,      /* AVX2 and FMA */
  ATTN_ISA_AVX512 = 3     /* AVX-512 F */
};

/* A context owns scratch memory, worker threads and the choice of kernels. */
typedef struct attn_context attn_context;

/* One piece of a parallel job: call it with each index exactly once. */
typedef void (*attn_task)(void *job, int64_t index);

/* Options of attn_create(). */
typedef struct attn_options {
  uint64_t size;    /* sizeof(attn_options) */
  int32_t threads;  /* how many threads a call may use, the calling one included; 0: one for each CPU
                      that the process may run on; at most 1024 */
  int32_t engine;   /* ATTN_ENGINE_...; 0: auto */
  int32_t isa;      /* the highest instruction set to use, ATTN_ISA_...; 0: no cap. The environment
                      variable ATTN_ISA (reference, avx2 or avx512) is a second cap; the lower holds */
  int32_t reserved; /* must be 0 */
  void *user;       /* handed to the three hooks below */
  /* The allocator for all memory of the context; both or neither. Alignment is a power of two, at most
     4096; deallocate gets the size that was asked. NULL: the C library's. Must be callable from the
     thread that makes the call. */
  void *(*allocate)(void *user, uint64_t bytes, uint64_t alignment);
  void (*deallocate)(void *user, void *memory, uint64_t bytes);
  /* The host's own thread pool: run task(job, i) once for every i in [0, count), in any order, on any
     threads, one after another if need be, and return when all have returned. With it the context
     starts no thread of its own; count is never above threads. NULL: the library's own pool. */
  void (*parallel_for)(void *user, int64_t count, attn_task task, void *job);
} attn_options;

/* attn_create - makes a context.
 * *context: set to the new context, or to NULL on error.
 * options: NULL for all defaults.
 * Errors: ARGUMENT (an option is invalid, or ATTN_ISA is not one of its words), MEMORY.
 * attn_last_error(NULL) then says more. Worker threads start with the first call that needs them.
 * Thread safety: any thread, any time. */
int32_t attn_create(attn_context **context, const attn_options *options);

/* attn_destroy - ends the context's threads and frees all that it owns. NULL is ignored. No call may be
 * under way on it. */
void attn_destroy(attn_context *context);

/* The arguments of attention. Required: size, the lengths, dim, and the arrays that are not empty. */
typedef struct attn_args {
  uint64_t size;      /* sizeof(attn_args) */
  int64_t batch;      /* B */
  int64_t heads_q;    /* Hq, a multiple of heads_kv: query head h reads key head h / (Hq / Hkv) */
  int64_t heads_kv;   /* Hkv; 0: as heads_q */
  int64_t len_q;      /* Nq */
  int64_t len_k;      /* Nk; 0: no query sees a key */
  int64_t dim;        /* D, at least 1 */
  int64_t dim_v;      /* Dv; 0: as dim */
  const float *query; /* (B, Hq, Nq, D) */
  const float *key;   /* (B, Hkv, Nk, D) */
  const float *value; /* (B, Hkv, Nk, Dv) */
  float *output;      /* (B, Hq, Nq, Dv) */
  /* How to step through each array: three numbers, the strides of batch, head and row, in elements.
     Elements of a row are adjacent. NULL: dense, in the order of the shapes above. Inputs may have any
     strides: 0 (broadcast), negative, or overlapping; outputs must not write an element twice. */
  const int64_t *query_strides;
  const int64_t *key_strides;
  const int64_t *value_strides;
  const int64_t *output_strides;
  int32_t has_scale; /* 1: scale is given */
  float scale;       /* any finite number, 0 and negative included; default 1 / sqrt(D) */
  /* 1: causal. Query i sees key j iff j <= i + causal_offset. Offset 0 aligns the top left corner
     (PyTorch); len_k - len_q aligns the bottom right one (FlashAttention); with a cache of P past keys
     the offset is P. It may be negative. Must be 0 where causal is 0. */
  int32_t causal;
  int32_t reserved; /* must be 0 */
  int64_t causal_offset;
  /* Optional outputs. NULL: not wanted. */
  float *weights;                 /* (B, Hq, Nq, Nk): the softmax, masked entries 0 */
  const int64_t *weights_strides; /* batch, head, row; NULL: dense */
  float *lse;                     /* (B, Hq, Nq): the log-sum-exp of each row */
  const int64_t *lse_strides;     /* batch, head, row (one number a row); NULL: dense */
} attn_args;

/* attn_global - attention of every query to every visible key:
 *     output = softmax(scale * query key^T) value, with a numerically stable softmax over each row.
 * Memory beyond the arrays: a few hundred KiB per thread, for any length (see attn_explain), taken from
 * the context and kept for the next call; a second call of the same shape allocates nothing.
 * Errors: ARGUMENT, MEMORY, BUSY. Thread safety: one call at a time per context.
 * Formula: Vaswani et al., Attention Is All You Need, 2017, eq. 1; the online softmax is that of
 * Milakov and Gimelshein, 2018. */
int32_t attn_global(attn_context *context, const attn_args *args);

/* What attn_global would do. Texts are constants of the library. */
typedef struct attn_plan {
  uint64_t size;          /* sizeof(attn_plan), set by the caller */
  uint64_t scratch_bytes; /* scratch that the call needs, all threads together */
  int64_t threads;        /* how many threads would share the work */
  int64_t tasks;          /* independent pieces of work */
  int64_t tile_q;         /* query rows of a tile */
  int64_t tile_k;         /* keys of a tile */
  const char *path;       /* "tiled", or "empty" where there is nothing to multiply */
  const char *engine;     /* "blas" */
} attn_plan;

/* attn_explain - fills plan with what attn_global(context, args) would do; touches no data.
 * Errors: ARGUMENT (as attn_global), BUSY. Thread safety: one call at a time per context. */
int32_t attn_explain(attn_context *context, const attn_args *args, attn_plan *plan);

/* The arguments of attn_softmax. */
typedef struct attn_softmax_args {
  uint64_t size;         /* sizeof(attn_softmax_args) */
  int64_t rows;          /* how many rows */
  int64_t cols;          /* how many numbers in a row */
  const float *input;    /* (rows, cols) */
  float *output;         /* (rows, cols); may be the input itself with the same stride */
  int64_t input_stride;  /* from row to row, in elements, at least cols; 0: cols */
  int64_t output_stride; /* likewise */
  int32_t has_scale;     /* 1: scale is given */
  float scale;           /* each input is multiplied by it first; any finite number; default 1 */
  float *lse;            /* (rows): the log-sum-exp of each scaled row; NULL: not wanted */
} attn_softmax_args;

/* attn_softmax - the softmax of each row: output = exp(x - max) / sum of exp(x - max), x = scale * input.
 * A row of nothing but -infinity (or of no column) gives zeros and an LSE of -infinity; a row with a NaN
 * or +infinity gives NaN, as the formula does.
 * Errors: ARGUMENT, MEMORY, BUSY. Thread safety: one call at a time per context. */
int32_t attn_softmax(attn_context *context, const attn_softmax_args *args);

/* What a context is made of. Texts live as long as the context. */
typedef struct attn_info {
  uint64_t size;           /* sizeof(attn_info), set by the caller */
  int64_t threads;         /* how many threads a call may use, the calling one included */
  const char *cpu;         /* the CPU's name for itself, "" where it has none */
  const char *cpu_isa;     /* the best instruction set of this CPU: "reference", "avx2" or "avx512" */
  const char *isa;         /* the one in use */
  const char *engine;      /* the product engine that auto takes: "blas" */
  const char *blas;        /* the BLAS library and its version, "OpenBLAS 0.3.21" */
  const char *blas_flavor; /* "serial", "pthread" or "openmp" */
  const char *blas_core;   /* the CPU type whose kernels BLAS runs, "SkylakeX" */
  const char *warning;     /* what makes products slow here and the remedy, one sentence; "" if nothing */
} attn_info;

/* attn_describe - fills info with what the context is made of. Errors: ARGUMENT.
 * Thread safety: any thread, any time while the context lives. */
int32_t attn_describe(const attn_context *context, attn_info *info);

/* attn_description - the same in words: one line of text, which lives as long as the context; "" for
 * NULL. Thread safety: as attn_describe. */
const char *attn_description(const attn_context *context);

/* attn_last_error - the sentence of the last call on this context that failed, "" if the last one
 * succeeded. It lives until the next call on the context. NULL: of this thread's last attn_create().
 * A call refused with ATTN_ERROR_BUSY leaves it alone. Thread safety: as the calls themselves. */
const char *attn_last_error(const attn_context *context);

/* attn_status_text - the name of a code, "invalid argument" for 1; never NULL. Any thread, any time. */
const char *attn_status_text(int32_t status);

/* attn_version - the library's version as major * 10000 + minor * 100 + patch. */
int32_t attn_version(void);

/* attn_version_text - the library's version, "0.1.0". */
const char *attn_version_text(void);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
