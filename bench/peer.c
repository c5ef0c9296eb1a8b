/* peer.c - another process that computes the same, and is asked line by line.
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "peer.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

struct bench_peer {
  pid_t process;
  int socket;
};

enum { SETTINGS_MAX = 8 };

/* The environment with settings before it, where the first of a name counts; freed by the caller. */
static char **make_environment(const char *const *settings) {
  size_t count = 0, added = 0;
  while (environ[count] != NULL) count++;
  while (settings[added] != NULL) added++;
  char **all = calloc(added + count + 1, sizeof *all);
  if (all == NULL) return NULL;
  memcpy(all, settings, added * sizeof *all);
  memcpy(all + added, environ, count * sizeof *all);
  return all;
}

static int spawn(bench_peer *peer, const char *const *arguments, char **environment, const int files[2]) {
  posix_spawn_file_actions_t actions;
  if (posix_spawn_file_actions_init(&actions) != 0) return 0;
  int failed = posix_spawn_file_actions_adddup2(&actions, files[0], STDIN_FILENO) != 0 ||
               posix_spawn_file_actions_adddup2(&actions, files[0], STDOUT_FILENO) != 0 ||
               posix_spawn_file_actions_adddup2(&actions, files[1], PEER_FILE) != 0 ||
               posix_spawnp(&peer->process, arguments[0], &actions, NULL, (char *const *)arguments,
                            environment) != 0;
  posix_spawn_file_actions_destroy(&actions);
  return !failed;
}

bench_peer *peer_open(const char *const *arguments, const char *const *settings, int file) {
  int ends[2];
  bench_peer *peer = calloc(1, sizeof *peer);
  char **environment = make_environment(settings);
  int opened =
      peer != NULL && environment != NULL && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0;
  if (opened) {
    opened = spawn(peer, arguments, environment, (int[]){ends[1], file});
    close(ends[1]);
    peer->socket = ends[0];
    if (!opened) close(ends[0]);
  }
  free(environment);
  if (opened) return peer;
  free(peer);
  return NULL;
}

void peer_rest(bench_peer *peer) {
  kill(peer->process, SIGSTOP);
}

void peer_say(bench_peer *peer, const char *line) {
  kill(peer->process, SIGCONT);
  char whole[PEER_LINE_SIZE];
  int length = snprintf(whole, sizeof whole, "%s\n", line);
  if (length > 0)
    send(peer->socket, whole, (size_t)length, MSG_NOSIGNAL); /* if it has ended, hearing shows it */
}

int peer_is_silent(bench_peer *peer, double seconds) {
  struct pollfd waited = {peer->socket, POLLIN, 0};
  double end = bench_seconds() + seconds, left;
  int ready = 0;
  while (ready <= 0 && (left = end - bench_seconds()) > 0)
    ready = poll(&waited, 1, (int)(fmin(left, 1000) * 1000) + 1);
  return ready <= 0;
}

void peer_hear(bench_peer *peer, char line[PEER_LINE_SIZE]) {
  size_t length = 0;
  char next;
  while (length + 1 < PEER_LINE_SIZE && read(peer->socket, &next, 1) == 1 && next != '\n')
    line[length++] = next;
  line[length] = '\0';
}

void peer_close(bench_peer *peer) {
  if (peer == NULL) return;
  kill(peer->process, SIGKILL); /* it may be deep in a call, and has nothing to lose */
  waitpid(peer->process, NULL, 0);
  close(peer->socket);
  free(peer);
}
