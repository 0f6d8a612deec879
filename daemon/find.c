/* SPDX-License-Identifier: MIT */
/*
 * SendTargets on every known portal of a target, side by side: a portal may know of others,
 * or only of itself. Each answer goes to the engine as it comes.
 */
#include "server.h"
#include "model.h"
#include "resolve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct find {
	struct server *sv;
	struct list link;
	struct iscsi_discovery *discovery;
	char *target, *iqn, *portal;
};

static void find_free(struct find *f)
{
	list_del(&f->link);
	iscsi_discovery_free(f->discovery);
	free(f->target);
	free(f->iqn);
	free(f->portal);
	free(f);
}

static void found(void *arg, const struct iscsi_portal_list *list, const char *text)
{
	struct find *f = arg;
	char why[256], **portals = NULL;
	int n = 0;

	server_enter(f->sv);
	if (!list) {
		snprintf(why, sizeof(why), "SendTargets on %s: %s", f->portal, text);
		engine_discovered(f->sv->engine, f->target, NULL, -1, why);
		find_free(f);
		return;
	}
	portals = calloc(list->n ? list->n : 1, sizeof(*portals));
	for (int i = 0; portals && i < list->n; i++)
		if (!strcmp(list->e[i].target, f->iqn) && resolve_is_numeric(list->e[i].portal))
			portals[n++] = list->e[i].portal;
	engine_discovered(f->sv->engine, f->target, portals, n, "");
	free(portals);
	find_free(f);
}

static struct find *find_new(struct server *sv, const struct conf_target *t, const char *portal)
{
	struct find *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->sv = sv;
	f->target = strdup(t->name);
	f->iqn = strdup(t->iqn);
	f->portal = strdup(portal);
	list_init(&f->link);
	if (!f->target || !f->iqn || !f->portal) {
		find_free(f);
		return NULL;
	}
	list_add_tail(&f->link, &sv->discoveries);
	return f;
}

static void find_on(struct server *sv, const struct conf_target *t, const struct session *s)
{
	struct iscsi_params p = {
		.initiator_name = sv->conf->initiator_name,
		.portal = s->portal,
		.interface = s->interface,
		.chap_user = t->chap_user,
		.chap_secret = t->chap_secret,
		.mutual_chap_user = t->mutual_chap_user,
		.mutual_chap_secret = t->mutual_chap_secret,
		.login_timeout_ms = t->login_timeout_us / 1000,
	};
	struct find *f = find_new(sv, t, s->portal);
	int err;

	if (!f)
		return;
	f->discovery = iscsi_discovery_start(sv->iscsi, &p, found, f, &err);
	if (!f->discovery)
		find_free(f);
}

void find_portals(void *arg, struct target *t)
{
	struct list *pos;

	/* Host names are left to the sessions themselves: a look-up would block here. */
	list_for_each(pos, &t->sessions) {
		const struct session *s = list_entry(pos, struct session, in_target);

		if (!s->removing && resolve_is_numeric(s->portal))
			find_on(arg, t->conf, s);
	}
}

void find_stop(struct server *sv)
{
	while (!list_empty(&sv->discoveries))
		find_free(list_entry(sv->discoveries.next, struct find, link));
}
