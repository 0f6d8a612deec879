/* SPDX-License-Identifier: MIT */
/*
 * What is behind a path: read on every login, compared before any I/O. A list of steps, one
 * command each; a mandatory step that fails costs the path, an optional one leaves its defaults.
 * SPC-4 6.6 (INQUIRY), 7.8 (VPD), SBC-3 5.16 (READ CAPACITY(16)).
 */
#include "fence.h"
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_TRIES 12        /* unit attentions and BUSY in a row that a step lives through */
#define ANSWER_BYTES 1024    /* room for one answer; VPD 83h of large arrays is a few hundred */
#define STEP_DELAY_US (20 * US_PER_MS)

struct identify {
	struct path *p;
	unsigned step, tries;
	struct buf *buf;
	struct attempt *out;  /* the command under way */
	struct timer timer;
	struct scsi_inquiry inquiry;
	struct scsi_vpd_pages pages;
	struct scsi_device_id id;
	char own_id[SCSI_ID_MAX]; /* where the module knows better */
	char serial[64];
	struct scsi_block_limits limits;
	struct scsi_provisioning prov;
	struct scsi_capacity capacity;
	struct scsi_mode mode;
	bool mode_known, mode_conflict, size_unread;
	struct scsi_groups groups;
	bool groups_short;
};

struct step {
	const char *what;
	bool optional;
	uint8_t vpd;           /* skipped where VPD 00h does not list this page; 0: always */
	void (*build)(struct scsi_cmd *c);
	int (*parse)(struct identify *id, const uint8_t *p, size_t len);
};

static void build_inquiry(struct scsi_cmd *c) { cdb_inquiry(c, false, 0, 255); }
static void build_vpd_00(struct scsi_cmd *c) { cdb_inquiry(c, true, 0x00, ANSWER_BYTES); }
static void build_vpd_80(struct scsi_cmd *c) { cdb_inquiry(c, true, 0x80, ANSWER_BYTES); }
static void build_vpd_83(struct scsi_cmd *c) { cdb_inquiry(c, true, 0x83, ANSWER_BYTES); }
static void build_vpd_b0(struct scsi_cmd *c) { cdb_inquiry(c, true, 0xb0, ANSWER_BYTES); }
static void build_vpd_b2(struct scsi_cmd *c) { cdb_inquiry(c, true, 0xb2, ANSWER_BYTES); }
static void build_groups(struct scsi_cmd *c) { cdb_report_groups(c, ANSWER_BYTES, true); }
static void build_groups_short(struct scsi_cmd *c) { cdb_report_groups(c, ANSWER_BYTES, false); }
static void build_capacity(struct scsi_cmd *c) { cdb_read_capacity16(c, 32); }
static void build_mode(struct scsi_cmd *c) { cdb_mode_sense6(c, 0x08, 192); }

static int parse_inquiry(struct identify *id, const uint8_t *p, size_t len)
{
	return scsi_parse_inquiry(p, len, &id->inquiry);
}

static int parse_vpd_00(struct identify *id, const uint8_t *p, size_t len)
{
	return scsi_parse_vpd_pages(p, len, &id->pages);
}

static int parse_vpd_80(struct identify *id, const uint8_t *p, size_t len)
{
	return scsi_parse_vpd_serial(p, len, id->serial, sizeof(id->serial));
}

static int parse_vpd_83(struct identify *id, const uint8_t *p, size_t len)
{
	return scsi_parse_vpd_device_id(p, len, &id->id);
}

static int parse_vpd_b0(struct identify *id, const uint8_t *p, size_t len)
{
	return scsi_parse_vpd_block_limits(p, len, &id->limits);
}

static int parse_vpd_b2(struct identify *id, const uint8_t *p, size_t len)
{
	return scsi_parse_vpd_provisioning(p, len, &id->prov);
}

static int parse_capacity(struct identify *id, const uint8_t *p, size_t len)
{
	return scsi_parse_capacity16(p, len, &id->capacity);
}

