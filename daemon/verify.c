/* SPDX-License-Identifier: MIT */
/*
 * What idle paths are asked from time to time (each module knows what: TEST UNIT READY, or the target
 * port groups where access is asymmetric), and what port groups say: which paths are worth an I/O,
 * and whether another group is to be made active (SPC-4 5.15.2).
 */
#include "fence.h"
#include "internal.h"

#include <errno.h>
#include <string.h>

#define ANSWER_BYTES 1024
#define SHORTLY_US (500 * US_PER_MS) /* while a group is in transition, or none is active */
#define MOVE_TRIES 8 /* unit attentions in a row */
#define TRANSITION_US (60 * US_PER_S) /* how long a transition may take where the target does not say */

const char *groups_state_name(uint8_t state)
{
	switch (state) {
	case DSM_ALUA_AO:
		return "active/optimized";
	case DSM_ALUA_AU:
		return "active/non-optimized";
	case DSM_ALUA_STANDBY:
		return "standby";
	case DSM_ALUA_UNAVAILABLE:
		return "unavailable";
	case DSM_ALUA_OFFLINE:
		return "offline";
	case DSM_ALUA_TRANSITIONING:
		return "transitioning";
	}
	return "active/optimized"; /* 4h: optimized for some blocks (SPC-4 5.15.2.4.5) */
}

static struct scsi_port_group *group_of(struct lun *l, const struct path *p)
{
	for (int i = 0; i < l->groups.n; i++)
		if (l->groups.g[i].id == p->port_group)
			return &l->groups.g[i];
	return NULL;
}

static bool transition_overdue(const struct engine *e, const struct lun *l)
{
	uint64_t limit = l->groups.transition_s ? l->groups.transition_s * US_PER_S : TRANSITION_US;

	return l->transition_since && e->now - l->transition_since > limit;
}

/* How a policy ranks the state: 3 and more gets no I/O. A transition without end is tried like a standby. */
static uint8_t rank(const struct engine *e, const struct lun *l, uint8_t state)
{
	switch (state) {
	case DSM_ALUA_AU:
		return 1;
	case DSM_ALUA_STANDBY:
		return 2;
	case DSM_ALUA_UNAVAILABLE:
	case DSM_ALUA_OFFLINE:
		return 3;
	case DSM_ALUA_TRANSITIONING:
		return transition_overdue(e, l) ? 2 : 3;
	}
	return 0;
}

/* A path through which nobody could ask for the size yet carries no I/O, not even as the last one. */
static void view(const struct engine *e, struct path *p)
{
	p->view.alua = p->size_unread ? 3 : rank(e, p->lun, p->alua);
}

/* What the groups say now, on to the paths. */
static void view_paths(struct engine *e, struct lun *l)
{
	bool moving = false;
	struct list *pos;

	for (int i = 0; i < l->groups.n; i++)
		moving |= l->groups.g[i].state == DSM_ALUA_TRANSITIONING;
	if (!moving)
		l->transition_since = 0;
	else if (!l->transition_since)
		l->transition_since = e->now;
	list_for_each(pos, &l->paths) {
		struct path *p = list_entry(pos, struct path, in_lun);
		const struct scsi_port_group *g = group_of(l, p);

		if (g) /* else it is what its own answers say */
			p->alua = g->state;
		view(e, p);
		p->view.preferred_group = g && g->preferred;
	}
}

static const struct scsi_port_group *old_group(const struct scsi_groups *g, uint16_t id)
{
	for (int i = 0; i < g->n; i++)
		if (g->g[i].id == id)
			return &g->g[i];
	return NULL;
}

/* Paths whose groups are active now, but were not when their LUN was asked for its size. */
static void read_sizes(struct engine *e, struct lun *l)
{
	struct list *pos;

	list_for_each(pos, &l->paths) {
		struct path *p = list_entry(pos, struct path, in_lun);

		if (!p->size_unread || p->state != PATH_USABLE || rank(e, l, p->alua) > 1)
			continue;
		path_set_state(e, p, PATH_IDENTIFYING, "its port group became active");
		identify_start(e, p);
	}
}

void groups_learn(struct engine *e, struct lun *l, const struct scsi_groups *g)
{
	struct scsi_groups old = l->groups;

	l->groups = *g;
	view_paths(e, l);
	for (int i = 0; i < g->n; i++) {
		const struct scsi_port_group *was = old_group(&old, g->g[i].id);

		if (was && was->state != g->g[i].state)
			engine_emit(e, EVENT_INFO, "port-group", l, NULL,
				    "target port group %u is %s, it was %s", g->g[i].id,
				    groups_state_name(g->g[i].state), groups_state_name(was->state));
	}
	read_sizes(e, l);
	lun_update(e, l);
}

