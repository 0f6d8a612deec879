/* SPDX-License-Identifier: MIT */
/*
 * Persistent reservations (SPC-4 5.13). With a reservation_key every path registers a key of its own
 * on each login, before it carries I/O, and all of them hold one reservation: write exclusive, all
 * registrants. PREEMPT of a lost path's key makes the target refuse what that path may still deliver.
 *
 * A key is the configured one with 16 bits that are new for each registration: to preempt the key
 * of an old login can never hit the path that has come back since.
 */
#include "fence.h"
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_BYTES 1024
#define TRIES 20
#define PAUSE_US (20 * US_PER_MS)
#define PREEMPT_PAUSE_US (100 * US_PER_MS)

enum step { STEP_REGISTER, STEP_LOOK, STEP_RESERVE };

static void next(struct engine *e, struct path *p);

static struct attempt *command(struct engine *e, struct path *p,
			       void (*done)(struct engine *e, struct attempt *a))
{
	struct buf *b = buf_get(e->pool, ANSWER_BYTES);
	struct attempt *a = b ? attempt_new(e, p->session, p, b) : NULL;

	if (b)
		memset(b->data, 0, ANSWER_BYTES);
	buf_put(b);
	if (a)
		a->done = done;
	return a;
}

static bool unit_attention(const struct scsi_cmd *c)
{
	return c->status == SCSI_ST_CHECK_CONDITION && c->sense.valid &&
	       c->sense.key == SCSI_KEY_UNIT_ATTENTION;
}

static bool unsupported(const struct scsi_cmd *c)
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

static void retry(struct engine *e, struct path *p, const char *why)
{
	if (p->reserve_tries++ >= TRIES) {
		refuse(e, p, why);
		return;
	}
	p->timer.fire = step_again;
	engine_arm(e, &p->timer, e->now + (unit_attention(p->reserve_out->cmd) ? 0 : PAUSE_US));
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
			p->reserve_step = STEP_LOOK;
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
	if (c->outcome == SCSI_OUT_STATUS && unsupported(c)) {
		p->reserve_out = NULL;
		refuse(e, p, "the target does not do it; remove reservation_key");
		return;
	}
	/* Another host was quicker with its RESERVE: look who it is. */
	if (c->status == SCSI_ST_RESERVATION_CONFLICT && p->reserve_step == STEP_RESERVE)
		p->reserve_step = STEP_LOOK;
	retry(e, p, c->outcome == SCSI_OUT_STATUS ? scsi_status_name(c->status) : "no usable answer");
	p->reserve_out = NULL;
}

