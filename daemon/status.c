/* SPDX-License-Identifier: MIT */
/* The model as JSON. */
#include "status.h"
#include "text.h"

#include <string.h>

/* A JSON string of s, escaped: jansson takes valid UTF-8 only, and a terminal may be at the end. */
static json_t *text(const char *s)
{
	char safe[1024];

	return json_string(text_escape(safe, sizeof(safe), s));
}

static json_t *text_or_null(const char *s)
{
	return s ? text(s) : json_null();
}

static json_t *number(uint64_t n)
{
	/* jansson's integers are signed; no counter gets there, but nothing shall show below 0 */
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static json_t *age(const struct engine *e, uint64_t since)
{
	return number(e->now > since ? (e->now - since) / 1000 : 0);
}

/* A name as the user gives it: ours, or ours as we showed it. */
static bool named(const char *ours, const char *given)
{
	char safe[1024];

	return !strcmp(ours, given) || !strcmp(text_escape(safe, sizeof(safe), ours), given);
}

/* Adds v, of which a reference is taken over, and fails the whole object when it is NULL. */
static void put(json_t **o, const char *key, json_t *v)
{
	if (*o && json_object_set_new(*o, key, v) == 0)
		return;
	if (!*o)
		json_decref(v);
	json_decref(*o);
	*o = NULL;
}

static void append(json_t **a, json_t *v)
{
	if (*a && json_array_append_new(*a, v) == 0)
		return;
	if (!*a)
		json_decref(v);
	json_decref(*a);
	*a = NULL;
}

static const char *class_name(const struct path *p)
{
	static const char *const names[] = {
		[POLICY_CLASS_HEALTHY] = "healthy",
		[POLICY_CLASS_MARGINAL] = "marginal",
		[POLICY_CLASS_SUSPECT] = "suspect",
		[POLICY_CLASS_UNUSABLE] = "unusable",
	};

	if (p->state != PATH_USABLE || p->view.class_ > POLICY_CLASS_UNUSABLE)
		return names[POLICY_CLASS_UNUSABLE];
	return names[p->view.class_];
}

static void put_counters(json_t **o, const struct counters *n)
{
	put(o, "reads", number(n->reads));
	put(o, "writes", number(n->writes));
	put(o, "read_bytes", number(n->read_bytes));
	put(o, "write_bytes", number(n->write_bytes));
	put(o, "errors", number(n->errors));
	put(o, "retries", number(n->retries));
	put(o, "failures", number(n->failures));
}

static json_t *path_json(const struct engine *e, const struct path *p)
{
	const struct session *s = p->session;
	json_t *o = json_object();

	put(&o, "name", text(p->name));
	put(&o, "target", text(s->target->conf->name));
	put(&o, "portal", text(s->portal));
	put(&o, "interface", text_or_null(s->interface));
	put(&o, "lun", number(p->lun_number & 0x3fff)); /* as in its name */
	put(&o, "export", text_or_null(p->lun ? p->lun->name : NULL));
	put(&o, "state", text(path_state_name(p)));
	put(&o, "usable", json_boolean(p->state == PATH_USABLE));
	put(&o, "reason", text(p->state == PATH_USABLE ? "" : p->reason));
	put(&o, "state_age_ms", age(e, p->since));
	put(&o, "alua", text("none"));
	put(&o, "class", text(class_name(p)));
	put(&o, "resting", json_boolean(p->view.resting));
	put(&o, "weight", number(p->view.weight));
	put(&o, "preferred", json_boolean(p->view.preferred));
	put(&o, "active", json_boolean(p->view.active));
	put(&o, "latency_us", number(s->load.latency_us));
	put(&o, "inflight", number(p->inflight));
	put_counters(&o, &p->n);
	return o;
}

static json_t *lun_json(const struct engine *e, const struct lun *l)
{
	json_t *o = json_object(), *paths = json_array();
	struct list *pos;

	put(&o, "name", text(l->name));
	put(&o, "id", text(l->id));
	put(&o, "size", number(l->size));
	put(&o, "block_size", number(l->block_size));
	put(&o, "policy", text(l->policy ? l->policy->name : ""));
	put(&o, "dsm", text(l->dsm ? l->dsm->name : ""));
	put(&o, "state", text(lun_state_name(l->state)));
	put(&o, "state_age_ms", age(e, l->since));
	put(&o, "failing", json_boolean(l->no_path_failed));
	put(&o, "exported", json_boolean(l->announced));
	put(&o, "queued", number(l->queued));
	put(&o, "queued_bytes", number(l->queued_bytes));
	put(&o, "waiting", number(l->nwaiting));
	put(&o, "fences", number(0));
	put(&o, "users", number(l->users > 0 ? (unsigned)l->users : 0));
	put(&o, "vendor", text(l->inquiry.vendor));
	put(&o, "product", text(l->inquiry.product));
	put(&o, "revision", text(l->inquiry.revision));
	put(&o, "serial", text(l->serial));
	put(&o, "read_only", json_boolean(l->write_protect || (l->opt && l->opt->read_only)));
	list_for_each(pos, &l->paths)
		append(&paths, path_json(e, list_entry(pos, struct path, in_lun)));
	put(&o, "paths", paths);
	return o;
}

static json_t *timeout_json(uint64_t us)
{
	return us == CONF_QUEUE ? json_string("queue") : json_real((double)us / 1e6);
}

json_t *status_lun_json(const struct engine *e, const char *name, bool *found)
{
	struct list *pos;
	json_t *o;

	*found = false;
	list_for_each(pos, &e->luns) {
		const struct lun *l = list_entry(pos, struct lun, in_engine);

		if (!named(l->name, name) && !named(l->id, name))
			continue;
		*found = true;
		o = lun_json(e, l);
		put(&o, "section", text_or_null(l->conf ? l->conf->name : NULL));
		put(&o, "policy_by_admin", json_boolean(l->policy_by_admin));
		put(&o, "unmap", json_boolean(l->prov.unmap && !l->no_unmap));
		put(&o, "write_same", json_boolean(!l->no_write_same));
		if (l->opt) {
			put(&o, "queue_depth", number(l->opt->queue_depth));
			put(&o, "no_path_timeout", timeout_json(l->opt->no_path_timeout_us));
		}
		return o;
	}
	return NULL;
}

static json_t *session_json(const struct engine *e, const struct session *s)
{
	json_t *o = json_object(), *paths = json_array();
	struct list *pos;
	char isid[16];

	snprintf(isid, sizeof(isid), "%08x", s->isid);
	put(&o, "name", text(s->name));
	put(&o, "target", text(s->target->conf->name));
	put(&o, "iqn", text(s->target->conf->iqn));
	put(&o, "portal", text(s->portal));
	put(&o, "interface", text_or_null(s->interface));
	put(&o, "discovered", json_boolean(s->discovered));
	put(&o, "isid", text(isid));
	put(&o, "state", text(session_state_name(s->state)));
	put(&o, "usable", json_boolean(s->state == SESSION_UP || s->state == SESSION_SUSPECT));
	put(&o, "marginal", json_boolean(s->health.marginal));
	put(&o, "reason", text(s->state == SESSION_UP ? "" : s->reason));
	put(&o, "state_age_ms", age(e, s->since));
	put(&o, "removing", json_boolean(s->removing));
	put(&o, "inflight", number(s->load.ios));
	put(&o, "inflight_bytes", number(s->load.bytes));
	put(&o, "window", number(s->window));
	put(&o, "latency_us", number(s->load.latency_us));
	put(&o, "logins", number(s->logins));
	put(&o, "losses", number(s->losses));
	list_for_each(pos, &s->paths) {
		const struct path *p = list_entry(pos, struct path, in_session);

		if (!p->ignored)
			append(&paths, text(p->name));
	}
	put(&o, "paths", paths);
	return o;
}

/* Calls fn for every session, in the order of the configuration. */
static void each_session(const struct engine *e, void (*fn)(void *arg, const struct session *s),
			 void *arg)
{
	struct list *t, *pos;

	list_for_each(t, &e->targets) {
		list_for_each(pos, &list_entry(t, struct target, in_engine)->sessions)
			fn(arg, list_entry(pos, struct session, in_target));
	}
}

struct collect {
	const struct engine *e;
	json_t *list;
	const char *name; /* of the path or session that is wanted */
	bool all;         /* all paths that belong to no LUN */
};

static void collect_session(void *arg, const struct session *s)
{
	struct collect *c = arg;

	append(&c->list, session_json(c->e, s));
}

static void collect_paths(void *arg, const struct session *s)
{
	struct collect *c = arg;
	struct list *pos;

	list_for_each(pos, &s->paths) {
		const struct path *p = list_entry(pos, struct path, in_session);

		if (p->ignored)
			continue;
		if (c->all ? !p->lun : named(s->name, c->name) || named(p->name, c->name))
			append(&c->list, path_json(c->e, p));
	}
}

static json_t *sessions(const struct engine *e)
{
	struct collect c = { .e = e, .list = json_array() };

	each_session(e, collect_session, &c);
	return c.list;
}

static json_t *wrap(const char *key, json_t *list)
{
	json_t *o = json_object();

	put(&o, key, list);
	return o;
}

json_t *status_sessions_json(const struct engine *e)
{
	return wrap("sessions", sessions(e));
}

json_t *status_named_paths_json(const struct engine *e, const char *name)
{
	struct collect c = { .e = e, .list = json_array(), .name = name };

	each_session(e, collect_paths, &c);
	return wrap("paths", c.list);
}

json_t *status_paths_json(const struct engine *e, const char *lun, bool *found)
{
	struct collect c = { .e = e, .list = json_array(), .all = true };
	struct list *l, *pos;

	*found = !lun;
	list_for_each(l, &e->luns) {
		const struct lun *one = list_entry(l, struct lun, in_engine);

		if (lun && !named(one->name, lun) && !named(one->id, lun))
			continue;
		*found = true;
		list_for_each(pos, &one->paths)
			append(&c.list, path_json(e, list_entry(pos, struct path, in_lun)));
	}
	if (!lun)
		each_session(e, collect_paths, &c);
	return wrap("paths", c.list);
}

json_t *status_json(const struct engine *e)
{
	json_t *o = json_object(), *luns = json_array();
	struct list *pos;

	list_for_each(pos, &e->luns)
		append(&luns, lun_json(e, list_entry(pos, struct lun, in_engine)));
	put(&o, "version", json_string(MPIOD_VERSION));
	put(&o, "luns", luns);
	put(&o, "sessions", sessions(e));
	put(&o, "stopping", json_boolean(e->stopping));
	put(&o, "inflight", number(e->inflight));
	put(&o, "inflight_bytes", number(e->inflight_bytes));
	return o;
}

json_t *status_event_json(const struct events_entry *ev)
{
	json_t *o = json_object();

	put(&o, "seq", number(ev->seq));
	put(&o, "time_us", json_integer(ev->wall_us));
	put(&o, "level", json_string(events_level_name(ev->level)));
	put(&o, "kind", text(ev->kind));
	put(&o, "lun", text_or_null(ev->lun));
	put(&o, "path", text_or_null(ev->path));
	put(&o, "text", text(ev->text));
	return o;
}