static int parse_mode(struct identify *id, const uint8_t *p, size_t len)
{
	int ret = scsi_parse_mode_sense6(p, len, &id->mode);

	id->mode_known = !ret;
	return ret;
}

static int parse_groups(struct identify *id, const uint8_t *p, size_t len)
{
	return scsi_parse_groups(p, len, true, &id->groups);
}

static int parse_groups_short(struct identify *id, const uint8_t *p, size_t len)
{
	id->groups_short = true;
	return scsi_parse_groups(p, len, false, &id->groups);
}

static const struct step steps[] = {
	{ "INQUIRY", false, 0x00, build_inquiry, parse_inquiry },
	{ "VPD page 00h", false, 0x00, build_vpd_00, parse_vpd_00 },
	{ "VPD page 83h", false, 0x83, build_vpd_83, parse_vpd_83 },
	{ "VPD page 80h", true, 0x80, build_vpd_80, parse_vpd_80 },
	{ "VPD page B0h", true, 0xb0, build_vpd_b0, parse_vpd_b0 },
	{ "VPD page B2h", true, 0xb2, build_vpd_b2, parse_vpd_b2 },
	{ "READ CAPACITY(16)", false, 0x00, build_capacity, parse_capacity },
	{ "MODE SENSE(6)", true, 0x00, build_mode, parse_mode },
	{ "REPORT TARGET PORT GROUPS", true, 0x00, build_groups, parse_groups },
	{ "REPORT TARGET PORT GROUPS", true, 0x00, build_groups_short, parse_groups_short },
};

#define NSTEPS (sizeof(steps) / sizeof(steps[0]))

static void next_step(struct engine *e, struct identify *id);

static void identify_free(struct engine *e, struct identify *id)
{
	if (id->out) { /* nobody waits for it any more; its buffer lives until it is over */
		id->out->done = NULL;
		id->out = NULL;
	}
	engine_disarm(e, &id->timer);
	buf_put(id->buf);
	id->p->identify = NULL;
	free(id);
}

void identify_abort(struct engine *e, struct path *p)
{
	if (p->identify)
		identify_free(e, p->identify);
	reserve_abort(e, p);
}

static void fail(struct engine *e, struct path *p, enum path_state st, const char *kind,
		 const char *text)
{
	struct session *s = p->session;

	path_fail(e, p, st, kind, "%s", text);
	session_scanned(e, s);
}

/* Is a LUN of this size and block size what clients of l have open? */
static bool same_shape(const struct lun *l, const struct scsi_capacity *c)
{
	return l->reported == c->blocks * c->block_size && l->block_size == c->block_size;
}

/* A size may be taken over only while nobody can tell: no other path, no client, no request. */
static bool may_reshape(const struct lun *l)
{
	return !l->size || (l->state == LUN_NO_PATH && !l->users && list_empty(&l->requests));
}

/*
 * With no other path to contradict it, the same LUN grown: clients go on with the size they know.
 * While there is one, two sizes at once are no growth but a mistake somewhere.
 */
static bool grown(const struct lun *l, const struct scsi_capacity *c)
{
	return l->state == LUN_NO_PATH && l->block_size == c->block_size && c->blocks * c->block_size > l->size;
}

/* Whose it is, and what follows from that where the configuration leaves it open. */
static void claim(struct engine *e, struct lun *l, const struct identify *id)
{
	struct dsm_device d = { &id->inquiry, &id->id, id->serial };
	const struct dsm *was = l->announced ? l->dsm : NULL;

	l->inquiry = id->inquiry;
	lun_configure(e, l);
	/* All paths with a key or none: one that has none can't write beside one that reserves. */
	if (!l->key_known)
		l->key = l->opt->reservation_key;
	l->key_known = true;
	l->dsm = dsm_claim(&d, l->hardware ? l->hardware->dsm : NULL);
	l->tpgs = l->dsm->groups ? id->inquiry.tpgs : 0;
	lun_choose_policy(l);
	if (l->dsm != was)
		engine_emit(e, EVENT_INFO, "claimed", l, NULL, "%s %s: module %s%s, policy %s",
			    id->inquiry.vendor, id->inquiry.product, l->dsm->name,
			    l->hardware ? " (hardware section)" : "", l->policy->name);
	fence_recall(e, l); /* not before: how long, and whether at all, may depend on vendor and product */
}

