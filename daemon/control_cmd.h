/* SPDX-License-Identifier: MIT */
/*
 * The commands of the control socket: a request line in, an answer out. No I/O. Private to
 * control.c and its tests.
 */
#ifndef DAEMON_CONTROL_CMD_H
#define DAEMON_CONTROL_CMD_H

#include <jansson.h>
#include "control.h"

struct control_context {
	const struct control_ops *ops;
	void *arg;
	struct engine *engine;
	struct events *events;
};

/*
 * Runs the request in line[0..len) and returns the answer; NULL: out of memory. *follow becomes
 * true when every later event shall be sent to whoever asked (control_event_answer).
 */
json_t *control_run(const struct control_context *c, const char *line, size_t len, bool *follow)
	__attribute__((warn_unused_result));

/* An answer of its own for one event. NULL: out of memory. */
json_t *control_event_answer(const struct events_entry *ev) __attribute__((warn_unused_result));

/* {"version":1,"ok":false,"code":code,"error":...}. NULL: out of memory. */
json_t *control_error(const char *code, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), warn_unused_result));

#endif
