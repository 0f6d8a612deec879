/* SPDX-License-Identifier: MIT */
/*
 * An NBD server (nbd proto.md, fixed newstyle) on libev: many exports, many listeners, many
 * connections. It owns sockets, connections and requests; what the bytes mean is up to the
 * owner, through the callbacks.
 *
 * A request is handed over with submit() and given back with nbd_req_done(), exactly once, any
 * time later, also from inside submit(), also when its connection is long gone. Replies of one
 * loop iteration leave in one write. A client that breaks the protocol loses its own
 * connection and nothing else.
 */
#ifndef TRANSPORT_NBD_H
#define TRANSPORT_NBD_H

#include <ev.h>
#include <stdbool.h>
#include <sys/types.h>
#include "buf.h"
#include "list.h"

enum nbd_op {
	NBD_OP_READ, NBD_OP_WRITE, NBD_OP_FLUSH, NBD_OP_TRIM, NBD_OP_ZERO, NBD_OP_CACHE, NBD_OP_STATUS,
};

/* What the blocks of a range are ("base:allocation"). */
struct nbd_extent {
	uint32_t len;   /* bytes */
	uint32_t flags; /* NBD_EXTENT_... */
};
#define NBD_EXTENT_HOLE 1U     /* no space is taken */
#define NBD_EXTENT_ZERO 2U     /* reads as zeroes */
#define NBD_EXTENTS_MAX 1024U  /* in one answer */

struct nbd_conn;
struct nbd_server;
struct sockaddr;

struct nbd_req {
	struct nbd_conn *conn;  /* private */
	uint64_t cookie;        /* private */
	struct list link;       /* private to the server */
	void *export;           /* what open() gave */
	uint8_t op;             /* enum nbd_op; range, read-only and flags have been checked */
	bool fua, no_hole;
	bool fast;              /* ZERO: ENOTSUP unless it is quicker than a write */
	bool one;               /* STATUS: one extent is enough */
	bool with_owner;        /* private: between submit() and nbd_req_done() */
	int err;                /* private: the answer */
	uint64_t offset;        /* bytes, any alignment */
	uint32_t len;           /* bytes; never 0 but for a flush */
	struct buf *buf;        /* READ: to fill (may be replaced); WRITE: the payload. One reference. */
	uint8_t *data;          /* first byte of the payload, inside buf; READ: set when replacing buf */
	/*
	 * STATUS: how many struct nbd_extent lie at data, in a buf that the owner brings. At least one, at most
	 * NBD_EXTENTS_MAX, and never more bytes than were asked for. The server changes them.
	 */
	uint32_t nextents;
	_Alignas(16) uint8_t priv[]; /* req_priv bytes, zeroed: the owner's */
};

struct nbd_export {
	const char *name, *description;  /* valid inside the call that got it */
	uint64_t size;                   /* bytes */
	uint32_t min_block, pref_block, max_block; /* bytes */
	bool read_only, can_trim, can_zero, can_flush, can_fua;
	bool can_cache, can_fast_zero, can_status;
};

struct nbd_callbacks {
	/*
	 * Looks an export up for GO, INFO or EXPORT_NAME. name "" is the default export. Fills *out and
	 * *handle. false: unknown. While a connection has it open its size may only grow; nbd_server_exports() then.
	 */
	bool (*open)(void *arg, const char *name, struct nbd_export *out, void **handle);
	/* A connection entered (+1) or left (-1) transmission on this export. */
	void (*users)(void *arg, void *handle, int delta);
	/* For LIST: the i-th export, false past the last. */
	bool (*list)(void *arg, int i, struct nbd_export *out);
	/* A request to serve. */
	void (*submit)(void *arg, struct nbd_req *req);
	/*
	 * May `len` more bytes be taken in for this export? They include what the server itself holds: payloads on
	 * their way in, answers on their way out. false: the server stops reading from that connection until
	 * nbd_server_resume(). Asked before the payload is read.
	 */
	bool (*admit)(void *arg, void *handle, uint64_t len);
	/* May a TCP client with this address come in? NULL: anybody may. */
	bool (*allow)(void *arg, const struct sockaddr *peer);
	/* The name under which open() finds this export again, also in the next process; for nbd_server_keep(). */
	const char *(*name)(void *arg, void *handle);
	/* One line about a connection, level as in syslog(3). */
	void (*log)(void *arg, int level, const char *text);
};

struct nbd_limits {
	int max_connections;
	unsigned handshake_ms; /* a handshake must be over by then */
	unsigned stall_ms;     /* who moves no byte for that long while others wait for the memory is closed */
	size_t req_priv;       /* bytes behind each nbd_req */
};

