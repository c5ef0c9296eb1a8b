/* help.c - what attn-bench --help prints.
 * SPDX-License-Identifier: BSD-3-Clause */
#include "help.h"

#include <stdio.h>

#include "shapes.h"

static const char help_usage[] =
    "attn-bench - speed of libattn, as ratios within one run\n"
    "\n"
    "usage: attn-bench [OPTION]...\n"
    "\n"
    "  --shapes LIST       names, patterns of names, or numbers (default: S*,T*,D*,N*)\n"
    "  --threads LIST      thread counts (default: 1, and one for each CPU)\n"
    "  --engine LIST       of those below, or all (default: auto, builtin, blas, unfused)\n"
    "  --onnxruntime DIR   where ONNX Runtime is (default: $ATTN_BENCH_ONNXRUNTIME); see bench/rivals.sh\n"
    "  --isa NAME          the library's highest instruction set: auto, reference, avx2, avx512\n"
    "  --min-pairs N       repeat until each engine has N good pairs (default 11) ...\n"
    "  --max-seconds T     ... or T seconds went by for one shape and thread count (default 120)\n"
    "  --quick             a smoke run: 2 good pairs or 2 seconds\n"
    "  --json FILE         write the rows as JSON too\n"
    "  --help, --version\n"
    "\n"
    "Lists have commas between items, and options with a list may be repeated.\n"
    "Example: attn-bench --shapes S1,S3,1:8:8:1024:1024:64:1 --threads 1,2 --json rows.json\n"
    "\n"
    "Numbers of a shape are B:Hq:Hkv:Nq:Nk:D:causal[:left:right[:offset]]; left and right are those of a\n"
    "window, -1 for unbounded. Named shapes (S attention as models have it, S6 to S8 decoding, S9 local;\n"
    "T tiny ones, T0 being what a call costs; D and N odd sizes; G and L growth with N, causal and "
    "local):\n";

static const char help_method[] =
    "\n"
    "engines:\n"
    "  auto          attn_global() with the product engine that the library picks\n"
    "  builtin       attn_global() with the tiles multiplied by the library itself\n"
    "  blas          attn_global() with the tiles multiplied by cblas_sgemm\n"
    "  unfused       the same by hand: for each head one sgemm, a softmax over the full matrix in plain C\n"
    "                with expf, one sgemm; threads share the heads\n"
    "  unfused-best  unfused with OPENBLAS_CORETYPE set, where BLAS does not know this CPU\n"
    "  onnxruntime   ONNX Runtime's MultiHeadAttention, GroupQueryAttention or Attention, whichever is "
    "fastest\n"
    "  numpy         matmul, softmax, matmul in NumPy, by the python3 in PATH\n"
    "The last three run in processes of their own, which time themselves, and only if they are asked for "
    "and\n"
    "found; a note says where one is skipped, and why.\n"
    "\n"
    "How it measures. The engines' first outputs are compared. Then the engines alternate, repeat by\n"
    "repeat. A repeat calls an engine as often as it takes to fill 2 ms, after a call that is not timed "
    "if\n"
    "calls take less than 10 ms. Right before and right after it\n"
    "a probe of 1.5 ms measures how fast as many threads do fused multiply-adds. A repeat and its two\n"
    "probes are a pair. It is good if both probes are within 10 % of the best probe of the run with that\n"
    "many threads. All numbers are medians over good pairs; repeats go on until there are enough.\n"
    "\n"
    "Shapes that are memory-bound (1 MiB of keys and values or more, at most 8 query rows for each key\n"
    "head) have another probe: as many threads read the keys and values once, in the fastest of twelve\n"
    "ways. Memory is shared with others all the time, so a pair is good there if its probes are within 20 "
    "%\n"
    "of each other and above half of the best.\n"
    "\n"
    "columns, and keys of the JSON rows:\n"
    "  how      how               path and product engine of the library; BLAS's kernels; version\n"
    "  time     median_ms         time of one call; over all pairs if none is good\n"
    "  speed    gflops            4 D Hq B for each query and key that it sees, by that time; or\n"
    "           gbytes_per_s      in memory-bound shapes the bytes of the keys and values, by that time\n"
    "  limit    fma_peak_gflops   the best probe of the run with that many threads; or\n"
    "           read_gbytes_per_s the best of this shape with that many threads\n"
    "  of lim.  fraction_of_peak  speed of a repeat by the mean of its two probes; - or null if no\n"
    "           fraction_of_bandwidth\n"
    "                             pair is good\n"
    "  x unf.   ratio_to_unfused  time of unfused by time of this engine, both in the same round and\n"
    "                             both pairs good; - or null if there are none\n"
    "  x best, x ort, x numpy     the same for the other rivals: ratio_to_unfused_best,\n"
    "                             ratio_to_onnxruntime, ratio_to_numpy\n"
    "  x 1 thr  ratio_to_one_thread\n"
    "                             speed by that with one thread, each as its fraction of the limit\n"
    "                             times the limit; - or null if one thread did not run\n"
    "  pairs    pairs_used, pairs_taken\n"
    "                             good pairs of all; ratio_pairs_used counts those of ratio_to_unfused\n"
    "  noise    probe_spread      how far the slowest tenth of the probes lies under the best\n"
    "  KiB      rss_growth_kib    memory grown at its peak by the first call, roughly; BLAS's own buffers\n"
    "                             count for whoever touches them first; - or null if not known\n"
    "\n"
    "exit codes: 0 fine, 1 a wrong output, 2 command line, 3 file, 4 library, memory or threads\n";

void help_print(void) {
  fputs(help_usage, stdout);
  for (size_t n = 0; n < named_shape_count; n++)
    printf("  %-8s %s\n", named_shapes[n].name, named_shapes[n].numbers);
  fputs(help_method, stdout);
}
