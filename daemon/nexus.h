/* SPDX-License-Identifier: MIT */
/* What nexus.c (lost nexuses are ended) and trust.c (targets are tried out) share. */
#ifndef DAEMON_NEXUS_H
#define DAEMON_NEXUS_H

#include "model.h"

/*
 * A session that only logs in, through via's portal; told when it is up, and when it is lost. NULL: out of memory.
 */
struct session *nexus_aux_start(struct engine *e, const struct session *via, uint32_t isid,
				void (*told)(struct engine *e, struct session *aux, bool up), void *owner);
/* Ends and frees *aux, which becomes NULL: with an orderly logout, or by force. */
void nexus_aux_end(struct engine *e, struct session **aux, bool polite);

void trust_look(struct engine *e, struct session *s); /* s is up: tests what has not been tested */
void trust_forget(struct engine *e, struct target *t);

#endif
