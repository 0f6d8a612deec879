/* SPDX-License-Identifier: MIT */
/* A lost path's key is preempted: the target refuses what that path may still deliver (SPC-4 5.13.11.2.4). */
#include "fence.h"
#include "reserve.h"

#include <errno.h>

#define PREEMPT_PAUSE_US (100 * US_PER_MS)

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
	struct attempt *a = reserve_command(e, p, keys_read);

	if (!a) {
		engine_arm(e, &d->again, e->now + PREEMPT_PAUSE_US);
		return;
	}
	cdb_pr_in(a->cmd, SCSI_PR_READ_KEYS, RESERVE_ANSWER_BYTES);
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
	if (d->take != TAKE_PREEMPT && c->outcome == SCSI_OUT_STATUS && !reserve_news(c)) {
		/* RELEASE of what is not held, RESERVE of what another path of ours holds by now: no matter. */
		d->take++;
		preempt_send(e, d, a->path);
	} else if (c->outcome == SCSI_OUT_STATUS && c->status == SCSI_ST_GOOD) {
		fence_end(e, d, d->no_abort ? "PREEMPT of its key" : "PREEMPT AND ABORT of its key");
	} else if (c->outcome == SCSI_OUT_STATUS && c->status == SCSI_ST_RESERVATION_CONFLICT) {
		read_keys(e, d, a->path);
	} else if (c->outcome == SCSI_OUT_STATUS && reserve_unsupported(c) && !d->no_abort) {
		d->no_abort = true;
		reserve_preempt(e, d);
	} else if (c->outcome == SCSI_OUT_STATUS && reserve_unsupported(c)) {
		hold_instead(e, d, "refused by the target");
	} else {
		engine_arm(e, &d->again, e->now + (reserve_news(c) ? 0 : PREEMPT_PAUSE_US));
	}
}

static void preempt_send(struct engine *e, struct doubt *d, struct path *p)
{
	struct attempt *a = path_takes_io(p) ? reserve_command(e, p, preempted) : NULL;

	if (!a) {
		engine_arm(e, &d->again, e->now + PREEMPT_PAUSE_US);
		return;
	}
	reserve_build_take(a, d->take, p->registered, d->key, !d->no_abort);
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
	d->take = reserve_first_take(d->lun);
	preempt_send(e, d, p);
}
