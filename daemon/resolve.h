/* SPDX-License-Identifier: MIT */
/*
 * Names of portals to numeric addresses, off the event loop: getaddrinfo() may block for many
 * seconds, and libiscsi would call it from inside connect. One thread for each look-up, none for
 * addresses that are numeric already.
 */
#ifndef DAEMON_RESOLVE_H
#define DAEMON_RESOLVE_H

#include <ev.h>
#include <stddef.h>

struct resolve;

/* "ADDR:PORT" or "[ADDR6]:PORT" with a numeric ADDR? */
int resolve_is_numeric(const char *portal);

/*
 * Looks HOST:PORT up. done is called once, from the loop: numeric is "ADDR:PORT", or NULL and why
 * says what failed. NULL: could not start, -errno in *err.
 */
struct resolve *resolve_start(struct ev_loop *loop, const char *portal,
			      void (*done)(void *arg, const char *numeric, const char *why), void *arg,
			      int *err) __attribute__((warn_unused_result));

/* Forgets it, before or inside done; the thread ends on its own. NULL is allowed. */
void resolve_cancel(struct resolve *r);

#endif