void groups_told(struct engine *e, struct path *p, uint8_t state)
{
	struct lun *l = p->lun;
	struct scsi_port_group *g = group_of(l, p);
	struct scsi_groups now = l->groups;

	if (!g) { /* no groups, or not that one: it is about this path alone */
		p->alua = state;
		view(e, p);
		lun_update(e, l);
		verify_arm(e, l);
		return;
	}
	if (g->state == state)
		return;
	now.g[g - l->groups.g].state = state;
	groups_learn(e, l, &now);
	verify_arm(e, l);
}

/* ---- explicit: SET TARGET PORT GROUPS ---- */

static int move_send(struct engine *e, struct lun *l, struct path *via, uint16_t to);

static void moved(struct engine *e, struct attempt *a)
{
	struct path *p = a->path;
	struct lun *l = p->lun;
	const struct scsi_cmd *c = a->cmd;
	bool news = c->outcome == SCSI_OUT_STATUS && c->status == SCSI_ST_CHECK_CONDITION && c->sense.valid &&
		    c->sense.key == SCSI_KEY_UNIT_ATTENTION;

	l->moving = NULL;
	/* It has not run (SAM-5 5.14): once more. What the news is about is asked for after that. */
	if (news && p->state == PATH_USABLE && l->move_tries++ < MOVE_TRIES &&
	    move_send(e, l, p, l->moves.moved_to) == 0)
		return;
	if (c->outcome != SCSI_OUT_STATUS || c->status != SCSI_ST_GOOD)
		engine_emit(e, EVENT_WARNING, "port-group", l, p->name,
			    "SET TARGET PORT GROUPS was refused: %s %02x/%02x",
			    c->outcome != SCSI_OUT_STATUS ? "no usable answer" :
			    c->sense.valid		  ? scsi_key_name(c->sense.key) :
							    scsi_status_name(c->status),
			    c->sense.asc, c->sense.ascq);
	verify_path(e, p);
}

static void move_lost(struct engine *e, struct attempt *a)
{
	(void)e;
	a->path->lun->moving = NULL;
}

static int move_send(struct engine *e, struct lun *l, struct path *via, uint16_t to)
{
	struct buf *b = buf_get(e->pool, SCSI_STPG_LEN);
	struct attempt *a = b ? attempt_new(e, via->session, via, b) : NULL;

	buf_put(b);
	if (!a)
		return -1;
	cdb_set_group(a->cmd, a->buf->data, DSM_ALUA_AO, to);
	attempt_set_data(a, a->buf->data, a->cmd->len);
	a->done = moved;
	a->lost = move_lost;
	if (attempt_send(e, a))
		return -1;
	l->moving = a;
	return 0;
}

static void move(struct engine *e, struct lun *l, struct path *via, const struct groups_decision *d)
{
	groups_moved(&l->moves, d->to, e->now);
	l->move_tries = 0;
	if (move_send(e, l, via, d->to))
		return;
	engine_emit(e, EVENT_WARNING, "port-group", l, via->name,
		    "asks for target port group %u to become active/optimized: %s", d->to, d->why);
}

/* It may carry I/O in a moment: a group is not given up for a silence or a question. */
static bool not_given_up(const struct path *p)
{
	return path_takes_io(p) ||
	       (p->state == PATH_IDENTIFYING && session_connected(p->session) && !p->session->removing);
}

/* Since when some path to the group is healthy, UINT64_MAX: none is. via: one that answers now, or NULL. */
static uint64_t healthy_since(const struct lun *l, uint16_t group, struct path **via)
{
	uint64_t since = UINT64_MAX;
	struct list *pos;

	list_for_each(pos, &l->paths) {
		struct path *p = list_entry(pos, struct path, in_lun);

		if (p->port_group != group || !not_given_up(p))
			continue;
		if (path_takes_io(p) && p->session->state != SESSION_SUSPECT)
			*via = p;
		if (p->usable_since < since)
			since = p->usable_since;
	}
	return since;
}

void groups_look(struct engine *e, struct lun *l)
{
	struct group_view v[GROUPS_MAX] = { { 0 } };
	struct path *via[GROUPS_MAX] = { NULL };
	struct groups_decision d;
	int n = l->groups.n < GROUPS_MAX ? l->groups.n : GROUPS_MAX;

	if (!(l->tpgs & 2) || !l->dsm->set_groups || l->moving || e->stopping || !n)
		return;
	for (int i = 0; i < n; i++) {
		const struct scsi_port_group *g = &l->groups.g[i];

		v[i] = (struct group_view){
			.id = g->id,
			.state = g->state,
			.preferred = g->preferred,
			.supports_ao = g->supported & 1,
			.healthy_since = healthy_since(l, g->id, &via[i]),
		};
	}
	d = groups_decide(&l->moves, v, n, l->opt->failback_us, e->now);
	if (d.again_at != UINT64_MAX && l->verify.armed && d.again_at < l->verify.at)
		engine_arm(e, &l->verify, d.again_at > e->now ? d.again_at : e->now + US_PER_MS);
	for (int i = 0; d.move && i < n; i++)
		if (v[i].id == d.to && via[i])
			move(e, l, via[i], &d);
}

