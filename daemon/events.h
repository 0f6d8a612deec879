/* SPDX-License-Identifier: MIT */
/*
 * The last events of an engine, kept for `mpioctl events`, with strings of their own and the wall
 * clock. The ring numbers its entries itself, so that the adapter may add events of its own.
 */
#ifndef DAEMON_EVENTS_H
#define DAEMON_EVENTS_H

#include "engine.h"

#define EVENTS_KEPT 1000

struct events;

struct events_entry {
	uint64_t seq;        /* 1, 2, 3, ... */
	int64_t wall_us;     /* since 1970 */
	uint8_t level;       /* enum event_level */
	const char *kind;
	const char *lun;     /* or NULL */
	const char *path;    /* or NULL */
	const char *text;    /* never NULL */
	bool has_failover;
	struct event_failover failover; /* its strings are the entry's */
};

/* A ring of `kept` entries; NULL: out of memory. */
struct events *events_new(unsigned kept) __attribute__((warn_unused_result));
void events_free(struct events *r);

/*
 * Copies ev (its seq and at_us are not used). The oldest entry goes when the ring is full. Without
 * memory the event is lost and its number stays empty. The watcher is called from inside.
 */
void events_add(struct events *r, const struct event *ev, int64_t wall_us);

/* The numbers of the oldest and of the newest entry; newest 0: there was none yet. */
uint64_t events_oldest(const struct events *r);
uint64_t events_newest(const struct events *r);

/* The entry of that number, valid until the next events_add(); NULL: gone, or not yet there. */
const struct events_entry *events_get(const struct events *r, uint64_t seq);

/* fn is called for each new entry; one watcher; fn NULL: none. It must not call events_add(). */
void events_watch(struct events *r, void (*fn)(void *arg, const struct events_entry *ev),
		  void *arg);

const char *events_level_name(uint8_t level);

#endif
