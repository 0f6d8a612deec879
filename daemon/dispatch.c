/* SPDX-License-Identifier: MIT */
/*
 * From io to path: asks the policy, builds the CDB and sends it. What can't be sent now waits on lun->waiting, never
 * inside the initiator, so that failover can move it.
 */
#include "fence.h"
#include "flight.h"
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RETRY_MIN_US (10 * US_PER_MS)
#define RETRY_MAX_US (500 * US_PER_MS)

/* Room for one more command: queue_depth is the path's, the window is the session's. */
static bool has_room(const struct path *p)
{
	return p->session->load.ios < p->session->window &&
	       p->inflight < p->lun->opt->queue_depth;
}

/* The candidates as the policy sees them, ids ascending; path_of[i] belongs to views[i]. */
static int collect(struct lun *l, struct policy_path *views, struct path **path_of)
{
	struct list *pos;
	int n = 0;

	list_for_each(pos, &l->paths) {
		struct path *p = list_entry(pos, struct path, in_lun);

		if (!path_takes_io(p) || n == POLICY_MAX_PATHS)
			continue;
		p->view.ready = has_room(p);
		views[n] = p->view;
		path_of[n++] = p;
	}
	return n;
}

static int choose(struct lun *l, const uint32_t *tried, int ntried, uint32_t bytes, struct path **out)
{
	struct policy_path views[POLICY_MAX_PATHS];
	struct path *path_of[POLICY_MAX_PATHS];
	int n = collect(l, views, path_of);
	int i = n ? policy_choose(l->policy, &l->policy_state, views, n, tried, ntried, bytes)
		  : POLICY_NONE;

	if (i >= 0)
		*out = path_of[i];
	return i;
}

/* The path for this io, or POLICY_NONE / POLICY_WAIT. */
static int choose_for(struct io *io, struct path **out)
{
	struct lun *l = io->req->lun;
	uint32_t bytes = io->op == IO_READ || io->op == IO_WRITE ? io->blocks * l->block_size : 0;
	struct list *pos;
	int ret;

	if (io->stay) {
		list_for_each(pos, &l->paths) {
			struct path *p = list_entry(pos, struct path, in_lun);

			if (p->id == io->stay && path_takes_io(p) && p->view.alua <= ALUA_WORST) {
				*out = p;
				return has_room(p) ? 0 : POLICY_WAIT;
			}
		}
		io->stay = 0;
	}
	ret = choose(l, io->tried, io->ntried, bytes, out);
	if (ret == POLICY_WAIT && io->ntried) {
		/* Better a path that failed it before than to hold up those that wait behind it. */
		io->ntried = 0;
		ret = choose(l, NULL, 0, bytes, out);
	}
	return ret;
}

static void build_cdb(struct io *io, struct attempt *a, uint8_t *data)
{
	const struct lun *l = io->req->lun;
	uint32_t bs = l->block_size;
	struct scsi_cmd *c = a->cmd;

	switch ((enum io_op)io->op) {
	case IO_READ:
		cdb_read16(c, io->lba, io->blocks, bs);
		break;
	case IO_WRITE:
		cdb_write16(c, io->lba, io->blocks, bs, io->fua);
		break;
	case IO_SYNC:
		if (l->sync10)
			cdb_sync_cache10(c, 0, 0);
		else
			cdb_sync_cache16(c, 0, 0);
		break;
	case IO_UNMAP:
		cdb_unmap(c, data, io->lba, io->blocks);
		break;
	case IO_WRITE_SAME:
		cdb_write_same16(c, io->lba, io->blocks, bs,
				 !io->req->no_hole && l->prov.ws16_unmap && l->prov.reads_zero);
		break;
	case IO_PREFETCH:
		cdb_prefetch16(c, io->lba, io->blocks);
		break;
	case IO_STATUS:
		cdb_get_lba_status(c, io->lba, LBA_STATUS_BYTES);
		break;
	}
	if (c->len)
		attempt_set_data(a, data, c->len);
	c->lun = a->path->lun_number;
}

/* What the next process has to know, should this one be killed. */
static void record(struct engine *e, struct attempt *a)
{
	const struct io *io = a->io;
	struct session *s = a->session;

	if (!e->flight || (io->op != IO_WRITE && io->op != IO_UNMAP && io->op != IO_WRITE_SAME))
		return;
	if (!s->flight || s->recorded_login != s->logins) {
		struct flight_nexus n = {
			.target = s->target->conf->name, .session = s->name, .isid = s->isid, .tpgt = s->tpgt
		};

		s->flight = flight_nexus(e->flight, &n);
		s->recorded_login = s->logins;
	}
	a->record = flight_put(e->flight, s->flight, lun_flight(e, io->req->lun), io->lba, io->lba + io->blocks);
}

/* One try of io on p. buf/data: where the bytes are. 0 or -errno. */
static int try_on(struct engine *e, struct io *io, struct path *p, struct buf *buf, uint8_t *data,
		  bool hedge)
{
	struct attempt *a = attempt_new(e, p->session, p, buf);
	int ret;

	if (!a)
		return -ENOMEM;
	build_cdb(io, a, data);
	a->hedge = hedge;
	a->done = io_outcome;
	a->io = io;
	record(e, a);
	ret = attempt_send(e, a);
	if (ret)
		return ret;
	list_add_tail(&a->sibling, &io->attempts);
	failover_sent(e, io);
	return 0;
}

