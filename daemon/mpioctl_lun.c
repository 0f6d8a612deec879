/* SPDX-License-Identifier: MIT */
/* One LUN with all there is to say. */
#include "mpioctl.h"

#include <stdarg.h>
#include <string.h>

#define LABEL 13

__attribute__((format(printf, 3, 4)))
static void fact(const struct output *o, const char *label, const char *fmt, ...)
{
	va_list ap;

	fprintf(o->to, "%s%-*s%s", show_paint(o, COLOR_BOLD), LABEL, label,
		show_paint(o, COLOR_OFF));
	va_start(ap, fmt);
	vfprintf(o->to, fmt, ap);
	va_end(ap);
	putc('\n', o->to);
}

static const char *no_path(const json_t *lun, char *buf)
{
	const json_t *v = json_object_get(lun, "no_path_timeout");

	if (json_is_string(v))
		return "I/O waits for as long as it takes";
	if (json_real_value(v) <= 0)
		return "I/O fails at once";
	snprintf(buf, FORMAT_MAX * 2, "I/O waits %g s, then fails", json_real_value(v));
	return buf;
}

static void facts(const struct output *o, const json_t *lun)
{
	char a[FORMAT_MAX * 2], groups[512];
	const char *hardware = get_string(lun, "hardware");
	const char *section = get_string(lun, "section");
	json_int_t waiting = get_number(lun, "waiting");

	fact(o, "Identifier", "%s", get_string(lun, "id"));
	if (get_bool(lun, "exported"))
		fact(o, "Size",
		     "%s (%" JSON_INTEGER_FORMAT " bytes, blocks of %" JSON_INTEGER_FORMAT ")",
		     format_bytes(a, get_number(lun, "size")), get_number(lun, "size"),
		     get_number(lun, "block_size"));
	else
		fact(o, "Size", "not known: it was never reached, and is not exported yet");
	fact(o, "Device", "%s %s, revision %s, serial %s", get_string(lun, "vendor"),
	     get_string(lun, "product"), get_string(lun, "revision"), get_string(lun, "serial"));
	fact(o, "Access", "%s%s%s", get_bool(lun, "read_only") ? "read-only" : "read-write",
	     get_bool(lun, "unmap") ? ", UNMAP" : "",
	     get_bool(lun, "write_same") ? ", WRITE SAME" : "");
	fact(o, "Policy", "%s%s", get_string(lun, "policy"),
	     get_bool(lun, "policy_by_admin") ? " (set with mpioctl, until the next start)" : "");
	fact(o, "Handled as", "%s%s%s%s%s%s%s", get_string(lun, "dsm"), *section ? ", section [lun " : "",
	     section, *section ? "]" : "", *hardware ? ", section [hardware " : "", hardware, *hardware ? "]" : "");
	if (json_array_size(json_object_get(lun, "port_groups")))
		fact(o, "Port groups", "%s", format_groups(groups, sizeof(groups), json_object_get(lun, "port_groups")));
	fact(o, "Fence", "%s, given up after %g s", get_string(lun, "fence"),
	     json_real_value(json_object_get(lun, "fence_timeout")));
	fact(o, "No path", "%s", no_path(lun, a));
	fact(o, "Queue depth", "%" JSON_INTEGER_FORMAT " commands on each path",
	     get_number(lun, "queue_depth"));
	fact(o, "Clients", "%" JSON_INTEGER_FORMAT, get_number(lun, "users"));
	fact(o, "Requests", "%" JSON_INTEGER_FORMAT " inside (%s), %" JSON_INTEGER_FORMAT
	     " command%s wait%s for a path", get_number(lun, "queued"),
	     format_bytes(a, get_number(lun, "queued_bytes")), waiting, waiting == 1 ? "" : "s",
	     waiting == 1 ? "s" : "");
}

static void one_path(const struct output *o, const json_t *p, const char *policy)
{
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX], d[FORMAT_MAX];
	const char *state = get_string(p, "state"), *reason = get_string(p, "reason");
	const char *interface = get_string(p, "interface"), *name = get_string(p, "name");
	int head = format_width(name) + format_width(interface) + (*interface ? 12 : 7);

	format_age(a, get_number(p, "state_age_ms"));
	fprintf(o->to, "\n%s%s%s%s%s%s%s%s%s for %s\n", show_paint(o, COLOR_BOLD), name,
		show_paint(o, COLOR_OFF), *interface ? " via " : "", interface,
		o->width && head + format_width(state) + format_width(a) > o->width ? "\n    "
										    : "  ",
		show_paint(o, show_color(state)), state, show_paint(o, COLOR_OFF), a);
	table_wrap(o, 4, reason);
	fprintf(o->to, "    %s reads (%s), %s writes (%s)\n",
		format_count(a, get_number(p, "reads")),
		format_bytes(b, get_number(p, "read_bytes")),
		format_count(c, get_number(p, "writes")),
		format_bytes(d, get_number(p, "write_bytes")));
	fprintf(o->to, "    %s errors, %s retries, failed %s times\n",
		format_count(a, get_number(p, "errors")), format_count(b, get_number(p, "retries")),
		format_count(c, get_number(p, "failures")));
	fprintf(o->to, "    %s in flight, latency %s", format_count(a, get_number(p, "inflight")),
		format_latency(b, get_number(p, "latency_us")));
	if (strcmp(get_string(p, "alua"), "none"))
		fprintf(o->to, ", ALUA %s", get_string(p, "alua"));
	if (get_bool(p, "resting"))
		fprintf(o->to, ", rests until failback");
	if (get_bool(p, "preferred"))
		fprintf(o->to, ", preferred");
	if (!strcmp(policy, "weighted-paths"))
		fprintf(o->to, ", weight %" JSON_INTEGER_FORMAT, get_number(p, "weight"));
	if (!strcmp(policy, "round-robin-subset"))
		fprintf(o->to, ", %s", get_bool(p, "active") ? "active" : "in reserve");
	putc('\n', o->to);
}

void show_lun(const struct output *o, const json_t *lun)
{
	json_t *paths = show_sorted(json_object_get(lun, "paths")), *p;
	size_t i;

	fprintf(o->to, "%s%s%s  ", show_paint(o, COLOR_BOLD), get_string(lun, "name"),
		show_paint(o, COLOR_OFF));
	show_lun_state(o, lun);
	putc('\n', o->to);
	show_doubts(o, lun);
	putc('\n', o->to);
	facts(o, lun);
	json_array_foreach(paths, i, p)
		one_path(o, p, get_string(lun, "policy"));
	json_decref(paths);
}
