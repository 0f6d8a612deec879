/* SPDX-License-Identifier: MIT */
/*
 * The flight recorder: which writes are under way on which I_T nexus, in a file that outlives the process (a shared mapping, so a store
 * is all it takes, and a kill at any instruction leaves it whole). The next process fences what it finds there
 * (recall.c): the bytes of a process that was killed may still be in the network, or commands in the target.
 *
 * It is not for the death of the host: the file is to be in /run.
 */
#ifndef DAEMON_FLIGHT_H
#define DAEMON_FLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flight;

struct flight_nexus {
	const char *target, *session; /* as configured; TARGET/PORTAL */
	uint32_t isid;
	int tpgt;
};

struct flight_write {
	struct flight_nexus nexus; /* its texts live as long as the record */
	uint64_t lo, hi;           /* blocks [lo, hi) */
};

/*
 * Opens or makes the file, which is locked until flight_close(). What is there and no record, or not to be had, may have told of any
 * write: flight_take_all() says so of every LUN. why[] is set when something is wrong, NULL is want of memory.
 */
struct flight *flight_open(const char *path, char *why, size_t cap) __attribute__((warn_unused_result));
/* The file goes, too, when nothing is in it. NULL is allowed, here and below: then nothing is recorded. */
void flight_close(struct flight *f);
/* Will the next process find it? Not so when the file can't be had. */
bool flight_kept(const struct flight *f);

/* Numbers of names, for flight_put(). 0: there is no room. */
uint32_t flight_nexus(struct flight *f, const struct flight_nexus *n);
uint32_t flight_lun(struct flight *f, const char *id);

/* Before a write of [lo, hi) is sent. Returns what flight_end() takes once it is known to be over; 0 without a recorder. */
uint32_t flight_put(struct flight *f, uint32_t nexus, uint32_t lun, uint64_t lo, uint64_t hi);
void flight_end(struct flight *f, uint32_t record);
/* The same of any block; lun may be 0, which is any LUN. */
uint32_t flight_put_all(struct flight *f, uint32_t lun);
/* From here on it stays as it is: the process ends. */
void flight_freeze(struct flight *f);

/*
 * What an earlier process left about this LUN: the next record, whose flight_end() is the caller's from now on, or 0. All the
 * rest stays until somebody asks for it.
 */
uint32_t flight_take_old(struct flight *f, const char *lun, struct flight_write *out);
/* The same when it may have changed any block: it had more under way than the file holds, or nobody can tell. */
uint32_t flight_take_all(struct flight *f, const char *lun);

/* A write that was acknowledged is lost, and the client is not told yet. Outlives the process, too. */
void flight_set_lost(struct flight *f, uint32_t lun, bool lost);
bool flight_lost(const struct flight *f, const char *lun);

#endif
