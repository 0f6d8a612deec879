/* SPDX-License-Identifier: MIT */
/*
 * One iSCSI session (RFC 7143) through one portal, on libiscsi and libev.
 *
 * An iscsi_session is ONE login attempt: once it has failed it is only good for
 * iscsi_session_kill(). All callbacks come from the event loop, never from inside one of
 * these functions, and never from inside libiscsi: what libiscsi reports is recorded, and
 * delivered when iscsi_service() has returned. So a callback may call any function here,
 * iscsi_session_kill() on its own session too. After the kill no callback comes any more
 * and no buffer of the session is touched any more: its commands have NOT been completed,
 * the owner has its own list of them.
 */
#ifndef TRANSPORT_ISCSI_H
#define TRANSPORT_ISCSI_H

#include <ev.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <sys/socket.h>
#include "iscsi_vet.h"
#include "list.h"
#include "scsi.h"

struct iscsi_session;

/*
 * What the sessions of one event loop share: the list of those with something to send, which one
 * ev_prepare watcher flushes once per loop iteration, last of all. One per ev_loop. NULL: no
 * memory.
 */
struct iscsi_loop;
struct iscsi_loop *iscsi_loop_new(struct ev_loop *ev) __attribute__((warn_unused_result));

/*
 * Kills the sessions that are left (those that log out too). Free discoveries before. NULL is
 * allowed.
 */
void iscsi_loop_free(struct iscsi_loop *loop);

/* A command and the initiator's private room for it. Allocated by the owner, zeroed once. */
struct iscsi_cmd {
	struct scsi_cmd scsi; /* must be first */
	struct scsi_task task;
	struct scsi_iovec iov[2];
	struct iscsi_vet_cmd vet;
	struct iscsi_session *session;
	struct list done; /* on the session's list of finished commands, not yet delivered */
};

struct iscsi_params {
	const char *initiator_name;
	const char *target_name;     /* NULL: a discovery session */
	const char *portal;          /* numeric, "ADDR:PORT" or "[ADDR6]:PORT" */
	const char *interface;       /* SO_BINDTODEVICE, or NULL */
	const char *chap_user, *chap_secret;               /* NULL: no CHAP */
	const char *mutual_chap_user, *mutual_chap_secret; /* NULL: not mutual */
	bool header_digest;          /* CRC32C */
	uint32_t isid;               /* 24 random bits, stable for this session's portal */
	unsigned login_timeout_ms;   /* connect and login together */
	unsigned user_timeout_ms;    /* TCP_USER_TIMEOUT */
	bool solicited;              /* ImmediateData=No, InitialR2T=Yes (RFC 7143 13.10, 13.11) */
};

enum iscsi_loss {
	ISCSI_LOSS_CONNECT,  /* never connected */
	ISCSI_LOSS_LOGIN,    /* connected, login refused, garbled or timed out */
	ISCSI_LOSS_REDIRECT, /* the target names another portal: text is its address */
	ISCSI_LOSS_CLOSED,   /* FIN, RST, a protocol error, or the target dropped it */
	ISCSI_LOSS_LOGOUT,   /* the target asked for a logout (async message, or reject 0Ch) */
};

struct iscsi_callbacks {
	/* Login done: commands may be submitted. */
	void (*up)(void *arg);
	/* The session is dead; only iscsi_session_kill() is left. Called once at most. */
	void (*lost)(void *arg, enum iscsi_loss why, const char *text);
	/* cmd has finished; cmd->scsi holds the outcome. The owner may reuse it at once. */
	void (*done)(void *arg, struct iscsi_cmd *cmd);
	/* A probe sent with iscsi_session_probe() was answered. */
	void (*pong)(void *arg);
};

/*
 * Starts to connect. NULL: -ENOMEM or -EINVAL (a string too long or malformed) in *err; whatever
 * the network has to say comes through lost(). Strings in p are copied.
 */
struct iscsi_session *iscsi_session_start(struct iscsi_loop *loop, const struct iscsi_params *p,
					  const struct iscsi_callbacks *cb, void *arg, int *err)
	__attribute__((warn_unused_result));

/*
 * Queues a command; it is sent by the one flush of this loop iteration. 0, or -errno: it was
 * not queued and there will be no callback. Keep fewer in flight than the window of the target.
 */
int iscsi_session_submit(struct iscsi_session *s, struct iscsi_cmd *cmd)
	__attribute__((warn_unused_result));

/* Sends a NOP-Out ping (RFC 7143 11.18). 0 or -errno. */
int iscsi_session_probe(struct iscsi_session *s) __attribute__((warn_unused_result));

/*
 * Microseconds since any payload byte was received (TCP_INFO, so bytes that were not read yet count
 * too, and since the connection was made if none came yet). Costs a system call. The kernel counts
 * in ticks: it is exact to 1..10 ms, 4 ms on most kernels. UINT64_MAX when there is no connection.
 */
uint64_t iscsi_session_silence_us(const struct iscsi_session *s);

/* The local address of the connection; 0 or -errno. For the interface monitor. */
int iscsi_session_local_addr(const struct iscsi_session *s, struct sockaddr_storage *ss)
	__attribute__((warn_unused_result));

/* After lost(): was it the other side that closed or reset the connection? */
bool iscsi_session_closed_by_target(const struct iscsi_session *s);

/* TargetPortalGroupTag of the login answer (RFC 7143 13.9), -1: the target did not send it. */
int iscsi_session_tpgt(const struct iscsi_session *s);

/* RST (SO_LINGER {1,0}), destroy, forget. s may be in any state. NULL is allowed. */
void iscsi_session_kill(struct iscsi_session *s);

/*
 * Tries to log out first (RFC 7143 11.14), then kills: for an orderly end with nothing in flight.
 * s belongs to this file from here on; no callback of the owner is called any more.
 */
void iscsi_session_logout(struct iscsi_session *s);

/* ---- SendTargets (RFC 7143 appendix C) ---- */

struct iscsi_portal_list {
	int n;
	struct {
		char target[224];
		char portal[64]; /* numeric ADDR:PORT, the ",tpgt" cut off */
	} *e;
};

struct iscsi_discovery;

/*
 * done is called once from the loop; list is valid inside the call only, NULL on failure (text says
 * why). p->login_timeout_ms bounds all of it. Portals that are host names are left out: nothing
 * here resolves names.
 */
struct iscsi_discovery *iscsi_discovery_start(struct iscsi_loop *loop, const struct iscsi_params *p,
					      void (*done)(void *arg,
							   const struct iscsi_portal_list *list,
							   const char *text),
					      void *arg, int *err)
	__attribute__((warn_unused_result));

/* Ends it, also from inside done. Must be called once for each start that returned non-NULL. */
void iscsi_discovery_free(struct iscsi_discovery *d);

#endif
