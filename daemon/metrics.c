/* SPDX-License-Identifier: MIT */
/*
 * Prometheus' text format, out of what status.c says: one table row a metric. The names in the
 * labels are as the status shows them, that is printable UTF-8.
 */
#include "metrics.h"
#include "status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a metric is about, and so which labels its samples bear. */
enum scope { SCOPE_DAEMON, SCOPE_LUN, SCOPE_PATH, SCOPE_SESSION, NSCOPES };

struct label {
	const char *name, *key;
};

static const struct label labels[NSCOPES][5] = {
	[SCOPE_DAEMON] = { { NULL, NULL } },
	[SCOPE_LUN] = { { "export", "name" }, { NULL, NULL } },
	[SCOPE_PATH] = { { "path", "name" },
			 { "export", "export" },
			 { "target", "target" },
			 { "portal", "portal" },
			 { NULL, NULL } },
	[SCOPE_SESSION] = { { "session", "name" },
			    { "target", "target" },
			    { "portal", "portal" },
			    { NULL, NULL } },
};

/* More labels of the metrics that are always 1. */
static const struct label daemon_info[] = { { "version", "version" }, { NULL, NULL } };
static const struct label lun_info[] = { { "id", "id" },	 { "policy", "policy" },
					 { "dsm", "dsm" },	 { "vendor", "vendor" },
					 { "product", "product" }, { "serial", "serial" },
					 { NULL, NULL } };

/* All states that there are: an alert on one that never was yet must find a 0. */
static const char *const lun_states[] = { "ok", "degraded", "no-path", NULL };
static const char *const path_states[] = { "usable",  "marginal", "suspect",  "down",     "identifying",
					   "refused", "failed",   "disabled", "draining", NULL };
static const char *const session_states[] = { "up",	    "suspect", "down", "connecting",
					      "identifying", "disabled", NULL };

struct metric {
	const char *name;
	enum scope scope;
	bool counter;
	const char *key;             /* in the status; NULL: always 1 */
	double scale;                /* 0: as it is */
	const char *const *states;   /* one sample for each of them: is it in this state? */
	const struct label *more;
	const char *help;
};

static const struct metric metrics[] = {
	{ .name = "info", .more = daemon_info, .help = "The daemon that runs." },
	{ .name = "stopping", .key = "stopping", .help = "Whether it drains, to stop." },
	{ .name = "inflight_commands", .key = "inflight", .help = "SCSI commands under way." },
	{ .name = "inflight_bytes", .key = "inflight_bytes",
	  .help = "Data of all requests inside, bounded by max_inflight_bytes." },

	{ .name = "lun_info", .scope = SCOPE_LUN, .more = lun_info, .help = "What the LUN is." },
	{ .name = "lun_state", .scope = SCOPE_LUN, .key = "state", .states = lun_states,
	  .help = "1 for the state that the LUN is in." },
	{ .name = "lun_size_bytes", .scope = SCOPE_LUN, .key = "size", .help = "Size of the export." },
	{ .name = "lun_clients", .scope = SCOPE_LUN, .key = "users", .help = "NBD connections." },
	{ .name = "lun_queued_requests", .scope = SCOPE_LUN, .key = "queued",
	  .help = "Requests of clients that are not answered yet." },
	{ .name = "lun_queued_bytes", .scope = SCOPE_LUN, .key = "queued_bytes",
	  .help = "Data of the requests that are not answered yet." },
	{ .name = "lun_waiting_commands", .scope = SCOPE_LUN, .key = "waiting",
	  .help = "Commands that wait for a path or for room on one." },
	{ .name = "lun_failing", .scope = SCOPE_LUN, .key = "failing",
	  .help = "Whether no_path_timeout ran out and I/O fails." },
	{ .name = "lun_fences", .scope = SCOPE_LUN, .key = "fences",
	  .help = "Ranges where a write may still run late, and newer ones wait." },
	{ .name = "lun_fenced_requests", .scope = SCOPE_LUN, .key = "fenced",
	  .help = "Requests that wait for such a write to be dead." },
	{ .name = "lun_read_only", .scope = SCOPE_LUN, .key = "read_only",
	  .help = "Whether writes are refused." },

	{ .name = "path_state", .scope = SCOPE_PATH, .key = "state", .states = path_states,
	  .help = "1 for the state that the path is in." },
	{ .name = "path_usable", .scope = SCOPE_PATH, .key = "usable",
	  .help = "Whether the path can carry I/O." },
	{ .name = "path_reads_total", .scope = SCOPE_PATH, .counter = true, .key = "reads",
	  .help = "Read commands completed." },
	{ .name = "path_writes_total", .scope = SCOPE_PATH, .counter = true, .key = "writes",
	  .help = "Write commands completed." },
	{ .name = "path_read_bytes_total", .scope = SCOPE_PATH, .counter = true,
	  .key = "read_bytes", .help = "Bytes read." },
	{ .name = "path_written_bytes_total", .scope = SCOPE_PATH, .counter = true,
	  .key = "write_bytes", .help = "Bytes written." },
	{ .name = "path_errors_total", .scope = SCOPE_PATH, .counter = true, .key = "errors",
	  .help = "Commands that ended with anything but success." },
	{ .name = "path_retries_total", .scope = SCOPE_PATH, .counter = true, .key = "retries",
	  .help = "Commands that had to be tried again because of this path." },
	{ .name = "path_failures_total", .scope = SCOPE_PATH, .counter = true, .key = "failures",
	  .help = "Times that the path went from usable to not usable." },
	{ .name = "path_inflight_commands", .scope = SCOPE_PATH, .key = "inflight",
	  .help = "Commands under way on the path." },
	{ .name = "path_latency_seconds", .scope = SCOPE_PATH, .key = "latency_us", .scale = 1e-6,
	  .help = "Smoothed time that a command takes on the path's session, 0 while unknown." },

	{ .name = "session_state", .scope = SCOPE_SESSION, .key = "state",
	  .states = session_states, .help = "1 for the state that the session is in." },
	{ .name = "session_logins_total", .scope = SCOPE_SESSION, .counter = true, .key = "logins",
	  .help = "Logins that succeeded." },
	{ .name = "session_losses_total", .scope = SCOPE_SESSION, .counter = true, .key = "losses",
	  .help = "Times that the session was lost." },
	{ .name = "session_inflight_commands", .scope = SCOPE_SESSION, .key = "inflight",
	  .help = "Commands under way on the session." },
	{ .name = "session_inflight_bytes", .scope = SCOPE_SESSION, .key = "inflight_bytes",
	  .help = "Data of the commands under way." },
	{ .name = "session_window_commands", .scope = SCOPE_SESSION, .key = "window",
	  .help = "Commands that may be under way; the target's busy answers shrink it." },
	{ .name = "session_latency_seconds", .scope = SCOPE_SESSION, .key = "latency_us",
	  .scale = 1e-6, .help = "Smoothed time that a command takes, 0 while unknown." },
};

