/* SPDX-License-Identifier: MIT */
/*
 * Commands: their data comes (RFC 7143 11.7, 11.8), a rule may change their fate, they are executed, they are
 * answered. A command that is complete outlives its connection, as in a target that stalls: only
 * reinstatement, task management and PREEMPT AND ABORT end it.
 */
#include "target.h"

#include <stdlib.h>
#include <string.h>

void task_free(struct task *t)
{
	ev_timer_stop(T.loop, &t->delay);
	list_del(&t->link);
	free(t->data);
	free(t->in_data);
	free(t);
}

void task_conn_gone(struct conn *c)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &T.tasks) {
		struct task *t = list_entry(pos, struct task, link);

		if (t->conn != c)
			continue;
		t->conn = NULL;
		if (!t->ready)
			task_free(t);
	}
}

void task_abort_nexus(const struct nexus *n, const struct disk *d)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &T.tasks) {
		struct task *t = list_entry(pos, struct task, link);

		if ((!n || nexus_same(&t->nexus, n)) && (!d || t->lun == d->lun))
			task_free(t);
	}
}

/* ---- answers ---- */

static uint32_t sense(const struct task *t, uint8_t out[20])
{
	memset(out, 0, 20);
	put16(out, 18);
	out[2] = t->sense_desc ? 0x72 : 0x70;
	if (t->sense_deferred)
		out[2]++;
	if (t->sense_desc) {
		out[3] = t->key;
		out[4] = t->asc;
		out[5] = t->ascq;
		put16(out, 8);
		return 10;
	}
	out[4] = t->key;
	out[9] = 10;
	out[14] = t->asc;
	out[15] = t->ascq;
	return 20;
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

/* The data of a read in PDUs as large as the initiator takes; the last one carries a good status (11.7.3). */
static void data_in(struct conn *c, struct task *t, const struct rule *rule)
{
	bool lie = rule && !strcmp(rule->what, "short");
	uint32_t len = t->in_len < t->edtl ? t->in_len : t->edtl, at = 0, sn = 0;

	if (lie)
		len = rule->bytes < len ? rule->bytes : len;
	while (at < len || !len) {
		uint32_t n = len - at < c->max_recv ? len - at : c->max_recv;
		bool last = at + n == len;
		uint8_t r[48] = { OP_DATA_IN, last ? 0x81 : 0, 0, t->status };

		put32(r + 16, t->itt);
		put32(r + 20, 0xffffffff);
		put32(r + 36, sn++);
		put32(r + 40, at + (rule && !strcmp(rule->what, "long") ? rule->bytes : 0));
		if (last && !lie)
			put_residual(r, t, rule && !strcmp(rule->what, "overflow") ? t->edtl + rule->bytes : t->in_len);
		conn_send(c, r, t->in_data + at, n, last);
		at += n;
		if (!len)
			break;
	}
}

/* What rules do to an answer that is ready to go. */
static bool answer_by_rule(struct conn *c, struct task *t, const struct rule *rule)
{
	size_t before = c->out_len;

	if (!strcmp(rule->what, "close") || !strcmp(rule->what, "reset")) {
		conn_close(c, !strcmp(rule->what, "reset"));
		return true;
	}
	if (!strcmp(rule->what, "cut")) { /* half a PDU, then the end */
		respond(c, t, t->write ? t->edtl : t->in_len);
		if (c->out_len > before + rule->bytes)
			c->out_len = before + rule->bytes;
		c->closing = true;
		return true;
	}
	if (!strcmp(rule->what, "itt")) /* for a command that nobody sent */
		t->itt ^= 0x5a5a5a;
	if (!strcmp(rule->what, "payload"))
		for (uint32_t i = 0; i < rule->payload_len && rule->at + i < t->in_len; i++)
			t->in_data[rule->at + i] = rule->payload[i];
	return false;
}

static void done(struct task *t, const struct rule *rule)
{
	struct conn *c = t->conn;

	if (c && !(rule && answer_by_rule(c, t, rule)) && !c->dead) {
		if (t->status == 0 && !t->response && t->read)
			data_in(c, t, rule);
		else
			respond(c, t, (!t->status && !t->response) || (rule && rule->execute) ? t->got : 0);
	}
	task_free(t);
}

/* ---- execution ---- */

static void execute(struct task *t, const struct rule *rule)
{
	bool made_up = rule && (!strcmp(rule->what, "status") || !strcmp(rule->what, "response"));

	if (!made_up || rule->execute)
		scsi_run(t);
	if (made_up) {
		free(t->in_data);
		t->in_data = NULL;
		t->in_len = 0;
		t->status = rule->status;
		t->response = !strcmp(rule->what, "response") ? rule->code : 0;
		t->sense_valid = rule->sense;
		t->sense_desc = rule->desc;
		t->sense_deferred = rule->deferred;
		t->key = rule->key;
		t->asc = rule->asc;
		t->ascq = rule->ascq;
	}
	done(t, rule);
}

static void delayed(struct ev_loop *l, ev_timer *w, int revents)
{
	(void)l, (void)revents;
	execute(w->data, NULL);
}

void task_release(void)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &T.tasks) {
		struct task *t = list_entry(pos, struct task, link);

		if (t->held)
			execute(t, NULL);
	}
}

