/* SPDX-License-Identifier: MIT */
/*
 * Fixed newstyle negotiation (proto.md, "Handshake phase"): from the greeting to the option that
 * opens an export. The stream stays in step whatever an option carries: its length is known
 * before it is looked at.
 */
#include "nbd_internal.h"
#include "nbd_proto.h"

#include <syslog.h>

#define OPTIONS_MAX 1024           /* in one handshake */
#define OPT_DATA_MAX 16384U        /* what an option may carry; a name of 4096 bytes fits well */
#define OPT_SKIP_MAX (1U << 20)    /* beyond that it is no option */
#define TEXT_MAX 65536U            /* unsent replies: above, the client has to read first */

void nbd_handshake_greet(struct nbd_conn *c)
{
	uint8_t b[18];

	put_be64(b, NBD_MAGIC);
	put_be64(b + 8, NBD_OPT_MAGIC);
	put_be16(b + 16, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
	nbd_reply_text(c, b, sizeof(b));
}

bool nbd_handshake_flags(struct nbd_conn *c)
{
	uint32_t flags;

	if (nbd_conn_avail(c) < 4)
		return false;
	flags = get_be32(nbd_conn_bytes(c));
	c->in_pos += 4;
	if (flags & ~(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES)) {
		nbd_conn_close(c, LOG_WARNING, "unknown client flags %#x", flags);
		return false;
	}
	c->fixed = flags & NBD_FLAG_FIXED_NEWSTYLE;
	c->no_zeroes = flags & NBD_FLAG_NO_ZEROES;
	c->state = NBD_ST_OPTIONS;
	return true;
}

void nbd_option_reply(struct nbd_conn *c, uint32_t code, uint32_t type, size_t len)
{
	uint8_t b[NBD_REP_HEAD];

	put_be64(b, NBD_REP_MAGIC);
	put_be32(b + 8, code);
	put_be32(b + 12, type);
	put_be32(b + 16, (uint32_t)len);
	nbd_reply_text(c, b, sizeof(b));
}

void nbd_option_ack(struct nbd_conn *c, const struct nbd_option *o)
{
	nbd_option_reply(c, o->code, NBD_REP_ACK, 0);
}

/* The text is for people (proto.md, "Option reply types"). */
void nbd_option_refuse(struct nbd_conn *c, const struct nbd_option *o, uint32_t type, const char *text)
{
	size_t len = strlen(text);

	nbd_option_reply(c, o->code, type, len);
	nbd_reply_text(c, text, len);
}

static size_t text_len(const char *text)
{
	return text ? strnlen(text, NBD_NAME_MAX) : 0;
}

static void do_list(struct nbd_conn *c, const struct nbd_option *o)
{
	struct nbd_server *s = c->server;
	struct nbd_export e = { 0 };
	uint8_t b[4];

	if (o->len) {
		nbd_option_refuse(c, o, NBD_REP_ERR_INVALID, "LIST carries no data");
		return;
	}
	for (int i = 0; s->cb.list(s->arg, i, &e); i++) {
		size_t name = text_len(e.name), desc = text_len(e.description);

		nbd_option_reply(c, o->code, NBD_REP_SERVER, 4 + name + desc);
		put_be32(b, (uint32_t)name);
		nbd_reply_text(c, b, 4);
		nbd_reply_text(c, e.name, name);
		if (desc)
			nbd_reply_text(c, e.description, desc);
		e = (struct nbd_export){ 0 };
	}
	nbd_option_ack(c, o);
}

static void do_structured_reply(struct nbd_conn *c, const struct nbd_option *o)
{
	if (o->len) {
		nbd_option_refuse(c, o, NBD_REP_ERR_INVALID, "STRUCTURED_REPLY carries no data");
		return;
	}
	c->structured = true;
	nbd_option_ack(c, o);
}

static void do_starttls(struct nbd_conn *c, const struct nbd_option *o)
{
	if (o->len)
		nbd_option_refuse(c, o, NBD_REP_ERR_INVALID, "STARTTLS carries no data");
	else
		nbd_option_refuse(c, o, NBD_REP_ERR_UNSUP, "no TLS here");
}

static uint16_t flags_for(const struct nbd_conn *c, const struct nbd_export *e)
{
	/* Whatever connection a flush comes on, the owner flushes the whole export. */
	uint16_t f = NBD_FLAG_HAS_FLAGS | NBD_FLAG_CAN_MULTI_CONN;

	if (e->can_flush)
		f |= NBD_FLAG_SEND_FLUSH;
	if (e->can_fua)
		f |= NBD_FLAG_SEND_FUA;
	if (c->structured)
		f |= NBD_FLAG_SEND_DF; /* a read is always answered in one piece */
	if (e->can_cache)
		f |= NBD_FLAG_SEND_CACHE;
	if (e->read_only)
		return f | NBD_FLAG_READ_ONLY;
	if (e->can_trim)
		f |= NBD_FLAG_SEND_TRIM;
	if (e->can_zero)
		f |= NBD_FLAG_SEND_WRITE_ZEROES;
	if (e->can_zero && e->can_fast_zero)
		f |= NBD_FLAG_SEND_FAST_ZERO;
	return f;
}

static uint32_t max_block(const struct nbd_export *e)
{
	return e->max_block && e->max_block < NBD_PAYLOAD_MAX ? e->max_block : NBD_PAYLOAD_MAX;
}

/* For the log: a name is the client's, and may hold anything. */
static const char *printable(const char *name, char *out, size_t cap)
{
	size_t i;

	for (i = 0; i < cap - 1 && name[i]; i++)
		out[i] = (unsigned char)name[i] < 0x20 || name[i] == 0x7f ? '?' : name[i];
	out[i] = '\0';
	return out;
}

/* From here on it is in transmission. */
bool nbd_handshake_done(struct nbd_conn *c, const struct nbd_export *e, void *handle, const char *name)
{
	struct nbd_server *s = c->server;
	char text[128];

	if (c->state == NBD_ST_DEAD) /* no memory for the reply */
		return false;
	c->use = nbd_use_get(s, handle);
	if (!c->use) {
		nbd_conn_close(c, LOG_ERR, "out of memory");
		return false;
	}
	c->flags = flags_for(c, e);
	c->size = e->size;
	c->max_block = max_block(e);
	nbd_meta_open(c, name);
	c->state = NBD_ST_TRANSMIT;
	ev_timer_stop(s->loop, &c->deadline);
	nbd_log(s, LOG_INFO, "connection %llu (%s) opened \"%s\"%s", (unsigned long long)c->id,
		c->peer, printable(name, text, sizeof(text)), e->read_only ? ", read-only" : "");
	return true;
}

/* Copies a name that has been checked for its length. false: it has a NUL inside. */
bool nbd_option_name(char *name, const uint8_t *from, size_t len)
{
	memcpy(name, from, len);
	name[len] = '\0';
	return strlen(name) == len;
}

/* The one option that can't be refused but by closing. */
static void do_export_name(struct nbd_conn *c, const struct nbd_option *o)
{
	struct nbd_server *s = c->server;
	char name[NBD_NAME_MAX + 1], text[128];
	uint8_t b[10 + 124] = { 0 };
	struct nbd_export e = { 0 };
	void *handle = NULL;

	if (o->len > NBD_NAME_MAX || !nbd_option_name(name, o->data, o->len)) {
		nbd_conn_close(c, LOG_WARNING, "malformed export name");
		return;
	}
	if (!s->cb.open(s->arg, name, &e, &handle)) {
		nbd_conn_close(c, LOG_WARNING, "no export \"%s\"",
			       printable(name, text, sizeof(text)));
		return;
	}
	put_be64(b, e.size);
	put_be16(b + 8, flags_for(c, &e));
	nbd_reply_text(c, b, c->no_zeroes ? 10 : sizeof(b));
	nbd_handshake_done(c, &e, handle, name);
}

struct info_request {
	char name[NBD_NAME_MAX + 1];
	bool want_name, want_description, want_block_size;
};

/* INFO and GO: 32 bits length of the name, name, 16 bits number of items, items of 16 bits. */
static bool parse_info(struct nbd_conn *c, const struct nbd_option *o, struct info_request *r)
{
	const uint8_t *p = o->data;
	uint32_t len;
	unsigned n;

	if (o->len < 6 || (len = get_be32(p)) > o->len - 6) {
		nbd_option_refuse(c, o, NBD_REP_ERR_INVALID, "the option is too short for its name");
		return false;
	}
	if (len > NBD_NAME_MAX) {
		nbd_option_refuse(c, o, NBD_REP_ERR_TOO_BIG, "the name is longer than 4096 bytes");
		return false;
	}
	n = get_be16(p + 4 + len);
	if (o->len != 6 + len + 2 * n || !nbd_option_name(r->name, p + 4, len)) {
		nbd_option_refuse(c, o, NBD_REP_ERR_INVALID, "malformed option");
		return false;
	}
	r->want_name = r->want_description = r->want_block_size = false;
	for (p += 6 + len; n > 0; n--, p += 2) {
		uint16_t item = get_be16(p);

		r->want_name |= item == NBD_INFO_NAME;
		r->want_description |= item == NBD_INFO_DESCRIPTION;
		r->want_block_size |= item == NBD_INFO_BLOCK_SIZE;
	}
	return true;
}

static void send_info_text(struct nbd_conn *c, const struct nbd_option *o, uint16_t item,
			   const char *text)
{
	size_t len = text_len(text);
	uint8_t b[2];

	put_be16(b, item);
	nbd_option_reply(c, o->code, NBD_REP_INFO, 2 + len);
	nbd_reply_text(c, b, 2);
	if (len)
		nbd_reply_text(c, text, len);
}

static void send_info(struct nbd_conn *c, const struct nbd_option *o, const struct info_request *r,
		      const struct nbd_export *e)
{
	uint8_t b[14];

	put_be16(b, NBD_INFO_EXPORT);
	put_be64(b + 2, e->size);
	put_be16(b + 10, flags_for(c, e));
	nbd_option_reply(c, o->code, NBD_REP_INFO, 12);
	nbd_reply_text(c, b, 12);
	if (r->want_name)
		send_info_text(c, o, NBD_INFO_NAME, e->name ? e->name : r->name);
	if (r->want_description && e->description)
		send_info_text(c, o, NBD_INFO_DESCRIPTION, e->description);
	if (r->want_block_size) {
		put_be16(b, NBD_INFO_BLOCK_SIZE);
		put_be32(b + 2, e->min_block ? e->min_block : 1);
		put_be32(b + 6, e->pref_block ? e->pref_block : 4096);
		put_be32(b + 10, max_block(e));
		nbd_option_reply(c, o->code, NBD_REP_INFO, 14);
		nbd_reply_text(c, b, 14);
	}
}

static void do_info(struct nbd_conn *c, const struct nbd_option *o)
{
	struct nbd_server *s = c->server;
	struct nbd_export e = { 0 };
	struct info_request r;
	void *handle = NULL;

	if (!parse_info(c, o, &r))
		return;
	if (!s->cb.open(s->arg, r.name, &e, &handle)) {
		nbd_option_refuse(c, o, NBD_REP_ERR_UNKNOWN, "no such export");
		return;
	}
	send_info(c, o, &r, &e);
	if (o->code == NBD_OPT_INFO || nbd_handshake_done(c, &e, handle, r.name))
		nbd_option_ack(c, o);
}

static void dispatch(struct nbd_conn *c, const struct nbd_option *o)
{
	switch (o->code) {
	case NBD_OPT_EXPORT_NAME:
		do_export_name(c, o);
		break;
	case NBD_OPT_ABORT:
		nbd_option_ack(c, o);
		nbd_conn_drain(c);
		break;
	case NBD_OPT_LIST:
		do_list(c, o);
		break;
	case NBD_OPT_STARTTLS:
		do_starttls(c, o);
		break;
	case NBD_OPT_INFO:
	case NBD_OPT_GO:
		do_info(c, o);
		break;
	case NBD_OPT_STRUCTURED_REPLY:
		do_structured_reply(c, o);
		break;
	case NBD_OPT_LIST_META_CONTEXT:
	case NBD_OPT_SET_META_CONTEXT:
		nbd_meta_option(c, o);
		break;
	default:
		nbd_option_refuse(c, o, NBD_REP_ERR_UNSUP, "unknown option");
		break;
	}
}

static bool is_known(uint32_t code)
{
	return code >= NBD_OPT_EXPORT_NAME && code <= NBD_OPT_SET_META_CONTEXT && code != 4;
}

/* Its data does not fit: answered now, skipped as it comes. */
static bool too_long(struct nbd_conn *c, const struct nbd_option *o)
{
	if (o->code == NBD_OPT_EXPORT_NAME || o->len > OPT_SKIP_MAX) {
		nbd_conn_close(c, LOG_WARNING, "option %u with %u bytes", o->code, o->len);
		return false;
	}
	if (o->code == NBD_OPT_SET_META_CONTEXT)
		nbd_meta_forget(c);
	nbd_option_refuse(c, o, is_known(o->code) ? NBD_REP_ERR_TOO_BIG : NBD_REP_ERR_UNSUP,
	       "more data than any option has");
	c->in_pos += NBD_OPT_HEAD;
	c->take_left = o->len;
	return true;
}

bool nbd_handshake_option(struct nbd_conn *c)
{
	const uint8_t *p = nbd_conn_bytes(c);
	size_t avail = nbd_conn_avail(c);
	struct nbd_option o;

	if (c->text_len - c->text_sent > TEXT_MAX) {
		c->full = true;
		return false;
	}
	if (avail < NBD_OPT_HEAD)
		return false;
	o.code = get_be32(p + 8);
	o.len = get_be32(p + 12);
	o.data = p + NBD_OPT_HEAD;
	if (get_be64(p) != NBD_OPT_MAGIC) {
		nbd_conn_close(c, LOG_WARNING, "no option where one belongs");
		return false;
	}
	/* proto.md: without FIXED_NEWSTYLE the client understands no option replies */
	if (!c->fixed && o.code != NBD_OPT_EXPORT_NAME) {
		nbd_conn_close(c, LOG_WARNING, "option %u without fixed newstyle", o.code);
		return false;
	}
	if (o.len <= OPT_DATA_MAX && avail < NBD_OPT_HEAD + o.len)
		return false;
	if (++c->noptions > OPTIONS_MAX) {
		nbd_conn_close(c, LOG_WARNING, "more than %d options", OPTIONS_MAX);
		return false;
	}
	if (o.len > OPT_DATA_MAX)
		return too_long(c, &o);
	dispatch(c, &o);
	if (c->state < NBD_ST_DRAIN)
		c->in_pos += NBD_OPT_HEAD + o.len;
	return c->state < NBD_ST_DRAIN;
}
