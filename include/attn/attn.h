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
 *   rule (causal, window, length, mask, or a bias of -infinity) masks it.
 *
 * CONVENTIONS
 *   Every struct starts with its own size: set it to sizeof, set what you need, leave the rest zero.
 *   Zero in a field means its default. Fields whose zero is a meaningful value have a flag beside them
 *   (has_scale for scale). Sizes (batch, lengths, ...) have no default: 0 is an empty array, and a call
 *   that has nothing to compute succeeds.
 *   Newer versions only append fields. A shorter struct of an older caller is read as if its missing
 *   tail were zero; a longer struct of a newer caller is accepted if the tail that this library does
 *   not know is all zero, and refused otherwise. In structs for results only the size is read: what the
 *   struct has no room for is left out, what the library does not know becomes zero.
 *   Sizes and strides are int64_t. Strides count elements, not bytes.
 *   Functions return int32_t: ATTN_OK (0) or an ATTN_ERROR_ code. After an error nothing has been
 *   written to the caller's arrays, attn_last_error() has one sentence that names the argument, what
 *   was expected and what came, and the context works on.
 *
 * THREADS
 *   One call at a time per context: a second one that arrives meanwhile is refused with
 *   ATTN_ERROR_BUSY. Any number of contexts may work at once. A context may be used from any thread,
 *   and in a child process after fork() if no call was under way on it; a fork waits until the calls that
 *   are under way in other threads have returned.
 *
 * RESULTS
 *   The same call gives the same bits for any number of threads, for a batch entry alone or among
 *   others, and on every run. Other instruction sets, engines, layouts or BLAS builds may round differently.
 *   What a mask hides cannot leak: NaN, Inf or garbage in a masked key or value changes no bit. NaN in
 *   what is visible propagates, as in the formula.
 *   A query that sees no key gives an output of +0.0, weights of 0 and an LSE of -infinity (with a sink: of
 *   the sink).
 *
 * NOT PROMISED
 *   No autograd, no GPU, no protection against pointers to memory of the wrong size. Arrays must be
 *   aligned to their elements (4 bytes for float, 8 for int64_t), and outputs must not overlap inputs or
 *   each other: a misaligned array is refused, and an overlap where it is plain, which it is not between
 *   arrays that interleave. The library never prints, aborts or exits, and never changes the
 *   environment, BLAS's thread count, the rounding mode, signal masks or errno. Floating-point status
 *   flags may be raised, never lowered. All of RESULTS is for the usual floating-point environment, as
 *   fesetenv(FE_DFL_ENV) sets it: no other rounding mode, denormals not flushed, no trap enabled.
 *   One thing it asks of the host's process: on a CPU with AMX, attn_create() asks Linux for the
 *   permission to use the tile registers.
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
  ATTN_ENGINE_AUTO = 0,   /* the library's choice, by rule and never by timing */
  ATTN_ENGINE_BLAS = 1,   /* cblas_sgemm, where the build has one */
  ATTN_ENGINE_BUILTIN = 2 /* the library's own, for each instruction set */
};

/* Instruction sets of the kernels. A cap compares these numbers, which rise within an architecture: on x86
 * neon caps as avx512 does; avx2 and avx512 leave ARM the reference. */
enum {
  ATTN_ISA_AUTO = 0,      /* the best that this CPU has */
  ATTN_ISA_REFERENCE = 1, /* plain C and libm, on any CPU */
  ATTN_ISA_AVX2 = 2,      /* AVX2 and FMA */
  ATTN_ISA_AVX512 = 3,    /* AVX-512 F */
  ATTN_ISA_NEON = 4,      /* AArch64's NEON */
  ATTN_ISA_AMX = 5        /* AMX with bfloat16 tiles, beside AVX-512: products of floats as sums of
                             products of their three bfloat16 thirds, as exact as in float */
};

/* Score functions: what is scaled (scale defaults to 1 but for dot). */
enum {
  ATTN_SCORE_DOT = 0,     /* q . k */
  ATTN_SCORE_GENERAL = 1, /* q^T W k (Luong) */
  ATTN_SCORE_ADDITIVE = 2 /* v . tanh(q + k) (Bahdanau) */
};