static void next(struct engine *e, struct path *p)
{
	struct attempt *a = command(e, p, step_done);

	if (!a) {
		refuse(e, p, "out of memory");
		return;
	}
	switch (p->reserve_step) {
	case STEP_REGISTER:
		cdb_pr_out(a->cmd, a->buf->data, SCSI_PR_REGISTER_AND_IGNORE, 0, 0, p->reserve_want);
		break;
	case STEP_LOOK:
		cdb_pr_in(a->cmd, SCSI_PR_READ_RESERVATION, ANSWER_BYTES);
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
	p->reserve_want = p->lun->opt->reservation_key << 16 | (e->next_key & 0xffff);
	next(e, p);
}

void reserve_abort(struct engine *e, struct path *p)
{
	(void)e;
	if (p->reserve_out)
		p->reserve_out->done = NULL;
	p->reserve_out = NULL;
}

/* ---- a lost path's key is preempted ---- */

/* A registered path of the LUN that answers. */
static struct path *speaker(const struct lun *l, uint64_t not_this)
{
	struct path *silent = NULL;
	struct list *pos;

	list_for_each(pos, &l->paths) {
		struct path *p = list_entry(pos, struct path, in_lun);

		if (!path_takes_io(p) || !p->registered || p->registered == not_this)
			continue;
		if (p->session->state != SESSION_SUSPECT)
			return p;
		silent = p;
	}
	return silent;
}

static void hold_instead(struct engine *e, struct doubt *d, const char *why)
{
	d->method = CONF_FENCE_HOLD;
	engine_emit(e, EVENT_WARNING, "fence", d->lun, d->session,
		    "PREEMPT of key %016llx: %s; the writes in doubt are held instead",
		    (unsigned long long)d->key, why);
}

static void preempt_lost(struct engine *e, struct attempt *a)
{
	struct doubt *d = a->owner;

	if (!d)
		return;
	d->preempt = NULL;
	engine_arm(e, &d->again, e->now + PREEMPT_PAUSE_US);
}

/* Conflict: the key may be gone already (then nothing of the old nexus is accepted), or we are out ourselves. */
static void keys_read(struct engine *e, struct attempt *a)
{
	struct doubt *d = a->owner;
	uint64_t keys[64];
	uint32_t generation;
	bool lost = false, own = false;
	int n = -EPROTO;

	d->preempt = NULL;
	if (a->cmd->outcome == SCSI_OUT_STATUS && a->cmd->status == SCSI_ST_GOOD)
		n = scsi_parse_pr_keys(a->buf->data, a->cmd->got, &generation, keys, 64);
	for (int i = 0; i < n && i < 64; i++) {
		lost |= keys[i] == d->key;
		own |= keys[i] == a->path->registered;
	}
	if (n >= 0 && n <= 64 && own && !lost)
		fence_end(e, d, "its key is not registered any more");
	else if (n >= 0 && !own)
		hold_instead(e, d, "our own key was removed by another host");
	else
		engine_arm(e, &d->again, e->now + PREEMPT_PAUSE_US);
}

static void read_keys(struct engine *e, struct doubt *d, struct path *p)
{
	struct attempt *a = command(e, p, keys_read);

	if (!a) {
		engine_arm(e, &d->again, e->now + PREEMPT_PAUSE_US);
		return;
	}
	cdb_pr_in(a->cmd, SCSI_PR_READ_KEYS, ANSWER_BYTES);
	attempt_set_data(a, a->buf->data, a->cmd->len);
	a->owner = d;
	a->lost = preempt_lost;
	d->preempt = a;
	if (attempt_send(e, a)) {
		d->preempt = NULL;
		engine_arm(e, &d->again, e->now + PREEMPT_PAUSE_US);
	}
}

static void preempted(struct engine *e, struct attempt *a)
{
	struct doubt *d = a->owner;
	const struct scsi_cmd *c = a->cmd;

	d->preempt = NULL;
	if (c->outcome == SCSI_OUT_STATUS && c->status == SCSI_ST_GOOD) {
		fence_end(e, d, d->no_abort ? "PREEMPT of its key" : "PREEMPT AND ABORT of its key");
	} else if (c->outcome == SCSI_OUT_STATUS && c->status == SCSI_ST_RESERVATION_CONFLICT) {
		read_keys(e, d, a->path);
	} else if (c->outcome == SCSI_OUT_STATUS && unsupported(c) && !d->no_abort) {
		d->no_abort = true;
		reserve_preempt(e, d);
	} else if (c->outcome == SCSI_OUT_STATUS && unsupported(c)) {
		hold_instead(e, d, "refused by the target");
	} else {
		engine_arm(e, &d->again, e->now + (unit_attention(c) ? 0 : PREEMPT_PAUSE_US));
	}
}

void reserve_preempt(struct engine *e, struct doubt *d)
{
	struct path *p = speaker(d->lun, d->key);
	struct attempt *a;

	if (d->preempt || !p) /* fence_kick() comes when there is a path */
		return;
	a = command(e, p, preempted);
	if (!a) {
		engine_arm(e, &d->again, e->now + PREEMPT_PAUSE_US);
		return;
	}
	cdb_pr_out(a->cmd, a->buf->data, d->no_abort ? SCSI_PR_PREEMPT : SCSI_PR_PREEMPT_AND_ABORT,
		   SCSI_PR_WRITE_EXCLUSIVE_ALL, p->registered, d->key);
	attempt_set_data(a, a->buf->data, a->cmd->len);
	a->owner = d;
	a->lost = preempt_lost;
	d->preempt = a;
	if (attempt_send(e, a)) {
		d->preempt = NULL;
		engine_arm(e, &d->again, e->now + PREEMPT_PAUSE_US);
	}
}

/* ---- who holds what ---- */

static void look_lost(struct engine *e, struct attempt *a)
{
	(void)e;
	a->path->lun->reservation.out = NULL;
}

static void look_send(struct engine *e, struct path *p, enum scsi_pr_in what,
		      void (*done)(struct engine *e, struct attempt *a))
{
	struct attempt *a = command(e, p, done);

	if (!a)
		return;
	a->lost = look_lost;
	cdb_pr_in(a->cmd, what, ANSWER_BYTES);
	attempt_set_data(a, a->buf->data, a->cmd->len);
	if (attempt_send(e, a) == 0)
		p->lun->reservation.out = a;
}

static bool look_good(struct attempt *a)
{
	struct reserve_view *v = &a->path->lun->reservation;

	v->out = NULL;
	if (a->cmd->outcome == SCSI_OUT_STATUS && unsupported(a->cmd))
		v->unsupported = true;
	return a->cmd->outcome == SCSI_OUT_STATUS && a->cmd->status == SCSI_ST_GOOD;
}

static void held_read(struct engine *e, struct attempt *a)
{
	struct reserve_view *v = &a->path->lun->reservation;
	struct scsi_reservation r;

	if (look_good(a) && scsi_parse_pr_reservation(a->buf->data, a->cmd->got, &r) == 0) {
		v->held = r;
		v->read_at = e->now;
	}
}

static void view_keys(struct engine *e, struct attempt *a)
{
	struct path *p = a->path;
	struct reserve_view *v = &p->lun->reservation;
	uint32_t generation;
	int n;

	if (!look_good(a))
		return;
	n = scsi_parse_pr_keys(a->buf->data, a->cmd->got, &generation, v->keys, RESERVE_KEYS);
	v->nkeys = n < 0 ? 0 : n < RESERVE_KEYS ? n : RESERVE_KEYS;
	if (p->state == PATH_USABLE)
		look_send(e, p, SCSI_PR_READ_RESERVATION, held_read);
}

void reserve_look(struct engine *e, struct lun *l)
{
	struct list *pos;

	if (l->reservation.out || l->reservation.unsupported)
		return;
	list_for_each(pos, &l->paths) {
		struct path *p = list_entry(pos, struct path, in_lun);

		if (path_takes_io(p) && p->session->state == SESSION_UP) {
			look_send(e, p, SCSI_PR_READ_KEYS, view_keys);
			return;
		}
	}
}
