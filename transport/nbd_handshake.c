/* SPDX-License-Identifier: MIT */
/* Fixed newstyle negotiation (proto.md, "Handshake phase"). Every length is checked before its data is awaited. */
#include "nbd_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#define IHAVEOPT 0x49484156454f5054ULL
#define REPLY_MAGIC 0x3e889045565a9ULL

enum { FLAG_FIXED = 1, FLAG_NO_ZEROES = 2 };

enum opt {
	OPT_EXPORT_NAME = 1, OPT_ABORT = 2, OPT_LIST = 3, OPT_STARTTLS = 5, OPT_INFO = 6,
	OPT_GO = 7, OPT_STRUCTURED = 8, OPT_LIST_META = 9, OPT_SET_META = 10,
};

#define REP_ACK 1
#define REP_SERVER 2
#define REP_INFO 3
#define ERR(n) (0x80000000U + (n))
#define ERR_UNSUP ERR(1)
#define ERR_POLICY ERR(2)
#define ERR_INVALID ERR(3)
#define ERR_UNKNOWN ERR(6)
#define ERR_TOO_BIG ERR(9)

enum info { INFO_EXPORT, INFO_NAME, INFO_DESCRIPTION, INFO_BLOCK_SIZE };

static bool emit(struct nbd_conn *c, const void *p, size_t n)
{
	if (c->hs_len + n > c->hs_cap) {
		size_t cap = (c->hs_len + n) * 2;
		uint8_t *m = cap <= (1u << 20) ? realloc(c->hs_out, cap) : NULL;

		if (!m) {
			nbd_conn_close(c, "handshake answers pile up");
			return false;
		}
		c->hs_out = m;
		c->hs_cap = cap;
	}
	memcpy(c->hs_out + c->hs_len, p, n);
	c->hs_len += n;
	nbd_mark_dirty(c);
	return true;
}

static bool reply(struct nbd_conn *c, uint32_t opt, uint32_t type, const void *data, size_t n)
{
	uint8_t h[20];

	nbd_put64(h, REPLY_MAGIC);
	nbd_put32(h + 8, opt);
	nbd_put32(h + 12, type);
	nbd_put32(h + 16, n);
	return emit(c, h, sizeof(h)) && (!n || emit(c, data, n));
}

static bool refuse(struct nbd_conn *c, uint32_t opt, uint32_t err, const char *text)
{
	return reply(c, opt, err, text, strlen(text));
}

int nbd_greet(struct nbd_conn *c)
{
	uint8_t g[18];

	memcpy(g, "NBDMAGIC", 8);
	nbd_put64(g + 8, IHAVEOPT);
	nbd_put16(g + 16, FLAG_FIXED | FLAG_NO_ZEROES);
	return emit(c, g, sizeof(g)) ? 0 : -ENOMEM;
}

static uint16_t flags_of(const struct nbd_conn *c, const struct nbd_export *x)
{
	uint16_t f = 1 << 0 | 1 << 8; /* HAS_FLAGS, CAN_MULTI_CONN: a flush covers all connections */

	if (x->can_flush)
		f |= 1 << 2;
	if (x->can_fua)
		f |= 1 << 3;
	if (x->read_only)
		f |= 1 << 1;
	if (x->can_trim && !x->read_only)
		f |= 1 << 5;
	if (x->can_zero && !x->read_only)
		f |= 1 << 6;
	if (c->structured)
		f |= 1 << 7; /* SEND_DF */
	return f;
}

static void enter(struct nbd_conn *c, const struct nbd_export *x, void *handle)
{
	c->info = *x;
	c->info.name = c->info.description = NULL;
	c->export = handle;
	c->state = NBD_REQUESTS;
	ev_timer_stop(c->s->loop, &c->deadline);
	if (c->s->cb.users)
		c->s->cb.users(c->s->arg, handle, 1);
}

static bool lookup(struct nbd_conn *c, const uint8_t *p, size_t n, struct nbd_export *x, void **h)
{
	char name[NBD_STRING_MAX + 1];

	if (memchr(p, 0, n))
		return false;
	memcpy(name, p, n);
	name[n] = 0;
	return c->s->cb.open(c->s->arg, name, x, h);
}

static bool opt_export_name(struct nbd_conn *c, const uint8_t *p, uint32_t n)
{
	uint8_t a[8 + 2 + 124] = { 0 };
	struct nbd_export x;
	void *h;

	/* There is no way to say no here but to hang up. */
	if (n > NBD_STRING_MAX || !lookup(c, p, n, &x, &h)) {
		nbd_conn_close(c, "unknown export");
		return false;
	}
	nbd_put64(a, x.size);
	nbd_put16(a + 8, flags_of(c, &x));
	if (!emit(c, a, c->no_zeroes ? 10 : sizeof(a)))
		return false;
	enter(c, &x, h);
	return true;
}

static bool opt_list(struct nbd_conn *c, uint32_t n)
{
	struct nbd_export x;

	if (n)
		return refuse(c, OPT_LIST, ERR_INVALID, "LIST takes no data");
	for (int i = 0; c->s->cb.list(c->s->arg, i, &x); i++) {
		size_t len = strlen(x.name);
		uint8_t b[4 + NBD_STRING_MAX];

		if (len > NBD_STRING_MAX)
			continue;
		nbd_put32(b, len);
		memcpy(b + 4, x.name, len);
		if (!reply(c, OPT_LIST, REP_SERVER, b, 4 + len))
			return false;
	}
	return reply(c, OPT_LIST, REP_ACK, NULL, 0);
}