/* Norms of a row x of n numbers. */
enum {
  ATTN_NORM_NONE = 0,
  ATTN_NORM_L2 = 1,   /* x / max(|x|, epsilon) */
  ATTN_NORM_RMS = 2,  /* x / sqrt(mean(x^2) + epsilon) */
  ATTN_NORM_LAYER = 3 /* (x - mean(x)) / sqrt(variance(x) + epsilon), the variance that of n numbers */
};

/* Rotary position embeddings: which two elements of a head rotate together. */
enum {
  ATTN_ROPE_NONE = 0,
  ATTN_ROPE_HALF = 1,       /* d and d + rope_dim / 2 (NeoX, ONNX interleaved = 0) */
  ATTN_ROPE_INTERLEAVED = 2 /* 2 d and 2 d + 1 (GPT-J) */
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
  int32_t engine;   /* ATTN_ENGINE_...; 0: that of the environment variable ATTN_ENGINE (blas or builtin),
                      or else auto */
  int32_t isa;      /* the highest instruction set to use, ATTN_ISA_...; 0: no cap. The environment
                      variable ATTN_ISA (reference, avx2, avx512, neon or amx) is a second cap; the lower
                      holds */
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
  /* 1: the context's memory is overwritten with zeros before it is given back, that is when scratch grows
     and in attn_destroy. Not reached are BLAS's own buffers, which keep copies of what was multiplied (the
     builtin engine has none), and the stacks of threads. 0: it is given back as it is. */
  int32_t wipe;
  int32_t reserved_2; /* must be 0 */
} attn_options;

