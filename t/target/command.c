/* SPDX-License-Identifier: MIT */
/* What comes in through the control socket (README.md). */
#include "target.h"

#include <stdio.h>
#include <string.h>

int json_int(const json_t *o, const char *key, int def)
{
	const json_t *v = json_object_get(o, key);

	return json_is_integer(v) ? (int)json_integer_value(v) : def;
}

bool json_is(const json_t *o, const char *key, bool def)
{
	const json_t *v = json_object_get(o, key);

	return json_is_boolean(v) ? json_is_true(v) : def;
}

static json_t *error(const char *what)
{
	return json_pack("{s:s}", "error", what);
}

static json_t *ok(void)
{
	return json_pack("{s:b}", "ok", 1);
}

static json_t *inject(const json_t *o)
{
	char err[100];

	return rule_add(o, err, sizeof(err)) ? error(err) : ok();
}

static void set_window(int portal, int n)
{
	bool changed = T.portal[portal].window != n;

	T.portal[portal].window = n;
	if (changed)
		conn_window_changed(portal);
}

static json_t *clear(const json_t *o)
{
	(void)o;
	rules_clear();
	for (int i = 0; i < T.nportals; i++)
		set_window(i, WINDOW);
	return ok();
}

static json_t *release(const json_t *o)
{
	(void)o;
	rules_clear();
	task_release();
	return ok();
}

static bool is_at(const struct conn *c, int portal)
{
	return !c->dead && (portal < 0 || c->portal == portal);
}

static json_t *async(const json_t *o)
{
	struct list *pos;

	list_for_each(pos, &T.conns) {
		struct conn *c = list_entry(pos, struct conn, link);

		if (c->full && !c->discovery && is_at(c, json_int(o, "portal", -1)))
			conn_async(c, (uint8_t)json_int(o, "event", 1),
				   (uint16_t)json_int(o, "p1", 0), (uint16_t)json_int(o, "p2", 0),
				   (uint16_t)json_int(o, "p3", 0));
	}
	return ok();
}

static json_t *drop(const json_t *o)
{
	struct list *pos;

	list_for_each(pos, &T.conns) {
		struct conn *c = list_entry(pos, struct conn, link);

		if (is_at(c, json_int(o, "portal", -1)))
			conn_close(c, json_is(o, "reset", false));
	}
	return ok();
}

static json_t *ua(const json_t *o)
{
	int lun = json_int(o, "lun", 0), portal = json_int(o, "portal", -1);
	uint8_t asc = (uint8_t)json_int(o, "asc", 0), ascq = (uint8_t)json_int(o, "ascq", 0);
	struct list *pos;

	list_for_each(pos, &T.conns) {
		struct conn *c = list_entry(pos, struct conn, link);

		if (c->full && !c->discovery && is_at(c, portal))
			ua_add(c, (uint16_t)lun, asc, ascq);
	}
	return ok();
}

static json_t *group(const json_t *o)
{
	struct group *g = group_find((uint16_t)json_int(o, "id", -1));
	const json_t *lun = json_object_get(o, "lun"), *state = json_object_get(o, "state");
	struct disk *d = lun ? disk_find(-1, (uint16_t)json_int(o, "lun", -1)) : NULL;

	if (!g || (lun && !d))
		return error(g ? "no such LUN" : "no such group");
	g->preferred = json_is(o, "preferred", g->preferred);
	if (json_is_integer(state))
		group_set(g, d, (uint8_t)(json_integer_value(state) & 0xf), 2, NULL);
	return ok();
}

static json_t *portal(const json_t *o)
{
	const char *to = json_string_value(json_object_get(o, "redirect"));
	int i = json_int(o, "portal", -1);
	struct portal *p;

	if (i < 0 || i >= T.nportals)
		return error("no such portal");
	p = &T.portal[i];
	p->told = json_is(o, "told", p->told);
	p->closed = json_is(o, "closed", p->closed);
	p->refuse = json_int(o, "refuse", p->refuse);
	p->no_nops = !json_is(o, "nops", !p->no_nops);
	if (to)
		snprintf(p->redirect, sizeof(p->redirect), "%s", to);
	if (json_is(o, "stall", p->stall) != p->stall)
		conn_stall(i, !p->stall);
	set_window(i, json_int(o, "window", p->window));
	return ok();
}

static json_t *set(const json_t *o)
{
	T.reinstate = json_is(o, "reinstate", T.reinstate);
	T.uas = json_is(o, "uas", T.uas);
	for (int i = 0; json_object_get(o, "window_closed") && i < T.nportals; i++)
		set_window(i, json_is(o, "window_closed", false) ? 0 : WINDOW);
	return ok();
}

static json_t *show_log(const json_t *o)
{
	int from = json_int(o, "from", 0);

	return from < 0 ? error("from: a number of the log is expected") : log_show((size_t)from);
}

static json_t *counts(const json_t *o)
{
	(void)o;
	return log_counts();
}

static struct disk *disk_of(const json_t *o)
{
	return disk_find(json_int(o, "at", -1), (uint16_t)json_int(o, "lun", 0));
}

/* Bytes of the medium as runs: "11*4096 22*8192". */
static json_t *bytes(const json_t *o)
{
	const struct disk *d = disk_of(o);
	uint64_t at = (uint64_t)json_integer_value(json_object_get(o, "offset"));
	uint64_t len = (uint64_t)json_integer_value(json_object_get(o, "len")),
		 size = d ? d->blocks * d->block_size : 0;
	char out[4096] = "";
	size_t n = 0;

	if (!d || at > size || len > size - at)
		return error("no such bytes");
	for (uint64_t end = at + len; at < end && n + 40 < sizeof(out);) {
		uint64_t first = at;

		while (at < end && d->data[at] == d->data[first])
			at++;
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%02x*%llu", n ? " " : "",
				      d->data[first], (unsigned long long)(at - first));
	}
	return json_pack("{s:s}", "bytes", out);
}

static json_t *keys(const json_t *o)
{
	const struct disk *d = disk_of(o);
	json_t *a;

	if (!d)
		return error("no such LUN");
	a = json_array();
	for (int i = 0; i < d->nreg; i++) {
		char key[24];

		snprintf(key, sizeof(key), "%016llx", (unsigned long long)d->reg[i].key);
		json_array_append_new(a, json_string(key));
	}
	return json_pack("{s:o,s:i}", "keys", a, "type", d->reserved);
}

json_t *command_run(const json_t *o)
{
	static const struct {
		const char *name;
		json_t *(*run)(const json_t *o);
	} commands[] = {
		{ "inject", inject }, { "clear", clear },  { "release", release },
		{ "async", async },   { "drop", drop },	   { "lun", command_lun },
		{ "ua", ua },	      { "group", group },  { "portal", portal },
		{ "set", set },	      { "log", show_log }, { "counts", counts },
		{ "bytes", bytes },   { "keys", keys },
	};
	const char *name = json_string_value(json_object_get(o, "do"));

	for (size_t i = 0; name && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].run(o);
	return error("no such command");
}
