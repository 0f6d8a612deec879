/* SPDX-License-Identifier: MIT */
/* What happened, and what happens. */
#include "mpioctl.h"

#include <err.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STAMP 25 /* columns of the time */
#define HEAD 34  /* and of the level */

static void print_event(const struct output *o, const json_t *ev)
{
	const char *level = get_string(ev, "level"), *lun = get_string(ev, "lun");
	const char *path = get_string(ev, "path"), *color = "", *text = get_string(ev, "text");
	json_int_t us = get_number(ev, "time_us");
	time_t s = (time_t)(us / 1000000);
	char stamp[40], what[4096];
	struct tm tm;

	localtime_r(&s, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &tm);
	if (!strcmp(level, "error"))
		color = COLOR_RED;
	else if (!strcmp(level, "warning"))
		color = COLOR_YELLOW;
	fprintf(o->to, "%s.%03d  %s%-7s%s  ", stamp, (int)(us / 1000 % 1000),
		show_paint(o, color), level, show_paint(o, *color ? COLOR_OFF : ""));
	snprintf(what, sizeof(what), "%s%s%s%s%s%s%s", get_string(ev, "kind"),
		 *lun || *path ? ": " : "", lun, *lun && *path ? " via " : "", path,
		 *text ? ": " : "", text);
	table_wrap_on(o, HEAD, STAMP, what);
}

/* One line for one event, for people or for scripts. */
static void print_events(const struct output *o, const json_t *data)
{
	const json_t *list = json_object_get(data, "events");
	json_t *ev;
	size_t i;

	json_array_foreach(list, i, ev) {
		if (o->json) {
			json_dumpf(ev, o->to, JSON_COMPACT);
			putc('\n', o->to);
		} else {
			print_event(o, ev);
		}
	}
	fflush(o->to);
}

/* Every line went out whole: there is nothing to put in order. */
static void on_interrupt(int sig)
{
	_exit(MPIOCTL_DONE);
}

enum mpioctl_exit events_run(struct client *c, const struct output *o, bool follow, long lines)
{
	json_t *request = json_pack("{s:s, s:b}", "cmd", "events", "follow", follow), *data;
	enum mpioctl_exit code;

	if (request && lines >= 0)
		json_object_set_new(request, "limit", json_integer(lines));
	if (follow) {
		signal(SIGINT, on_interrupt);
		signal(SIGTERM, on_interrupt);
	}
	code = client_ask(c, request, &data, NULL);
	if (!code && o->json && !follow) {
		json_dumpf(data, o->to, JSON_INDENT(2));
		putc('\n', o->to);
		json_decref(data);
		return code;
	}
	while (!code) {
		print_events(o, data);
		json_decref(data);
		if (!follow || ferror(o->to))
			break;
		code = client_next(c, true, &data, NULL);
	}
	return code;
}
