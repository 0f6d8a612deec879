/* SPDX-License-Identifier: MIT */
/* mpioctl(1): arguments, and which command does what. */
#include "mpioctl.h"

#include <err.h>
#include <getopt.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_CONTROL "/run/mpiod/control.sock"
#define WAIT_DEFAULT_S 60.
#define FOLLOW_LINES 10 /* of the past, as tail -f */

struct args {
	struct output o;
	const char *control;
	bool follow;
	long lines, paths;  /* -1: not given */
	double timeout;     /* -1: not given */
	char **words;       /* behind the command */
};

struct command {
	const char *words[2];   /* "path", "disable" */
	int least, most;        /* arguments */
	const char *options;    /* letters it takes besides those that all take */
	enum mpioctl_exit (*run)(struct client *c, const struct args *a);
	const char *usage, *help;
};

static void print_json(const struct output *o, const json_t *data)
{
	json_dumpf(data, o->to, JSON_INDENT(2));
	putc('\n', o->to);
}

/* Asks and shows. key may be NULL: a request without an argument. */
static enum mpioctl_exit ask_and_show(struct client *c, const struct args *a, const char *cmd,
				      const char *key, const char *value,
				      void (*show)(const struct output *o, const json_t *data))
{
	json_t *request = json_pack("{s:s}", "cmd", cmd), *data;
	enum mpioctl_exit code;

	if (key && request && json_object_set_new(request, key, json_string(value)) < 0)
		errx(MPIOCTL_USAGE, "%s: not valid UTF-8", value);
	code = client_ask(c, request, &data, NULL);
	if (code)
		return code;
	if (a->o.json)
		print_json(&a->o, data);
	else
		show(&a->o, data);
	json_decref(data);
	return code;
}

static enum mpioctl_exit run_status(struct client *c, const struct args *a)
{
	return ask_and_show(c, a, "status", NULL, NULL, show_status);
}

static enum mpioctl_exit run_show(struct client *c, const struct args *a)
{
	return ask_and_show(c, a, "show", "lun", a->words[0], show_lun);
}

static enum mpioctl_exit run_paths(struct client *c, const struct args *a)
{
	return ask_and_show(c, a, "paths", a->words[0] ? "lun" : NULL, a->words[0], show_paths);
}

static enum mpioctl_exit run_sessions(struct client *c, const struct args *a)
{
	return ask_and_show(c, a, "sessions", NULL, NULL, show_sessions);
}

static enum mpioctl_exit run_events(struct client *c, const struct args *a)
{
	return events_run(c, &a->o, a->follow, a->lines < 0 && a->follow ? FOLLOW_LINES : a->lines);
}

/* Names each LUN among the exports of these paths that has none left. */
static void warn_no_path(struct client *c, const json_t *paths)
{
	json_t *request = json_pack("{s:s}", "cmd", "status"), *data, *lun, *p;
	size_t i, j;

	if (client_ask(c, request, &data, NULL))
		return;
	json_array_foreach(json_object_get(data, "luns"), i, lun) {
		if (strcmp(get_string(lun, "state"), "no-path"))
			continue;
		json_array_foreach(paths, j, p)
			if (!strcmp(get_string(p, "export"), get_string(lun, "name")))
				break;
		if (j < json_array_size(paths))
			warnx("%s has no usable path now: its I/O waits or fails",
			      get_string(lun, "name"));
	}
	json_decref(data);
}

static void show_changed(const struct output *o, const json_t *data)
{
	const json_t *paths = json_object_get(data, "paths");
	json_t *p;
	size_t i;

	json_array_foreach(paths, i, p)
		fprintf(o->to, "%s: %s\n", get_string(p, "name"), get_string(p, "state"));
	if (!json_array_size(paths))
		fprintf(o->to, "this session has no paths now\n");
}

static enum mpioctl_exit change(struct client *c, const struct args *a, const char *cmd)
{
	json_t *request = json_pack("{s:s, s:s}", "cmd", cmd, "path", a->words[0]), *data;
	enum mpioctl_exit code = client_ask(c, request, &data, NULL);

	if (code)
		return code;
	if (a->o.json)
		print_json(&a->o, data);
	else
		show_changed(&a->o, data);
	if (strcmp(cmd, "path-enable"))
		warn_no_path(c, json_object_get(data, "paths"));
	json_decref(data);
	return code;
}

static enum mpioctl_exit run_disable(struct client *c, const struct args *a)
{
	return change(c, a, "path-disable");
}

static enum mpioctl_exit run_enable(struct client *c, const struct args *a)
{
	return change(c, a, "path-enable");
}

static enum mpioctl_exit run_drain(struct client *c, const struct args *a)
{
	return change(c, a, "path-drain");
}

static void show_policy(const struct output *o, const json_t *data)
{
	fprintf(o->to, "%s: %s until the next start\n", get_string(data, "lun"),
		get_string(data, "policy"));
}

