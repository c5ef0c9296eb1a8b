/* numpy.h - a rival: NumPy, in a Python process.
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_NUMPY_H
#define BENCH_NUMPY_H

/* The program, for python3 -c, a peer (peer.h); its argument is the shape in numbers. */
extern const char numpy_program[];

#endif
