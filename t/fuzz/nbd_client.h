/* SPDX-License-Identifier: MIT */
/*
 * A client of the NBD server whose bytes are the input, in pieces, while requests finish in an order that the input
 * chooses. What the server answers must be what the protocol knows.
 */
#ifndef T_FUZZ_NBD_CLIENT_H
#define T_FUZZ_NBD_CLIENT_H

#include "fuzz.h"
#define DISK_BYTES (64ULL << 10)
#include "t/unit/transport/nbd_world.h"
#include "transport/nbd_internal.h"

#define ANSWER_MAX (8U << 20) /* kept, for a look at its form */

static struct {
	int fd;
	uint8_t *answer;
	size_t len;
	bool over;  /* the server has closed */
	bool lost;  /* more was answered than is kept */
} client_io;

static inline void client_begin(int fd)
{
	client_io.fd = fd;
	client_io.len = 0;
	client_io.over = client_io.lost = false;
	if (!client_io.answer)
		client_io.answer = malloc(ANSWER_MAX);
}

/* Takes what is there. */
static inline void client_take(void)
{
	while (!client_io.over) {
		ssize_t n;

		if (client_io.len == ANSWER_MAX) {
			client_io.lost = true;
			client_io.len = 0;
		}
		n = recv(client_io.fd, client_io.answer + client_io.len, ANSWER_MAX - client_io.len, 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			client_io.over = true;
		else
			client_io.len += (size_t)n;
	}
}

enum {
	HOW_HOLD = 1,      /* requests finish later, the newest first */
	HOW_SLOW = 2,      /* the client reads only at the end */
	HOW_NARROW = 4,    /* and the socket holds little */
	HOW_REFUSE = 8,    /* memory is short at first */
	HOW_SHUT = 16,     /* the client shuts its side down at the end */
	HOW_CLOSE = 32,    /* or closes with all that is under way */
	HOW_ERRORS = 64,   /* requests fail */
	HOW_QUIESCE = 128, /* the server is on its way to an orderly end */
};

/* Of the third byte, for all that the target does not use itself. */
enum {
	WHAT_RESTART = 64, /* in the middle another process takes over */
	WHAT_ORPHAN = 32,  /* which does not know the exports at first */
};

static inline void finish_jobs(uint8_t how)
{
	for (int i = 0; !list_empty(&w.jobs); i++)
		job_end(i & 1, how & HOW_ERRORS ? EIO : 0);
}

static struct {
	struct nbd_kept k;
	uint8_t *in;
	char *export;
	int n;
} kept;

static inline const char *kept_name(void *arg, void *handle)
{
	return export_names[(int *)handle - w.users];
}

static inline bool no_export(void *arg, const char *name, struct nbd_export *out, void **handle)
{
	return false;
}

static inline void keep_listener(void *to, const char *addr, int fd, bool foreign) {}

static inline void keep_conn(void *to, const struct nbd_kept *k)
{
	kept.k = *k;
	kept.k.fd = fcntl(k->fd, F_DUPFD_CLOEXEC, 0);
	kept.k.in = kept.in = feed_exact(k->in, k->in_len);
	kept.k.export = kept.export = k->export ? strdup(k->export) : NULL;
	kept.n++;
}

/* What is under way comes to its end, and a new server goes on; or the old one, if it takes too long. */
static inline void restart(uint8_t how, uint8_t what)
{
	struct nbd_server *old = w.server;

	nbd_server_finish(old);
	for (int i = 0; i < 20 && !nbd_server_still(old); i++) {
		turn();
		client_take();
		finish_jobs(how);
	}
	if (!nbd_server_still(old)) {
		nbd_server_go_on(old);
		return;
	}
	old->cb.name = kept_name;
	kept.n = 0;
	nbd_server_keep(old, keep_conn, keep_listener, NULL);
	ck_assert_int_le(kept.n, 1);
	w.server = nbd_server_new(w.loop, w.pool, &old->lim, &old->cb, NULL);
	ck_assert_ptr_nonnull(w.server);
	nbd_server_stop(old);
	finish_jobs(how); /* of a client that has gone */
	nbd_server_free(old);
	if (!kept.n)
		return;
	if (what & WHAT_ORPHAN)
		w.server->cb.open = no_export;
	(void)!nbd_server_adopt(w.server, &kept.k);
	free(kept.in);
	free(kept.export);
	turn();
	w.server->cb.open = world_open;
	nbd_server_exports(w.server);
}

/* Sends all of f. Nobody waits for anything: what the server does not take is dropped with the client. */
static inline void client_send(struct feed *f, uint8_t how, uint8_t what, struct pieces *s)
{
	int stuck = 0, n = 0;

	w.hold = how & HOW_HOLD;
	w.refuse[0] = w.refuse[1] = w.refuse[2] = how & HOW_REFUSE;
	if (how & HOW_NARROW)
		narrow();
	while (f->n && stuck < 20 && !client_io.over) {
		ssize_t k = send(client_io.fd, f->p, piece(s, f->n), MSG_NOSIGNAL);

		turn();
		if (!(how & HOW_SLOW))
			client_take();
		if (k <= 0) {
			if (errno != EAGAIN)
				break;
			stuck++;
		} else {
			f->p += k;
			f->n -= (size_t)k;
			stuck = 0;
		}
		if (++n == 3 && what & WHAT_RESTART)
			restart(how, what);
		if (how & HOW_REFUSE && n % 4 == 0) {
			w.refuse[n / 4 % 3] = !w.refuse[n / 4 % 3];
			nbd_server_resume(w.server);
		}
		if (n % 8 == 7 && !list_empty(&w.jobs))
			job_end(n & 16, how & HOW_ERRORS ? EIO : 0);
	}
}

/* All that was taken in comes to its end, and so does the connection. */
static inline void client_end(uint8_t how)
{
	memset(w.refuse, 0, sizeof(w.refuse));
	w.hold = false;
	nbd_server_resume(w.server);
	if (how & HOW_QUIESCE)
		nbd_server_quiesce(w.server);
	if (how & HOW_CLOSE) {
		close(client_io.fd);
		turns(2);
		finish_jobs(how);
	} else {
		if (how & HOW_SHUT)
			shutdown(client_io.fd, SHUT_WR);
		finish_jobs(how);
		for (size_t before = SIZE_MAX; before != client_io.len && !client_io.over;) {
			before = client_io.len;
			turns(3);
			finish_jobs(how);
			client_take();
		}
		close(client_io.fd);
	}
	turns(2);
}

#endif
