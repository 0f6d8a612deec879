/* SPDX-License-Identifier: MIT */
/*
 * Commands that are complete: a rule may change their fate, they are executed, they are answered,
 * or somebody ends them. A complete command outlives its connection, as in a target that stalls:
 * reinstatement, task management, PREEMPT AND ABORT and the end of its LUN are what ends it.
 */
#include "target.h"

#include <stdlib.h>
#include <string.h>

static const struct task *running;

void task_add(struct task *t)
{
	ev_init(&t->delay, NULL);
	list_add_tail(&t->link, &T.tasks);
}

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

		if (t != running && (!n || nexus_same(&t->nexus, n)) &&
		    (!d || disk_find(t->portal, t->lun) == d))
			task_free(t);
	}
}

struct task *task_find(const struct conn *c, uint32_t itt)
{
	struct list *pos;

	list_for_each(pos, &T.tasks) {
		struct task *t = list_entry(pos, struct task, link);

		if (t->conn == c && t->itt == itt)
			return t;
	}
	return NULL;
}

/* ---- execution ---- */

/* What a rule says in place of what the LUN says. */
static void make_up(struct task *t, const struct rule *rule)
{
	free(t->in_data);
	t->in_data = NULL;
	t->in_len = 0;
	t->status = rule->status;
	t->response = rule->what == FATE_RESPONSE ? rule->code : 0;
	t->sense_valid = rule->sense;
	t->sense_desc = rule->desc;
	t->sense_deferred = rule->deferred;
	t->sense_bytes = rule->sense_bytes;
	t->key = rule->key;
	t->asc = rule->asc;
	t->ascq = rule->ascq;
}

/* It may end others, PREEMPT AND ABORT does, but not itself. */
static void run(struct task *t)
{
	t->executed = true;
	running = t;
	scsi_run(t);
	running = NULL;
}

static void execute(struct task *t, const struct rule *rule)
{
	bool made_up = rule && (rule->what == FATE_STATUS || rule->what == FATE_RESPONSE);

	if (!t->executed && (!made_up || rule->execute))
		run(t);
	if (made_up)
		make_up(t, rule);
	if (t->conn)
		answer_send(t->conn, t, rule);
	task_free(t);
}

static void delayed(struct ev_loop *l, ev_timer *w, int revents)
{
	(void)l, (void)revents;
	execute(w->data, NULL);
}

static struct task *first_held(void)
{
	struct list *pos;

	list_for_each(pos, &T.tasks)
		if (list_entry(pos, struct task, link)->held)
			return list_entry(pos, struct task, link);
	return NULL;
}

void task_release(void)
{
	struct task *t;

	while ((t = first_held())) /* each may end others: PREEMPT AND ABORT */
		execute(t, NULL);
}

/* It waits for the time or for "release"; only its answer does where the rule says so. */
static void wait_for(struct task *t, const struct rule *rule)
{
	if (rule->execute)
		run(t);
	t->held = rule->what == FATE_HOLD;
	if (t->held)
		return;
	ev_timer_init(&t->delay, delayed, rule->ms / 1e3, 0);
	t->delay.data = t;
	ev_now_update(T.loop);
	ev_timer_start(T.loop, &t->delay);
}

void task_ready(struct task *t)
{
	struct rule *rule = rule_match(t, WHEN_READY);
	json_t *then = rule ? rule_then(rule) : NULL;

	t->ready = true;
	if (rule && (rule->what == FATE_HOLD || rule->what == FATE_DELAY)) {
		wait_for(t, rule);
	} else if (rule && rule->what == FATE_NEVER) {
		if (rule->execute)
			run(t);
		task_free(t);
	} else {
		execute(t, rule);
	}
	if (then) {
		json_decref(command_run(then));
		json_decref(then);
	}
}

/* ---- task management, RFC 7143 11.5 ---- */

enum { TMF_ABORT_TASK = 1, TMF_ABORT_TASK_SET, TMF_CLEAR_ACA, TMF_CLEAR_TASK_SET, TMF_LUN_RESET };
enum { TMF_DONE, TMF_NO_TASK, TMF_NO_LUN, TMF_UNSUPPORTED = 5 };

static uint8_t manage(struct conn *c, const uint8_t bhs[48])
{
	struct disk *d = disk_find(c->portal, get16(bhs + 8));
	struct task *t;

	switch (bhs[1] & 0x7f) {
	case TMF_ABORT_TASK:
		t = task_find(c, get32(bhs + 20));
		if (!t)
			return TMF_NO_TASK;
		task_free(t);
		return TMF_DONE;
	case TMF_ABORT_TASK_SET:
		if (!d)
			return TMF_NO_LUN;
		task_abort_nexus(&c->nexus, d);
		return TMF_DONE;
	case TMF_CLEAR_TASK_SET:
		if (!d)
			return TMF_NO_LUN;
		task_abort_nexus(NULL, d);
		ua_all(d->lun, 0x2f, 0x00, c); /* commands cleared by another initiator */
		return TMF_DONE;
	case TMF_LUN_RESET:
		if (!d)
			return TMF_NO_LUN;
		task_abort_nexus(NULL, d);
		ua_all(d->lun, 0x29, 0x03, NULL);
		return TMF_DONE;
	default:
		return TMF_UNSUPPORTED;
	}
}

void task_management(struct conn *c, const uint8_t bhs[48])
{
	uint8_t r[48] = { OP_TMF_RSP, 0x80, manage(c, bhs) };

	T.tmfs++;
	memcpy(r + 16, bhs + 16, 4);
	conn_send(c, r, NULL, 0, true);
}