struct nbd_server *nbd_server_new(struct ev_loop *loop, struct buf_pool *pool,
				  const struct nbd_limits *lim, const struct nbd_callbacks *cb,
				  void *arg) __attribute__((warn_unused_result));

/* Of a unix socket. gid -1: as it comes. */
struct nbd_access {
	unsigned mode;
	gid_t gid;
};

/*
 * addr: "unix:PATH" or "tcp:ADDR:PORT" / "tcp:[ADDR6]:PORT" (numeric). A socket file nobody listens on is replaced; a live one is -EADDRINUSE. 0 or -errno, with
 * a reason in why[].
 */
int nbd_server_listen(struct nbd_server *s, const char *addr, const struct nbd_access *access, char *why,
		      size_t why_cap) __attribute__((warn_unused_result));

/* Stops listening there (its socket file goes too); connections stay. Unknown addr: nothing happens. */
void nbd_server_unlisten(struct nbd_server *s, const char *addr);

/* A connected socket that somebody else accepted (socket activation, tests). The server owns fd. */
void nbd_server_add_fd(struct nbd_server *s, int fd);

/* admit() may say yes again: go on reading, longest-waiting connection first. */
void nbd_server_resume(struct nbd_server *s);

/*
 * Gives a request back. err: 0 or a positive errno; EPERM, EIO, EINVAL, ENOSPC, EOVERFLOW, ENOTSUP travel as such,
 * all else as EIO. ENOMEM and ESHUTDOWN are no answer: the connection is closed. The server drops req->buf.
 */
void nbd_req_done(struct nbd_req *req, int err);

/* Closes every connection on this export without a word; their requests still come back. */
void nbd_server_close_export(struct nbd_server *s, void *handle);

int nbd_server_connections(const struct nbd_server *s);

/* Stops accepting and reading: what was asked is still answered. The way to an orderly end. */
void nbd_server_quiesce(struct nbd_server *s);

/*
 * ---- from one process to the next: descriptors stay open, clients notice nothing (nbd_handover.c) ----
 *
 * finish: as quiesce, but the rest of a request that has begun to arrive is read, and answered. still: nothing of
 * any request is left, in any direction. keep: tells of each connection and listening socket, valid inside the call, and
 * leaves all as it is. go_on: not now, as before.
 */
struct nbd_kept {
	int fd;
	bool transmit;       /* the handshake is over */
	bool options;        /* or at least its flags have come */
	bool fixed, no_zeroes, structured;
	bool allocation;     /* transmit: base:allocation was agreed on */
	const char *context_of; /* options: the export for which it was, or NULL */
	uint16_t flags;      /* transmission flags that the client was told */
	uint64_t size;       /* and the size */
	uint32_t max_block;
	const char *export;  /* name(); NULL before transmission */
	const uint8_t *in;   /* bytes of the client that nobody has looked at yet */
	size_t in_len;       /* at most 65536 */
};
void nbd_server_finish(struct nbd_server *s);
bool nbd_server_still(const struct nbd_server *s);
void nbd_server_go_on(struct nbd_server *s);
void nbd_server_keep(struct nbd_server *s, void (*conn)(void *to, const struct nbd_kept *k),
		     void (*listener)(void *to, const char *addr, int fd, bool foreign), void *to);

/* The listening sockets have been given away: their files are to stay when this server ends. */
void nbd_server_leave_files(struct nbd_server *s);

/*
 * The other side of it. inherit: nbd_server_listen() on addr will use fd; addr NULL: on the address that fd is bound
 * to. foreign: somebody else made it (systemd.socket(5)), so its file stays when listening ends.
 * inherit_end: those that nobody asked for are closed, and how many is returned. adopt: the connection goes on as soon as
 * open() knows its export, not smaller (nbd_server_exports(): there may be a new one, or one has grown). fd is the
 * server's in any case. 0 or -errno.
 */
int nbd_server_inherit(struct nbd_server *s, const char *addr, int fd, bool foreign)
	__attribute__((warn_unused_result));
int nbd_server_inherit_end(struct nbd_server *s);
int nbd_server_adopt(struct nbd_server *s, const struct nbd_kept *k) __attribute__((warn_unused_result));
void nbd_server_exports(struct nbd_server *s);

/* Closes all. Requests still out must be given back before nbd_server_free(). */
void nbd_server_stop(struct nbd_server *s);
void nbd_server_free(struct nbd_server *s);

#endif
