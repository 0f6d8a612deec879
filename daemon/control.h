/* SPDX-License-Identifier: MIT */
/*
 * The control socket: JSON lines over a unix stream socket, for mpioctl and for scripts.
 *
 *   {"version":1,"cmd":"status"}  ->  {"version":1,"ok":true,"data":{...}}
 *                                 or  {"version":1,"ok":false,"code":"not-found","error":"..."}
 *
 * code is "not-found", "invalid" (the request makes no sense) or "refused". Commands: status, show
 * (lun), paths (lun), sessions, events (follow, limit), path-disable, path-enable, path-drain
 * (path), policy (lun, policy), reload, rescan, metrics. After events with follow each event comes as
 * an answer of its own.
 *
 * Owns the socket file, its connections and its watchers on the loop. Calls back into its owner
 * only through struct control_ops, from the event loop.
 */
#ifndef DAEMON_CONTROL_H
#define DAEMON_CONTROL_H

#include <ev.h>
#include "engine.h"
#include "events.h"

#define CONTROL_VERSION 1
#define CONTROL_LINE_MAX (64u << 10)     /* of a request */
#define CONTROL_BACKLOG_MAX (1u << 20)   /* bytes a follower may be behind */
#define CONTROL_CLIENTS_MAX 32
#define CONTROL_IDLE_S 60.               /* without a request, or without reading its answer */

struct control_ops {
	/* Before any engine_… call: tell the engine the time. After it: arm the timer again. */
	void (*touch)(void *arg);
	void (*settle)(void *arg);
	/* Read the configuration again. *message: errors, a summary or NULL; control frees it. */
	int (*reload)(void *arg, char **message);
	int (*restart)(void *arg, char *why, size_t cap); /* see handover.h */
	unsigned (*restarts)(void *arg);
	/* Look for new LUNs and portals. NULL: refused. */
	int (*rescan)(void *arg);
};

struct control;

/*
 * Listens on path (mode 0660; its directory must exist). A stale socket is replaced. On failure
 * -errno and a sentence in why: -EADDRINUSE another daemon listens there, -ENOTSOCK the name is
 * taken by something else. engine, events, ops and arg must outlive it.
 */
int control_start(struct control **out, struct ev_loop *loop, const char *path,
		  const struct control_ops *ops, void *arg, struct engine *engine,
		  struct events *events, char *why, size_t whylen)
	__attribute__((warn_unused_result));

/* Another limit than CONTROL_IDLE_S, for connections to come: tests have no minute. */
void control_set_idle(struct control *c, double seconds);

/* Closes every connection and removes the socket, if it is still this one's. NULL is fine. */
void control_stop(struct control *c);

#endif
