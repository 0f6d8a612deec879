/* SPDX-License-Identifier: MIT */
/* What each command of the control socket does. */
#include "control_cmd.h"
#include "log.h"
#include "metrics.h"
#include "status.h"
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_MAX 4096 /* bytes of an error that is not a configuration's */

struct call {
	const struct control_context *c;
	const json_t *args;
	bool *follow;
};

struct command {
	const char *name;
	json_t *(*run)(const struct call *k);
};

/* Takes data over; data NULL is out of memory. */
static json_t *answer(json_t *data)
{
	if (!data)
		return NULL;
	return json_pack("{s:i, s:b, s:o}", "version", CONTROL_VERSION, "ok", 1, "data", data);
}

/*
 * A copy of text with each line escaped and no empty last one: several lines stay several lines, as
 * the errors of a configuration are one on each. NULL: out of memory. The caller frees it.
 */
static char *safe_lines(const char *text)
{
	size_t room = strlen(text) * 4 + 4, n = 0; /* 4: each byte may become \xNN */
	char *safe = malloc(room), *copy = strdup(text), *rest = copy, *line;

	if (!safe || !copy) {
		free(safe);
		free(copy);
		return NULL;
	}
	*safe = '\0';
	while ((line = strsep(&rest, "\n"))) {
		if (!*line)
			continue;
		if (n)
			safe[n++] = '\n';
		text_escape(safe + n, room - n, line);
		n += strlen(safe + n);
	}
	free(copy);
	return safe;
}

static json_t *refusal(const char *code, const char *why)
{
	char *safe = safe_lines(why);
	json_t *o;

	if (!safe)
		return NULL;
	o = json_pack("{s:i, s:b, s:s, s:s}", "version", CONTROL_VERSION, "ok", 0, "code", code,
		      "error", safe);
	free(safe);
	return o;
}

