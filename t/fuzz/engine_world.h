/* SPDX-License-Identifier: MIT */
/*
 * An adapter of the engine that only notes what it is asked for, and a target that means well. What the engine
 * promises its adapter is asserted here.
 */
#ifndef T_FUZZ_ENGINE_WORLD_H
#define T_FUZZ_ENGINE_WORLD_H

#include "fuzz.h"
#include <errno.h>
#include <jansson.h>
#include "daemon/internal.h"
#include "daemon/metrics.h"
#include "daemon/status.h"
#include "transport/scsi_internal.h"

#define FLIGHTS 512
#define JOBS 12
#define CONNS 24
#define LUNS 8
#define STEPS_MAX 400
#define SEC 1000000ULL
#define POISON 0xee /* what a READ left of its buffer that was not good in full */

struct conn {
	struct session *s;
	bool up;
};

struct job {
	struct request r;
	bool busy;
};

struct answer {
	uint8_t b[4096];
	size_t n;
};

static struct {
	struct engine *e;
	struct buf_pool *pool;
	struct conf *conf;
	uint64_t now;
	struct conn conns[CONNS];
	struct {
		struct session *s;
		struct scsi_cmd *cmd;
	} flights[FLIGHTS];
	unsigned nflights;
	struct job jobs[JOBS];
	struct lun *luns[LUNS];
	bool refuse;
	uint16_t silence_ms;
} w;

/* ---- what the engine asks for ---- */

static inline void op_start(void *arg, struct session *s)
{
	for (int i = 0; i < CONNS; i++) {
		if (w.conns[i].s)
			continue;
		w.conns[i] = (struct conn){ s, false };
		s->io = &w.conns[i];
		return;
	}
	ck_abort_msg("more than %d sessions", CONNS);
}

static inline void op_kill(void *arg, struct session *s)
{
	struct conn *c = s->io;
	unsigned kept = 0;

	for (unsigned i = 0; i < w.nflights; i++)
		if (w.flights[i].s != s)
			w.flights[kept++] = w.flights[i];
	w.nflights = kept;
	if (c)
		c->s = NULL;
	s->io = NULL;
}

static inline void op_logout(void *arg, struct session *s)
{
	for (unsigned i = 0; i < w.nflights; i++)
		ck_assert(w.flights[i].s != s);
	op_kill(arg, s);
}

/* Nobody may take it for data. */
static inline void no_poison(const uint8_t *p, size_t n)
{
	ck_assert(!memchr(p, POISON, n));
}

static inline int op_submit(void *arg, struct session *s, struct scsi_cmd *cmd)
{
	const struct conn *c = s->io;
	uint32_t n = 0;

	ck_assert(c && c->up);
	for (int i = 0; i < cmd->niov; i++) {
		n += (uint32_t)cmd->iov[i].iov_len;
		if (cmd->cdb[0] == 0x8a)
			no_poison(cmd->iov[i].iov_base, cmd->iov[i].iov_len);
	}
	ck_assert_uint_eq(n, cmd->len);
	if (w.refuse || w.nflights == FLIGHTS)
		return -ENOMEM;
	cmd->data_out = cmd->dir == SCSI_DIR_OUT;
	w.flights[w.nflights].s = s;
	w.flights[w.nflights++].cmd = cmd;
	return 0;
}

static inline int op_probe(void *arg, struct session *s)
{
	return 0;
}

static inline uint64_t op_silence(void *arg, struct session *s)
{
	return w.silence_ms * 1000ULL;
}

static inline void op_discover(void *arg, struct target *t) {}

static inline void op_request_done(void *arg, struct request *r)
{
	struct job *j = list_entry(r, struct job, r);

	ck_assert(j->busy);
	ck_assert_int_ge(r->err, 0);
	j->busy = false;
	if (r->op == REQUEST_READ && !r->err)
		no_poison(r->data, r->len);
	buf_put(r->buf);
}