static enum mpioctl_exit run_policy(struct client *c, const struct args *a)
{
	json_t *request = json_pack("{s:s, s:s, s:s}", "cmd", "policy", "lun", a->words[0],
				    "policy", a->words[1]);
	enum mpioctl_exit code;
	json_t *data;

	code = client_ask(c, request, &data, NULL);
	if (code)
		return code;
	if (a->o.json)
		print_json(&a->o, data);
	else
		show_policy(&a->o, data);
	json_decref(data);
	return code;
}

static void show_message(const struct output *o, const json_t *data)
{
	const char *message = get_string(data, "message");

	fprintf(o->to, "%s\n", *message ? message : "reloaded");
}

static enum mpioctl_exit run_reload(struct client *c, const struct args *a)
{
	return ask_and_show(c, a, "reload", NULL, NULL, show_message);
}

static void show_nothing(const struct output *o, const json_t *data)
{
}

static void show_text(const struct output *o, const json_t *data)
{
	fputs(get_string(data, "text"), o->to);
}

static enum mpioctl_exit run_metrics(struct client *c, const struct args *a)
{
	return ask_and_show(c, a, "metrics", NULL, NULL, show_text);
}

static enum mpioctl_exit run_restart(struct client *c, const struct args *a)
{
	return restart_run(c, &a->o, a->timeout < 0 ? WAIT_DEFAULT_S : a->timeout);
}

static enum mpioctl_exit run_explain(struct client *c, const struct args *a)
{
	return ask_and_show(c, a, "explain", "lun", a->words[0], show_explain);
}

static enum mpioctl_exit run_reservations(struct client *c, const struct args *a)
{
	return ask_and_show(c, a, "reservations", a->words[0] ? "lun" : NULL, a->words[0], show_reservations);
}

static enum mpioctl_exit run_rescan(struct client *c, const struct args *a)
{
	return ask_and_show(c, a, "rescan", NULL, NULL, show_nothing);
}

static enum mpioctl_exit run_top(struct client *c, const struct args *a)
{
	return top_run(c, &a->o, a->lines);
}

static enum mpioctl_exit run_wait(struct client *c, const struct args *a)
{
	return wait_run(c, &a->o, a->words[0], a->paths < 0 ? 1 : a->paths,
			a->timeout < 0 ? WAIT_DEFAULT_S : a->timeout);
}

static const struct command commands[] = {
	{ { "status", NULL }, 0, 0, "", run_status, "status", "all LUNs and their paths" },
	{ { "show", NULL }, 1, 1, "", run_show, "show LUN", "one LUN, with all there is to say" },
	{ { "paths", NULL }, 0, 1, "", run_paths, "paths [LUN]", "all paths, or those of a LUN" },
	{ { "sessions", NULL }, 0, 0, "", run_sessions, "sessions", "logins, one for each portal" },
	{ { "explain", NULL }, 1, 1, "", run_explain, "explain LUN",
	  "where the next I/O goes, and why not elsewhere" },
	{ { "reservations", NULL }, 0, 1, "", run_reservations, "reservations [LUN]",
	  "who has registered and reserved what" },
	{ { "events", NULL }, 0, 0, "fn", run_events, "events [-f] [-n N]",
	  "what happened; -f: and what happens, -n: the last N" },
	{ { "metrics", NULL }, 0, 0, "", run_metrics, "metrics", "all counters, for Prometheus" },
	{ { "top", NULL }, 0, 0, "n", run_top, "top [-n N]", "what each path does, every second; q quits" },
	{ { "path", "disable" }, 1, 1, "", run_disable, "path disable PATH",
	  "no new I/O on it; what is in flight ends there" },
	{ { "path", "enable" }, 1, 1, "", run_enable, "path enable PATH",
	  "back in use; ends waiting for failback" },
	{ { "path", "drain" }, 1, 1, "", run_drain, "path drain PATH",
	  "no new I/O, disabled when empty" },
	{ { "policy", NULL }, 2, 2, "", run_policy, "policy LUN NAME",
	  "choose paths in another way" },
	{ { "reload", NULL }, 0, 0, "", run_reload, "reload", "read the configuration again" },
	{ { "restart", NULL }, 0, 0, "t", run_restart, "restart [-t S]",
	  "start the program anew; its clients notice a pause" },
	{ { "rescan", NULL }, 0, 0, "", run_rescan, "rescan", "look for new LUNs and portals, and for LUNs that have grown" },
	{ { "wait", NULL }, 1, 1, "pt", run_wait, "wait [-p N] [-t S] LUN",
	  "until it has N usable paths (1), S seconds (60)" },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *to)
{
	fprintf(to, "usage: mpioctl [-s CONTROL] [--json] COMMAND\n\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(to, "  %-23s %s\n", commands[i].usage, commands[i].help);
	fprintf(to, "\n"
		    "  -s, --socket CONTROL    control socket (" DEFAULT_CONTROL ")\n"
		    "  -j, --json              for programs\n"
		    "  -h, --help              this\n"
		    "  -V, --version           the version\n\n"
		    "PATH is TARGET/PORTAL/LUN, or TARGET/PORTAL for all paths of a session.\n"
		    "LUN is the name of an export or its identifier. Exit status: 0 done,\n"
		    "1 refused or not found, 2 usage, 3 no daemon. See mpioctl(1).\n");
}

__attribute__((format(printf, 1, 2), noreturn))
static void usage_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vwarnx(fmt, ap);
	va_end(ap);
	fprintf(stderr, "Try mpioctl --help.\n");
	exit(MPIOCTL_USAGE);
}

