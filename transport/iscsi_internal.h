/* SPDX-License-Identifier: MIT */
/*
 * What the files of the iSCSI initiator share.
 *
 * The one rule behind all of it: libiscsi's callbacks only set fields of the session. Verdicts
 * (iscsi_die) and the owner's callbacks (iscsi_deliver) come after iscsi_service() has returned, so
 * nothing is ever destroyed underneath the library.
 */
#ifndef TRANSPORT_ISCSI_INTERNAL_H
#define TRANSPORT_ISCSI_INTERNAL_H

#include "iscsi.h"
#include "iscsi_batch.h"
#include "iscsi_vet.h"

struct iscsi_loop {
	struct ev_loop *ev;
	ev_prepare prepare;
	struct list dirty;    /* sessions to flush before the loop sleeps */
	struct list sessions; /* all of them */
};

enum iscsi_state {
	ISCSI_CONNECTING,
	ISCSI_LOGIN,
	ISCSI_UP,
	ISCSI_DEAD, /* lost() was told or is due */
};

struct iscsi_session {
	struct iscsi_loop *loop;
	struct iscsi_context *ctx;
	struct iscsi_callbacks cb;
	void *arg;

	int tpgt; /* of the login answer; -1: not seen */
	enum iscsi_state state; /* changed by iscsi_session.c only */
	ev_io io;               /* on the fd from the connect on */
	ev_timer deadline;      /* of the login, later of the logout */
	struct list all, dirty;

	struct list done;   /* finished commands, to deliver */
	unsigned in_flight; /* commands libiscsi has */
	unsigned writes;    /* of those, the ones with data to send */
	unsigned pongs;     /* answered probes, to deliver */
	struct iscsi_batch *batch; /* in use from the login on */
	struct iscsi_vet vet;      /* likewise */

	/* Login */
	bool discovery, want_digest, mutual, solicited;
	uint32_t max_burst;           /* MaxBurstLength of the target; 0: not seen */
	uint32_t exp_cmdsn, max_cmdsn; /* of its last answer */
	bool login_done;              /* libiscsi says so */
	bool saw_digest, saw_chap_n, saw_chap_r;
	int lowat;                    /* SO_RCVLOWAT of the socket */
	unsigned login_timeout_ms;

	/* What libiscsi reported during a service call */
	bool broken;           /* a command or the login came back cancelled or in error */
	bool logged_out;       /* our own logout was answered */
	char err[200];         /* its first complaint */

	/* Delivery */
	bool up_due, lost_due;
	bool delivering;
	bool detached; /* iscsi_session_logout(): no callbacks any more */
	bool killed;   /* freed when delivery returns */
	enum iscsi_loss why;
	char text[256];
};

/* ---- iscsi_session.c ---- */

/* The session is dead from now on; the first reason stays. lost() is called by iscsi_deliver(). */
void iscsi_die(struct iscsi_session *s, enum iscsi_loss why, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The connection is made: sends the first login request. */
void iscsi_connected(struct iscsi_session *s);
/* libiscsi finished the login. */
void iscsi_logged_in(struct iscsi_session *s);

/* ---- iscsi_io.c ---- */
void iscsi_io_start(struct iscsi_session *s, int fd);
/* Has something to send: flushed at the end of this loop iteration. */
void iscsi_mark_dirty(struct iscsi_session *s);
/* Calls what is due. s may be freed when this returns. */
void iscsi_deliver(struct iscsi_session *s);

/* ---- iscsi_login.c ---- */

/*
 * Looks at the login response that waits in the socket, without taking it. True: it is complete and
 * libiscsi may read it. False: wait for more, or the session has died of it.
 */
bool iscsi_login_gate(struct iscsi_session *s);

/* ---- iscsi_log.c ---- */
void iscsi_log_attach(struct iscsi_context *ctx);
/* iscsi_service() with what libiscsi says meanwhile recorded in s. */
int iscsi_log_service(struct iscsi_session *s, int revents);
/* True while any session of this thread is inside libiscsi. */
bool iscsi_log_inside(void);

#endif
