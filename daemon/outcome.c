/* SPDX-License-Identifier: MIT */
/* What comes back of an attempt: carries out the DSM's verdict on it. */
#include "fence.h"
#include "internal.h"

#include <errno.h>
#include <string.h>

#define WINDOW_MAX 1024
#define WINDOW_GROW_US US_PER_S /* after a cut, before the window grows again */

/* Retries are bounded by time: how long an io may be tried before the client hears of it. */
static bool out_of_time(const struct engine *e, const struct io *io)
{
	const struct conf_opts *o = io->req->lun->opt;
	uint64_t limit = o->no_path_timeout_us;

	if (limit == CONF_QUEUE)
		return false;
	if (limit < o->command_timeout_us)
		limit = o->command_timeout_us;
	return io->failing_since && e->now - io->failing_since > limit;
}

static void note_tried(struct io *io, const struct path *p)
{
	size_t cap = sizeof(io->tried) / sizeof(io->tried[0]);

	if (io->ntried == cap) {
		memmove(io->tried, io->tried + 1, (cap - 1) * sizeof(io->tried[0]));
		io->ntried--;
	}
	io->tried[io->ntried++] = p->id;
}

/* Is there a path io was not tried on? */
static bool untried_path(const struct io *io)
{
	struct list *pos;

	list_for_each(pos, &io->req->lun->paths) {
		const struct path *p = list_entry(pos, struct path, in_lun);
		int i;

		if (!path_takes_io(p))
			continue;
		for (i = 0; i < io->ntried && io->tried[i] != p->id; i++)
			;
		if (i == io->ntried)
			return true;
	}
	return false;
}

/* Tries io again: where `v` says, when it says. A twin under way is trusted to answer instead. */
static void io_again(struct engine *e, struct io *io, struct path *p, const struct dsm_verdict *v)
{
	uint64_t delay = (uint64_t)v->delay_ms * US_PER_MS;

	if (!list_empty(&io->attempts))
		return;
	if (!io->failing_since)
		io->failing_since = e->now;
	io->tries++;
	io->hedged = false;
	if (out_of_time(e, io)) {
		engine_emit(e, EVENT_ERROR, "io-gave-up", io->req->lun, p->name,
			    "gave up on an I/O at block %llu after %u tries: %s",
			    (unsigned long long)io->lba, io->tries, v->why);
		io_finish(e, io, EIO);
		return;
	}
	if (v->action == DSM_SAME_PATH) {
		io->stay = p->id;
	} else {
		io->stay = 0;
		note_tried(io, p);
		if (!untried_path(io) || io->tries > (unsigned)io->req->lun->npaths)
			delay = io_retry_delay(io);
	}
	if (!delay) {
		io_dispatch(e, io);
		return;
	}
	io_delay(e, io, delay);
}

/* The answers of the lost twins find nobody any more; their buffers live until they come. */
static void orphan_attempts(struct io *io)
{
	struct list *pos;

	while ((pos = list_pop(&io->attempts))) {
		struct attempt *a = list_entry(pos, struct attempt, sibling);

		a->io = NULL;
		a->done = NULL;
		if (!a->hedge) /* it writes into the request's own buffer */
			io->req->tainted = true;
	}
}

static void io_success(struct engine *e, struct io *io, struct attempt *a)
{
	if (a->hedge && list_empty(&io->attempts))
		memcpy(io->data, a->buf->data, a->cmd->len);
	else if (a->hedge) /* what its twin brings, and be it with an error, goes there, too, and may come later */
		io->won = buf_ref(a->buf);
	if (io->op == IO_STATUS)
		extents_learn(io, (int)a->cmd->got);
	orphan_attempts(io);
	failover_good(e, io);
	io_finish(e, io, 0);
}

/* The target does not know the command or the FUA or UNMAP bit: is there another way? */
static bool find_another_way(struct engine *e, struct io *io)
{
	struct request *r = io->req;
	struct lun *l = r->lun;

	switch ((enum io_op)io->op) {
	case IO_SYNC:
		if (!l->sync10) { /* older than SBC-2: only the short form */
			l->sync10 = true;
			io->stay = 0;
			io_dispatch(e, io);
			return true;
		}
		break; /* neither form: there is no volatile cache to write back (SBC-3 4.16) */
	case IO_UNMAP: /* advice only */
		l->no_unmap = true;
		r->cursor = r->body_end;
		break;
	case IO_WRITE_SAME:
		if (l->prov.ws16_unmap)
			l->prov.ws16_unmap = false;
		else
			l->no_write_same = true;
		if (l->no_write_same && r->fast) {
			io_finish(e, io, ENOTSUP);
			return true;
		}
		r->redo = true;
		break;
	case IO_WRITE:
		if (!io->fua)
			return false;
		l->fua_refused = true;
		l->dpofua = false;
		r->redo = true;
		break;
	case IO_PREFETCH: /* advice */
		l->no_prefetch = true;
		r->cursor = r->body_end;
		break;
	case IO_STATUS: /* to say "all of it holds data" is never wrong */
		extents_learn(io, -1);
		break;
	case IO_READ:
		return false;
	}
	io_finish(e, io, 0);
	return true;
}

