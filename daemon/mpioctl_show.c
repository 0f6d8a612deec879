/* SPDX-License-Identifier: MIT */
/* State for people: the worst news first. */
#include "mpioctl.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MIN 20 /* of a path that had to be cut */

const char *get_string(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

json_int_t get_number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

bool get_bool(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

/* All states, of paths, sessions and LUNs, the worst first. */
static const struct {
	const char *name, *color;
} states[] = {
	{ "no-path", COLOR_RED },
	{ "degraded", COLOR_YELLOW },
	{ "failed", COLOR_RED },
	{ "refused", COLOR_RED },
	{ "down", COLOR_RED },
	{ "connecting", COLOR_YELLOW },
	{ "suspect", COLOR_YELLOW },
	{ "identifying", COLOR_YELLOW },
	{ "marginal", COLOR_YELLOW },
	{ "draining", COLOR_YELLOW },
	{ "disabled", COLOR_YELLOW },
	{ "ok", COLOR_GREEN },
	{ "up", COLOR_GREEN },
	{ "usable", COLOR_GREEN },
};

#define STATES (sizeof(states) / sizeof(states[0]))

/* An unknown state comes first: a newer daemon has a reason to have it. */
static int rank(const char *state)
{
	for (size_t i = 0; i < STATES; i++)
		if (!strcmp(states[i].name, state))
			return (int)i;
	return -1;
}

const char *show_color(const char *state)
{
	int i = rank(state);

	return i < 0 ? COLOR_YELLOW : states[i].color;
}

const char *show_paint(const struct output *o, const char *color)
{
	return o->color ? color : "";
}

struct sorted {
	json_t *item;
	size_t place; /* equals keep the daemon's order */
};

static int worse(const void *a, const void *b)
{
	const struct sorted *x = a, *y = b;
	int n = rank(get_string(x->item, "state")) - rank(get_string(y->item, "state"));

	return n ? n : (x->place > y->place) - (x->place < y->place);
}

json_t *show_sorted(const json_t *array)
{
	size_t n = json_array_size(array);
	struct sorted *s = calloc(n + 1, sizeof(*s));
	json_t *out = json_array();

	if (!s || !out)
		err(MPIOCTL_REFUSED, NULL);
	for (size_t i = 0; i < n; i++)
		s[i] = (struct sorted){ json_array_get(array, i), i };
	qsort(s, n, sizeof(*s), worse);
	for (size_t i = 0; i < n; i++)
		if (json_array_append(out, s[i].item) < 0)
			err(MPIOCTL_REFUSED, NULL);
	free(s);
	return out;
}

static void cell_age(struct table *t, const json_t *o)
{
	char buf[FORMAT_MAX];

	table_cell(t, format_age(buf, get_number(o, "state_age_ms")), NULL);
}

static void cell_count(struct table *t, const json_t *o, const char *key, const char *color)
{
	char buf[FORMAT_MAX];
	json_int_t n = get_number(o, key);

	table_cell(t, format_count(buf, n), n ? color : NULL);
}

static void cell_bytes(struct table *t, const json_t *o, const char *key)
{
	char buf[FORMAT_MAX];

	table_cell(t, format_bytes(buf, get_number(o, key)), NULL);
}

static void cell_latency(struct table *t, const json_t *o)
{
	char buf[FORMAT_MAX];

	table_cell(t, format_latency(buf, get_number(o, "latency_us")), NULL);
}

static void cell_state(struct table *t, const json_t *o)
{
	const char *state = get_string(o, "state");

	table_cell(t, state, show_color(state));
}

/* A path that is usable, but in a lesser port group, is called after that. */
static void cell_path_state(struct table *t, const json_t *p)
{
	const char *alua = get_string(p, "alua");

	if (strcmp(get_string(p, "state"), "usable") || !strcmp(alua, "none") || !strcmp(alua, "active/optimized"))
		cell_state(t, p);
	else
		table_cell(t, !strcmp(alua, "active/non-optimized") ? "non-optimized" : alua,
			   strcmp(alua, "unavailable") && strcmp(alua, "offline") ? NULL : COLOR_YELLOW);
}

/* The paths of one LUN, short. */
static void status_paths(const struct output *o, const json_t *paths)
{
	static const struct table_column cols[] = {
		{ "PATH", TABLE_SHRINK, NAME_MIN },
		{ "STATE", 0, 0 },
		{ "FOR", TABLE_RIGHT, 0 },
		{ "READ", TABLE_RIGHT, 0 },
		{ "WRITTEN", TABLE_RIGHT, 0 },
		{ "ERRORS", TABLE_RIGHT, 0 },
		{ "LATENCY", TABLE_RIGHT | TABLE_OPTIONAL, 0 },
		{ "QUEUE", TABLE_RIGHT | TABLE_OPTIONAL, 0 },
		{ "RETRIES", TABLE_RIGHT | TABLE_OPTIONAL, 0 },
		{ "ALUA", TABLE_OPTIONAL, 0 },
		{ NULL, 0, 0 },
	};
	json_t *sorted = show_sorted(paths), *p;
	struct table *t = table_new(cols);
	size_t i;

	json_array_foreach(sorted, i, p) {
		table_cell(t, get_string(p, "name"), NULL);
		cell_path_state(t, p);
		cell_age(t, p);
		cell_bytes(t, p, "read_bytes");
		cell_bytes(t, p, "write_bytes");
		cell_count(t, p, "errors", COLOR_YELLOW);
		cell_latency(t, p);
		cell_count(t, p, "inflight", NULL);
		cell_count(t, p, "retries", NULL);
		table_cell(t, get_string(p, "alua"), NULL);
		table_note(t, get_string(p, "reason"));
	}
	table_print(t, o, 2);
	table_free(t);
	json_decref(sorted);
}

void show_lun_state(const struct output *o, const json_t *lun)
{
	const char *state = get_string(lun, "state");
	char age[FORMAT_MAX], bytes[FORMAT_MAX];
	json_int_t queued = get_number(lun, "queued");

	fprintf(o->to, "%s%s%s for %s", show_paint(o, show_color(state)),
		!strcmp(state, "no-path") ? "NO PATH" : state, show_paint(o, COLOR_OFF),
		format_age(age, get_number(lun, "state_age_ms")));
	if (strcmp(state, "no-path"))
		return;
	if (get_bool(lun, "failing"))
		fprintf(o->to, ", I/O fails");
	else if (queued)
		fprintf(o->to, ", %" JSON_INTEGER_FORMAT " request%s wait%s (%s)", queued,
			queued == 1 ? "" : "s", queued == 1 ? "s" : "",
			format_bytes(bytes, get_number(lun, "queued_bytes")));
	else
		fprintf(o->to, ", I/O waits");
}

static void status_lun(const struct output *o, const json_t *lun)
{
	const char *name = get_string(lun, "name"), *id = get_string(lun, "id");
	char facts[1024], size[FORMAT_MAX];
	json_int_t users = get_number(lun, "users");

	fprintf(o->to, "\n%s%s%s  ", show_paint(o, COLOR_BOLD), name, show_paint(o, COLOR_OFF));
	show_lun_state(o, lun);
	putc('\n', o->to);
	show_doubts(o, lun);
	snprintf(facts, sizeof(facts), "%s%s%s, %s%s, %" JSON_INTEGER_FORMAT " client%s",
		 strcmp(name, id) ? id : "", strcmp(name, id) ? ", " : "",
		 get_bool(lun, "exported") ? format_bytes(size, get_number(lun, "size"))
					   : "not exported yet",
		 get_string(lun, "policy"), get_bool(lun, "read_only") ? ", read-only" : "", users,
		 users == 1 ? "" : "s");
	table_wrap(o, 2, facts);
	if (json_array_size(json_object_get(lun, "paths")))
		status_paths(o, json_object_get(lun, "paths"));
}

/* Sessions that carry no path are in no LUN's table; those that do not work must not be missed. */
static json_t *orphans(const json_t *sessions)
{
	json_t *out = json_array(), *s;
	size_t i;

	json_array_foreach(sessions, i, s) {
		if (json_array_size(json_object_get(s, "paths")) == 0)
			json_array_append(out, s);
	}
	return out;
}

/* Of the last login. */
static void cell_group(struct table *t, const json_t *s)
{
	const json_t *v = json_object_get(s, "portal_group");
	char buf[FORMAT_MAX];

	snprintf(buf, sizeof(buf), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	table_cell(t, json_is_integer(v) ? buf : "-", NULL);
}

static void print_sessions(const struct output *o, const json_t *sessions, int indent)
{
	static const struct table_column cols[] = {
		{ "SESSION", TABLE_SHRINK, NAME_MIN },
		{ "STATE", 0, 0 },
		{ "FOR", TABLE_RIGHT, 0 },
		{ "LATENCY", TABLE_RIGHT, 0 },
		{ "QUEUE", TABLE_RIGHT, 0 },
		{ "LOGINS", TABLE_RIGHT, 0 },
		{ "LOSSES", TABLE_RIGHT, 0 },
		{ "PATHS", TABLE_RIGHT, 0 },
		{ "WINDOW", TABLE_RIGHT | TABLE_OPTIONAL, 0 },
		{ "GROUP", TABLE_RIGHT | TABLE_OPTIONAL, 0 },
		{ "REINSTATE", TABLE_OPTIONAL, 0 },
		{ "INTERFACE", TABLE_OPTIONAL, 0 },
		{ NULL, 0, 0 },
	};
	json_t *sorted = show_sorted(sessions), *s;
	struct table *t = table_new(cols);
	char buf[FORMAT_MAX];
	size_t i;

	json_array_foreach(sorted, i, s) {
		size_t paths = json_array_size(json_object_get(s, "paths"));
		const char *interface = get_string(s, "interface");

		table_cell(t, get_string(s, "name"), NULL);
		cell_state(t, s);
		cell_age(t, s);
		cell_latency(t, s);
		cell_count(t, s, "inflight", NULL);
		cell_count(t, s, "logins", NULL);
		cell_count(t, s, "losses", COLOR_YELLOW);
		table_cell(t, format_count(buf, (json_int_t)paths), NULL);
		cell_count(t, s, "window", NULL);
		cell_group(t, s);
		table_cell(t, get_string(s, "reinstatement"), NULL);
		table_cell(t, *interface ? interface : "-", NULL);
		table_note(t, get_string(s, "reason"));
	}
	table_print(t, o, indent);
	table_free(t);
	json_decref(sorted);
}

void show_headline(const struct output *o, const json_t *data)
{
	const json_t *luns = json_object_get(data, "luns");
	const json_t *sessions = json_object_get(data, "sessions");
	size_t n = json_array_size(luns), i, bad = 0, degraded = 0, down = 0, doubts = 0;
	json_t *lun, *s;

	json_array_foreach(luns, i, lun) {
		bad += !strcmp(get_string(lun, "state"), "no-path");
		degraded += !strcmp(get_string(lun, "state"), "degraded");
		doubts += json_array_size(json_object_get(lun, "doubts")) > 0;
	}
	json_array_foreach(sessions, i, s)
		down += !get_bool(s, "usable") && strcmp(get_string(s, "state"), "disabled");
	fprintf(o->to, "mpiod %s%s: ", get_string(data, "version"),
		get_bool(data, "stopping") ? " (stopping)" : "");
	fprintf(o->to, "%zu LUN%s", n, n == 1 ? "" : "s");
	if (bad)
		fprintf(o->to, ", %s%zu without a path%s", show_paint(o, COLOR_RED), bad,
			show_paint(o, COLOR_OFF));
	if (degraded)
		fprintf(o->to, ", %s%zu degraded%s", show_paint(o, COLOR_YELLOW), degraded,
			show_paint(o, COLOR_OFF));
	if (doubts)
		fprintf(o->to, ", %s%zu with writes in doubt%s", show_paint(o, COLOR_YELLOW), doubts,
			show_paint(o, COLOR_OFF));
	if (down)
		fprintf(o->to, ", %s%zu of %zu sessions down%s", show_paint(o, COLOR_YELLOW), down,
			json_array_size(sessions), show_paint(o, COLOR_OFF));
	fprintf(o->to, "%s\n", n && !bad && !degraded && !down && !doubts ? ", all ok" : "");
}

void show_status(const struct output *o, const json_t *data)
{
	json_t *luns = show_sorted(json_object_get(data, "luns"));
	json_t *lost = orphans(json_object_get(data, "sessions")), *lun;
	size_t i;

	show_headline(o, data);
	json_array_foreach(luns, i, lun)
		status_lun(o, lun);
	if (json_array_size(lost)) {
		fprintf(o->to, "\nSessions without a path\n");
		print_sessions(o, lost, 2);
	}
	json_decref(lost);
	json_decref(luns);
}

void show_paths(const struct output *o, const json_t *data)
{
	static const struct table_column cols[] = {
		{ "PATH", TABLE_SHRINK, NAME_MIN },
		{ "EXPORT", TABLE_SHRINK, 10 },
		{ "STATE", 0, 0 },
		{ "FOR", TABLE_RIGHT, 0 },
		{ "READS", TABLE_RIGHT, 0 },
		{ "WRITES", TABLE_RIGHT, 0 },
		{ "ERRORS", TABLE_RIGHT, 0 },
		{ "QUEUE", TABLE_RIGHT | TABLE_OPTIONAL, 0 },
		{ "LATENCY", TABLE_RIGHT | TABLE_OPTIONAL, 0 },
		{ "RETRIES", TABLE_RIGHT | TABLE_OPTIONAL, 0 },
		{ "FAILURES", TABLE_RIGHT | TABLE_OPTIONAL, 0 },
		{ "ALUA", TABLE_OPTIONAL, 0 },
		{ NULL, 0, 0 },
	};
	json_t *sorted = show_sorted(json_object_get(data, "paths")), *p;
	struct table *t = table_new(cols);
	size_t i;

	if (!json_array_size(sorted))
		fprintf(o->to, "no paths\n");
	json_array_foreach(sorted, i, p) {
		const char *export = get_string(p, "export");

		table_cell(t, get_string(p, "name"), NULL);
		table_cell(t, *export ? export : "-", NULL);
		cell_path_state(t, p);
		cell_age(t, p);
		cell_count(t, p, "reads", NULL);
		cell_count(t, p, "writes", NULL);
		cell_count(t, p, "errors", COLOR_YELLOW);
		cell_count(t, p, "inflight", NULL);
		cell_latency(t, p);
		cell_count(t, p, "retries", NULL);
		cell_count(t, p, "failures", COLOR_YELLOW);
		table_cell(t, get_string(p, "alua"), NULL);
		table_note(t, get_string(p, "reason"));
	}
	if (json_array_size(sorted))
		table_print(t, o, 0);
	table_free(t);
	json_decref(sorted);
}

void show_sessions(const struct output *o, const json_t *data)
{
	const json_t *sessions = json_object_get(data, "sessions");

	if (json_array_size(sessions))
		print_sessions(o, sessions, 0);
	else
		fprintf(o->to, "no sessions\n");
}