static inline void op_lun_ready(void *arg, struct lun *l)
{
	for (int i = 0; i < LUNS; i++)
		if (w.luns[i] == l)
			return;
	for (int i = 0; i < LUNS; i++) {
		if (w.luns[i])
			continue;
		w.luns[i] = l;
		return;
	}
}

static inline void op_lun_gone(void *arg, struct lun *l)
{
	for (int i = 0; i < JOBS; i++)
		ck_assert(!w.jobs[i].busy || w.jobs[i].r.lun != l);
	for (int i = 0; i < LUNS; i++)
		if (w.luns[i] == l)
			w.luns[i] = NULL;
}

static inline void op_room(void *arg) {}

static inline void op_event(void *arg, const struct event *ev)
{
	ck_assert(ev->kind && ev->text && strlen(ev->text) < 2000);
}

static const struct engine_ops ops = {
	.attempt_room = 16,
	.session_start = op_start,
	.session_kill = op_kill,
	.session_logout = op_logout,
	.submit = op_submit,
	.probe = op_probe,
	.silence = op_silence,
	.discover = op_discover,
	.request_done = op_request_done,
	.lun_ready = op_lun_ready,
	.lun_gone = op_lun_gone,
	.room = op_room,
	.event = op_event,
};

/* ---- a target that means well ---- */

static inline void vpd(const struct scsi_cmd *c, struct answer *a)
{
	a->b[1] = c->cdb[2];
	a->b[3] = 4;
	a->n = 8;
	switch (c->cdb[2]) {
	case 0x00:
		memcpy(a->b + 3, "\6\0\x80\x83\xb0\xb1\xb2", 7);
		a->n = 10;
		break;
	case 0x80:
		memcpy(a->b + 4, "SER0", 4);
		break;
	case 0x83: /* NAA of the LUN, relative port, port group */
		memcpy(a->b + 3, "\x1c\1\3\0\x08\x50\1\x40\x50\0\0\0\1\x51\x94\0\4\0\0\0\1\x51\x95\0\4\0\0\0\1", 29);
		a->b[15] = (uint8_t)(c->lun + 1);
		a->n = 32;
		break;
	case 0xb0:
		a->b[3] = 60;
		put_be32(a->b + 20, 1000);
		put_be32(a->b + 24, 1);
		a->n = 64;
		break;
	case 0xb2:
		a->b[5] = 0xc4;
		break;
	}
}

static inline void sane(const struct scsi_cmd *c, struct answer *a)
{
	memset(a, 0, sizeof(*a));
	switch (c->cdb[0]) {
	case 0x12:
		if (c->cdb[1] & 1) {
			vpd(c, a);
			break;
		}
		memcpy(a->b, "\0\0\5\2\x1f\x10\0\0SIM     MODEL DISK      0001", 36);
		a->n = 36;
		break;
	case 0xa0:
		a->b[3] = 16;
		a->b[17] = 1;
		a->n = 24;
		break;
	case 0x9e:
		if ((c->cdb[1] & 0x1f) != 0x10)
			break;
		put_be32(a->b + 4, 0xffff);
		put_be32(a->b + 8, 512);
		a->b[14] = 0xc0;
		a->n = 32;
		break;
	case 0x1a:
		memcpy(a->b, "\x17\0\x10\0\x08\x12\4", 7);
		a->n = 24;
		break;
	case 0xa3: /* one group, active/optimized, of two ports */
		memcpy(a->b, "\0\0\0\x14\x10\0\0\0\0\x0f\0\1\0\0\0\2\0\0\0\1\0\0\0\2", 24);
		if (!(c->cdb[1] & 0x20)) {
			memcpy(a->b, "\0\0\0\x10\0\x0f\0\1\0\0\0\2\0\0\0\1\0\0\0\2", 20);
			a->b[20] = 0;
		}
		a->n = 24;
		break;
	case 0x5e:
		a->n = 8;
		break;
	case 0x88:
		memset(a->b, 0x5a, sizeof(a->b));
		a->n = sizeof(a->b);
		break;
	}
}

#endif
