/* SPDX-License-Identifier: MIT */
/*
 * Paths: one LUN number on one session. A path exists from the first time its number was seen
 * until its session is removed; it remembers the LUN it was bound to, so that another identity behind
 * the same number is noticed.
 */
#include "internal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MIN_US US_PER_S /* identification of a path that is not as it should be */
#define RETRY_MAX_US (30 * US_PER_S)
#define GONE_US (20 * US_PER_S) /* as PDORemovePeriod of Microsoft MPIO */

static const char *const state_names[] = {
	[PATH_DOWN] = "down",
	[PATH_IDENTIFYING] = "identifying",
	[PATH_USABLE] = "usable",
	[PATH_REFUSED] = "refused",
	[PATH_FAILED] = "failed",
	[PATH_DISABLED] = "disabled",
	[PATH_DRAINING] = "draining",
};

const char *path_state_name(const struct path *p)
{
	if (p->state == PATH_USABLE && p->session->state == SESSION_SUSPECT)
		return "suspect";
	if (p->state == PATH_USABLE && p->session->health.marginal)
		return "marginal";
	return state_names[p->state];
}

bool path_takes_io(const struct path *p)
{
	return p->state == PATH_USABLE && !p->session->removing && session_connected(p->session);
}

struct path *path_new(struct engine *e, struct session *s, uint16_t number)
{
	struct path *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->id = ++e->next_id;
	p->session = s;
	p->lun_number = number;
	p->since = e->now;
	p->admin_disabled = s->admin_disabled;
	/* SAM-5 4.7.7: peripheral (00b) and flat (01b) addressing both number LUNs in 14 bits */
	snprintf(p->name, sizeof(p->name), "%s/%u", s->name, number & 0x3fff);
	list_init(&p->in_lun);
	list_add_tail(&p->in_session, &s->paths);
	return p;
}

void path_free(struct engine *e, struct path *p)
{
	assert(!p->inflight);
	identify_abort(e, p);
	engine_disarm(e, &p->timer);
	list_del(&p->in_session);
	lun_detach_path(e, p);
	free(p);
}

static void rest_over(struct engine *e, struct timer *t)
{
	struct path *p = list_entry(t, struct path, timer);

	p->view.resting = false;
	if (p->state == PATH_USABLE)
		engine_emit(e, EVENT_INFO, "failback", p->lun, p->name,
			    "has been healthy for long enough and takes I/O again");
}

/* A path that failed before carries I/O again only when failback says so. */
static void begin_rest(struct engine *e, struct path *p)
{
	uint64_t failback = p->lun->opt->failback_us;

	p->view.resting = p->n.failures && failback;
	if (p->view.resting && failback != CONF_QUEUE) {
		p->timer.fire = rest_over;
		engine_arm(e, &p->timer, e->now + failback);
	}
}

static void identify_again(struct engine *e, struct timer *t)
{
	struct path *p = list_entry(t, struct path, timer);

	if (p->gone_since && e->now - p->gone_since > GONE_US && !p->inflight) {
		engine_emit(e, EVENT_WARNING, "path-removed", p->lun, p->name,
			    "the target has not reported this LUN for %u s", (unsigned)(GONE_US / US_PER_S));
		path_free(e, p);
		lun_reap(e);
		return;
	}
	path_set_state(e, p, PATH_IDENTIFYING, p->reason);
	identify_start(e, p);
}

static void retry_later(struct engine *e, struct path *p)
{
	uint64_t d = RETRY_MIN_US << (p->identify_tries < 5 ? p->identify_tries : 5);

	if (d > RETRY_MAX_US)
		d = RETRY_MAX_US;
	p->identify_tries++;
	p->timer.fire = identify_again;
	engine_arm(e, &p->timer, e->now + d + engine_random(e) % (d / 4));
}

void path_set_state(struct engine *e, struct path *p, enum path_state st, const char *reason)
{
	enum path_state old = p->state;

	if (reason != p->reason)
		snprintf(p->reason, sizeof(p->reason), "%s", reason ? reason : "");
	if (st == old)
		return;
	if (old == PATH_IDENTIFYING)
		identify_abort(e, p);
	engine_disarm(e, &p->timer);
	p->state = st;
	p->since = e->now;
	if (old == PATH_USABLE && st != PATH_DISABLED && st != PATH_DRAINING)
		p->n.failures++;
	if (st == PATH_USABLE) {
		p->usable_since = e->now;
		p->identify_tries = 0;
		begin_rest(e, p);
	}
	if ((st == PATH_FAILED || st == PATH_REFUSED) && !p->ignored)
		retry_later(e, p);
	if (p->lun)
		lun_update(e, p->lun);
}

void path_fail(struct engine *e, struct path *p, enum path_state st, const char *kind,
	       const char *fmt, ...)
{
	char text[sizeof(p->reason)];
	va_list ap;
	bool news;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* One event for one reason: a retry that ends the same way is no news. */
	news = p->state == PATH_USABLE || strcmp(p->reason, text);
	path_set_state(e, p, st, text);
	if (news)
		engine_emit(e, st == PATH_REFUSED ? EVENT_ERROR : EVENT_WARNING, kind, p->lun, p->name,
			    "%s", text);
}

void path_identified(struct engine *e, struct path *p)
{
	path_set_state(e, p, p->admin_disabled ? PATH_DISABLED : PATH_USABLE, "");
	if (p->state == PATH_USABLE)
		engine_emit(e, EVENT_INFO, "path-usable", p->lun, p->name, "identity matches, carries I/O");
	session_scanned(e, p->session);
}

void path_drained(struct engine *e, struct path *p)
{
	if (p->state != PATH_DRAINING || p->inflight)
		return;
	path_set_state(e, p, PATH_DISABLED, "drained by an administrator");
	engine_emit(e, EVENT_INFO, "path-drained", p->lun, p->name, "is empty now");
}
