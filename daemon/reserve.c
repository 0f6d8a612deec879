/* SPDX-License-Identifier: MIT */
/*
 * Persistent reservations (SPC-4 5.13). With a reservation_key every path registers a key of its own
 * on each login, before it carries I/O, and all of them hold one reservation: write exclusive, all
 * registrants. PREEMPT of a lost path's key makes the target refuse what that path may still deliver.
 *
 * Keys of its own that no path has any more (of sessions that were lost with nothing in flight, of an mpiod that was killed) are
 * removed by the next path that registers: some targets keep one for each login.
 *
 * A key is the configured one with 16 bits that are new for each registration: to preempt the key
 * of an old login can never hit the path that has come back since.
 */
#include "fence.h"
#include "reserve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TRIES 20
#define PAUSE_US (20 * US_PER_MS)

static void next(struct engine *e, struct path *p);

enum step { STEP_REGISTER, STEP_KEYS, STEP_CLEAN, STEP_LOOK, STEP_RESERVE };

struct attempt *reserve_command(struct engine *e, struct path *p,
			       void (*done)(struct engine *e, struct attempt *a))
{
	struct buf *b = buf_get(e->pool, RESERVE_ANSWER_BYTES);
	struct attempt *a = b ? attempt_new(e, p->session, p, b) : NULL;

	if (b)
		memset(b->data, 0, RESERVE_ANSWER_BYTES);
	buf_put(b);
	if (a)
		a->done = done;
	return a;
}

bool reserve_news(const struct scsi_cmd *c)
{
	return c->status == SCSI_ST_CHECK_CONDITION && c->sense.valid &&
	       c->sense.key == SCSI_KEY_UNIT_ATTENTION;
}

unsigned reserve_first_take(const struct lun *l)
{
	return l->dsm->reserve_before_preempt ? TAKE_RELEASE : TAKE_PREEMPT;
}

void reserve_build_take(struct attempt *a, unsigned take, uint64_t own, uint64_t victim, bool abort)
{
	static const enum scsi_pr_out actions[] = {
		[TAKE_RELEASE] = SCSI_PR_RELEASE,
		[TAKE_RESERVE] = SCSI_PR_RESERVE,
		[TAKE_PREEMPT] = SCSI_PR_PREEMPT,
	};

	cdb_pr_out(a->cmd, a->buf->data, abort && take == TAKE_PREEMPT ? SCSI_PR_PREEMPT_AND_ABORT : actions[take],
		   SCSI_PR_WRITE_EXCLUSIVE_ALL, own, take == TAKE_PREEMPT ? victim : 0);
}

bool reserve_unsupported(const struct scsi_cmd *c)
{
	return c->status == SCSI_ST_CHECK_CONDITION && c->sense.valid &&
	       c->sense.key == SCSI_KEY_ILLEGAL_REQUEST;
}

/* ---- a path registers ---- */

uint64_t reserve_key(const struct path *p)
{
	return p->registered;
}

static void step_again(struct engine *e, struct timer *t)
{
	next(e, list_entry(t, struct path, timer));
}

static void refuse(struct engine *e, struct path *p, const char *why)
{
	p->registered = 0;
	path_fail(e, p, PATH_FAILED, "path-failed", "persistent reservation: %s", why);
	session_scanned(e, p->session);
}

static void retry(struct engine *e, struct path *p, const struct scsi_cmd *c, const char *why)
{
	if (p->reserve_tries++ >= TRIES) {
		refuse(e, p, why);
		return;
	}
	p->timer.fire = step_again;
	engine_arm(e, &p->timer, e->now + (reserve_news(c) ? 0 : PAUSE_US));
}

/* Is it one of our keys that no path, and no doubt, needs? */
static bool is_stale(const struct path *p, uint64_t key)
{
	const struct list *pos;

	if (key >> 16 != p->lun->key)
		return false;
	list_for_each(pos, &p->lun->paths) {
		const struct path *q = list_entry(pos, struct path, in_lun);

		if (q->registered == key || (q->reserve_out && q->reserve_want == key))
			return false;
	}
	list_for_each(pos, &p->lun->doubts)
		if (list_entry(pos, struct doubt, in_lun)->key == key)
			return false;
	return true;
}

/* One is removed, then the keys are read again. */
static void keys_known(struct engine *e, struct path *p, const struct attempt *a)
{
	uint64_t keys[64];
	uint32_t generation;
	int n = scsi_parse_pr_keys(a->buf->data, a->cmd->got, &generation, keys, 64);

	p->reserve_step = STEP_LOOK;
	for (int i = 0; i < n && i < 64; i++)
		if (is_stale(p, keys[i])) {
			p->reserve_stale = keys[i];
			p->reserve_step = STEP_CLEAN;
			p->reserve_take = reserve_first_take(p->lun);
			break;
		}
	next(e, p);
}

/* Now it may carry I/O, or at last be asked what it would not say before. */
static void registered(struct engine *e, struct path *p)
{
	if (p->mode_unread)
		identify_start(e, p);
	else
		path_identified(e, p);
}

/* Who holds it? One of ours or of another host's, all registrants: fine. Another type: not ours to use. */
static void looked(struct engine *e, struct path *p, const struct attempt *a)
{
	struct scsi_reservation r;
	char why[100];

	if (scsi_parse_pr_reservation(a->buf->data, a->cmd->got, &r)) {
		refuse(e, p, "malformed answer to READ RESERVATION");
		return;
	}
	p->lun->reservation.held = r;
	if (!r.held) {
		p->reserve_step = STEP_RESERVE;
		next(e, p);
	} else if (r.type == SCSI_PR_WRITE_EXCLUSIVE_ALL) {
		registered(e, p);
	} else {
		snprintf(why, sizeof(why), "held with key %016llx as \"%s\"", (unsigned long long)r.key,
			 scsi_pr_type_name(r.type));
		refuse(e, p, why);
	}
}