/* Of a LUN that nobody could ask for its size yet, enough to follow its port groups. */
static void learn_little(struct engine *e, struct lun *l, const struct identify *id)
{
	if (!l->announced)
		claim(e, l, id);
}

static void learn(struct engine *e, struct lun *l, const struct identify *id)
{
	bool keep = !may_reshape(l);
	bool first = !l->announced || (!keep && !same_shape(l, &id->capacity)) ||
		     (id->mode_known && l->write_protect != id->mode.write_protect);

	l->reported = id->capacity.blocks * id->capacity.block_size;
	if (!keep)
		l->size = l->reported;
	l->block_size = id->capacity.block_size;
	snprintf(l->serial, sizeof(l->serial), "%s", id->serial);
	l->limits = id->limits;
	l->prov = id->prov;
	if (id->mode_known) {
		l->write_protect = id->mode.write_protect;
		l->dpofua = id->mode.dpofua && !l->fua_refused;
	}
	l->no_unmap = !id->prov.unmap;
	l->no_lba_status = !id->capacity.thin;
	l->reads_zero = id->capacity.reads_zero || id->prov.reads_zero;
	claim(e, l, id);
	if (first) {
		l->announced = true;
		e->ops->lun_ready(e->arg, l);
	}
}

/* Binds p to the LUN it turned out to be, or says why not. */
static struct lun *bind(struct engine *e, struct path *p, const struct identify *id, char *why,
			size_t cap)
{
	struct lun *l = p->lun;
	const struct scsi_capacity *c = &id->capacity;

	if (l && strcmp(l->id, id->id.id)) {
		snprintf(why, cap, "another LUN answers here: expected %s, found %s", l->id, id->id.id);
		return NULL;
	}
	if (!l)
		l = lun_find(e, id->id.id);
	if (!l)
		l = lun_new(e, id->id.id);
	if (!l) {
		snprintf(why, cap, "out of memory");
		return NULL;
	}
	if (!id->size_unread && !same_shape(l, c) && !may_reshape(l) && !grown(l, c)) {
		snprintf(why, cap, "another size: %llu bytes in blocks of %u, expected %llu in blocks of %u",
			 (unsigned long long)(c->blocks * c->block_size), c->block_size,
			 (unsigned long long)l->size, l->block_size);
		return NULL;
	}
	if (!p->lun && l->npaths >= POLICY_MAX_PATHS) {
		snprintf(why, cap, "the LUN has %d paths already, no more are used", POLICY_MAX_PATHS);
		return NULL;
	}
	return l;
}

/* Too old, or known under another name to its module. */
static bool accept(struct engine *e, struct identify *id, char *why, size_t cap)
{
	struct dsm_device d = { &id->inquiry, &id->id, id->serial };
	const struct conf_hardware *hw;
	const struct dsm *m;
	struct conf_opts o;

	conf_opts_resolve(e->conf, id->id.id, id->inquiry.vendor, id->inquiry.product, &o, NULL, &hw);
	if (!dsm_version_ok(&id->inquiry, hw)) {
		snprintf(why, cap,
			 "%s %s is older than SPC-3 (INQUIRY version %u): list it in a [hardware] section to use it",
			 id->inquiry.vendor, id->inquiry.product, id->inquiry.version);
		return false;
	}
	m = dsm_claim(&d, hw ? hw->dsm : NULL);
	if (m->identity && m->identity(&d, id->own_id, sizeof(id->own_id)))
		snprintf(id->id.id, sizeof(id->id.id), "%s", id->own_id);
	return true;
}

/*
 * With a key of its own, if one is configured. A reservation keeps MODE SENSE from those who have not
 * registered (SPC-4 table 65): then once more, as one who has.
 */
