/* SPDX-License-Identifier: MIT */
/*
 * What the files of the NBD server share. Reading happens in the connection's watcher, sending in
 * one flush per loop iteration (a prepare watcher over the dirty list).
 */
#ifndef TRANSPORT_NBD_INTERNAL_H
#define TRANSPORT_NBD_INTERNAL_H

#include "nbd.h"

#define NBD_INBUF (64u << 10)
#define NBD_STRING_MAX 4096u
#define NBD_OPTION_MAX 8192u     /* of one option's data: a name, and a few info requests */
#define NBD_OPTIONS_MAX 64       /* of one handshake */
#define NBD_MAX_PAYLOAD (32u << 20)
#define NBD_MAX_SKIP (64u << 20)
#define NBD_UNSENT_MAX (8u << 20) /* bytes of replies; a client that reads no more is read no more */

enum nbd_state {
	NBD_FLAGS,    /* waits for the client's flags */
	NBD_OPTIONS,
	NBD_REQUESTS,
	NBD_PAYLOAD,  /* of conn->cur */
	NBD_SKIP,     /* conn->skip bytes that nobody wants, then the answer conn->cur */
	NBD_DRAIN,    /* said goodbye: closes when all answers are out */
	NBD_DEAD,     /* no socket any more, waits for its requests */
};

struct nbd_server {
	struct ev_loop *loop;
	struct buf_pool *pool;
	struct nbd_limits lim;
	struct nbd_callbacks cb;
	void *arg;
	struct list listeners, conns, dirty, parked, free_reqs;
	ev_prepare prepare;
	int nconns;
	bool quiet;              /* no accepting, no reading */
	ev_tstamp refused_at;    /* last log line about the connection cap */
};

struct nbd_conn {
	struct nbd_server *s;
	struct list link, dirty, parked;
	int fd;
	enum nbd_state state;
	ev_io io;
	ev_timer deadline;
	bool no_zeroes, structured, full;
	int options;
	void *export;
	struct nbd_export info;  /* its strings are not kept */
	unsigned in_flight;      /* requests that are with the owner */
	struct nbd_req *cur;     /* being received */
	uint32_t got;            /* bytes of its payload */
	uint32_t skip;
	int skip_err;            /* the answer after the skipped bytes */
	struct list out;         /* nbd_reqs whose replies wait, oldest first */
	size_t out_bytes;        /* of all of them, unsent */
	size_t out_done;         /* bytes of the first that are sent */
	uint8_t *hs_out;         /* handshake answers that wait */
	size_t hs_len, hs_cap;
	size_t start, end;
	uint8_t in[NBD_INBUF];
};

/* nbd_server.c */
struct nbd_req *nbd_req_new(struct nbd_conn *c);
void nbd_req_free(struct nbd_server *s, struct nbd_req *r);
void nbd_log(struct nbd_server *s, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* nbd_conn.c */
void nbd_conn_new(struct nbd_server *s, int fd);
/* Closes the socket; the conn itself goes when its last request is back. why NULL: nothing to log. */
void nbd_conn_close(struct nbd_conn *c, const char *why);
void nbd_conn_watch(struct nbd_conn *c);
void nbd_conn_process(struct nbd_conn *c);
/* Sends what waits; frees a dead connection whose requests are all back. */
void nbd_conn_settle(struct nbd_conn *c);
void nbd_mark_dirty(struct nbd_conn *c);

/* nbd_handshake.c: consume what is in conn->in; false: not enough bytes yet, or closed */
bool nbd_handshake(struct nbd_conn *c);
int nbd_greet(struct nbd_conn *c) __attribute__((warn_unused_result));

/* nbd_reply.c */
void nbd_reply_queue(struct nbd_conn *c, struct nbd_req *r, int err);
void nbd_flush(struct nbd_conn *c);

static inline void nbd_put16(uint8_t *p, uint16_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static inline void nbd_put32(uint8_t *p, uint32_t v)
{
	nbd_put16(p, v >> 16);
	nbd_put16(p + 2, v);
}

static inline void nbd_put64(uint8_t *p, uint64_t v)
{
	nbd_put32(p, v >> 32);
	nbd_put32(p + 4, v);
}

static inline uint16_t nbd_get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

static inline uint32_t nbd_get32(const uint8_t *p)
{
	return (uint32_t)nbd_get16(p) << 16 | nbd_get16(p + 2);
}

static inline uint64_t nbd_get64(const uint8_t *p)
{
	return (uint64_t)nbd_get32(p) << 32 | nbd_get32(p + 4);
}

#endif
