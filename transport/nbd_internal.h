/* SPDX-License-Identifier: MIT */
/*
 * Between the files of the NBD server. Who does what:
 *
 *	nbd_server.c     lifecycle, watchers that serve all connections, memory for requests
 *	nbd_listen.c     listening sockets and accepting
 *	nbd_conn.c       one connection: reading, flow control, its end
 *	nbd_handshake.c  from the greeting to NBD_OPT_GO
 *	nbd_meta.c       metadata contexts, in the handshake and in answers
 *	nbd_request.c    from the bytes of a request to submit()
 *	nbd_admit.c      memory: who may take in more, and who keeps others from it
 *	nbd_reply.c      from nbd_req_done() to the socket
 *	nbd_handover.c   connections and listening sockets that outlive the process
 *
 * A connection is on server->conns until nbd_conn_close(), which is the only place that ends one. The
 * struct lives on while requests are with the owner or one of our functions holds it.
 */
#ifndef TRANSPORT_NBD_INTERNAL_H
#define TRANSPORT_NBD_INTERNAL_H

#include "nbd.h"

#define NBD_IN_BYTES 65536U       /* input buffer */
#define NBD_SCRATCH_BYTES 65536U
#define NBD_PAYLOAD_MAX (32U << 20)
#define NBD_SKIP_MAX (64U << 20)  /* a longer payload that is refused is not worth reading */
#define NBD_REQS_MAX 1024U        /* a connection's requests, taken in and not yet answered */
#define NBD_OUT_MAX (4U << 20)    /* a connection's unsent bytes: above, nothing more is taken in */

enum slot_state { SLOT_FREE, SLOT_TAKING, SLOT_OWNER, SLOT_REPLY };

/* A request with its reply's first bytes. */
struct slot {
	uint8_t head[32];
	uint8_t head_len, state;  /* enum slot_state */
	uint8_t err;              /* TAKING: what to answer after the payload, 0 = submit it */
	uint32_t payload;         /* REPLY: bytes of req.data that follow the head */
	uint32_t sent;            /* REPLY: bytes of head and payload that have left */
	struct nbd_req req;       /* last: its priv has no fixed size */
};

/* An export that connections have open. */
struct nbd_use {
	struct list link;
	void *handle;
	int users;    /* connections */
	int nwaiting; /* of them, parked: on server->waiting */
};

enum nbd_state { NBD_ST_FLAGS, NBD_ST_OPTIONS, NBD_ST_TRANSMIT, NBD_ST_DRAIN, NBD_ST_DEAD };

struct nbd_conn {
	struct list in_server, in_waiting, in_ready, in_dirty;
	struct nbd_server *server;
	ev_io rd, wr;
	int fd;
	uint8_t state;       /* enum nbd_state */
	bool structured, no_zeroes, fixed;
	bool allocation;     /* from TRANSMIT on: BLOCK_STATUS is answered */
	bool parked;         /* counted in use->nwaiting */
	bool full;           /* its replies have to leave before more is read */
	bool moved, passed;  /* since the last look: a byte of its payloads and answers; the end of one */
	uint8_t quiet, slow; /* looks in a row without */
	bool big_writes;     /* the last write was large: read heads only, payloads go to their place */
	uint16_t flags;      /* transmission flags it was told */
	unsigned held;       /* our own functions that still use the struct */
	unsigned nreqs;      /* slots */
	struct nbd_use *use; /* from TRANSMIT on */
	uint64_t size;
	uint32_t max_block;

	struct buf *in;      /* NULL while there is nothing in it */
	uint32_t in_pos, in_len;
	struct slot *take;   /* whose payload comes next; NULL with take_left: bytes to skip */
	uint8_t *take_dst;   /* NULL: skip */
	uint32_t take_left;

	struct list out;     /* slots with a reply to send */
	size_t out_bytes;    /* of them, unsent */
	size_t unsent;       /* memory of those that carry data */
	size_t owed;         /* bytes of READs with the owner */
	uint8_t *text;       /* handshake replies, sent before anything on out */
	size_t text_len, text_cap, text_sent;

	uint64_t id;
	unsigned noptions;
	ev_timer deadline;   /* of the handshake */
	char peer[80];
	char *orphan_of;     /* the export it waits for */
	char *context_of;    /* handshake: the export whose base:allocation was chosen */
};

struct inherited {
	struct list link;
	int fd;
	bool foreign;
	char addr[]; /* "": by what it is bound to */
};

struct slot_chunk {
	struct slot_chunk *next;
	_Alignas(64) uint8_t bytes[];
};

struct nbd_server {
	struct ev_loop *loop;
	struct buf_pool *pool;
	struct nbd_limits lim;
	struct nbd_callbacks cb;
	void *arg;

	struct list listeners, conns, uses;
	struct list waiting; /* connections that admit() refused, longest first */
	struct list ready;   /* connections to go on with in the next iteration */
	struct list dirty;   /* connections with something new to send */
	ev_prepare flush;    /* never started: fed when dirty gets its first */
	ev_timer kick;       /* runs while ready is not empty */
	ev_timer retry;      /* runs while accepting pauses */
	ev_timer wake;       /* there may be room for those who wait */
	ev_timer look;       /* runs while some wait for memory that others hold */
	int nconns, nout;    /* connections; requests with the owner */
	uint64_t next_id;
	uint64_t taking;     /* memory of payloads admitted and still on their way in */
	uint64_t unsent;     /* and of answers with data on their way out */
	bool held_up;        /* somebody was refused because of those two */
	bool quiesced, resuming;
	bool finishing;      /* quiesced, but what has begun to arrive is read */
	struct list inherited; /* listening sockets of the process before */
	struct list orphans; /* connections of it whose export is not there yet, by in_waiting */