static void register_or_go(struct engine *e, struct path *p, bool conflict)
{
	bool again = p->mode_unread; /* this was the second time */

	identify_free(e, p->identify);
	p->mode_unread = false;
	if (!p->lun->key || p->admin_disabled || again) {
		path_identified(e, p);
		return;
	}
	p->registered = 0;
	p->mode_unread = conflict;
	reserve_start(e, p);
}

static void finish(struct engine *e, struct identify *id)
{
	struct path *p = id->p;
	char why[sizeof(p->reason)];
	struct lun *l;

	l = accept(e, id, why, sizeof(why)) ? bind(e, p, id, why, sizeof(why)) : NULL;
	if (!l) {
		identify_free(e, id);
		fail(e, p, PATH_REFUSED, "path-refused", why);
		return;
	}
	if (!p->lun)
		lun_attach_path(e, l, p);
	p->size_unread = id->size_unread;
	if (id->size_unread)
		learn_little(e, l, id);
	else
		learn(e, l, id);
	p->port_group = id->id.port_group;
	p->relative_port = id->id.relative_port;
	if (l->tpgs) {
		l->rtpg_short |= id->groups_short;
		groups_learn(e, l, &id->groups);
	}
	verify_arm(e, l);
	l->epoch++;
	register_or_go(e, p, id->mode_conflict);
}

/* Many targets have a LUN 0 that is a controller: it is no news and no path. One that was a disk is. */
static void not_a_disk(struct engine *e, struct identify *id)
{
	struct path *p = id->p;
	struct session *s = p->session;
	char why[80];

	snprintf(why, sizeof(why), "not a disk: peripheral qualifier %u, device type %02xh",
		 id->inquiry.qualifier, id->inquiry.type);
	identify_free(e, id);
	if (p->lun) {
		fail(e, p, PATH_REFUSED, "path-refused", why);
		return;
	}
	p->ignored = true;
	path_set_state(e, p, PATH_REFUSED, why);
	session_scanned(e, s);
}

/* Not ready for this command now, but may be soon. */
static bool transient(const struct scsi_cmd *c)
{
	if (c->status == SCSI_ST_BUSY || c->status == SCSI_ST_TASK_SET_FULL ||
	    c->status == SCSI_ST_TASK_ABORTED)
		return true;
	return c->status == SCSI_ST_CHECK_CONDITION &&
	       (!c->sense.valid || c->sense.key == SCSI_KEY_UNIT_ATTENTION || c->sense.key == SCSI_KEY_ABORTED_COMMAND ||
		(c->sense.key == SCSI_KEY_NOT_READY && c->sense.asc == 0x04));
}

/* The port's group is not active, and lets only some commands pass (SPC-4 5.15.2.4.4 and .5). */
static bool not_active(const struct scsi_cmd *c)
{
	return c->outcome == SCSI_OUT_STATUS && c->status == SCSI_ST_CHECK_CONDITION && c->sense.valid &&
	       c->sense.key == SCSI_KEY_NOT_READY && c->sense.asc == 0x04 &&
	       (c->sense.ascq == 0x12 || (c->sense.ascq >= 0x0a && c->sense.ascq <= 0x0c));
}

/* The target does not have this page or command, which is something else than trouble with it. */
static bool refused(const struct scsi_cmd *c)
{
	return c->outcome == SCSI_OUT_STATUS && c->status == SCSI_ST_CHECK_CONDITION &&
	       c->sense.valid && c->sense.key == SCSI_KEY_ILLEGAL_REQUEST;
}

static bool reserved(const struct scsi_cmd *c)
{
	return c->outcome == SCSI_OUT_STATUS && c->status == SCSI_ST_RESERVATION_CONFLICT;
}

static void step_later(struct engine *e, struct timer *t)
{
	next_step(e, list_entry(t, struct identify, timer));
}