static int try_first(struct engine *e, struct io *io, struct path *p)
{
	struct buf *list;
	int ret;

	if (io->op != IO_UNMAP)
		return try_on(e, io, p, io->buf, io->data, false);
	list = buf_get(e->pool, SCSI_UNMAP_LIST_LEN);
	if (!list)
		return -ENOMEM;
	ret = try_on(e, io, p, list, list->data, false);
	buf_put(list);
	return ret;
}

void io_wait(struct engine *e, struct io *io, bool first)
{
	struct lun *l = io->req->lun;

	assert(!io->waiting && list_empty(&io->attempts));
	if (first)
		list_add_head(&io->link, &l->waiting);
	else
		list_add_tail(&io->link, &l->waiting);
	io->waiting = true;
	l->nwaiting++;
	e->nwaiting++;
}

static void delay_over(struct engine *e, struct timer *t)
{
	struct io *io = list_entry(t, struct io, timer);

	list_del(&io->link);
	io_dispatch(e, io);
}

void io_delay(struct engine *e, struct io *io, uint64_t us)
{
	list_add_tail(&io->link, &io->req->lun->delayed);
	io->timer.fire = delay_over;
	engine_arm(e, &io->timer, e->now + us);
}

uint64_t io_retry_delay(const struct io *io)
{
	uint64_t d = RETRY_MIN_US << (io->tries < 8 ? io->tries : 8);

	return d < RETRY_MAX_US ? d : RETRY_MAX_US;
}

/* Sends io. false: there is no path for it now, or no room. */
static bool io_try(struct engine *e, struct io *io)
{
	struct path *p = NULL;

	if (choose_for(io, &p) < 0)
		return false;
	if (try_first(e, io, p)) {
		/* Out of memory, most likely: the command was not sent, so try again a little later. */
		io->tries++;
		io_delay(e, io, io_retry_delay(io));
	}
	return true;
}

void io_dispatch(struct engine *e, struct io *io)
{
	struct lun *l = io->req->lun;

	if (l->no_path_failed) {
		io_finish(e, io, EIO);
		return;
	}
	/* Those that wait came first; a retry is older than they are and goes before them. */
	if ((l->nwaiting && !io->tries) || !io_try(e, io))
		io_wait(e, io, io->tries > 0);
}

void lun_run(struct engine *e, struct lun *l)
{
	struct list *pos;

	while ((pos = list_pop(&l->waiting))) {
		struct io *io = list_entry(pos, struct io, link);

		io->waiting = false;
		l->nwaiting--;
		e->nwaiting--;
		if (!io_try(e, io)) {
			io_wait(e, io, true);
			break;
		}
	}
}

/* A second try of a READ, elsewhere, into a buffer of its own. */
static void hedge(struct engine *e, struct attempt *a)
{
	struct io *io = a->io;
	struct path *p = NULL;
	struct buf *b;

	if (choose(io->req->lun, &a->path->id, 1, a->cmd->len, &p) < 0 || p->session == a->session ||
	    p->view.class_ >= POLICY_CLASS_SUSPECT)
		return;
	b = buf_get(e->pool, a->cmd->len);
	if (!b)
		return;
	if (try_on(e, io, p, b, b->data, true) == 0)
		io->hedged = true;
	buf_put(b);
}

void session_hedge_reads(struct engine *e, struct session *s)
{
	struct list *pos, *tmp;

	list_for_each_safe(pos, tmp, &s->inflight) {
		struct attempt *a = list_entry(pos, struct attempt, link);

		if (a->io && a->io->op == IO_READ && !a->io->hedged && a->io->req->lun->opt->hedge)
			hedge(e, a);
	}
}

/* Why a path is no candidate at all. */
static void not_a_candidate(const struct path *p, struct explain *x)
{
	snprintf(x->why, sizeof(x->why), "%s%s%s", path_state_name(p), p->reason[0] ? ": " : "", p->reason);
}

int lun_explain(struct lun *l, struct explain *out, int cap)
{
	struct policy_path views[POLICY_MAX_PATHS];
	struct path *path_of[POLICY_MAX_PATHS];
	char why[POLICY_MAX_PATHS][POLICY_WHY_MAX];
	int n = collect(l, views, path_of), chosen = POLICY_NONE, k = 0;
	struct list *pos;

	if (n)
		policy_explain(l->policy, &l->policy_state, views, n, l->block_size, &chosen, why);
	list_for_each(pos, &l->paths) {
		struct path *p = list_entry(pos, struct path, in_lun);
		int i;

		if (k == cap)
			break;
		out[k] = (struct explain){ .path = p };
		for (i = 0; i < n && path_of[i] != p; i++)
			;
		if (i == n) {
			not_a_candidate(p, &out[k]);
		} else {
			out[k].chosen = i == chosen;
			snprintf(out[k].why, sizeof(out[k].why), "%s", why[i]);
		}
		k++;
	}
	return k;
}
