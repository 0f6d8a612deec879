/* SPDX-License-Identifier: MIT */
/* Commands come, and their data: immediate, unsolicited, asked for (RFC
 * 7143 4.2.5, 11.3, 11.7, 11.8). */
#include "target.h"

#include <stdlib.h>
#include <string.h>

#define PROTOCOL_ERROR 0x04 /* reason of a reject, 11.17.1 */
#define UNSOLICITED 0xffffffff

static void ask(struct task *t, const struct rule *rule)
{
	uint32_t left = t->edtl - t->got, n = left < t->conn->max_burst ? left : t->conn->max_burst;
	uint8_t r[48] = { OP_R2T, 0x80 };

	t->ttt = ++T.next_ttt;
	if (t->ttt == UNSOLICITED)
		t->ttt = T.next_ttt = 1;
	t->burst_end = t->got + n;
	T.r2ts++;
	put16(r + 8, t->lun);
	put32(r + 16, t->itt);
	put32(r + 20, t->ttt);
	put32(r + 24, t->conn->statsn);
	put32(r + 36, t->r2tsn++);
	put32(r + 40, t->got + (rule ? rule->at : 0));
	put32(r + 44, n + (rule ? rule->bytes : 0));
	conn_send(t->conn, r, NULL, 0, false);
}

static void more(struct task *t)
{
	struct rule *rule;

	if (t->got == t->edtl) {
		task_ready(t);
		return;
	}
	rule = rule_match(t, ON_R2T);
	if (!rule || rule->what != FATE_NOR2T)
		ask(t, rule);
}

/* Data that breaks the rules of the session; an initiator that does so would fool a test. */
static void violation(struct conn *c, const uint8_t bhs[48])
{
	T.violations++;
	conn_reject(c, bhs, PROTOCOL_ERROR);
	c->closing = true;
}

static bool command_is_right(const struct conn *c, const uint8_t bhs[48], uint32_t len)
{
	uint32_t edtl = get32(bhs + 20);
	bool write = bhs[1] & 0x20, final = bhs[1] & 0x80;

	if (edtl > MAX_DATA || len > edtl || (len && !write) || (!write && !final))
		return false;
	if (len && (!c->immediate || len > c->first_burst))
		return false;
	return final || !c->initial_r2t;
}

void receive_command(struct conn *c, const uint8_t bhs[48], const uint8_t *data, uint32_t len)
{
	struct rule *rule;
	struct task *t;

	if (!command_is_right(c, bhs, len) || task_find(c, get32(bhs + 16))) {
		violation(c, bhs);
		return;
	}
	t = calloc(1, sizeof(*t));
	if (!t)
		abort();
	t->conn = c;
	t->conn_id = c->id;
	t->portal = c->portal;
	t->nexus = c->nexus;
	t->itt = get32(bhs + 16);
	t->edtl = get32(bhs + 20);
	t->lun = get16(bhs + 8);
	t->read = bhs[1] & 0x40;
	t->write = bhs[1] & 0x20;
	t->sense_bytes = -1;
	memcpy(t->cdb, bhs + 32, 16);
	task_add(t);
	rule = rule_match(t, ON_ARRIVAL);
	if (rule) {
		conn_reject(c, bhs, rule->code);
		task_free(t);
		return;
	}
	if (!t->write) {
		task_ready(t);
		return;
	}
	t->data = malloc(t->edtl ? t->edtl : 1);
	if (!t->data)
		abort();
	if (len)
		memcpy(t->data, data, len);
	t->got = len;
	T.immediate += len;
	if (bhs[1] & 0x80) {
		more(t);
		return;
	}
	t->ttt = UNSOLICITED;
	t->burst_end = c->first_burst < t->edtl ? c->first_burst : t->edtl;
}

void receive_data(struct conn *c, const uint8_t bhs[48], const uint8_t *data, uint32_t len)
{
	struct task *t = task_find(c, get32(bhs + 16));

	if (!t || !t->write || t->ready) /* the rest of a command that was aborted */
		return;
	if (get32(bhs + 20) != t->ttt || get32(bhs + 40) != t->got || len > t->burst_end - t->got) {
		violation(c, bhs);
		return;
	}
	if (len)
		memcpy(t->data + t->got, data, len);
	t->got += len;
	if (t->ttt == UNSOLICITED)
		T.unsolicited += len;
	if (bhs[1] & 0x80 || t->got == t->burst_end)
		more(t);
}
