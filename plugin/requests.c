/* SPDX-License-Identifier: MIT */
/* What clients ask: nbdkit's calls to the engine's requests, and back. */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "requests.h"
#include "../daemon/model.h"

#include <errno.h>
#include <string.h>

struct call {
	struct job job;
	struct request r;
	uint8_t *to;         /* READ */
	const uint8_t *from; /* WRITE */
	struct request_extent *extents; /* STATUS */
};

/* Refused by engine_admit(), oldest first. On the loop. */
static struct list held = { &held, &held };

static struct call *call_of(struct list *link)
{
	return list_entry(list_entry(link, struct job, link), struct call, job);
}

static void finish(struct call *call, int err)
{
	call->r.err = err;
	job_done(&call->job);
}

static void submit(struct server *sv, struct call *call)
{
	struct request *r = &call->r;

	if (call->to || call->from) {
		r->buf = buf_get(sv->pool, r->len);
		if (!r->buf) {
			finish(call, ENOMEM);
			return;
		}
		r->data = r->buf->data;
		if (call->from)
			memcpy(r->data, call->from, r->len);
	}
	server_enter(sv);
	engine_submit(sv->engine, r);
}

/* Bytes that the engine will hold: a buffer has whole pages. */
static uint32_t weight(const struct call *call)
{
	if (!call->to && !call->from)
		return 0;
	return call->r.len < 4096 ? 4096 : call->r.len;
}

/* Those of one LUN keep their order among each other: a large one is not overtaken for ever. */
static bool behind_held(const struct call *call)
{
	const struct list *pos;

	list_for_each(pos, &held)
		if (call_of((struct list *)pos)->r.lun == call->r.lun)
			return true;
	return false;
}

static void run(struct server *sv, struct job *job)
{
	struct call *call = list_entry(job, struct call, job);

	if (behind_held(call) || !engine_admit(sv->engine, call->r.lun, weight(call)))
		list_add_tail(&job->link, &held);
	else
		submit(sv, call);
}

void requests_room(struct server *sv)
{
	struct list again, *pos;

	list_init(&again);
	while ((pos = list_pop(&held)))
		list_add_tail(pos, &again);
	server_enter(sv);
	while ((pos = list_pop(&again)))
		run(sv, list_entry(pos, struct job, link));
}

void requests_done(void *arg, struct request *r)
{
	struct call *call = list_entry(r, struct call, r);

	(void)arg;
	if (call->to && !r->err)
		memcpy(call->to, r->data, r->len);
	if (call->extents && !r->err)
		memcpy(call->extents, r->data, r->nextents * sizeof(*call->extents));
	buf_put(r->buf);
	finish(call, r->err);
}

/* 0, or -1 with nbdkit told. */
static int make(struct handle *h, struct call *call, const char *what)
{
	struct request *r = &call->r;

	call->job.run = run;
	r->lun = h->lun;
	r->err = ESHUTDOWN; /* unless it is run */
	front_call(&call->job);
	if (!r->err)
		return 0;
	nbdkit_set_error(r->err);
	if (r->fast && r->err == ENOTSUP) /* an answer, not an error */
		return -1;
	nbdkit_error("%s: %s of %u bytes at %llu: %s", h->name, what, r->len,
		     (unsigned long long)r->offset, strerror(r->err));
	return -1;
}

int requests_read(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct call call = { .to = buf, .r = { .op = REQUEST_READ, .offset = offset, .len = count } };

	(void)flags;
	return make(handle, &call, "read");
}

int requests_write(void *handle, const void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct call call = { .from = buf, .r = { .op = REQUEST_WRITE, .offset = offset, .len = count } };

	call.r.fua = flags & NBDKIT_FLAG_FUA;
	return make(handle, &call, "write");
}

int requests_flush(void *handle, uint32_t flags)
{
	struct call call = { .r = { .op = REQUEST_FLUSH } };

	(void)flags;
	return make(handle, &call, "flush");
}

int requests_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct call call = { .r = { .op = REQUEST_TRIM, .offset = offset, .len = count } };

	call.r.fua = flags & NBDKIT_FLAG_FUA;
	return make(handle, &call, "trim");
}

int requests_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct call call = { .r = { .op = REQUEST_ZERO, .offset = offset, .len = count } };

	call.r.fua = flags & NBDKIT_FLAG_FUA;
	call.r.no_hole = !(flags & NBDKIT_FLAG_MAY_TRIM);
	call.r.fast = flags & NBDKIT_FLAG_FAST_ZERO;
	return make(handle, &call, "zero");
}

int requests_cache(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct call call = { .r = { .op = REQUEST_CACHE, .offset = offset, .len = count } };

	(void)flags;
	return make(handle, &call, "cache");
}

int requests_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
		     struct nbdkit_extents *to)
{
	_Static_assert(REQUEST_EXTENT_HOLE == NBDKIT_EXTENT_HOLE && REQUEST_EXTENT_ZERO == NBDKIT_EXTENT_ZERO,
		       "the flags go up as they are");
	struct request_extent extents[REQUEST_EXTENTS_MAX];
	struct call call = { .r = { .op = REQUEST_STATUS, .offset = offset, .len = count },
			     .extents = extents };

	call.r.one = flags & NBDKIT_FLAG_REQ_ONE;
	if (make(handle, &call, "block status"))
		return -1;
	for (uint32_t i = 0; i < call.r.nextents; i++) {
		if (nbdkit_add_extent(to, offset, extents[i].len, extents[i].flags))
			return -1;
		offset += extents[i].len;
	}
	return 0;
}
