/* SPDX-License-Identifier: MIT */
/* Why: which path the next I/O takes, which writes are in doubt, who has reserved what. */
#include "mpioctl.h"

#include <string.h>

static const char *plural(json_int_t n)
{
	return n == 1 ? "" : "s";
}

void show_explain(const struct output *o, const json_t *data)
{
	const json_t *paths = json_object_get(data, "paths");
	int width = 0;
	bool any = false;
	json_t *p;
	size_t i;

	fprintf(o->to, "%s%s%s  %s, policy %s\n", show_paint(o, COLOR_BOLD), get_string(data, "lun"),
		show_paint(o, COLOR_OFF), get_string(data, "state"), get_string(data, "policy"));
	json_array_foreach(paths, i, p) {
		int n = format_width(get_string(p, "path"));

		width = n > width ? n : width;
		any |= get_bool(p, "chosen");
	}
	if (!any)
		fprintf(o->to, "  the next I/O waits: no path can take it now\n");
	json_array_foreach(paths, i, p) {
		bool chosen = get_bool(p, "chosen");
		const char *name = get_string(p, "path");

		fprintf(o->to, "%s%s %s%s%*s  ", chosen ? show_paint(o, COLOR_GREEN) : "", chosen ? "->" : "  ", name,
			chosen ? show_paint(o, COLOR_OFF) : "", width - format_width(name), "");
		table_wrap_on(o, width + 5, 7, get_string(p, "why"));
	}
}

static void reservation_of(const struct output *o, const json_t *lun)
{
	static const struct table_column cols[] = {
		{ "KEY", 0, 0 },
		{ "REGISTERED BY", TABLE_SHRINK, 20 },
		{ NULL, 0, 0 },
	};
	const json_t *keys = json_object_get(lun, "keys");
	const char *holder = get_string(lun, "holder");
	struct table *t;
	char age[FORMAT_MAX], text[256];
	json_t *k;
	size_t i;

	fprintf(o->to, "%s%s%s  ", show_paint(o, COLOR_BOLD), get_string(lun, "lun"), show_paint(o, COLOR_OFF));
	if (!get_bool(lun, "supported")) {
		fprintf(o->to, "its storage does not do persistent reservations\n");
		return;
	}
	if (json_is_null(json_object_get(lun, "read_age_ms"))) {
		fprintf(o->to, "not read yet (every verify_interval it is)\n");
		return;
	}
	snprintf(text, sizeof(text), "%s%s%s, %zu key%s, read %s ago%s",
		 get_bool(lun, "held") ? get_string(lun, "type") : "not reserved", *holder ? " by " : "", holder,
		 json_array_size(keys), plural((json_int_t)json_array_size(keys)),
		 format_age(age, get_number(lun, "read_age_ms")),
		 get_bool(lun, "configured") ? "" : "; no reservation_key here");
	table_wrap_on(o, format_width(get_string(lun, "lun")) + 2, 2, text);
	if (!json_array_size(keys))
		return;
	t = table_new(cols);
	json_array_foreach(keys, i, k) {
		const char *path = get_string(k, "path");

		table_cell(t, get_string(k, "key"), NULL);
		table_cell(t, *path ? path : "another host", *path ? NULL : COLOR_YELLOW);
	}
	table_print(t, o, 2);
	table_free(t);
}

void show_reservations(const struct output *o, const json_t *data)
{
	const json_t *luns = json_object_get(data, "luns");
	json_t *lun;
	size_t i;

	if (!json_array_size(luns))
		fprintf(o->to, "no LUNs\n");
	json_array_foreach(luns, i, lun) {
		if (i)
			putc('\n', o->to);
		reservation_of(o, lun);
	}
}

void show_doubts(const struct output *o, const json_t *lun)
{
	const json_t *doubts = json_object_get(lun, "doubts");
	json_int_t fenced = get_number(lun, "fenced");
	char text[512], age[FORMAT_MAX];
	json_t *d;
	size_t i;

	json_array_foreach(doubts, i, d) {
		json_int_t writes = get_number(d, "writes");

		snprintf(text, sizeof(text),
			 "%" JSON_INTEGER_FORMAT " write%s lost with %s may still be executed: newer ones to these blocks "
			 "have to wait, %s by now (fence %s)", writes, plural(writes), get_string(d, "session"),
			 format_age(age, get_number(d, "age_ms")), get_string(d, "method"));
		fprintf(o->to, "  %s", show_paint(o, COLOR_YELLOW));
		table_wrap_on(o, 2, 4, text);
		fputs(show_paint(o, COLOR_OFF), o->to);
	}
	if (fenced)
		fprintf(o->to, "  %s%" JSON_INTEGER_FORMAT " request%s wait%s for that%s\n", show_paint(o, COLOR_YELLOW),
			fenced, plural(fenced), fenced == 1 ? "s" : "", show_paint(o, COLOR_OFF));
}

/* "1 active/optimized (preferred), 2 standby" */
char *format_groups(char *buf, size_t room, const json_t *groups)
{
	size_t i, at = 0;
	json_t *g;

	*buf = '\0';
	json_array_foreach(groups, i, g) {
		int n = snprintf(buf + at, room - at, "%s%" JSON_INTEGER_FORMAT " %s%s", i ? ", " : "",
				 get_number(g, "id"), get_string(g, "state"),
				 get_bool(g, "preferred") ? " (preferred)" : "");

		if (n < 0 || (size_t)n >= room - at)
			break;
		at += (size_t)n;
	}
	return buf;
}