/* ---- the probe ---- */

static void take_groups(struct engine *e, struct path *p, const struct attempt *a)
{
	struct scsi_groups g;
	int ret = scsi_parse_groups(a->buf->data, a->cmd->got, !p->lun->rtpg_short, &g);

	if (ret == 0 && g.n) {
		groups_learn(e, p->lun, &g);
	} else if (ret == -EPROTO && !p->lun->rtpg_short) {
		p->lun->rtpg_short = true;
		verify_path(e, p);
	}
}

static void verified(struct engine *e, struct attempt *a)
{
	struct path *p = a->path;
	const struct scsi_cmd *c = a->cmd;
	struct dsm_verdict v;

	p->verify = NULL;
	if (p->state != PATH_USABLE)
		return;
	if (c->outcome == SCSI_OUT_STATUS && c->status == SCSI_ST_GOOD) {
		if (c->cdb[0] != 0x00)
			take_groups(e, p, a);
		else if (!group_of(p->lun, p) && p->alua != DSM_ALUA_AO)
			groups_told(e, p, DSM_ALUA_AO); /* it is ready again */
		return;
	}
	v = p->lun->dsm->verdict(c, 0);
	if (v.effects & DSM_UNSUPPORTED && c->cdb[0] != 0x00)
		p->lun->rtpg_short = true;
	if (v.alua != DSM_ALUA_UNKNOWN)
		groups_told(e, p, v.alua);
	apply_effects(e, p, v.effects & ~(unsigned)DSM_REGROUP, v.why);
	if (v.action == DSM_FAIL_PATH && p->state == PATH_USABLE)
		path_fail(e, p, PATH_FAILED, "path-failed", "%s", v.why);
	else if (p->state == PATH_USABLE && c->sense.key == SCSI_KEY_UNIT_ATTENTION)
		verify_path(e, p); /* a unit attention stands before each answer */
}

static void verify_lost(struct engine *e, struct attempt *a)
{
	(void)e;
	a->path->verify = NULL;
}

void verify_path(struct engine *e, struct path *p)
{
	struct lun *l = p->lun;
	bool groups = l->tpgs && l->dsm->probe == DSM_PROBE_RTPG;
	struct buf *b;
	struct attempt *a;

	if (p->verify || p->state != PATH_USABLE || p->session->removing)
		return;
	b = buf_get(e->pool, ANSWER_BYTES);
	a = b ? attempt_new(e, p->session, p, b) : NULL;
	buf_put(b);
	if (!a)
		return;
	if (groups)
		cdb_report_groups(a->cmd, ANSWER_BYTES, !l->rtpg_short);
	else
		cdb_test_unit_ready(a->cmd);
	if (a->cmd->len) {
		memset(a->buf->data, 0, a->cmd->len);
		attempt_set_data(a, a->buf->data, a->cmd->len);
	}
	a->done = verified;
	a->lost = verify_lost;
	p->verify = a;
	if (attempt_send(e, a))
		p->verify = NULL;
}

static bool some_active(const struct lun *l)
{
	const struct list *pos;

	list_for_each(pos, &l->paths) {
		const struct path *p = list_entry(pos, struct path, in_lun);

		if (path_takes_io(p) && p->view.alua <= 1)
			return true;
	}
	return false;
}

static void verify_all(struct engine *e, struct timer *t)
{
	struct lun *l = list_entry(t, struct lun, verify);
	struct list *pos;

	if (l->transition_since)
		view_paths(e, l);
	read_sizes(e, l);
	list_for_each(pos, &l->paths) {
		struct path *p = list_entry(pos, struct path, in_lun);

		/* A path that carries I/O shows by that how it is; port groups don't show. */
		if (l->tpgs || !p->inflight)
			verify_path(e, p);
	}
	reserve_look(e, l);
	verify_arm(e, l);
	lun_update(e, l);
}

void verify_arm(struct engine *e, struct lun *l)
{
	uint64_t in = l->opt->verify_interval_us;

	if ((l->transition_since || !some_active(l)) && in > SHORTLY_US)
		in = SHORTLY_US;
	l->verify.fire = verify_all;
	if (!l->verify.armed || l->verify.at > e->now + in)
		engine_arm(e, &l->verify, e->now + in);
}