/* attn_create - makes a context.
 * Where the CPU has AMX, the engine is builtin and no cap forbids it, Linux (5.16 or later) is asked for the
 * permission to use the tile registers (arch_prctl, ARCH_REQ_XCOMP_PERM). It holds for the whole process,
 * cannot be given back, is inherited by fork() and ends with exec(). From then on frames of signals may be
 * larger, and sigaltstack() refuses a stack that they do not fit on: getauxval(AT_MINSIGSTKSZ) bytes are
 * enough. Where the permission is refused, as beside such a stack, avx512 is used. A cap of avx512 asks for
 * nothing.
 * *context: set to the new context, or to NULL on error.
 * options: NULL for all defaults.
 * Errors: ARGUMENT (an option is invalid, or ATTN_ISA is not one of its words), UNSUPPORTED (the engine is
 * blas, and this build has none), MEMORY.
 * attn_last_error(NULL) then says more. Worker threads start with the first call that needs them; after a
 * call they look for the next one for 0.1 ms, yielding their CPU, and then sleep.
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
  int32_t has_scale;  /* 1: scale is given */
  float scale;        /* any finite number, 0 and negative included; default 1 / sqrt(D) */
  int32_t causal;     /* 1: query i sees key j only if j <= p, its position */
  int32_t has_window; /* 1: only if p - window_left <= j <= p + window_right */
  /* The position of query 0 among the keys: p = i + offset is that of query i, for the causal rule, the
     window and ALiBi. 0 aligns the top left corner (PyTorch); len_k - len_q the bottom right one
     (FlashAttention); with a cache of P past keys the offset is P. It may be negative. */
  int64_t offset;
  /* Optional outputs. NULL: not wanted. */
  float *weights;                 /* (B, Hq, Nq, Nk): the softmax, masked entries 0 */
  const int64_t *weights_strides; /* batch, head, row; NULL: dense */
  float *lse;                     /* (B, Hq, Nq): the log-sum-exp of each row */
  const int64_t *lse_strides;     /* batch, head, row (one number a row); NULL: dense */
  float *scores;                  /* (B, Hq, Nq, Nk): the scores at a stage of their making, scores_stage */
  const int64_t *scores_strides;  /* batch, head, row; NULL: dense */
  int32_t scores_stage; /* 0: scale * (q . k), of masked keys too; 1: these after the softcap; 2: what the
                           softmax sees, masked -infinity. (ONNX's fourth stage is weights.) Keys past a
                           length have no score: -infinity at every stage */
  float softcap;        /* > 0: scores become softcap * tanh(score / softcap); 0: off */
  /* Added to the score, after the softcap. */
  const float *bias;           /* (B, Hq, Nq, Nk); -infinity masks */
  const int64_t *bias_strides; /* four: batch, head, query, key; NULL: dense; 0 broadcasts */
  const float *alibi_slopes;   /* (Hq): -slope * |p - j|; NULL: none */
  /* More rules of what a query sees. All rules compose: a key is visible if each allows it. */
  const uint8_t *mask;         /* (B, Hq, Nq, Nk): 1 attend, 0 masked, as in PyTorch's SDPA and ONNX;
                                  torch.nn.MultiheadAttention and Apple BNNS mean the opposite */
  const int64_t *mask_strides; /* four: batch, head, query, key; NULL: dense; 0 broadcasts */
  int64_t window_left;         /* -1: unbounded */
  int64_t window_right;        /* -1: unbounded */
  int64_t window_prefix;   /* keys below this one are inside every window (Longformer's global tokens) */
  int64_t window_dilation; /* d > 1: of the window only keys at a distance of a multiple of d, and the
                                  window is d times as wide (Longformer); 0: 1 */
  /* Batches of unequal sequences. Each has B numbers; NULL: the same for all. */
  const int64_t *offsets;   /* instead of offset */
  const int64_t *lengths_q; /* at most len_q; a row past it has no query: it is as one that sees no key */
  const int64_t *lengths_k; /* at most len_k; keys past it do not exist and are never read */
  /* Packed sequences: B + 1 numbers each, rising from the first row of each sequence to that of the next.
     Then query and output, or key and value, are one array of rows for the whole batch, sequence b being
     rows starts[b] to starts[b + 1] - 1, at most len_q or len_k of them; their batch stride is not used.
     Weights, scores and lse keep their padded shapes. Rows of the output past lengths_q are not written. */
  const int64_t *starts_q;
  const int64_t *starts_k;
  const float *sinks; /* (Hq): one more logit for each row, in the sum of the softmax only; NULL: none */
  /* Luong's local-p (EMNLP 2015), for attn_local: the window's middle is a real number c instead of p, so
     key j is in it iff c - window_left <= j <= c + window_right, and after the softmax each weight is
     multiplied by exp(-(j - c)^2 / (2 sigma^2)), not renormalised. Either the middles are given: */
  const float *centers;           /* (B, Hq, Nq); NULL: none */
  const int64_t *centers_strides; /* batch, head, row; NULL: dense */
  /* ... or predicted from the queries: c = Nk * sigmoid(v . tanh(W q)), Nk being the sequence's own length. */
  const float *predict_matrix; /* W: (predict_dim, D), dense; NULL: none */
  const float *predict_vector; /* v: (predict_dim) */
  int64_t predict_dim;
  float sigma;               /* of the Gaussian; 0: half of window_left, as in the paper */
  int32_t score_function;    /* ATTN_SCORE_...; 0: dot */
  const float *score_weight; /* general: W (D, D), dense; additive: v (D); dot: NULL */
  /* What becomes of each row of the output (of the layer's output in attn_self), in this order: residual is
     added, then it is normalised, then multiplied by gain and shifted. Rows that see no key as well;
     rows past lengths_q stay 0. */
  const float *residual;           /* of the output's shape; NULL: none */
  const int64_t *residual_strides; /* batch, head, row; NULL: dense */
  const float *norm_gain;          /* one number for each element of a row; NULL: 1 */
  const float *norm_shift;         /* likewise; NULL: 0 */
  int32_t norm;                    /* ATTN_NORM_...; 0: none */
  float norm_epsilon; /* added to the mean square or variance; L2: the smallest norm; 0: 1e-5 */
} attn_args;

