/* SPDX-License-Identifier: MIT */
/* The first look at the targets: is what was asked for there? */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "plugin.h"
#include "../daemon/model.h"

#include <stdio.h>
#include <string.h>

enum target_view {
	TARGET_UNKNOWN, /* a session may still show its LUNs */
	TARGET_SEEN,    /* one has */
	TARGET_LOST,    /* each has failed */
};

static bool seen(const struct session *s)
{
	return s->identified;
}

/* Down, and not because it has not been tried. */
static bool failed(const struct session *s)
{
	return s->state == SESSION_DOWN && s->losses + (s->reason[0] != 0) > 0;
}

static enum target_view view(const struct target *t)
{
	enum target_view v = TARGET_LOST;
	const struct list *pos;

	list_for_each(pos, &t->sessions) {
		const struct session *s = list_entry(pos, struct session, in_target);

		if (seen(s))
			return TARGET_SEEN;
		if (!failed(s))
			v = TARGET_UNKNOWN;
	}
	return v;
}

/* A session that has neither shown its LUNs nor failed. */
static bool waits(const struct session *s)
{
	return !seen(s) && !failed(s);
}

static size_t add(char *why, size_t cap, size_t at, const char *text)
{
	int n = at < cap ? snprintf(why + at, cap - at, "%s", text) : 0;

	return at + (n > 0 ? (size_t)n : 0);
}

/* What each portal said, in one line. */
static void explain(const struct server *sv, char *why, size_t cap)
{
	const char *lun = params_lun(), *sep = ": ";
	const struct list *t, *pos;
	size_t at = 0;

	at = add(why, cap, at, "no LUN");
	if (lun)
		at = add(why, cap, add(why, cap, at, " "), lun);
	list_for_each(t, &sv->engine->targets) {
		const struct target *target = list_entry(t, struct target, in_engine);

		list_for_each(pos, &target->sessions) {
			const struct session *s = list_entry(pos, struct session, in_target);

			at = add(why, cap, at, sep);
			at = add(why, cap, at, s->portal);
			at = add(why, cap, at, seen(s) ? ": logged in, no such disk there" :
					       s->reason[0] ? ": " : ": no answer");
			if (!seen(s))
				at = add(why, cap, at, s->reason);
			sep = "; ";
		}
	}
	for (pos = sv->engine->luns.next, sep = " (there are: "; pos != &sv->engine->luns; pos = pos->next) {
		at = add(why, cap, at, sep);
		at = add(why, cap, at, list_entry(pos, struct lun, in_engine)->name);
		sep = ", ";
		if (pos->next == &sv->engine->luns)
			at = add(why, cap, at, ")");
	}
}

enum login login_look(const struct server *sv, char *why, size_t cap)
{
	const struct list *t, *pos;
	bool unknown = false, wait = false;

	list_for_each(t, &sv->engine->targets) {
		const struct target *target = list_entry(t, struct target, in_engine);

		unknown |= view(target) == TARGET_UNKNOWN;
		list_for_each(pos, &target->sessions)
			wait |= waits(list_entry(pos, struct session, in_target));
	}
	/* the one that was asked for, or all: those of a target that can't be reached would come later */
	if (luns_nth(sv, 0) && (params_lun() || !unknown))
		return wait ? LOGIN_ENOUGH : LOGIN_ALL;
	explain(sv, why, cap);
	return unknown ? LOGIN_WAITS : LOGIN_FAILED;
}

void login_tell(const struct server *sv)
{
	const struct list *t, *pos;

	list_for_each(t, &sv->engine->targets) {
		list_for_each(pos, &list_entry(t, struct target, in_engine)->sessions) {
			const struct session *s = list_entry(pos, struct session, in_target);

			if (!seen(s))
				nbdkit_error("%s: %s; it is tried again", s->portal,
					     s->reason[0] ? s->reason : "no answer yet");
		}
	}
}