static void put_label(FILE *out, bool *first, const char *name, const char *value)
{
	fprintf(out, "%s%s=\"", *first ? "{" : ",", name);
	*first = false;
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			putc('\\', out);
		putc(*value, out);
	}
	putc('"', out);
}

static void put_labels(FILE *out, bool *first, const struct label *l, const json_t *o)
{
	for (; l && l->name; l++) {
		const char *value = json_string_value(json_object_get(o, l->key));

		put_label(out, first, l->name, value ? value : "");
	}
}

static void put_sample(FILE *out, const struct metric *m, const json_t *o, const char *state,
		       double value)
{
	bool first = true;

	fprintf(out, "mpiod_%s", m->name);
	put_labels(out, &first, labels[m->scope], o);
	put_labels(out, &first, m->more, o);
	if (state)
		put_label(out, &first, "state", state);
	/* 17 digits bring a size of up to 2^53 bytes back as it was */
	fprintf(out, m->scale != 0. ? "%s %.9g\n" : "%s %.17g\n", first ? "" : "}", value);
}

static void put_states(FILE *out, const struct metric *m, const json_t *o)
{
	const char *now = json_string_value(json_object_get(o, m->key));
	bool known = false;

	for (const char *const *s = m->states; *s; s++) {
		bool is = now && !strcmp(*s, now);

		known = known || is;
		put_sample(out, m, o, *s, is);
	}
	if (now && !known)
		put_sample(out, m, o, now, 1);
}

static void put_one(FILE *out, const struct metric *m, const json_t *o)
{
	const json_t *v = m->key ? json_object_get(o, m->key) : NULL;

	if (m->states)
		put_states(out, m, o);
	else if (!m->key || json_is_boolean(v))
		put_sample(out, m, o, NULL, !m->key || json_is_true(v));
	else if (json_is_number(v))
		put_sample(out, m, o, NULL, json_number_value(v) * (m->scale != 0. ? m->scale : 1.));
}

/* All samples of a metric have to be together. */
static void put_metric(FILE *out, const struct metric *m, const json_t *const things[NSCOPES])
{
	const json_t *o = things[m->scope];
	size_t i;

	if (m->scope != SCOPE_DAEMON && json_array_size(o) == 0)
		return;
	fprintf(out, "# HELP mpiod_%s %s\n# TYPE mpiod_%s %s\n", m->name, m->help, m->name,
		m->counter ? "counter" : "gauge");
	if (m->scope == SCOPE_DAEMON)
		put_one(out, m, o);
	for (i = 0; m->scope != SCOPE_DAEMON && i < json_array_size(o); i++)
		put_one(out, m, json_array_get(o, i));
}

char *metrics_text(const struct engine *e, size_t *len)
{
	bool found;
	json_t *status = status_json(e), *paths = status_paths_json(e, NULL, &found);
	const json_t *const things[NSCOPES] = {
		[SCOPE_DAEMON] = status,
		[SCOPE_LUN] = json_object_get(status, "luns"),
		[SCOPE_PATH] = json_object_get(paths, "paths"),
		[SCOPE_SESSION] = json_object_get(status, "sessions"),
	};
	char *text = NULL;
	FILE *out = status && paths ? open_memstream(&text, len) : NULL;

	if (out) {
		for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
			put_metric(out, &metrics[i], things);
		if (fclose(out)) {
			free(text);
			text = NULL;
		}
	}
	json_decref(paths);
	json_decref(status);
	return text;
}
