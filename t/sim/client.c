/* SPDX-License-Identifier: MIT */
/*
 * Clients: a few slots a LUN, each with one request after the other, aligned or not, and the check
 * of every answer. A granule's bytes say which write they are of and where they belong.
 */
#include "sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 6

struct slot {
	struct list link;
	uint64_t id;         /* of the event that wakes it */
	struct lun *lun;
	struct disk *disk;
	bool busy, parked, reading_all, read_all_done;
	uint64_t start, write_id;
	uint32_t cursor;
	struct request r;
};

struct stamp {
	uint64_t id, where;
};

static void stamp_granule(uint8_t *p, uint64_t id, uint64_t where)
{
	struct stamp st = { id, where };

	for (unsigned i = 0; i < GRANULE / sizeof(st); i++)
		memcpy(p + i * sizeof(st), &st, sizeof(st));
}

/* The write the granule is of; false: it is torn, or belongs elsewhere. */
static bool read_stamp(const uint8_t *p, uint64_t where, uint64_t *id)
{
	struct stamp st, other;

	memcpy(&st, p, sizeof(st));
	for (unsigned i = 1; i < GRANULE / sizeof(st); i++) {
		memcpy(&other, p + i * sizeof(st), sizeof(other));
		if (memcmp(&st, &other, sizeof(st)))
			return false;
	}
	*id = st.id;
	return st.id ? st.where == where : st.where == 0;
}

static struct slot *slot_of(struct request *r)
{
	return list_entry(r, struct slot, r);
}

static struct disk *disk_of(struct sim *s, const struct lun *l)
{
	for (int i = 0; i < s->ndisks; i++)
		if (l->id[strlen(l->id) - 1] == '1' + i)
			return &s->disks[i];
	sim_fail(s, "a LUN of an identity there is not: %s", l->id);
	return &s->disks[0];
}

static uint64_t granule_where(const struct disk *d, uint64_t g)
{
	return (uint64_t)d->index << 32 | (g + 1);
}

static bool changes(const struct request *r)
{
	return r->op == REQUEST_WRITE || r->op == REQUEST_TRIM || r->op == REQUEST_ZERO;
}

static void pick(struct sim *s, struct slot *w)
{
	struct request *r = &w->r;
	struct disk *d = w->disk;
	uint32_t total = d->ngranules, unit = d->block_size / GRANULE, first, n;
	bool aligned = sim_chance(s, 60);

	memset(r, 0, sizeof(*r));
	r->lun = w->lun;
	switch (sim_below(s, 22)) {
	default:
		r->op = REQUEST_READ;
		break;
	case 8 ... 15:
		r->op = REQUEST_WRITE;
		break;
	case 16:
		r->op = REQUEST_TRIM;
		break;
	case 17 ... 18:
		r->op = REQUEST_ZERO;
		r->no_hole = sim_chance(s, 50);
		r->fast = sim_chance(s, 30);
		break;
	case 20:
		r->op = REQUEST_STATUS;
		r->one = sim_chance(s, 20);
		break;
	case 21:
		r->op = REQUEST_CACHE;
		break;
	case 19:
		r->op = REQUEST_FLUSH;
		return;
	}
	r->fua = changes(r) && sim_chance(s, 15);
	first = sim_below(s, total);
	n = 1 + sim_below(s, sim_chance(s, 20) ? total : 2 * unit);
	if (aligned) {
		first -= first % unit;
		n = (n + unit - 1) / unit * unit;
	}
	if (n > total - first)
		n = total - first;
	r->offset = (uint64_t)first * GRANULE;
	r->len = n * GRANULE;
}

/* When the oldest request that is under way began. */
static uint64_t oldest_start(const struct sim *s)
{
	const struct list *pos;
	uint64_t t = s->now;

	list_for_each(pos, &s->slots) {
		const struct slot *w = list_entry(pos, struct slot, link);

		if (w->busy && w->start < t)
			t = w->start;
	}
	return t;
}

static void begin_write(struct sim *s, struct slot *w)
{
	uint64_t oldest = oldest_start(s);
	struct request *r = &w->r;
	uint64_t first = r->offset / GRANULE, n = r->len / GRANULE;

	w->write_id = r->op == REQUEST_WRITE ? ++s->writes : 0;
	for (uint64_t i = 0; i < n; i++) {
		check_begin(&w->disk->g[first + i], w->write_id, w->id, s->now, oldest);
		if (r->op == REQUEST_WRITE)
			stamp_granule(r->data + i * GRANULE, w->write_id,
				      granule_where(w->disk, first + i));
	}
}

