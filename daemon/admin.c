/* SPDX-License-Identifier: MIT */
/* What an administrator may change at run time: paths, whole sessions, policies. */
#include "internal.h"

#include <errno.h>
#include <string.h>

struct session *session_find(struct engine *e, const char *name)
{
	struct list *t, *pos;

	list_for_each(t, &e->targets) {
		list_for_each(pos, &list_entry(t, struct target, in_engine)->sessions) {
			struct session *s = list_entry(pos, struct session, in_target);

			if (!s->removing && !strcmp(s->name, name))
				return s;
		}
	}
	return NULL;
}

/* Calls fn for the path of that name, or for every path of the session of that name. */
static int each_path(struct engine *e, const char *name, bool off,
		     void (*fn)(struct engine *e, struct path *p))
{
	struct session *whole = session_find(e, name);
	struct list *t, *q, *pos;
	int n = 0;

	list_for_each(t, &e->targets) {
		list_for_each(q, &list_entry(t, struct target, in_engine)->sessions) {
			struct session *s = list_entry(q, struct session, in_target);

			if (s->removing)
				continue;
			list_for_each(pos, &s->paths) {
				struct path *p = list_entry(pos, struct path, in_session);

				if (strcmp(p->name, name) && strcmp(s->name, name))
					continue;
				fn(e, p);
				n++;
			}
		}
	}
	if (whole)
		whole->admin_disabled = off; /* holds for paths that are found later, too */
	return n || whole ? 0 : -ENOENT;
}

static void disable(struct engine *e, struct path *p)
{
	p->admin_disabled = true;
	if (p->state == PATH_DISABLED)
		return;
	path_set_state(e, p, PATH_DISABLED, "disabled by an administrator");
	engine_emit(e, EVENT_INFO, "path-disabled", p->lun, p->name, "by an administrator");
}

static void drain(struct engine *e, struct path *p)
{
	p->admin_disabled = true;
	if (p->state == PATH_DISABLED || p->state == PATH_DRAINING)
		return;
	path_set_state(e, p, PATH_DRAINING, "draining for an administrator");
	engine_emit(e, EVENT_INFO, "path-draining", p->lun, p->name, "takes no new I/O");
	path_drained(e, p);
}

/* What answers there now is what shall be there: the old identity is forgotten. */
static void accept_new(struct engine *e, struct path *p)
{
	engine_emit(e, EVENT_WARNING, "path-rebound", p->lun, p->name,
		    "another identity or size is accepted, by an administrator");
	lun_detach_path(e, p);
	if (session_connected(p->session)) {
		path_set_state(e, p, PATH_IDENTIFYING, "");
		identify_start(e, p);
	}
}

static void enable(struct engine *e, struct path *p)
{
	bool rested = p->view.resting;

	if (p->state == PATH_REFUSED && !p->ignored && !p->inflight) {
		accept_new(e, p);
		return;
	}
	p->view.resting = false;
	if (!p->admin_disabled && !rested)
		return;
	p->admin_disabled = false;
	engine_emit(e, EVENT_INFO, "path-enabled", p->lun, p->name, "by an administrator");
	if (p->state != PATH_DISABLED && p->state != PATH_DRAINING)
		return;
	if (!session_connected(p->session)) {
		path_set_state(e, p, PATH_DOWN, p->session->reason);
		return;
	}
	path_set_state(e, p, PATH_IDENTIFYING, "");
	identify_start(e, p);
}

int engine_path_disable(struct engine *e, const char *path)
{
	return each_path(e, path, true, disable);
}

int engine_path_drain(struct engine *e, const char *path)
{
	return each_path(e, path, true, drain);
}

int engine_path_enable(struct engine *e, const char *path)
{
	return each_path(e, path, false, enable);
}

int engine_lun_policy(struct engine *e, const char *lun, const char *policy)
{
	const struct policy *pol = policy_find(policy);
	struct list *pos;

	if (!pol)
		return -EINVAL;
	list_for_each(pos, &e->luns) {
		struct lun *l = list_entry(pos, struct lun, in_engine);

		if (strcmp(l->name, lun) && strcmp(l->id, lun))
			continue;
		l->policy = pol;
		l->policy_by_admin = true;
		memset(&l->policy_state, 0, sizeof(l->policy_state));
		engine_emit(e, EVENT_INFO, "policy", l, NULL, "is now %s, by an administrator",
			    pol->name);
		return 0;
	}
	return -ENOENT;
}

void engine_rescan(struct engine *e)
{
	struct list *t, *tmp;

	list_for_each_safe(t, tmp, &e->targets) {
		struct target *target = list_entry(t, struct target, in_engine);

		if (target->conf)
			target_discover(e, target);
	}
	/* not all storage tells of a change (LIO does not) */
	list_for_each_safe(t, tmp, &e->luns)
		grow_look(e, list_entry(t, struct lun, in_engine));
}