static void step_done(struct engine *e, struct attempt *a)
{
	struct path *p = a->path;
	const struct scsi_cmd *c = a->cmd;

	if (c->outcome == SCSI_OUT_STATUS && c->status == SCSI_ST_GOOD) {
		p->reserve_out = NULL;
		switch (p->reserve_step) {
		case STEP_REGISTER:
			p->registered = p->reserve_want;
			p->reserve_step = STEP_KEYS;
			next(e, p);
			return;
		case STEP_KEYS:
			keys_known(e, p, a);
			return;
		case STEP_CLEAN:
			if (p->reserve_take++ == TAKE_PREEMPT)
				p->reserve_step = STEP_KEYS;
			next(e, p);
			return;
		case STEP_LOOK:
			looked(e, p, a);
			return;
		case STEP_RESERVE:
			registered(e, p);
			return;
		}
	}
	/* To tidy up is not worth a path: another one may have been quicker. */
	if (p->reserve_step == STEP_CLEAN && !reserve_news(c)) {
		p->reserve_out = NULL;
		p->reserve_step = STEP_LOOK;
		next(e, p);
		return;
	}
	if (c->outcome == SCSI_OUT_STATUS && reserve_unsupported(c)) {
		p->reserve_out = NULL;
		refuse(e, p, "the target does not do it; remove reservation_key");
		return;
	}
	/* Another host was quicker with its RESERVE: look who it is. */
	if (c->status == SCSI_ST_RESERVATION_CONFLICT && p->reserve_step == STEP_RESERVE)
		p->reserve_step = STEP_LOOK;
	retry(e, p, c, c->outcome == SCSI_OUT_STATUS ? scsi_status_name(c->status) : "no usable answer");
	p->reserve_out = NULL;
}

static void next(struct engine *e, struct path *p)
{
	struct attempt *a = reserve_command(e, p, step_done);

	if (!a) {
		refuse(e, p, "out of memory");
		return;
	}
	switch (p->reserve_step) {
	case STEP_REGISTER:
		cdb_pr_out(a->cmd, a->buf->data, SCSI_PR_REGISTER_AND_IGNORE, 0, 0, p->reserve_want);
		break;
	case STEP_KEYS:
		cdb_pr_in(a->cmd, SCSI_PR_READ_KEYS, RESERVE_ANSWER_BYTES);
		break;
	case STEP_CLEAN:
		reserve_build_take(a, p->reserve_take, p->registered, p->reserve_stale, false);
		break;
	case STEP_LOOK:
		cdb_pr_in(a->cmd, SCSI_PR_READ_RESERVATION, RESERVE_ANSWER_BYTES);
		break;
	case STEP_RESERVE:
		cdb_pr_out(a->cmd, a->buf->data, SCSI_PR_RESERVE, SCSI_PR_WRITE_EXCLUSIVE_ALL,
			   p->registered, 0);
		break;
	}
	attempt_set_data(a, a->buf->data, a->cmd->len);
	p->reserve_out = a;
	if (attempt_send(e, a)) {
		p->reserve_out = NULL;
		p->timer.fire = step_again;
		engine_arm(e, &p->timer, e->now + PAUSE_US);
	}
}

void reserve_start(struct engine *e, struct path *p)
{
	p->reserve_tries = 0;
	p->reserve_step = STEP_REGISTER;
	if (!(++e->next_key & 0xffff))
		e->next_key++;
	p->reserve_want = p->lun->key << 16 | (e->next_key & 0xffff);
	next(e, p);
}

void reserve_abort(struct engine *e, struct path *p)
{
	(void)e;
	if (p->reserve_out)
		p->reserve_out->done = NULL;
	p->reserve_out = NULL;
}

/* ---- at the end, registrations are given up ---- */

static void release_send(struct engine *e, struct path *p);

static void released(struct engine *e, struct attempt *a)
{
	struct path *p = a->path;

	p->release_out = NULL;
	if (reserve_news(a->cmd) && p->reserve_tries++ < TRIES)
		release_send(e, p);
	else
		p->registered = 0;
}

static void release_lost(struct engine *e, struct attempt *a)
{
	(void)e;
	a->path->release_out = NULL;
	a->path->registered = 0;
}

static void release_send(struct engine *e, struct path *p)
{
	struct attempt *a = reserve_command(e, p, released);

	if (!a) {
		p->registered = 0;
		return;
	}
	cdb_pr_out(a->cmd, a->buf->data, SCSI_PR_REGISTER_AND_IGNORE, 0, 0, 0);
	attempt_set_data(a, a->buf->data, a->cmd->len);
	a->lost = release_lost;
	p->release_out = a;
	if (attempt_send(e, a)) {
		p->release_out = NULL;
		p->registered = 0;
	}
}

bool engine_release(struct engine *e)
{
	struct list *l, *pos;
	bool waiting = false;

	list_for_each(l, &e->luns) {
		list_for_each(pos, &list_entry(l, struct lun, in_engine)->paths) {
			struct path *p = list_entry(pos, struct path, in_lun);

			if (!p->registered || !session_connected(p->session)) /* disabled ones too */
				continue;
			if (!p->release_out) {
				p->reserve_tries = 0;
				release_send(e, p);
			}
			waiting |= p->release_out != NULL;
		}
	}
	return waiting;
}