/* Does the request touch the granule that is watched? */
static bool watched(const struct sim *s, const struct slot *w)
{
	const struct request *r = &w->r;

	return w->disk->index == s->watch_disk && s->watch_granule >= r->offset / GRANULE &&
	       (r->op == REQUEST_FLUSH || s->watch_granule < (r->offset + r->len) / GRANULE);
}

static void submit(struct sim *s, struct slot *w)
{
	struct request *r = &w->r;

	w->busy = true;
	w->start = s->now;
	s->requests++;
	if (r->op == REQUEST_READ || r->op == REQUEST_WRITE) {
		/* Exactly as long as the request, so that a byte too many is noticed. */
		r->buf = buf_get(s->pool, r->len);
		r->data = r->buf->data;
	}
	if (changes(r))
		begin_write(s, w);
	if (watched(s, w))
		sim_trace(s, "slot %llu submits op %u, write %llu%s, granules %llu+%u",
			  (unsigned long long)w->id, r->op, (unsigned long long)w->write_id,
			  r->fua ? " FUA" : "", (unsigned long long)(r->offset / GRANULE),
			  r->len / GRANULE);
	engine_submit(s->engine, r);
}

static void next(struct sim *s, struct slot *w)
{
	if (w->busy || !w->lun)
		return;
	if (!w->parked) {
		if (w->reading_all) {
			memset(&w->r, 0, sizeof(w->r));
			w->r.lun = w->lun;
			w->r.op = REQUEST_READ;
			w->r.len = w->disk->ngranules * GRANULE;
		} else if (s->stopped) {
			return;
		} else {
			pick(s, w);
		}
	}
	w->parked = !engine_admit(s->engine, w->lun, w->r.len);
	if (!w->parked)
		submit(s, w);
}

static void check_data(struct sim *s, struct slot *w, unsigned how)
{
	const struct request *r = &w->r;
	uint64_t first = r->offset / GRANULE, id;
	const char *wrong;

	for (uint64_t i = 0; i < r->len / GRANULE; i++) {
		if (!read_stamp(r->data + i * GRANULE, granule_where(w->disk, first + i), &id)) {
			sim_fail(s, "disk %d granule %llu: torn, or of another place", w->disk->index,
				 (unsigned long long)(first + i));
			return;
		}
		wrong = check_read(&w->disk->g[first + i], id, w->start, s->now, how);
		if (wrong) {
			sim_fail(s, "disk %d granule %llu: write %llu was read, %s", w->disk->index,
				 (unsigned long long)(first + i), (unsigned long long)id, wrong);
			return;
		}
	}
}

/* What is said to be zeroes is as good as zeroes that were read. */
static void check_extents(struct sim *s, struct slot *w, unsigned how)
{
	const struct request *r = &w->r;
	const struct request_extent *x = (const void *)r->data;
	uint64_t at = r->offset, end = r->offset + r->len;
	const char *wrong = NULL;

	if (!r->nextents || r->nextents > (r->one ? 1 : REQUEST_EXTENTS_MAX))
		sim_fail(s, "%u extents", r->nextents);
	for (uint32_t i = 0; i < r->nextents; at += x[i++].len) {
		if (!x[i].len || x[i].len > end - at) {
			sim_fail(s, "extent %u of %u bytes, asked for %u", i, x[i].len, r->len);
			return;
		}
		if (x[i].flags && !w->disk->thin)
			sim_fail(s, "a hole on a disk that has none");
		if (!(x[i].flags & REQUEST_EXTENT_ZERO))
			continue;
		if (!w->disk->zero_unmapped)
			sim_fail(s, "zeroes on a disk that does not say so");
		for (uint64_t g = at / GRANULE; g < (at + x[i].len) / GRANULE && !wrong; g++)
			wrong = check_read(&w->disk->g[g], 0, w->start, s->now, how);
		if (wrong)
			sim_fail(s, "disk %d: zeroes are said to be at %llu, %s", w->disk->index,
				 (unsigned long long)at, wrong);
	}
}

