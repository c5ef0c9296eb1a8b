/* peer.h - another process that computes the same, and is asked line by line.
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Its standard input and output are one socket, its file descriptor 3 is the inputs' file. It speaks first,
 * and is ended when it is no longer needed:
 *     it:  ready HOW       it can do the shape; HOW says what computes it
 *          no REASON       it cannot
 *     we:  first           call once, and write the output into the file
 *     it:  SECONDS KIB     how long that took, and how much memory grew, -1 if not known
 *     we:  run CALLS
 *     it:  SECONDS         of all of them
 * Where calls are short, one more comes before those of run, which brings the caches back. Between its turns it is
 * stopped: threads that wait for work in a loop, as ONNX Runtime's do, would take a CPU from whoever is next. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stddef.h>

enum { PEER_FILE = 3, PEER_LINE_SIZE = 600 };

typedef struct bench_peer bench_peer;

/* peer_open - starts a program, found in PATH if its name has no slash; arguments and settings ("NAME=VALUE",
 * added to the environment) end in NULL. Returns NULL if it cannot. */
bench_peer *peer_open(const char *const *arguments, const char *const *settings, int file);

/* peer_rest - stops it: none of its threads takes time of a CPU until something is said to it. */
void peer_rest(bench_peer *peer);

/* peer_say - a line to it, given without the end of line; wakes it. */
void peer_say(bench_peer *peer, const char *line);

/* peer_is_silent - does it neither speak nor end for so many seconds? */
int peer_is_silent(bench_peer *peer, double seconds);

/* peer_hear - its next line, without the end of line; "" if it has ended. */
void peer_hear(bench_peer *peer, char line[PEER_LINE_SIZE]);

/* peer_close - ends it. NULL is ignored. */
void peer_close(bench_peer *peer);

#endif
