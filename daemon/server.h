/* SPDX-License-Identifier: MIT */
/*
 * The engine on a libev loop: iSCSI below (wire.c), NBD above (export.c), the configuration, the
 * clock. One struct server is one running mpiod; nothing is global. Every callback from outside
 * calls server_enter() before it tells the engine anything, so that the engine's clock is right;
 * the deadline is armed once per loop iteration.
 */
#ifndef DAEMON_SERVER_H
#define DAEMON_SERVER_H

#include <ev.h>
#include "../transport/iscsi.h"
#include "../transport/nbd.h"
#include "../transport/scsi.h"
#include "control.h"
#include "engine.h"
#include "events.h"
#include "netmon.h"

struct server;

/*
 * Who brings requests and gets the answers. All are called on the loop; request_done, lun_ready and lun_gone
 * from inside the engine.
 */
struct server_front {
	/* What the front wants otherwise in a configuration that was read. May be NULL. */
	void (*adjust)(struct server *sv, struct conf *c);
	int (*start)(struct server *sv, char *why, size_t cap);
	/* May new be put in force? 0: it has what it needs from it already; or -errno and why, unchanged. */
	int (*reload)(struct server *sv, const struct conf *old, const struct conf *new, char *why,
		      size_t cap);
	bool (*still)(struct server *sv); /* nothing is left of what was asked; NULL: always */
	void (*room)(struct server *sv); /* what engine_admit() refused may be tried again */
	void (*request_done)(void *arg, struct request *r);
	void (*lun_ready)(void *arg, struct lun *l);
	void (*lun_gone)(void *arg, struct lun *l);
};

struct server {
	const struct server_front *front; /* set by the owner: &export_front, or another */
	void *front_arg;        /* the front's own */
	struct ev_loop *loop;
	struct iscsi_loop *iscsi;
	struct buf_pool *pool;
	struct engine *engine;
	struct conf *conf;
	char *conf_file;
	struct nbd_server *nbd;
	struct netmon *netmon;
	struct control *control; /* or NULL */
	struct metrics_http *metrics; /* or NULL */
	struct events *events;
	struct flight *flight;  /* beside the control socket, or NULL */
	ev_timer deadline;
	ev_prepare prepare;
	uint64_t armed_for;     /* engine time the deadline timer is armed for; 0: not armed */
	bool coalescing;
	bool unused;            /* an export lost its last client */
	bool room;              /* the engine has room again: resume NBD reads */
	struct list discoveries;
	ev_timer drain;         /* while stopping */
	ev_tstamp stop_by;      /* 0: not stopping */
	bool told_doubt;
	char description[SCSI_ID_MAX + 24]; /* of the export that was asked for last */
	double release_by;     /* registrations are given up until then; 0: not begun */
};

/* Monotonic microseconds. */
uint64_t server_now(void);
void server_enter(struct server *sv);

/* Builds all of it from a configuration it takes over. 0 or -errno; why says what failed. */
int server_start(struct server *sv, struct conf *c, char *why, size_t cap)
	__attribute__((warn_unused_result));

/* Reads the configuration file again and applies it. 0, or -EINVAL: nothing changed. *message (the
 * caller frees it) has the errors, the warnings, or is NULL. */
int server_reload(struct server *sv, char **message);

/* Begins the orderly end: ev_break() when all is answered, or has had its time. drain.c */
void server_drain(struct server *sv);

/* Ends the sessions, closes the sockets, frees everything. */
void server_stop(struct server *sv);

/* wire.c */
extern const size_t wire_attempt_room;
void wire_session_start(void *arg, struct session *s);
void wire_session_kill(void *arg, struct session *s);
void wire_session_logout(void *arg, struct session *s);
int wire_submit(void *arg, struct session *s, struct scsi_cmd *cmd);
int wire_probe(void *arg, struct session *s);
uint64_t wire_silence(void *arg, struct session *s);
void wire_link_down(void *arg, int ifindex, const char *name);
void wire_link_up(void *arg, int ifindex, const char *name);
void wire_addr_gone(void *arg, const struct sockaddr_storage *addr);

/* find.c */
void find_portals(void *arg, struct target *t);
void find_stop(struct server *sv);

/* export.c */
extern const struct server_front export_front; /* an NBD server on the same loop */

#endif