void client_done(struct sim *s, struct request *r)
{
	struct slot *w = slot_of(r);
	struct disk *d = w->disk;
	unsigned how = (r->err ? 0 : CHECK_OK) | (r->fua ? CHECK_DURABLE : 0) |
		       (d->lost_power < w->start ? CHECK_FRESH : 0);

	if (!w->busy) {
		sim_fail(s, "a request completed twice");
		return;
	}
	w->busy = false;
	/* A trim is advice. What ran before a power loss and was acknowledged after it may be lost,
	 * as everything that is not flushed. */
	if (r->op != REQUEST_TRIM && (how & (CHECK_DURABLE | CHECK_FRESH)))
		how |= CHECK_SURE;
	if (watched(s, w))
		sim_trace(s, "slot %llu is done: op %u, error %d", (unsigned long long)w->id, r->op,
			  r->err);
	if (r->err && !(r->fast && r->err == ENOTSUP) && !(s->may_fail && r->err == EIO) && !(s->engine->stopping && r->err == ESHUTDOWN))
		sim_fail(s, "a client got error %d (%s)", r->err, strerror(r->err));
	if (!r->err && s->now - w->start > s->stall_us)
		s->stall_us = s->now - w->start;
	if (r->op == REQUEST_READ) {
		if (!r->err)
			check_data(s, w, how);
		if (w->reading_all && !r->err)
			w->read_all_done = true;
		w->reading_all = false;
	} else if (r->op == REQUEST_FLUSH) {
		if (!r->err && w->start > d->flushed) {
			d->flushed = w->start;
			for (uint64_t i = 0; i < d->ngranules; i++)
				if (d->g[i].flushed < w->start)
					d->g[i].flushed = w->start;
		}
	} else if (r->op == REQUEST_STATUS) {
		if (!r->err)
			check_extents(s, w, how);
	} else if (changes(r)) {
		for (uint64_t i = 0; i < r->len / GRANULE; i++)
			check_end(&d->g[r->offset / GRANULE + i], w->id, w->start, s->now, how);
	}
	buf_put(r->buf);
	r->buf = NULL;
	/* Often from inside: that is allowed. */
	if (sim_chance(s, 30))
		next(s, w);
	else
		sim_at(s, sim_below(s, 20 * MS), EV_CLIENT, w->id, 0);
}

void client_event(struct sim *s, uint64_t id)
{
	struct list *pos;

	if (!id) {
		client_room(s);
		return;
	}
	list_for_each(pos, &s->slots) {
		struct slot *w = list_entry(pos, struct slot, link);

		if (w->id == id) {
			next(s, w);
			return;
		}
	}
}

void client_room(struct sim *s)
{
	struct list *pos;

	list_for_each(pos, &s->slots) {
		struct slot *w = list_entry(pos, struct slot, link);

		if (w->parked)
			next(s, w);
	}
}

void client_start(struct sim *s, struct lun *l)
{
	bool known = false;
	struct list *pos;

	if (l->io)
		return;
	l->io = disk_of(s, l);
	list_for_each(pos, &s->slots) {
		struct slot *w = list_entry(pos, struct slot, link);

		if (w->disk != l->io)
			continue;
		known = true;
		w->lun = l;
		sim_at(s, sim_below(s, MS), EV_CLIENT, w->id, 0);
	}
	if (known)
		return;
	for (int i = 0; i < SLOTS; i++) {
		struct slot *w = calloc(1, sizeof(*w));

		w->id = ++s->next_id;
		w->lun = l;
		w->disk = l->io;
		list_add_tail(&w->link, &s->slots);
		sim_at(s, sim_below(s, MS), EV_CLIENT, w->id, 0);
	}
}

/* The export is closed; the disk may come back as another. */
void client_gone(struct sim *s, struct lun *l)
{
	struct list *pos;

	sim_trace(s, "LUN %s is gone", l->name);
	list_for_each(pos, &s->slots) {
		struct slot *w = list_entry(pos, struct slot, link);

		if (w->lun == l) {
			w->lun = NULL;
			w->parked = false;
		}
	}
	l->io = NULL;
}

bool client_quiet(const struct sim *s)
{
	const struct list *pos;

	list_for_each(pos, &s->slots) {
		const struct slot *w = list_entry(pos, struct slot, link);

		if (w->busy || w->parked || w->reading_all)
			return false;
	}
	return true;
}

void client_stop(struct sim *s)
{
	struct list *pos;

	s->stopped = true;
	list_for_each(pos, &s->slots)
		list_entry(pos, struct slot, link)->parked = false;
}

void client_read_all(struct sim *s)
{
	struct list *pos;

	list_for_each(pos, &s->slots) {
		struct slot *w = list_entry(pos, struct slot, link);

		w->reading_all = w->lun != NULL;
		next(s, w);
	}
}

void client_free(struct sim *s)
{
	struct list *pos;

	while ((pos = list_pop(&s->slots))) {
		struct slot *w = list_entry(pos, struct slot, link);

		if (w->busy)
			sim_fail(s, "a request never came back");
		free(w);
	}
}
