/* SPDX-License-Identifier: MIT */
/* What reserve.c (a path registers), reserve_fence.c (a lost path's key goes) and reserve_look.c (who holds what) share. */
#ifndef DAEMON_RESERVE_H
#define DAEMON_RESERVE_H

#include "internal.h"

#define RESERVE_ANSWER_BYTES 1024

/*
 * PREEMPT takes three steps where the reservation would not live through it: RELEASE, RESERVE, PREEMPT.
 * Between the first two another host may write: not we, and not late.
 */
enum { TAKE_RELEASE, TAKE_RESERVE, TAKE_PREEMPT };

/* A command on p's session with room for an answer, all zeroes; NULL: out of memory. */
struct attempt *reserve_command(struct engine *e, struct path *p, void (*done)(struct engine *e, struct attempt *a));
bool reserve_news(const struct scsi_cmd *c);        /* a unit attention: it has not run */
bool reserve_unsupported(const struct scsi_cmd *c);

/* The first of the steps, and the PERSISTENT RESERVE OUT of one; own: the key of the path it goes over. */
unsigned reserve_first_take(const struct lun *l);
void reserve_build_take(struct attempt *a, unsigned take, uint64_t own, uint64_t victim, bool abort);

#endif
