/* SPDX-License-Identifier: MIT */
/* The orderly end: what was asked is answered, no write is left in doubt, reservations are given up. */
#include "server.h"
#include "log.h"

#define DRAIN_S 10. /* how long a stop waits for what clients have asked already */
#define DOUBT_S 60. /* and for doubts about writes, which fence_timeout ends */
#define RELEASE_S 2. /* and for giving up persistent reservations */
#define POLL_S 0.02

static bool drained(struct server *sv)
{
	return engine_idle(sv->engine) && (!sv->front->still || sv->front->still(sv));
}

/* Everything that was asked has been answered, or has had its time. */
static void poll_drained(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct server *sv = t->data;

	(void)revents;
	if (!drained(sv) && ev_now(loop) < sv->stop_by)
		return;
	/* They would be fenced by the next daemon, too (flight.h), but from the start again. */
	if (engine_in_doubt(sv->engine) && ev_now(loop) < sv->stop_by + DOUBT_S) {
		if (!sv->told_doubt)
			log_msg(LOG_NOTICE, "waiting until no write is in doubt any more");
		sv->told_doubt = true;
	} else if (sv->release_by <= 0.) {
		if (engine_in_doubt(sv->engine))
			log_msg(LOG_ERR, "stopping with writes in doubt: one that was lost with its path may "
					 "yet be executed over what the next mpiod writes");
		sv->release_by = ev_now(loop) + RELEASE_S;
		engine_release(sv->engine);
	} else if (!engine_release(sv->engine) || ev_now(loop) >= sv->release_by) {
		ev_break(loop, EVBREAK_ALL);
	}
}

void server_drain(struct server *sv)
{
	sv->stop_by = ev_now(sv->loop) + DRAIN_S;
	ev_timer_init(&sv->drain, poll_drained, 0., POLL_S);
	sv->drain.data = sv;
	ev_timer_start(sv->loop, &sv->drain);
}
