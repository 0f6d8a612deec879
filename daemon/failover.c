/* SPDX-License-Identifier: MIT */
/*
 * A record of each lost session: when it was noticed and by what, when the verdict fell, when its
 * commands were sent elsewhere, when the first good completion came, when the last doubt about a
 * write ended. Told as one event, when all of it is known.
 */
#include "fence.h"
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct failover {
	struct list in_engine;
	struct event_failover t;
	char session[160], by[64], text[200], how[64];
	unsigned ios, doubts; /* that still have to come to an end */
	bool told;
};

struct failover *failover_new(struct engine *e, const struct session *s, const char *by,
			      const char *text)
{
	struct failover *fo = calloc(1, sizeof(*fo));

	if (!fo)
		return NULL;
	fo->t.verdict_us = e->now;
	fo->t.noticed_us = s->suspect_since ? s->suspect_since : e->now;
	snprintf(fo->session, sizeof(fo->session), "%s", s->name);
	snprintf(fo->by, sizeof(fo->by), "%s", s->suspect_since ? "silence" : by);
	snprintf(fo->text, sizeof(fo->text), "%s", text);
	fo->ios = 1; /* until failover_settled() */
	list_add_tail(&fo->in_engine, &e->failovers);
	return fo;
}

static void failover_free(struct failover *fo)
{
	list_del(&fo->in_engine);
	free(fo);
}

void failover_moved(struct failover *fo, struct io *io, uint64_t bytes)
{
	fo->t.moved++;
	fo->t.bytes += bytes;
	if (io->fo) /* moved once more: it counts for the first loss, which has waited longest */
		return;
	io->fo = fo;
	fo->ios++;
}

/* +N us, or a word for what did not happen. */
static const char *after(char out[32], uint64_t t, uint64_t t0, const char *never)
{
	if (!t)
		return never;
	snprintf(out, 32, "+%llu us", (unsigned long long)(t - t0));
	return out;
}

static void tell(struct engine *e, struct failover *fo)
{
	uint64_t t0 = fo->t.noticed_us;
	char sent[32], good[32], fence[32];

	fo->told = true;
	fo->t.by = fo->by;
	fo->t.fence = fo->how;
	engine_emit_failover(e, fo->session, &fo->t,
			     "noticed by %s; verdict +%llu us (%s); %u commands (%llu bytes) sent elsewhere %s; "
			     "first good completion %s; doubt about writes ended %s%s%s",
			     fo->by, (unsigned long long)(fo->t.verdict_us - t0), fo->text, fo->t.moved,
			     (unsigned long long)fo->t.bytes,
			     after(sent, fo->t.resubmitted_us, t0, "(none)"),
			     after(good, fo->t.first_good_us, t0, "(none)"),
			     after(fence, fo->t.fence_end_us, t0, "(there was none)"), fo->how[0] ? " by " : "",
			     fo->how);
}

void failover_check(struct engine *e, struct failover *fo)
{
	if (!fo->told && !fo->doubts && (fo->t.first_good_us || !fo->ios))
		tell(e, fo);
	if (fo->told && !fo->ios && !fo->doubts)
		failover_free(fo);
}

void failover_settled(struct engine *e, struct failover *fo)
{
	fo->ios--;
	failover_check(e, fo);
}

void failover_sent(struct engine *e, struct io *io)
{
	if (io->fo && !io->fo->t.resubmitted_us)
		io->fo->t.resubmitted_us = e->now;
}

void failover_good(struct engine *e, struct io *io)
{
	if (io->fo && !io->fo->t.first_good_us)
		io->fo->t.first_good_us = e->now;
}

void failover_leave(struct engine *e, struct io *io)
{
	struct failover *fo = io->fo;

	if (!fo)
		return;
	io->fo = NULL;
	fo->ios--;
	failover_check(e, fo);
}

void failover_doubt(struct failover *fo, int n, uint64_t now, const char *how)
{
	fo->doubts += n;
	if (n > 0)
		return;
	fo->t.fence_end_us = now;
	snprintf(fo->how, sizeof(fo->how), "%s", how);
}

void failover_free_all(struct engine *e)
{
	while (!list_empty(&e->failovers))
		failover_free(list_entry(e->failovers.next, struct failover, in_engine));
}