static bool info_string(struct nbd_conn *c, uint32_t opt, uint16_t type, const char *s)
{
	size_t n = strlen(s);
	uint8_t b[2 + NBD_STRING_MAX];

	if (n > NBD_STRING_MAX)
		n = NBD_STRING_MAX;
	nbd_put16(b, type);
	memcpy(b + 2, s, n);
	return reply(c, opt, REP_INFO, b, 2 + n);
}

static bool send_infos(struct nbd_conn *c, uint32_t opt, const struct nbd_export *x,
		       const uint8_t *want, unsigned nwant)
{
	uint8_t b[14];
	unsigned asked = 0;

	for (unsigned i = 0; i < nwant; i++) {
		uint16_t t = nbd_get16(want + 2 * i);

		if (t <= INFO_BLOCK_SIZE)
			asked |= 1u << t;
	}
	nbd_put16(b, INFO_EXPORT);
	nbd_put64(b + 2, x->size);
	nbd_put16(b + 10, flags_of(c, x));
	if (!reply(c, opt, REP_INFO, b, 12))
		return false;
	if (asked & 1u << INFO_NAME && !info_string(c, opt, INFO_NAME, x->name))
		return false;
	if (asked & 1u << INFO_DESCRIPTION && x->description &&
	    !info_string(c, opt, INFO_DESCRIPTION, x->description))
		return false;
	nbd_put16(b, INFO_BLOCK_SIZE);
	nbd_put32(b + 2, x->min_block);
	nbd_put32(b + 6, x->pref_block);
	nbd_put32(b + 10, x->max_block);
	return reply(c, opt, REP_INFO, b, 14) && reply(c, opt, REP_ACK, NULL, 0);
}

static bool opt_go(struct nbd_conn *c, uint32_t opt, const uint8_t *p, uint32_t n)
{
	struct nbd_export x;
	uint32_t len;
	void *h;

	if (n < 6)
		return refuse(c, opt, ERR_INVALID, "too short");
	len = nbd_get32(p);
	if (len > NBD_STRING_MAX || len > n - 6 ||
	    n - 6 - len != 2u * nbd_get16(p + 4 + len))
		return refuse(c, opt, ERR_INVALID, "lengths do not add up");
	if (!lookup(c, p + 4, len, &x, &h))
		return refuse(c, opt, ERR_UNKNOWN, "no export of that name");
	if (!send_infos(c, opt, &x, p + 6 + len, nbd_get16(p + 4 + len)))
		return false;
	if (opt == OPT_GO)
		enter(c, &x, h);
	return true;
}

/* No contexts are offered: the list is empty, and none can be set. */
static bool opt_meta(struct nbd_conn *c, uint32_t opt, const uint8_t *p, uint32_t n)
{
	struct nbd_export x;
	uint32_t len;
	void *h;

	if (!c->structured)
		return refuse(c, opt, ERR_INVALID, "needs structured replies");
	if (n < 8 || (len = nbd_get32(p)) > NBD_STRING_MAX || len > n - 8)
		return refuse(c, opt, ERR_INVALID, "lengths do not add up");
	if (!lookup(c, p + 4, len, &x, &h))
		return refuse(c, opt, ERR_UNKNOWN, "no export of that name");
	return reply(c, opt, REP_ACK, NULL, 0);
}

static bool option(struct nbd_conn *c, uint32_t opt, const uint8_t *p, uint32_t n)
{
	switch (opt) {
	case OPT_EXPORT_NAME:
		return opt_export_name(c, p, n);
	case OPT_ABORT:
		if (!reply(c, opt, REP_ACK, NULL, 0))
			return false;
		c->state = NBD_DRAIN;
		return false;
	case OPT_LIST:
		return opt_list(c, n);
	case OPT_INFO:
	case OPT_GO:
		return opt_go(c, opt, p, n);
	case OPT_STRUCTURED:
		if (n)
			return refuse(c, opt, ERR_INVALID, "takes no data");
		c->structured = true;
		return reply(c, opt, REP_ACK, NULL, 0);
	case OPT_STARTTLS:
		if (n)
			return refuse(c, opt, ERR_INVALID, "takes no data");
		return refuse(c, opt, ERR_UNSUP, "no TLS here");
	case OPT_LIST_META:
	case OPT_SET_META:
		return opt_meta(c, opt, p, n);
	}
	return refuse(c, opt, ERR_UNSUP, "unknown option");
}

bool nbd_handshake(struct nbd_conn *c)
{
	const uint8_t *p = c->in + c->start;
	size_t have = c->end - c->start;
	uint32_t opt, n;

	if (c->state == NBD_FLAGS) {
		uint32_t f;

		if (have < 4)
			return false;
		f = nbd_get32(p);
		if (f & ~(uint32_t)(FLAG_FIXED | FLAG_NO_ZEROES)) {
			nbd_conn_close(c, "unknown client flags");
			return false;
		}
		c->no_zeroes = f & FLAG_NO_ZEROES;
		c->start += 4;
		c->state = NBD_OPTIONS;
		return true;
	}
	if (have < 16)
		return false;
	opt = nbd_get32(p + 8);
	n = nbd_get32(p + 12);
	if (nbd_get64(p) != IHAVEOPT) {
		nbd_conn_close(c, "bad option magic");
		return false;
	}
	if (n > NBD_OPTION_MAX || ++c->options > NBD_OPTIONS_MAX * 2) {
		nbd_conn_close(c, "option too long, or too many of them");
		return false;
	}
	if (have < 16 + (size_t)n) {
		c->options--;
		return false;
	}
	c->start += 16 + n;
	return option(c, opt, p + 16, n);
}
