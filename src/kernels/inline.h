/* inline.h - what the compiler is to unroll, to inline and to keep apart in kernels.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef ATTN_INLINE_H
#define ATTN_INLINE_H

#ifdef ATTN_ROLLED /* for sanitizers: unrolled, their checks take minutes to compile */
#define UNROLLED
#define BY_EIGHTS
#elif defined(__clang__)
#define UNROLLED  _Pragma("unroll")
#define BY_EIGHTS _Pragma("unroll 8")
#else
#define UNROLLED  _Pragma("GCC unroll 16")
#define BY_EIGHTS _Pragma("GCC unroll 8")
#endif
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define NEVER_INLINE  __attribute__((noinline)) /* so that its caller is compiled as without it */

#endif
