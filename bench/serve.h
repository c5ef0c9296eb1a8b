/* serve.h - attn-bench as another attn-bench's peer (peer.h).
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_SERVE_H
#define BENCH_SERVE_H

/* serve - runs attn-bench --serve unfused SHAPE THREADS, or onnxruntime SHAPE THREADS GRAPH LIBRARY; the shape
 * is in numbers. Returns a BENCH_ code. */
int serve(int count, char **arguments);

#endif