/* attn_global - attention of every query to every visible key:
 *     output = softmax(scale * query key^T) value, with a numerically stable softmax over each row.
 * Memory beyond the arrays: less than a MiB per thread, for any length and heads of up to 1,024 (see
 * attn_explain), taken from the context and kept for the next call; a second call of the same shape
 * allocates nothing.
 * Errors: ARGUMENT, MEMORY, BUSY. Thread safety: one call at a time per context.
 * Formula: Vaswani et al., Attention Is All You Need, 2017, eq. 1; the online softmax is that of
 * Milakov and Gimelshein, 2018. */
int32_t attn_global(attn_context *context, const attn_args *args);

/* attn_local - attention of every query to the keys in a window around it. The same as attn_global with
 * has_window, which both take; here the window is required, and its middle may be given or predicted
 * (centers, predict_matrix). Cost in time and in keys read is that of the keys in the windows, not of all.
 * Luong's local-m is window_left = window_right = D of the paper; "W keys including itself" of other
 * systems is window_left = W - 1, window_right = 0.
 * Errors: ARGUMENT, MEMORY, BUSY. Thread safety: one call at a time per context.
 * Formulas: Luong, Pham and Manning, 2015, section 3.2; Beltagy, Peters and Cohan, 2020 (prefix, dilation). */
int32_t attn_local(attn_context *context, const attn_args *args);

/* The arguments of attn_self. */
typedef struct attn_self_args {
  uint64_t size; /* sizeof(attn_self_args) */
  const attn_args
      *attention;     /* batch, heads, len_q = len_k = N, dim, and any option; query, key, value, output
                                 and their strides, starts_q and starts_k must be NULL */
  int64_t dim_model;  /* E: the width of x */
  int64_t dim_output; /* the width of the output; 0: E. Without weight_o it must be Hq * Dv */
  const float *x;     /* (B, N, E) */
  const int64_t *x_strides;      /* batch, row; NULL: dense */
  float *output;                 /* (B, N, dim_output) */
  const int64_t *output_strides; /* batch, row (at least dim_output); NULL: dense */
  /* Weights as PyTorch stores them, (out features, in features), dense: either packed, query above key above
     value, or one by one. */
  const float *weight_qkv; /* (Hq D + Hkv D + Hkv Dv, E) */
  const float *weight_q;   /* (Hq D, E) */
  const float *weight_k;   /* (Hkv D, E) */
  const float *weight_v;   /* (Hkv Dv, E) */
  const float *weight_o;   /* (dim_output, Hq Dv); NULL: no output projection */
  /* Biases of the same rows; NULL: none. */
  const float *bias_qkv;
  const float *bias_q;
  const float *bias_k;
  const float *bias_v;
  const float *bias_o;
  int32_t rope;     /* ATTN_ROPE_...; 0: none */
  float rope_base;  /* 0: 10000 */
  int64_t rope_dim; /* the first so many elements of each head rotate, an even number; 0: all */
} attn_self_args;

/* attn_self - a self-attention layer on x:
 *     q = x Wq^T + bq, k = x Wk^T + bk, v = x Wv^T + bv, split into heads; q and k rotated by their position
 *     (RoPE; that of row i is i + offset); attention as attn_global or, with centers, attn_local has it;
 *     then the output projection, residual and norm.
 * Scratch for q, k, v and the heads' outputs grows with N, never with its square (see attn_explain_self).
 * The heads of a row side by side, Hq * max(D, Dv), are at most 2^31 - 1 numbers.
 * Errors: ARGUMENT, MEMORY, BUSY. Thread safety: one call at a time per context.
 * Formulas: Vaswani et al., 2017, section 3.2.2; Su et al., RoFormer, 2021, equation 34. */
int32_t attn_self(attn_context *context, const attn_self_args *args);

