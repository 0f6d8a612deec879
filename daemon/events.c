/* SPDX-License-Identifier: MIT */
/* The ring of the last events. */
#include "events.h"

#include <stdlib.h>
#include <string.h>

struct events {
	unsigned kept;
	uint64_t newest;
	struct events_entry **slot; /* entry seq is at seq % kept */
	void (*watch)(void *arg, const struct events_entry *ev);
	void *arg;
};

struct events *events_new(unsigned kept)
{
	struct events *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->kept = kept ? kept : 1;
	r->slot = calloc(r->kept, sizeof(*r->slot));
	if (!r->slot) {
		free(r);
		return NULL;
	}
	return r;
}

void events_free(struct events *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < r->kept; i++)
		free(r->slot[i]);
	free(r->slot);
	free(r);
}

/* Copies s (or NULL) to *at, moves *at behind it, and returns the copy. */
static const char *keep(char **at, const char *s)
{
	char *copy = *at;
	size_t n;

	if (!s)
		return NULL;
	n = strlen(s) + 1;
	memcpy(copy, s, n);
	*at += n;
	return copy;
}

static size_t room(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

/* The entry and its strings are one allocation. */
static struct events_entry *entry_new(const struct event *ev)
{
	const char *kind = ev->kind ? ev->kind : "", *text = ev->text ? ev->text : "";
	const struct event_failover *fo = ev->failover;
	struct events_entry *n = malloc(sizeof(*n) + room(kind) + room(ev->lun) + room(ev->path) +
					room(text) + (fo ? room(fo->by) + room(fo->fence) : 0));
	char *at;

	if (!n)
		return NULL;
	at = (char *)(n + 1);
	n->level = ev->level;
	n->kind = keep(&at, kind);
	n->lun = keep(&at, ev->lun);
	n->path = keep(&at, ev->path);
	n->text = keep(&at, text);
	n->has_failover = fo;
	if (fo) {
		n->failover = *fo;
		n->failover.by = keep(&at, fo->by);
		n->failover.fence = keep(&at, fo->fence);
	}
	return n;
}

void events_add(struct events *r, const struct event *ev, int64_t wall_us)
{
	struct events_entry *n = entry_new(ev);
	struct events_entry **slot = &r->slot[++r->newest % r->kept];

	free(*slot);
	*slot = n;
	if (!n)
		return;
	n->seq = r->newest;
	n->wall_us = wall_us;
	if (r->watch)
		r->watch(r->arg, n);
}

uint64_t events_oldest(const struct events *r)
{
	return r->newest > r->kept ? r->newest - r->kept + 1 : 1;
}

uint64_t events_newest(const struct events *r)
{
	return r->newest;
}

const struct events_entry *events_get(const struct events *r, uint64_t seq)
{
	if (!seq || seq > r->newest || seq < events_oldest(r))
		return NULL;
	return r->slot[seq % r->kept];
}

void events_watch(struct events *r, void (*fn)(void *arg, const struct events_entry *ev),
		  void *arg)
{
	r->watch = fn;
	r->arg = arg;
}

const char *events_level_name(uint8_t level)
{
	static const char *const names[] = {
		[EVENT_INFO] = "info",
		[EVENT_WARNING] = "warning",
		[EVENT_ERROR] = "error",
	};

	return level < sizeof(names) / sizeof(names[0]) ? names[level] : "info";
}
