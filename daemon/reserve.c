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
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_BYTES 1024
#define TRIES 20
#define PAUSE_US (20 * US_PER_MS)
#define PREEMPT_PAUSE_US (100 * US_PER_MS)

enum step { STEP_REGISTER, STEP_KEYS, STEP_CLEAN, STEP_LOOK, STEP_RESERVE };

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

/*
 * PREEMPT takes three steps where the reservation would not live through it: RELEASE, RESERVE, PREEMPT.
 * Between the first two another host may write: not we, and not late.
 */
enum { TAKE_RELEASE, TAKE_RESERVE, TAKE_PREEMPT };

static unsigned first_take(const struct lun *l)
{
	return l->dsm->reserve_before_preempt ? TAKE_RELEASE : TAKE_PREEMPT;
}

static void build_take(struct attempt *a, unsigned take, uint64_t own, uint64_t victim, bool abort)
{
	static const enum scsi_pr_out actions[] = {
		[TAKE_RELEASE] = SCSI_PR_RELEASE,
		[TAKE_RESERVE] = SCSI_PR_RESERVE,
		[TAKE_PREEMPT] = SCSI_PR_PREEMPT,
	};

	cdb_pr_out(a->cmd, a->buf->data, abort && take == TAKE_PREEMPT ? SCSI_PR_PREEMPT_AND_ABORT : actions[take],
		   SCSI_PR_WRITE_EXCLUSIVE_ALL, own, take == TAKE_PREEMPT ? victim : 0);
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

static void retry(struct engine *e, struct path *p, const struct scsi_cmd *c, const char *why)
{
	if (p->reserve_tries++ >= TRIES) {
		refuse(e, p, why);
		return;
	}
	p->timer.fire = step_again;
	engine_arm(e, &p->timer, e->now + (unit_attention(c) ? 0 : PAUSE_US));
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
			p->reserve_take = first_take(p->lun);
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
	if (p->reserve_step == STEP_CLEAN && !unit_attention(c)) {
		p->reserve_out = NULL;
		p->reserve_step = STEP_LOOK;
		next(e, p);
		return;
	}
	if (c->outcome == SCSI_OUT_STATUS && unsupported(c)) {
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
	struct attempt *a = command(e, p, step_done);

	if (!a) {
		refuse(e, p, "out of memory");
		return;
	}
	switch (p->reserve_step) {
	case STEP_REGISTER:
		cdb_pr_out(a->cmd, a->buf->data, SCSI_PR_REGISTER_AND_IGNORE, 0, 0, p->reserve_want);
		break;
	case STEP_KEYS:
		cdb_pr_in(a->cmd, SCSI_PR_READ_KEYS, ANSWER_BYTES);
		break;
	case STEP_CLEAN:
		build_take(a, p->reserve_take, p->registered, p->reserve_stale, false);
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
	if (unit_attention(a->cmd) && p->reserve_tries++ < TRIES)
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
	struct attempt *a = command(e, p, released);

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

static void preempt_send(struct engine *e, struct doubt *d, struct path *p);

static void preempted(struct engine *e, struct attempt *a)
{
	struct doubt *d = a->owner;
	const struct scsi_cmd *c = a->cmd;

	d->preempt = NULL;
	if (d->take != TAKE_PREEMPT && c->outcome == SCSI_OUT_STATUS && !unit_attention(c)) {
		/* RELEASE of what is not held, RESERVE of what another path of ours holds by now: no matter. */
		d->take++;
		preempt_send(e, d, a->path);
	} else if (c->outcome == SCSI_OUT_STATUS && c->status == SCSI_ST_GOOD) {
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

static void preempt_send(struct engine *e, struct doubt *d, struct path *p)
{
	struct attempt *a = path_takes_io(p) ? command(e, p, preempted) : NULL;

	if (!a) {
		engine_arm(e, &d->again, e->now + PREEMPT_PAUSE_US);
		return;
	}
	build_take(a, d->take, p->registered, d->key, !d->no_abort);
	attempt_set_data(a, a->buf->data, a->cmd->len);
	a->owner = d;
	a->lost = preempt_lost;
	d->preempt = a;
	if (attempt_send(e, a)) {
		d->preempt = NULL;
		engine_arm(e, &d->again, e->now + PREEMPT_PAUSE_US);
	}
}

void reserve_preempt(struct engine *e, struct doubt *d)
{
	struct path *p = speaker(d->lun, d->key);

	if (d->preempt || !p) /* fence_kick() comes when there is a path */
		return;
	d->take = first_take(d->lun);
	preempt_send(e, d, p);
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