/* All of its data is here. */
static void ready(struct task *t)
{
	struct rule *rule = rule_match(t, WHEN_READY);

	t->ready = true;
	if (rule && !strcmp(rule->what, "never")) {
		if (rule->execute)
			scsi_run(t);
		task_free(t);
	} else if (rule && !strcmp(rule->what, "hold")) {
		t->held = true;
	} else if (rule && !strcmp(rule->what, "delay")) {
		ev_timer_init(&t->delay, delayed, rule->ms / 1e3, 0);
		t->delay.data = t;
		ev_timer_start(T.loop, &t->delay);
	} else {
		execute(t, rule);
	}
}

/* ---- data comes ---- */

static void ask(struct task *t, const struct rule *rule)
{
	uint32_t left = t->edtl - t->got, n = left < t->conn->max_burst ? left : t->conn->max_burst;
	uint8_t r[48] = { OP_R2T, 0x80 };

	t->ttt = ++T.next_ttt;
	t->burst_end = t->got + n;
	put16(r + 8, t->lun);
	put32(r + 16, t->itt);
	put32(r + 20, t->ttt);
	put32(r + 24, t->conn->statsn);
	put32(r + 40, t->got + (rule ? rule->at : 0));
	put32(r + 44, n + (rule ? rule->bytes : 0));
	conn_send(t->conn, r, NULL, 0, false);
}

static void more(struct task *t)
{
	struct rule *rule;

	if (t->got == t->edtl) {
		ready(t);
		return;
	}
	rule = rule_match(t, ON_R2T);
	if (!rule || strcmp(rule->what, "nor2t"))
		ask(t, rule);
}

static struct task *find(const struct conn *c, uint32_t itt)
{
	struct list *pos;

	list_for_each(pos, &T.tasks) {
		struct task *t = list_entry(pos, struct task, link);

		if (t->conn == c && t->itt == itt)
			return t;
	}
	return NULL;
}

void task_command(struct conn *c, const uint8_t bhs[48], const uint8_t *data, uint32_t len)
{
	struct task *t = calloc(1, sizeof(*t));
	uint32_t edtl = get32(bhs + 20);
	struct rule *rule;

	if (!t || edtl > MAX_DATA || len > edtl) {
		free(t);
		conn_reject(c, bhs, 0x04);
		return;
	}
	t->conn = c;
	t->conn_id = c->id;
	t->portal = c->portal;
	t->nexus = c->nexus;
	t->itt = get32(bhs + 16);
	t->edtl = edtl;
	t->lun = get16(bhs + 8);
	t->read = bhs[1] & 0x40;
	t->write = bhs[1] & 0x20;
	memcpy(t->cdb, bhs + 32, 16);
	list_add_tail(&t->link, &T.tasks);
	rule = rule_match(t, ON_ARRIVAL);
	if (rule) {
		conn_reject(c, bhs, rule->code);
		task_free(t);
		return;
	}
	if (!t->write) {
		ready(t);
		return;
	}
	t->data = malloc(edtl ? edtl : 1);
	if (!t->data)
		abort();
	memcpy(t->data, data, len);
	t->got = len;
	if (bhs[1] & 0x80) {
		more(t);
		return;
	}
	t->ttt = 0xffffffff; /* unsolicited data follows */
	t->burst_end = c->first_burst < edtl ? c->first_burst : edtl;
}

void task_data_out(struct conn *c, const uint8_t bhs[48], const uint8_t *data, uint32_t len)
{
	struct task *t = find(c, get32(bhs + 16));

	if (!t || !t->write || t->ready) /* the rest of a command that was aborted */
		return;
	if (get32(bhs + 20) != t->ttt || get32(bhs + 40) != t->got || len > t->burst_end - t->got) {
		conn_reject(c, bhs, 0x04);
		conn_close(c, true);
		return;
	}
	memcpy(t->data + t->got, data, len);
	t->got += len;
	if (bhs[1] & 0x80 || t->got == t->burst_end)
		more(t);
}

/* RFC 7143 11.5 */
void task_management(struct conn *c, const uint8_t bhs[48])
{
	uint8_t r[48] = { OP_TMF_RSP, 0x80 }, function = bhs[1] & 0x7f;
	struct disk *d = disk_find(c->portal, get16(bhs + 8));
	struct task *t;

	T.tmfs++;
	memcpy(r + 16, bhs + 16, 4);
	switch (function) {
	case 1: /* ABORT TASK */
		t = find(c, get32(bhs + 20));
		if (t)
			task_free(t);
		else
			r[2] = 1; /* task does not exist */
		break;
	case 2: /* ABORT TASK SET */
		task_abort_nexus(&c->nexus, d);
		break;
	case 5: /* LOGICAL UNIT RESET */
		if (d) {
			task_abort_nexus(NULL, d);
			ua_all(d->lun, 0x29, 0x03, NULL);
		} else {
			r[2] = 2; /* LUN does not exist */
		}
		break;
	default:
		r[2] = 5; /* not supported */
	}
	conn_send(c, r, NULL, 0, true);
}