/* The command of these words; *taken: how many of them name it. */
static const struct command *find(char **words, int n, int *taken)
{
	bool known = false;

	if (!n) {
		print_usage(stderr);
		exit(MPIOCTL_USAGE);
	}
	for (size_t i = 0; i < COMMANDS; i++) {
		const char *const *w = commands[i].words;

		if (strcmp(w[0], words[0]))
			continue;
		known = true;
		*taken = w[1] ? 2 : 1;
		if (!w[1] || (n > 1 && !strcmp(w[1], words[1])))
			return &commands[i];
	}
	if (known)
		usage_error("usage: mpioctl %s disable|enable|drain PATH", words[0]);
	usage_error("there is no command %s", words[0]);
}

static long parse_count(const char *what, const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end == text || *end || n < 0 || n > INT_MAX)
		usage_error("%s: %s is not a number from 0 on", what, text);
	return n;
}

static double parse_seconds(const char *text)
{
	char *end;
	double n = strtod(text, &end);

	if (end == text || *end || !(n >= 0 && n < 1e9))
		usage_error("--timeout: %s is not a number of seconds", text);
	return n;
}

/* One option; those that only some commands take are noted in used. */
static void set_option(struct args *a, int opt, char *used)
{
	switch (opt) {
	case 's':
		a->control = optarg;
		return;
	case 'j':
		a->o.json = true;
		return;
	case 'h':
		print_usage(stdout);
		exit(MPIOCTL_DONE);
	case 'V':
		puts("mpioctl " MPIOD_VERSION);
		exit(MPIOCTL_DONE);
	case 'f':
		a->follow = true;
		break;
	case 'n':
		a->lines = parse_count("-n", optarg);
		break;
	case 'p':
		a->paths = parse_count("--paths", optarg);
		break;
	case 't':
		a->timeout = parse_seconds(optarg);
		break;
	default:
		fprintf(stderr, "Try mpioctl --help.\n");
		exit(MPIOCTL_USAGE);
	}
	if (!strchr(used, opt))
		used[strlen(used)] = (char)opt; /* room for all, and zeroed */
}

static const struct command *parse(int argc, char **argv, struct args *a)
{
	static const struct option longs[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "follow", no_argument, NULL, 'f' },
		{ "lines", required_argument, NULL, 'n' },
		{ "paths", required_argument, NULL, 'p' },
		{ "timeout", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	const struct command *cmd;
	char used[8] = "";
	int opt, taken, n;

	while ((opt = getopt_long(argc, argv, "s:jfn:p:t:hV", longs, NULL)) >= 0)
		set_option(a, opt, used);
	cmd = find(argv + optind, argc - optind, &taken);
	a->words = argv + optind + taken;
	n = argc - optind - taken;
	if (n < cmd->least || n > cmd->most)
		usage_error("usage: mpioctl %s", cmd->usage);
	for (const char *u = used; *u; u++)
		if (!strchr(cmd->options, *u))
			usage_error("%s takes no option -%c", cmd->words[0], *u);
	return cmd;
}

static struct output output_of(FILE *to)
{
	struct output o = { .to = to };
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
	const char *columns = getenv("COLUMNS");
	struct winsize ws;

	o.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	if (isatty(fileno(to))) {
		o.width = ioctl(fileno(to), TIOCGWINSZ, &ws) == 0 && ws.ws_col ? ws.ws_col : 80;
		/* no-color.org: set and not empty */
		o.color = !(no_color && *no_color) && !(term && !strcmp(term, "dumb"));
	} else if (columns && atoi(columns) >= 20) {
		o.width = atoi(columns);
	}
	return o;
}

int main(int argc, char **argv)
{
	struct args a = { .lines = -1, .paths = -1, .timeout = -1. };
	const struct command *cmd;
	struct client c;
	enum mpioctl_exit code;

	setlocale(LC_CTYPE, "");
	a.control = getenv("MPIOD_CONTROL");
	if (!a.control || !*a.control)
		a.control = DEFAULT_CONTROL;
	a.o = output_of(stdout);
	cmd = parse(argc, argv, &a);
	c = (struct client)CLIENT_INIT(a.control);
	code = cmd->run(&c, &a);
	client_close(&c);
	if (fflush(stdout) || ferror(stdout)) {
		warn("standard output");
		return MPIOCTL_REFUSED;
	}
	return code;
}
