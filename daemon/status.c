/* SPDX-License-Identifier: MIT */
/* The model as JSON. */
#include "status.h"
#include "status_internal.h"
#include "fence.h"
#include "internal.h"
#include "text.h"

#include <string.h>

/* A JSON string of s, escaped: jansson takes valid UTF-8 only, and a terminal may be at the end. */
json_t *status_text(const char *s)
{
	char safe[1024];

	return json_string(text_escape(safe, sizeof(safe), s));
}

json_t *status_text_or_null(const char *s)
{
	return s ? status_text(s) : json_null();
}

json_t *status_number(uint64_t n)
{
	/* jansson's integers are signed; no counter gets there, but nothing shall show below 0 */
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

json_t *status_age(const struct engine *e, uint64_t since)
{
	return status_number(e->now > since ? (e->now - since) / 1000 : 0);
}

/* A name as the user gives it: ours, or ours as we showed it. */
bool status_named(const char *ours, const char *given)
{
	char safe[1024];

	return !strcmp(ours, given) || !strcmp(text_escape(safe, sizeof(safe), ours), given);
}

/* Adds v, of which a reference is taken over, and fails the whole object when it is NULL. */
void status_put(json_t **o, const char *key, json_t *v)
{
	if (*o && json_object_set_new(*o, key, v) == 0)
		return;
	if (!*o)
		json_decref(v);
	json_decref(*o);
	*o = NULL;
}

void status_append(json_t **a, json_t *v)
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
	status_put(o, "reads", status_number(n->reads));
	status_put(o, "writes", status_number(n->writes));
	status_put(o, "read_bytes", status_number(n->read_bytes));
	status_put(o, "write_bytes", status_number(n->write_bytes));
	status_put(o, "errors", status_number(n->errors));
	status_put(o, "retries", status_number(n->retries));
	status_put(o, "failures", status_number(n->failures));
}

static json_t *path_json(const struct engine *e, const struct path *p)
{
	const struct session *s = p->session;
	json_t *o = json_object();

	status_put(&o, "name", status_text(p->name));
	status_put(&o, "target", status_text(s->target->conf->name));
	status_put(&o, "portal", status_text(s->portal));
	status_put(&o, "interface", status_text_or_null(s->interface));
	status_put(&o, "lun", status_number(p->lun_number & 0x3fff)); /* as in its name */
	status_put(&o, "export", status_text_or_null(p->lun ? p->lun->name : NULL));
	status_put(&o, "state", status_text(path_state_name(p)));
	status_put(&o, "usable", json_boolean(p->state == PATH_USABLE));
	status_put(&o, "reason", status_text(p->state == PATH_USABLE ? "" : p->reason));
	status_put(&o, "state_age_ms", status_age(e, p->since));
	status_put(&o, "alua", status_text(p->lun && p->lun->tpgs ? groups_state_name(p->alua) : "none"));
	status_put(&o, "port_group", p->port_group >= 0 ? status_number(p->port_group) : json_null());
	status_put(&o, "class", status_text(class_name(p)));
	status_put(&o, "resting", json_boolean(p->view.resting));
	status_put(&o, "weight", status_number(p->view.weight));
	status_put(&o, "preferred", json_boolean(p->view.preferred));
	status_put(&o, "active", json_boolean(p->view.active));
	status_put(&o, "latency_us", status_number(s->load.latency_us));
	status_put(&o, "inflight", status_number(p->inflight));
	put_counters(&o, &p->n);
	return o;
}

static json_t *lun_json(const struct engine *e, const struct lun *l)
{
	json_t *o = json_object(), *paths = json_array();
	struct list *pos;

	status_put(&o, "name", status_text(l->name));
	status_put(&o, "id", status_text(l->id));
	status_put(&o, "size", status_number(l->size));
	status_put(&o, "block_size", status_number(l->block_size));
	status_put(&o, "policy", status_text(l->policy ? l->policy->name : ""));
	status_put(&o, "dsm", status_text(l->dsm ? l->dsm->name : ""));
	status_put(&o, "state", status_text(lun_state_name(l->state)));
	status_put(&o, "state_age_ms", status_age(e, l->since));
	status_put(&o, "failing", json_boolean(l->no_path_failed));
	status_put(&o, "exported", json_boolean(l->announced));
	status_put(&o, "queued", status_number(l->queued));
	status_put(&o, "queued_bytes", status_number(l->queued_bytes));
	status_put(&o, "waiting", status_number(l->nwaiting));
	status_put(&o, "fences", status_number(l->nfences));
	status_put(&o, "fenced", status_number(l->nfenced));
	status_put(&o, "doubts", status_doubts_json(e, l));
	status_put(&o, "port_groups", status_groups_json(l));
	status_put(&o, "users", status_number(l->users > 0 ? (unsigned)l->users : 0));
	status_put(&o, "vendor", status_text(l->inquiry.vendor));
	status_put(&o, "product", status_text(l->inquiry.product));
	status_put(&o, "revision", status_text(l->inquiry.revision));
	status_put(&o, "serial", status_text(l->serial));
	status_put(&o, "read_only", json_boolean(l->write_protect || (l->opt && l->opt->read_only)));
	list_for_each(pos, &l->paths)
		status_append(&paths, path_json(e, list_entry(pos, struct path, in_lun)));
	status_put(&o, "paths", paths);
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

		if (!status_named(l->name, name) && !status_named(l->id, name))
			continue;
		*found = true;
		o = lun_json(e, l);
		status_put(&o, "section", status_text_or_null(l->conf ? l->conf->name : NULL));
		status_put(&o, "policy_by_admin", json_boolean(l->policy_by_admin));
		status_put(&o, "unmap", json_boolean(l->prov.unmap && !l->no_unmap));
		status_put(&o, "write_same", json_boolean(!l->no_write_same));
		if (l->opt) {
			status_put(&o, "queue_depth", status_number(l->opt->queue_depth));
			status_put(&o, "no_path_timeout", timeout_json(l->opt->no_path_timeout_us));
			status_put(&o, "fence", status_text(fence_method_name(l->opt->fence)));
			status_put(&o, "fence_timeout", timeout_json(l->opt->fence_timeout_us));
		}
		status_put(&o, "hardware", status_text_or_null(l->hardware ? l->hardware->name : NULL));
		return o;
	}
	return NULL;
}

