/* SPDX-License-Identifier: MIT */
/* Answers to commands: data-in, status, sense data, residual (RFC 7143 11.4, 11.7), and what rules
 * make of them. */
#include "target.h"

#include <stdlib.h>
#include <string.h>

/* A length of two bytes, then sense data (SPC-4 4.5). Returns how much of it is sent. */
static uint32_t sense(const struct task *t, uint8_t out[20])
{
	uint32_t n = t->sense_desc ? 8 : 18;

	memset(out, 0, 20);
	put16(out, (uint16_t)n);
	out[2] = (uint8_t)((t->sense_desc ? 0x72 : 0x70) + t->sense_deferred);
	if (t->sense_desc) {
		out[3] = t->key;
		out[4] = t->asc;
		out[5] = t->ascq;
	} else {
		out[4] = t->key;
		out[9] = 10; /* bytes that follow */
		out[14] = t->asc;
		out[15] = t->ascq;
	}
	n += 2;
	return t->sense_bytes >= 0 && (uint32_t)t->sense_bytes < n ? (uint32_t)t->sense_bytes : n;
}

static void put_residual(uint8_t r[48], const struct task *t, uint32_t moved)
{
	if (moved == t->edtl)
		return;
	r[1] |= moved < t->edtl ? 0x02 : 0x04;
	put32(r + 44, moved < t->edtl ? t->edtl - moved : moved - t->edtl);
}

static void respond(struct conn *c, struct task *t, uint32_t moved)
{
	uint8_t r[48] = { OP_SCSI_RSP, 0x80, t->response, t->status }, s[20];
	uint32_t len = t->sense_valid ? sense(t, s) : 0;

	put32(r + 16, t->itt);
	put_residual(r, t, moved);
	conn_send(c, r, s, len, true);
}

/* How many bytes of data-in are sent; `over` makes some up. */
static uint32_t data_len(struct task *t, const struct rule *rule)
{
	uint32_t len = t->in_len < t->edtl ? t->in_len : t->edtl;

	if (!rule || (rule->what != FATE_SHORT && rule->what != FATE_OVER))
		return len;
	if (rule->what == FATE_SHORT)
		return rule->bytes < len ? rule->bytes : len;
	t->in_data = realloc(t->in_data, (size_t)len + rule->bytes + 1);
	if (!t->in_data)
		abort();
	memset(t->in_data + len, 0xee, rule->bytes);
	return len + rule->bytes;
}

/* In PDUs as large as the initiator takes; the last one carries a good status (11.7.3). */
static void data_in(struct conn *c, struct task *t, const struct rule *rule)
{
	bool lie = rule && (rule->what == FATE_SHORT || rule->what == FATE_OVER);
	uint32_t len = data_len(t, rule), at = 0, sn = 0;

	do {
		uint32_t n = len - at < c->max_recv ? len - at : c->max_recv;
		bool last = at + n == len;
		uint8_t r[48] = { OP_DATA_IN, last ? 0x81 : 0, 0, t->status };

		put32(r + 16, t->itt);
		put32(r + 20, 0xffffffff);
		put32(r + 36, sn++);
		put32(r + 40, at + (rule && rule->what == FATE_LONG ? rule->bytes : 0));
		if (last && !lie)
			put_residual(r, t,
				     rule && rule->what == FATE_OVERFLOW ? t->edtl + rule->bytes
									 : t->in_len);
		conn_send(c, r, t->in_data + at, n, last);
		at += n;
	} while (at < len);
}

static void plain(struct conn *c, struct task *t, const struct rule *rule)
{
	bool good = t->status == 0 && !t->response;

	if (good && t->read && (t->in_len || t->edtl))
		data_in(c, t, rule);
	else
		respond(c, t, good || (rule && rule->execute) ? t->got : 0);
}

void answer_send(struct conn *c, struct task *t, const struct rule *rule)
{
	enum fate what = rule ? rule->what : FATE_PASS;
	size_t before = c->out_len;

	if (what == FATE_CLOSE || what == FATE_RESET) {
		conn_close(c, what == FATE_RESET);
		return;
	}
	if (what == FATE_ITT)
		t->itt ^= 0x5a5a5a;
	if (what == FATE_TRUNCATE && t->in_len > rule->bytes)
		t->in_len = rule->bytes;
	for (uint32_t i = 0; what == FATE_PAYLOAD && i < rule->payload_len; i++)
		if ((uint64_t)rule->at + i < t->in_len)
			t->in_data[rule->at + i] = rule->payload[i];
	plain(c, t, rule);
	if (what != FATE_CUT)
		return;
	if (c->out_len > before + rule->bytes)
		c->out_len = before + rule->bytes;
	c->reset = rule->reset;
	c->closing = true;
}