static void shrink_window(struct engine *e, struct session *s)
{
	if (e->now - s->window_cut < 100 * US_PER_MS && s->window_cut)
		return;
	s->window_cut = e->now;
	s->window = s->load.ios / 2;
	if (!s->window)
		s->window = 1;
}

static void grow_window(struct engine *e, struct session *s)
{
	if (s->window < WINDOW_MAX && e->now - s->window_cut > WINDOW_GROW_US)
		s->window++;
}

/* What was sent before the news came may have met another LUN: whatever it says is not believed. */
static void distrust(const struct path *p)
{
	struct list *pos;

	list_for_each(pos, &p->session->inflight) {
		struct attempt *a = list_entry(pos, struct attempt, link);

		if (a->path == p && a->io)
			a->wrong_lun = true;
	}
}

void apply_effects(struct engine *e, struct path *p, unsigned effects, const char *why)
{
	if (effects & DSM_SHRINK_WINDOW)
		shrink_window(e, p->session);
	if (effects & DSM_COUNTED)
		p->n.retries++;
	if (effects & DSM_WRITE_LOST) {
		p->lun->write_lost = true;
		flight_set_lost(e->flight, lun_flight(e, p->lun), true);
		engine_emit(e, EVENT_ERROR, "write-lost", p->lun, p->name,
			    "the storage reports that a write it had acknowledged failed later: the next flush fails");
	}
	if (effects & DSM_REGROW)
		grow_look(e, p->lun);
	if (effects & DSM_REGROUP)
		verify_path(e, p);
	if ((effects & DSM_RESCAN) && !p->session->removing)
		session_scan(e, p->session);
	if ((effects & DSM_REIDENTIFY) && p->state == PATH_USABLE) {
		distrust(p);
		path_set_state(e, p, PATH_IDENTIFYING, why);
		identify_start(e, p);
	}
}

void io_outcome(struct engine *e, struct attempt *a)
{
	struct io *io = a->io;
	struct path *p = a->path;
	struct lun *l = io->req->lun;
	struct dsm_verdict v = l->dsm->verdict(a->cmd, io->tries);

	if (a->wrong_lun && (v.action == DSM_DONE || v.action == DSM_CLIENT_ERROR))
		v = (struct dsm_verdict){ .action = DSM_OTHER_PATH,
					  .effects = DSM_COUNTED,
					  .alua = DSM_ALUA_UNKNOWN,
					  .why = "it may have been another LUN" };
	list_del(&a->sibling);
	a->io = NULL;
	if (v.action == DSM_DONE)
		grow_window(e, p->session);
	if (v.alua != DSM_ALUA_UNKNOWN)
		groups_told(e, p, v.alua);
	if (v.effects)
		apply_effects(e, p, v.effects, v.why);
	switch ((enum dsm_action)v.action) {
	case DSM_DONE:
		io_success(e, io, a);
		break;
	case DSM_CLIENT_ERROR:
		if ((v.effects & DSM_UNSUPPORTED || io->op == IO_STATUS) && find_another_way(e, io))
			break;
		engine_emit(e, EVENT_ERROR, "io-error", l, p->name, "%s at block %llu, %u blocks: %s",
			    scsi_opcode_name(a->cmd->cdb[0]), (unsigned long long)io->lba,
			    io->blocks, v.why);
		orphan_attempts(io);
		io_finish(e, io, v.err ? v.err : EIO);
		break;
	case DSM_FAIL_PATH:
		if (p->state == PATH_USABLE)
			path_fail(e, p, PATH_FAILED, "path-failed", "%s", v.why);
		io_again(e, io, p, &v);
		break;
	case DSM_SAME_PATH:
	case DSM_OTHER_PATH:
		io_again(e, io, p, &v);
		break;
	}
}

void io_requeue(struct engine *e, struct attempt *a)
{
	struct io *io = a->io;

	list_del(&a->sibling);
	a->io = NULL;
	a->path->n.retries++;
	if (!list_empty(&io->attempts))
		return;
	if (e->mutate == ENGINE_DROP_RETRY) {
		io_finish(e, io, 0);
		return;
	}
	io->tries++;
	io->hedged = false;
	io->stay = 0;
	note_tried(io, a->path);
	io_wait(e, io, true);
}