static json_t *session_json(const struct engine *e, const struct session *s)
{
	json_t *o = json_object(), *paths = json_array();
	struct list *pos;
	char isid[16];

	snprintf(isid, sizeof(isid), "%06x", s->isid);
	status_put(&o, "name", status_text(s->name));
	status_put(&o, "target", status_text(s->target->conf->name));
	status_put(&o, "iqn", status_text(s->target->conf->iqn));
	status_put(&o, "portal", status_text(s->portal));
	status_put(&o, "interface", status_text_or_null(s->interface));
	status_put(&o, "discovered", json_boolean(s->discovered));
	status_put(&o, "isid", status_text(isid));
	status_put(&o, "portal_group", s->tpgt >= 0 ? status_number((unsigned)s->tpgt) : json_null());
	status_put(&o, "reinstatement", status_text(nexus_trust_name(s->target, s->tpgt)));
	status_put(&o, "state", status_text(session_state_name(s->state)));
	status_put(&o, "usable", json_boolean(s->state == SESSION_UP || s->state == SESSION_SUSPECT));
	status_put(&o, "marginal", json_boolean(s->health.marginal));
	status_put(&o, "reason", status_text(s->state == SESSION_UP ? "" : s->reason));
	status_put(&o, "state_age_ms", status_age(e, s->since));
	status_put(&o, "removing", json_boolean(s->removing));
	status_put(&o, "inflight", status_number(s->load.ios));
	status_put(&o, "inflight_bytes", status_number(s->load.bytes));
	status_put(&o, "window", status_number(s->window));
	status_put(&o, "latency_us", status_number(s->load.latency_us));
	status_put(&o, "logins", status_number(s->logins));
	status_put(&o, "losses", status_number(s->losses));
	list_for_each(pos, &s->paths) {
		const struct path *p = list_entry(pos, struct path, in_session);

		if (!p->ignored)
			status_append(&paths, status_text(p->name));
	}
	status_put(&o, "paths", paths);
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

	status_append(&c->list, session_json(c->e, s));
}

static void collect_paths(void *arg, const struct session *s)
{
	struct collect *c = arg;
	struct list *pos;

	list_for_each(pos, &s->paths) {
		const struct path *p = list_entry(pos, struct path, in_session);

		if (p->ignored)
			continue;
		if (c->all ? !p->lun : status_named(s->name, c->name) || status_named(p->name, c->name))
			status_append(&c->list, path_json(c->e, p));
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

	status_put(&o, key, list);
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

		if (lun && !status_named(one->name, lun) && !status_named(one->id, lun))
			continue;
		*found = true;
		list_for_each(pos, &one->paths)
			status_append(&c.list, path_json(e, list_entry(pos, struct path, in_lun)));
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
		status_append(&luns, lun_json(e, list_entry(pos, struct lun, in_engine)));
	status_put(&o, "version", json_string(MPIOD_VERSION));
	status_put(&o, "luns", luns);
	status_put(&o, "sessions", sessions(e));
	status_put(&o, "stopping", json_boolean(e->stopping));
	status_put(&o, "inflight", status_number(e->inflight));
	status_put(&o, "inflight_bytes", status_number(e->inflight_bytes));
	return o;
}

/* Microseconds since the fault was noticed; null: it did not happen. */
static json_t *since(const struct event_failover *fo, uint64_t t)
{
	return t ? status_number(t - fo->noticed_us) : json_null();
}

static json_t *failover_json(const struct event_failover *fo)
{
	json_t *o = json_object();

	status_put(&o, "noticed_by", status_text(fo->by));
	status_put(&o, "verdict_us", since(fo, fo->verdict_us));
	status_put(&o, "resubmitted_us", since(fo, fo->resubmitted_us));
	status_put(&o, "commands", status_number(fo->moved));
	status_put(&o, "bytes", status_number(fo->bytes));
	status_put(&o, "first_good_us", since(fo, fo->first_good_us));
	status_put(&o, "fence_end_us", since(fo, fo->fence_end_us));
	status_put(&o, "fence_ended_by", status_text(fo->fence));
	return o;
}

json_t *status_event_json(const struct events_entry *ev)
{
	json_t *o = json_object();

	status_put(&o, "seq", status_number(ev->seq));
	status_put(&o, "time_us", json_integer(ev->wall_us));
	status_put(&o, "level", json_string(events_level_name(ev->level)));
	status_put(&o, "kind", status_text(ev->kind));
	status_put(&o, "lun", status_text_or_null(ev->lun));
	status_put(&o, "path", status_text_or_null(ev->path));
	status_put(&o, "text", status_text(ev->text));
	if (ev->has_failover)
		status_put(&o, "failover", failover_json(&ev->failover));
	return o;
}