	struct list free_slots;
	struct slot_chunk *chunks;
	size_t slot_size;

	ev_tstamp log_since;
	unsigned log_lines, log_lost;

	uint8_t scratch[NBD_SCRATCH_BYTES];
};

/* nbd_server.c */
void nbd_log(struct nbd_server *s, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
struct slot *nbd_slot_get(struct nbd_conn *c) __attribute__((warn_unused_result));
void nbd_slot_put(struct nbd_conn *c, struct slot *slot);
struct nbd_use *nbd_use_get(struct nbd_server *s, void *handle) __attribute__((warn_unused_result));
void nbd_use_put(struct nbd_server *s, struct nbd_use *use);
void nbd_ready(struct nbd_conn *c); /* go on with it in the next iteration */

/* nbd_listen.c */
void nbd_listen_watch(struct nbd_server *s, bool on);
void nbd_listen_close_all(struct nbd_server *s);
void nbd_accept_again(struct ev_loop *loop, ev_timer *t, int revents);

void nbd_listen_tell(struct nbd_server *s, void (*fn)(void *to, const char *addr, int fd, bool foreign), void *to);

/* nbd_handshake.c */
bool nbd_handshake_done(struct nbd_conn *c, const struct nbd_export *e, void *handle, const char *name);

/* nbd_conn.c */
struct nbd_conn *nbd_conn_alloc(struct nbd_server *s, int fd, int *err) __attribute__((warn_unused_result));
int nbd_conn_new(struct nbd_server *s, int fd) __attribute__((warn_unused_result));
void nbd_conn_close(struct nbd_conn *c, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void nbd_conn_hold(struct nbd_conn *c);
void nbd_conn_release(struct nbd_conn *c); /* the last one frees what was closed */
bool nbd_conn_parse(struct nbd_conn *c);   /* hold it; true: something was taken in */
void nbd_conn_park(struct nbd_conn *c);    /* admit() said no: until nbd_server_resume() */
void nbd_conn_unpark(struct nbd_conn *c);
void nbd_conn_drain(struct nbd_conn *c);   /* answer what is in flight, then close */
void nbd_conn_check(struct nbd_conn *c);   /* after a change: read on? finished? */
int nbd_conn_reap(struct nbd_server *s);   /* closes those whose peer is gone unnoticed; how many */

static inline size_t nbd_conn_avail(const struct nbd_conn *c)
{
	return c->in_len - c->in_pos;
}

static inline const uint8_t *nbd_conn_bytes(const struct nbd_conn *c)
{
	return c->in->data + c->in_pos;
}

/* nbd_handshake.c: each takes one item from the input, false if it has to wait */
void nbd_handshake_greet(struct nbd_conn *c);
bool nbd_handshake_flags(struct nbd_conn *c);
bool nbd_handshake_option(struct nbd_conn *c);

/* nbd_request.c */
bool nbd_request_next(struct nbd_conn *c);
void nbd_request_taken(struct nbd_conn *c); /* c->take has its payload */

/* nbd_admit.c */
void nbd_admit_init(struct nbd_server *s);
void nbd_admit_stop(struct nbd_server *s);
uint32_t nbd_admit_bytes(uint8_t op, uint32_t len); /* the memory that a request takes until it is answered */
bool nbd_admit(struct nbd_conn *c, uint8_t op, uint32_t len); /* false: it is parked */
bool nbd_admit_owes(const struct nbd_conn *c, uint8_t op, uint32_t len); /* it has to take answers first */
void nbd_admit_wake(struct nbd_server *s); /* memory is free again; safe anywhere */

/* nbd_handshake.c, for what handles options elsewhere */
struct nbd_option {
	uint32_t code, len;
	const uint8_t *data;
};
void nbd_option_reply(struct nbd_conn *c, uint32_t code, uint32_t type, size_t len);
void nbd_option_ack(struct nbd_conn *c, const struct nbd_option *o);
void nbd_option_refuse(struct nbd_conn *c, const struct nbd_option *o, uint32_t type, const char *text);
/* name has room for NBD_NAME_MAX + 1, len is no more. false: there is a NUL inside. */
bool nbd_option_name(char *name, const uint8_t *from, size_t len);

/* nbd_meta.c */
void nbd_meta_option(struct nbd_conn *c, const struct nbd_option *o);
void nbd_meta_forget(struct nbd_conn *c);
void nbd_meta_open(struct nbd_conn *c, const char *name); /* the handshake is over */
/* The extents of a STATUS as they travel; how many bytes. */
uint32_t nbd_meta_extents(struct nbd_req *req);

/* nbd_reply.c */
void nbd_reply(struct slot *slot, int err);
void nbd_reply_text(struct nbd_conn *c, const void *bytes, size_t len);
void nbd_reply_flush(struct nbd_conn *c);
void nbd_reply_drop(struct nbd_conn *c);
void nbd_reply_writable(struct ev_loop *loop, ev_io *w, int revents);

static inline bool nbd_reply_pending(const struct nbd_conn *c)
{
	return !list_empty(&c->out) || c->text_len > c->text_sent;
}

#endif
