/* SPDX-License-Identifier: MIT */
/*
 * Metadata contexts (proto.md, "Metadata querying"). There is one, base:allocation. A choice holds for
 * the export it was made for, and a SET that fails takes the one before back.
 */
#include "nbd_internal.h"
#include "nbd_proto.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

void nbd_meta_forget(struct nbd_conn *c)
{
	free(c->context_of);
	c->context_of = NULL;
}

/* A connection of the process before comes here without a choice: what was agreed on stays. */
void nbd_meta_open(struct nbd_conn *c, const char *name)
{
	if (c->context_of)
		c->allocation = !strcmp(c->context_of, name);
	nbd_meta_forget(c);
}

static bool is(const uint8_t *p, uint32_t len, const char *text)
{
	return len == strlen(text) && !memcmp(p, text, len);
}

/* Queries: 32 bits how many, then for each 32 bits length and its text. 1, 0: is ours among them? -1: malformed. */
static int find_query(const uint8_t *p, size_t left, bool list)
{
	uint32_t n = get_be32(p);
	int found = list && !n; /* no query lists all */

	for (p += 4, left -= 4; n > 0; n--) {
		uint32_t len;

		if (left < 4 || (len = get_be32(p)) > left - 4 || len > NBD_NAME_MAX)
			return -1;
		p += 4;
		found |= is(p, len, NBD_CONTEXT) || (list && is(p, len, "base:"));
		p += len;
		left -= 4 + len;
	}
	return left ? -1 : found;
}

static void tell(struct nbd_conn *c, const struct nbd_option *o, uint32_t id)
{
	uint8_t b[4];

	put_be32(b, id);
	nbd_option_reply(c, o->code, NBD_REP_META_CONTEXT, 4 + strlen(NBD_CONTEXT));
	nbd_reply_text(c, b, 4);
	nbd_reply_text(c, NBD_CONTEXT, strlen(NBD_CONTEXT));
}

void nbd_meta_option(struct nbd_conn *c, const struct nbd_option *o)
{
	bool list = o->code == NBD_OPT_LIST_META_CONTEXT;
	struct nbd_server *s = c->server;
	struct nbd_export e = { 0 };
	char name[NBD_NAME_MAX + 1];
	void *handle = NULL;
	uint32_t len;
	int found;

	if (!list)
		nbd_meta_forget(c);
	if (!c->structured) {
		nbd_option_refuse(c, o, NBD_REP_ERR_INVALID, "structured replies come first");
		return;
	}
	if (o->len < 8 || (len = get_be32(o->data)) > o->len - 8) {
		nbd_option_refuse(c, o, NBD_REP_ERR_INVALID, "the option is too short for its name");
		return;
	}
	if (len > NBD_NAME_MAX) {
		nbd_option_refuse(c, o, NBD_REP_ERR_TOO_BIG, "the name is longer than 4096 bytes");
		return;
	}
	found = find_query(o->data + 4 + len, o->len - 4 - len, list);
	if (found < 0 || !nbd_option_name(name, o->data + 4, len)) {
		nbd_option_refuse(c, o, NBD_REP_ERR_INVALID, "malformed option");
		return;
	}
	if (!s->cb.open(s->arg, name, &e, &handle)) {
		nbd_option_refuse(c, o, NBD_REP_ERR_UNKNOWN, "no such export");
		return;
	}
	if (found && e.can_status) {
		if (!list && !(c->context_of = strdup(name))) {
			nbd_conn_close(c, LOG_ERR, "out of memory");
			return;
		}
		tell(c, o, list ? 0 : NBD_CONTEXT_ID);
	}
	nbd_option_ack(c, o);
}

uint32_t nbd_meta_extents(struct nbd_req *req)
{
	struct nbd_extent *x = (void *)req->data;
	uint64_t sum = 0;

	assert(req->nextents >= 1 && req->nextents <= NBD_EXTENTS_MAX);
	for (uint32_t i = 0; i < req->nextents; i++) {
		sum += x[i].len;
		assert(x[i].len);
		put_be32((uint8_t *)&x[i].len, x[i].len);
		put_be32((uint8_t *)&x[i].flags, x[i].flags);
	}
	/* A client may believe an extent that is longer than what it asked for, and read past its buffer. */
	assert(sum <= req->len);
	return req->nextents * (uint32_t)sizeof(*x);
}