static void describe(const struct scsi_cmd *c, char *out, size_t cap)
{
	if (c->outcome != SCSI_OUT_STATUS)
		snprintf(out, cap, "no usable answer");
	else if (c->status != SCSI_ST_CHECK_CONDITION)
		snprintf(out, cap, "%s", scsi_status_name(c->status));
	else if (!c->sense.valid)
		snprintf(out, cap, "CHECK CONDITION without sense data");
	else
		snprintf(out, cap, "%s %02x/%02x", scsi_key_name(c->sense.key), c->sense.asc,
			 c->sense.ascq);
}

static void step_done(struct engine *e, struct attempt *a)
{
	struct path *p = a->path;
	struct identify *id = p->identify;
	const struct step *st = &steps[id->step];
	const struct scsi_cmd *c = a->cmd;
	char what[80], why[160];
	int ret;

	id->out = NULL;
	if (c->outcome == SCSI_OUT_STATUS && c->status == SCSI_ST_GOOD) {
		ret = st->parse(id, id->buf->data, c->got);
		if (id->step == 0 && !ret && (id->inquiry.qualifier || id->inquiry.type)) {
			not_a_disk(e, id);
			return;
		}
		if (!ret || st->optional) {
			id->step++;
			id->tries = 0;
			next_step(e, id);
			return;
		}
		snprintf(what, sizeof(what), ret == -ENODATA ? "nothing usable in the answer" :
							       "malformed answer");
	} else if (id->inquiry.tpgs && not_active(c) && (st->optional || st->build == build_capacity)) {
		id->size_unread |= st->build == build_capacity;
		id->step++;
		id->tries = 0;
		next_step(e, id);
		return;
	} else if (c->outcome == SCSI_OUT_STATUS && transient(c) && id->tries < STEP_TRIES) {
		id->tries++;
		id->timer.fire = step_later;
		engine_arm(e, &id->timer, e->now + (id->tries > 2 ? STEP_DELAY_US * id->tries : 0));
		return;
	} else if (st->optional && (refused(c) || reserved(c))) {
		id->mode_conflict |= reserved(c) && st->build == build_mode;
		id->step++;
		id->tries = 0;
		next_step(e, id);
		return;
	} else {
		describe(c, what, sizeof(what));
	}
	snprintf(why, sizeof(why), "%s: %s", st->what, what);
	identify_free(e, id);
	fail(e, p, PATH_FAILED, "path-failed", why);
}

/* Is there something to learn from this step? */
static bool needed(const struct identify *id, const struct step *st)
{
	if (st->build == build_groups)
		return id->inquiry.tpgs != 0;
	if (st->build == build_groups_short) /* LIO's extended form says 4 bytes too few of itself */
		return id->inquiry.tpgs != 0 && !id->groups.n;
	return !st->vpd || !st->optional || scsi_vpd_has(&id->pages, st->vpd);
}

static void next_step(struct engine *e, struct identify *id)
{
	struct path *p = id->p;
	struct attempt *a;

	while (id->step < NSTEPS && !needed(id, &steps[id->step]))
		id->step++;
	if (id->step == NSTEPS) {
		finish(e, id);
		return;
	}
	a = attempt_new(e, p->session, p, id->buf);
	if (!a)
		goto later;
	steps[id->step].build(a->cmd);
	memset(id->buf->data, 0, a->cmd->len);
	attempt_set_data(a, id->buf->data, a->cmd->len);
	a->done = step_done;
	id->out = a;
	if (attempt_send(e, a) == 0)
		return;
	id->out = NULL;
later:
	id->timer.fire = step_later;
	engine_arm(e, &id->timer, e->now + STEP_DELAY_US);
}

void identify_start(struct engine *e, struct path *p)
{
	struct identify *id = calloc(1, sizeof(*id));

	identify_abort(e, p);
	if (id)
		id->buf = buf_get(e->pool, ANSWER_BYTES);
	if (!id || !id->buf) {
		free(id);
		fail(e, p, PATH_FAILED, "path-failed", "out of memory");
		return;
	}
	id->p = p;
	p->identify = id;
	p->ignored = false;
	next_step(e, id);
}