/* The arguments of attn_merge. All parts have the same shapes and strides. */
typedef struct attn_merge_args {
  uint64_t size;                  /* sizeof(attn_merge_args) */
  int64_t parts;                  /* how many, at least 1 */
  int64_t batch, heads, len_q;    /* B, Hq, Nq */
  int64_t dim_v;                  /* Dv */
  const float *const *outputs;    /* parts arrays (B, Hq, Nq, Dv) */
  const float *const *lses;       /* parts arrays (B, Hq, Nq) */
  const int64_t *outputs_strides; /* of each part: batch, head, row; NULL: dense */
  const int64_t *lses_strides;    /* of each part: batch, head, row; NULL: dense */
  float *output;                  /* (B, Hq, Nq, Dv); may be one of the parts, with the same strides */
  const int64_t *output_strides;  /* batch, head, row; NULL: dense */
  float *lse;                     /* (B, Hq, Nq); NULL: not wanted; may be one of the parts */
  const int64_t *lse_strides;     /* batch, head, row; NULL: dense */
} attn_merge_args;

/* attn_merge - joins the results of attention over disjoint sets of keys (a cache in pieces, a shared
 * prefix, several machines) into that over all of them:
 *     lse = ln sum exp(lse_i), output = sum exp(lse_i - lse) output_i.
 * A part that saw no key has an LSE of -infinity and is left out. A sink belongs to exactly one part.
 * Errors: ARGUMENT, BUSY. Thread safety: one call at a time per context. */
int32_t attn_merge(attn_context *context, const attn_merge_args *args);

/* What a call would do. Texts are constants of the library. */
typedef struct attn_plan {
  uint64_t size;          /* sizeof(attn_plan), set by the caller */
  uint64_t scratch_bytes; /* scratch that the call needs, all threads together */
  int64_t threads;        /* how many threads would share the work */
  int64_t tasks;          /* independent pieces of work */
  int64_t tile_q;         /* query rows of a tile */
  int64_t tile_k;         /* keys of a tile */
  const char *path;       /* "tiled", or "empty" where no query can see a key by its position */
  const char *engine;     /* "builtin" or "blas" */
} attn_plan;

/* attn_explain - fills plan with what attn_global or attn_local would do with args; touches no data.
 * Errors: ARGUMENT (as attn_global), BUSY. Thread safety: one call at a time per context. */
int32_t attn_explain(attn_context *context, const attn_args *args, attn_plan *plan);

/* attn_explain_self - the same for attn_self: scratch_bytes is that of the whole layer, all else is about its
 * attention. Errors: ARGUMENT (as attn_self), BUSY. Thread safety: one call at a time per context. */
int32_t attn_explain_self(attn_context *context, const attn_self_args *args, attn_plan *plan);

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

/* What a context is made of. Texts live as long as the context. In a build without BLAS its three are "none". */
typedef struct attn_info {
  uint64_t size;       /* sizeof(attn_info), set by the caller */
  int64_t threads;     /* how many threads a call may use, the calling one included */
  const char *cpu;     /* the CPU's name for itself, "" where it has none */
  const char *cpu_isa; /* the best instruction set of this CPU: "reference", "avx2", ... */
  const char *isa;     /* the one in use; not "amx" with blas, or where Linux refuses the tile registers */
  const char *engine;  /* the product engine in use: "builtin" or "blas" */
  const char *blas;    /* the BLAS library and its version, "OpenBLAS 0.3.21" */
  const char *blas_flavor; /* "serial", "pthread" or "openmp" */
  const char *blas_core;   /* the CPU type whose kernels BLAS runs, "SkylakeX" */
  const char *warning;     /* what makes products slow here and the remedy, one sentence; "" if nothing */
} attn_info;

/* attn_describe - fills info with what the context is made of.
 * Errors: ARGUMENT; attn_last_error(NULL) then says more. Thread safety: any thread, any time while the context lives. */
int32_t attn_describe(const attn_context *context, attn_info *info);

/* attn_description - the same in words: one line of text, which lives as long as the context; "" for
 * NULL. Thread safety: as attn_describe. */
const char *attn_description(const attn_context *context);

/* attn_last_error - the sentence of the last call on this context that failed, "" if the last one
 * succeeded. It lives until the next call on the context. NULL: of this thread's last attn_create(),
 * attn_describe() or call that was given NULL for a context.
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
