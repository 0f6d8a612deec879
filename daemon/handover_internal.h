/* SPDX-License-Identifier: MIT */
/* What one process (handover.c) writes down and the next one (inherit.c) reads. */
#ifndef DAEMON_HANDOVER_INTERNAL_H
#define DAEMON_HANDOVER_INTERNAL_H

#define HANDOVER_VARIABLE "MPIOD_HANDOVER" /* the descriptor of the state, a file in memory */
#define HANDOVER_TRIAL "MPIOD_HANDOVER_VERSION" /* mpiod -t: could it read a state of this version? */
#define HANDOVER_STORED "mpiod-" /* names of descriptors that the service manager keeps */
#define HANDOVER_STATE_NAME HANDOVER_STORED "state"
#define HANDOVER_VERSION 1

struct json_t;

/* The descriptor in an entry of the state; -1: there is none. */
int handover_fd(const struct json_t *o);

/* Takes what the process before left, if there was one. */
void handover_inherit(void);

#endif
