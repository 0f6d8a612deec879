/* SPDX-License-Identifier: MIT */
/* What is known of one LUN beside its paths, as JSON: doubts, port groups, reservations, the next path. */
#include "status_internal.h"
#include "fence.h"
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

json_t *status_doubts_json(const struct engine *e, const struct lun *l)
{
	json_t *a = json_array();
	struct list *pos;

	list_for_each(pos, &l->doubts) {
		const struct doubt *d = list_entry(pos, struct doubt, in_lun);
		json_t *o = json_object();

		status_put(&o, "session", status_text(d->session));
		status_put(&o, "method", status_text(fence_method_name(d->method)));
		status_put(&o, "age_ms", status_age(e, d->since));
		status_put(&o, "writes", status_number(d->n));
		status_put(&o, "blocks", status_number(d->blocks));
		status_append(&a, o);
	}
	return a;
}

json_t *status_groups_json(const struct lun *l)
{
	json_t *a = json_array();

	for (int i = 0; i < l->groups.n && l->tpgs; i++) {
		json_t *o = json_object();

		status_put(&o, "id", status_number(l->groups.g[i].id));
		status_put(&o, "state", status_text(groups_state_name(l->groups.g[i].state)));
		status_put(&o, "preferred", json_boolean(l->groups.g[i].preferred));
		status_append(&a, o);
	}
	return a;
}

static json_t *key_json(uint64_t key)
{
	char hex[24];

	snprintf(hex, sizeof(hex), "0x%016" PRIx64, key);
	return json_string(hex);
}

/* The path of ours that registered this key. */
static const char *key_owner(const struct lun *l, uint64_t key)
{
	const struct list *pos;

	list_for_each(pos, &l->paths) {
		const struct path *p = list_entry(pos, struct path, in_lun);

		if (p->registered == key)
			return p->name;
	}
	return NULL;
}

static json_t *reservations_of(const struct engine *e, const struct lun *l)
{
	const struct reserve_view *v = &l->reservation;
	json_t *o = json_object(), *keys = json_array();

	status_put(&o, "lun", status_text(l->name));
	status_put(&o, "supported", json_boolean(!v->unsupported));
	status_put(&o, "configured", json_boolean(l->key != 0));
	status_put(&o, "read_age_ms", v->read_at ? status_age(e, v->read_at) : json_null());
	status_put(&o, "held", json_boolean(v->held.held));
	status_put(&o, "type", v->held.held ? json_string(scsi_pr_type_name(v->held.type)) : json_null());
	status_put(&o, "holder", v->held.held && v->held.key ? key_json(v->held.key) : json_null());
	for (int i = 0; i < v->nkeys; i++) {
		json_t *k = json_object();

		status_put(&k, "key", key_json(v->keys[i]));
		status_put(&k, "path", status_text_or_null(key_owner(l, v->keys[i])));
		status_append(&keys, k);
	}
	status_put(&o, "keys", keys);
	return o;
}

json_t *status_reservations_json(const struct engine *e, const char *lun, bool *found)
{
	json_t *o = json_object(), *luns = json_array();
	struct list *pos;

	*found = !lun;
	list_for_each(pos, &e->luns) {
		const struct lun *l = list_entry(pos, struct lun, in_engine);

		if (lun && !status_named(l->name, lun) && !status_named(l->id, lun))
			continue;
		*found = true;
		status_append(&luns, reservations_of(e, l));
	}
	status_put(&o, "luns", luns);
	return o;
}

static json_t *explained(const struct explain *x)
{
	json_t *o = json_object();

	status_put(&o, "path", status_text(x->path->name));
	status_put(&o, "chosen", json_boolean(x->chosen));
	status_put(&o, "why", status_text(x->why));
	return o;
}

json_t *status_explain_json(const struct engine *e, const char *lun, bool *found)
{
	struct explain x[2 * POLICY_MAX_PATHS];
	json_t *o = json_object(), *paths = json_array();
	struct list *pos;
	int n;

	*found = false;
	list_for_each(pos, &e->luns) {
		struct lun *l = list_entry(pos, struct lun, in_engine);

		if (!status_named(l->name, lun) && !status_named(l->id, lun))
			continue;
		*found = true;
		n = lun_explain(l, x, 2 * POLICY_MAX_PATHS);
		for (int i = 0; i < n; i++)
			status_append(&paths, explained(&x[i]));
		status_put(&o, "lun", status_text(l->name));
		status_put(&o, "policy", status_text(l->policy->name));
		status_put(&o, "state", status_text(lun_state_name(l->state)));
		break;
	}
	status_put(&o, "paths", paths);
	return o;
}