json_t *control_error(const char *code, const char *fmt, ...)
{
	char why[ERROR_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return refusal(code, why);
}

/* The string argument of that name; NULL: it is missing. */
static const char *string_arg(const struct call *k, const char *key)
{
	return json_string_value(json_object_get(k->args, key));
}

static json_t *missing(const char *key)
{
	return control_error("invalid", "the request has no string \"%s\"", key);
}

static void touch(const struct call *k)
{
	k->c->ops->touch(k->c->arg);
}

static void settle(const struct call *k)
{
	k->c->ops->settle(k->c->arg);
}

static json_t *no_lun(const char *name)
{
	return control_error("not-found", "there is no LUN or export named \"%s\"", name);
}

static json_t *run_status(const struct call *k)
{
	json_t *o;

	touch(k);
	o = status_json(k->c->engine);
	if (o && k->c->ops->restarts)
		json_object_set_new(o, "restarts", json_integer(k->c->ops->restarts(k->c->arg)));
	return answer(o);
}

static json_t *run_metrics(const struct call *k)
{
	json_t *data;
	size_t len;
	char *text;

	touch(k);
	text = metrics_text(k->c->engine, &len);
	if (!text)
		return NULL;
	data = json_pack("{s:s}", "text", text);
	free(text);
	return answer(data);
}

static json_t *run_sessions(const struct call *k)
{
	touch(k);
	return answer(status_sessions_json(k->c->engine));
}

static json_t *run_show(const struct call *k)
{
	const char *name = string_arg(k, "lun");
	bool found;
	json_t *data;

	if (!name)
		return missing("lun");
	touch(k);
	data = status_lun_json(k->c->engine, name, &found);
	return found ? answer(data) : no_lun(name);
}

static json_t *run_paths(const struct call *k)
{
	const char *name = string_arg(k, "lun");
	bool found;
	json_t *data;

	if (!name && json_object_get(k->args, "lun"))
		return missing("lun");
	touch(k);
	data = status_paths_json(k->c->engine, name, &found);
	if (found)
		return answer(data);
	json_decref(data);
	return no_lun(name);
}

static json_t *run_reservations(const struct call *k)
{
	const char *name = string_arg(k, "lun");
	bool found;
	json_t *data;

	touch(k);
	data = status_reservations_json(k->c->engine, name, &found);
	if (found)
		return answer(data);
	json_decref(data);
	return no_lun(name);
}

static json_t *run_explain(const struct call *k)
{
	const char *name = string_arg(k, "lun");
	bool found;
	json_t *data;

	if (!name)
		return missing("lun");
	touch(k);
	data = status_explain_json(k->c->engine, name, &found);
	if (found)
		return answer(data);
	json_decref(data);
	return no_lun(name);
}

static json_t *run_events(const struct call *k)
{
	struct events *r = k->c->events;
	uint64_t first = events_oldest(r), last = events_newest(r);
	const json_t *limit = json_object_get(k->args, "limit");
	json_t *list = json_array();

	if (limit) {
		json_int_t n = json_integer_value(limit);

		if (!json_is_integer(limit) || n < 0) {
			json_decref(list);
			return control_error("invalid", "\"limit\" must be a number from 0 on");
		}
		if ((uint64_t)n < last - first + 1)
			first = last - (uint64_t)n + 1;
	}
	for (uint64_t i = first; list && i <= last; i++) {
		const struct events_entry *ev = events_get(r, i);

		if (ev && json_array_append_new(list, status_event_json(ev)) < 0) {
			json_decref(list);
			list = NULL;
		}
	}
	*k->follow = json_is_true(json_object_get(k->args, "follow"));
	return answer(json_pack("{s:o}", "events", list));
}

json_t *control_event_answer(const struct events_entry *ev)
{
	return answer(json_pack("{s:[o]}", "events", status_event_json(ev)));
}

static json_t *change_path(const struct call *k, int (*change)(struct engine *e, const char *path),
			   const char *verb)
{
	const char *name = string_arg(k, "path");
	int err;

	if (!name)
		return missing("path");
	touch(k);
	err = change(k->c->engine, name);
	settle(k);
	if (err == -ENOENT)
		return control_error("not-found", "there is no path or session named \"%s\"", name);
	if (err)
		return control_error("refused", "can't %s \"%s\": %s", verb, name, strerror(-err));
	log_msg(LOG_NOTICE, "control: %s path %s", verb, name);
	/* how they are now: "disabled", or still "draining" */
	return answer(status_named_paths_json(k->c->engine, name));
}

static json_t *run_disable(const struct call *k)
{
	return change_path(k, engine_path_disable, "disable");
}

static json_t *run_enable(const struct call *k)
{
	return change_path(k, engine_path_enable, "enable");
}

static json_t *run_drain(const struct call *k)
{
	return change_path(k, engine_path_drain, "drain");
}

static json_t *run_policy(const struct call *k)
{
	const char *lun = string_arg(k, "lun"), *policy = string_arg(k, "policy");
	char names[512] = "";
	int err;

	if (!lun || !policy)
		return missing(lun ? "policy" : "lun");
	touch(k);
	err = engine_lun_policy(k->c->engine, lun, policy);
	settle(k);
	if (err == -ENOENT)
		return no_lun(lun);
	if (err == -EINVAL) {
		for (int i = 0; policy_all[i]; i++) {
			strncat(names, i ? ", " : "", sizeof(names) - strlen(names) - 1);
			strncat(names, policy_all[i]->name, sizeof(names) - strlen(names) - 1);
		}
		return control_error("invalid", "there is no policy named \"%s\"; there are %s",
				     policy, names);
	}
	if (err)
		return control_error("refused", "can't change the policy of \"%s\": %s", lun,
				     strerror(-err));
	log_msg(LOG_NOTICE, "control: policy of %s is now %s", lun, policy);
	return answer(json_pack("{s:s, s:s}", "lun", lun, "policy", policy));
}

static json_t *run_reload(const struct call *k)
{
	char *message = NULL, *safe;
	json_t *o = NULL;
	int err;

	touch(k);
	err = k->c->ops->reload(k->c->arg, &message);
	settle(k);
	log_msg(err ? LOG_ERR : LOG_NOTICE, "control: reload: %s",
		err ? "refused, nothing was changed" : "done");
	if (err) {
		o = refusal("refused", message && *message ? message : strerror(-err));
	} else {
		safe = safe_lines(message ? message : "");
		if (safe)
			o = answer(json_pack("{s:s}", "message", safe));
		free(safe);
	}
	free(message);
	return o;
}

static json_t *run_restart(const struct call *k)
{
	char why[512];

	if (!k->c->ops->restart)
		return control_error("refused", "this daemon can't restart");
	if (k->c->ops->restart(k->c->arg, why, sizeof(why)))
		return control_error("refused", "%s", why);
	return answer(json_pack("{s:i}", "restarts", (int)k->c->ops->restarts(k->c->arg)));
}

static json_t *run_rescan(const struct call *k)
{
	int err;

	if (!k->c->ops->rescan)
		return control_error("refused", "this daemon can't rescan");
	touch(k);
	err = k->c->ops->rescan(k->c->arg);
	settle(k);
	if (err)
		return control_error("refused", "can't rescan: %s", strerror(-err));
	return answer(json_object());
}

static const struct command commands[] = {
	{ "status", run_status },
	{ "show", run_show },
	{ "paths", run_paths },
	{ "sessions", run_sessions },
	{ "metrics", run_metrics },
	{ "events", run_events },
	{ "path-disable", run_disable },
	{ "path-enable", run_enable },
	{ "path-drain", run_drain },
	{ "policy", run_policy },
	{ "reload", run_reload },
	{ "restart", run_restart },
	{ "rescan", run_rescan },
	{ "reservations", run_reservations },
	{ "explain", run_explain },
};

static json_t *run(struct call *k)
{
	const json_t *version = json_object_get(k->args, "version");
	const char *cmd = string_arg(k, "cmd");

	if (!json_is_object(k->args))
		return control_error("invalid", "a request is a JSON object");
	if (!json_is_integer(version) || json_integer_value(version) != CONTROL_VERSION)
		return control_error("invalid", "this daemon speaks version %d", CONTROL_VERSION);
	if (!cmd)
		return missing("cmd");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, cmd))
			return commands[i].run(k);
	return control_error("invalid", "there is no command \"%.64s\"", cmd);
}

json_t *control_run(const struct control_context *c, const char *line, size_t len, bool *follow)
{
	json_error_t err;
	json_t *args = json_loadb(line, len, JSON_REJECT_DUPLICATES, &err), *reply;
	struct call k = { .c = c, .args = args, .follow = follow };

	*follow = false;
	if (!args)
		return control_error("invalid", "not JSON, at byte %d: %s", err.position, err.text);
	reply = run(&k);
	json_decref(args);
	return reply;
}
