/* SPDX-License-Identifier: MIT */
/*
 * The engine's model for Prometheus: as text (metrics.c, changes nothing, does no I/O), and over
 * HTTP (metrics_http.c, on the same loop, libmicrohttpd).
 *
 * Names and labels are only ever added. Times are seconds, sizes bytes, counters count from the start
 * of the daemon (those of a path or session from when it first appeared).
 */
#ifndef DAEMON_METRICS_H
#define DAEMON_METRICS_H

#include <ev.h>
#include <stddef.h>
#include "model.h"

/* The text exposition format, version 0.0.4. free() it; NULL: out of memory. */
char *metrics_text(const struct engine *e, size_t *len) __attribute__((warn_unused_result));

struct metrics_http;

/*
 * Serves GET /metrics on addr ("tcp:ADDR:PORT", numeric). text() is called from the event loop for
 * each scrape; what it returns is freed. On failure -errno and a sentence in why.
 */
int metrics_http_start(struct metrics_http **out, struct ev_loop *loop, const char *addr,
		       char *(*text)(void *arg, size_t *len), void *arg, char *why, size_t cap)
	__attribute__((warn_unused_result));

/* Closes its connections too, in the middle of an answer if need be. NULL is fine. */
void metrics_http_stop(struct metrics_http *h);

#endif
