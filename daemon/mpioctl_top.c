/* SPDX-License-Identifier: MIT */
/* What each path does right now, again and again. */
#include "mpioctl.h"

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PERIOD 1. /* seconds */
#define NAME_MIN 20
#define ENTER "\033[?1049h\033[?25l\033[2J" /* another screen, without a cursor */
#define LEAVE "\033[?25h\033[?1049l"

struct top {
	struct client *c;
	struct output o;
	json_t *status;  /* the last look, with rates; NULL: none yet */
	double at, due;  /* of that look, and of the next one */
	char *trouble;   /* why there is no newer one */
	bool keys;       /* standard input is a terminal */
};

static struct termios cooked;
static bool is_raw;
static volatile sig_atomic_t resized;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- one frame ---- */

static void cell_rate(struct table *t, const json_t *o, const char *key,
		      char *(*format)(char *buf, json_int_t n), const char *color)
{
	char buf[FORMAT_MAX];
	double n = get_rate(o, key);

	table_cell(t, n < 0. ? "-" : format(buf, (json_int_t)(n + .5)), n > 0. ? color : NULL);
}

static void cell_iops(struct table *t, const json_t *o)
{
	char buf[FORMAT_MAX];
	double n = get_rate(o, "reads_per_s");

	if (n >= 0.)
		n += get_rate(o, "writes_per_s");
	table_cell(t, n < 0. ? "-" : format_count(buf, (json_int_t)(n + .5)), NULL);
}

/* In the daemon's order: a row that moves is hard to watch. */
static void draw_paths(const struct output *o, const json_t *paths)
{
	static const struct table_column cols[] = {
		{ "PATH", TABLE_SHRINK, NAME_MIN },
		{ "STATE", 0, 0 },
		{ "IOPS", TABLE_RIGHT, 0 },
		{ "READ/s", TABLE_RIGHT, 0 },
		{ "WRITE/s", TABLE_RIGHT, 0 },
		{ "QUEUE", TABLE_RIGHT, 0 },
		{ "LATENCY", TABLE_RIGHT, 0 },
		{ "READS", TABLE_RIGHT | TABLE_OPTIONAL, 0 },
		{ "WRITES", TABLE_RIGHT | TABLE_OPTIONAL, 0 },
		{ "ERRORS", TABLE_RIGHT | TABLE_OPTIONAL, 0 },
		{ NULL, 0, 0 },
	};
	struct table *t = table_new(cols);
	char buf[FORMAT_MAX];
	json_t *p;
	size_t i;

	json_array_foreach(paths, i, p) {
		const char *state = get_string(p, "state");

		table_cell(t, get_string(p, "name"), NULL);
		table_cell(t, state, show_color(state));
		cell_iops(t, p);
		cell_rate(t, p, "read_bytes_per_s", format_bytes, NULL);
		cell_rate(t, p, "write_bytes_per_s", format_bytes, NULL);
		table_cell(t, format_count(buf, get_number(p, "inflight")), NULL);
		table_cell(t, format_latency(buf, get_number(p, "latency_us")), NULL);
		cell_rate(t, p, "reads_per_s", format_count, NULL);
		cell_rate(t, p, "writes_per_s", format_count, NULL);
		cell_rate(t, p, "errors_per_s", format_count, COLOR_YELLOW);
	}
	table_print(t, o, 2);
	table_free(t);
}

/* ", 12.3k reads/s (48.1 MiB/s), ...", or nothing while that is not known. */
static void draw_rates(const struct output *o, const json_t *of)
{
	char ops[FORMAT_MAX], bytes[FORMAT_MAX];
	double reads = get_rate(of, "reads_per_s");

	if (reads < 0.)
		return;
	fprintf(o->to, ", %s reads/s (%s/s)", format_count(ops, (json_int_t)(reads + .5)),
		format_bytes(bytes, (json_int_t)get_rate(of, "read_bytes_per_s")));
	fprintf(o->to, ", %s writes/s (%s/s)",
		format_count(ops, (json_int_t)(get_rate(of, "writes_per_s") + .5)),
		format_bytes(bytes, (json_int_t)get_rate(of, "write_bytes_per_s")));
}

static void draw(const struct top *t, const struct output *o)
{
	time_t s = time(NULL);
	char stamp[16];
	struct tm tm;
	json_t *lun;
	size_t i;

	strftime(stamp, sizeof(stamp), "%H:%M:%S", localtime_r(&s, &tm));
	fprintf(o->to, "%s  ", stamp);
	if (t->trouble) { /* and no old numbers that look like new ones */
		fprintf(o->to, "%sno answer from the daemon: %s%s\n", show_paint(o, COLOR_RED),
			t->trouble, show_paint(o, COLOR_OFF));
		return;
	}
	show_headline(o, t->status);
	json_array_foreach(json_object_get(t->status, "luns"), i, lun) {
		fprintf(o->to, "\n%s%s%s  ", show_paint(o, COLOR_BOLD), get_string(lun, "name"),
			show_paint(o, COLOR_OFF));
		show_lun_state(o, lun);
		draw_rates(o, lun);
		putc('\n', o->to);
		if (json_array_size(json_object_get(lun, "paths")))
			draw_paths(o, json_object_get(lun, "paths"));
	}
}

/* A look at the daemon; the last one stays when that fails. */
static enum mpioctl_exit look(struct top *t, bool quiet)
{
	enum mpioctl_exit code;
	json_t *status;
	double at;

	free(t->trouble);
	t->trouble = NULL;
	code = client_ask(t->c, json_pack("{s:s}", "cmd", "status"), &status,
			  quiet ? &t->trouble : NULL);
	at = now();
	t->due = at + PERIOD;
	if (code)
		return code;
	rates_add(status, t->status, at - t->at);
	json_decref(t->status);
	t->status = status;
	t->at = at;
	return code;
}

/* ---- frame by frame, for a file or a pipe ---- */

static enum mpioctl_exit print_frames(struct top *t, long frames)
{
	enum mpioctl_exit code = look(t, false);

	for (long n = 0; !code && (frames < 0 || n < frames); n++) {
		double rest = t->due - now();
		struct timespec ts = { .tv_sec = (time_t)rest };

		ts.tv_nsec = (long)((rest - (double)ts.tv_sec) * 1e9);
		if (rest > 0.)
			nanosleep(&ts, NULL);
		code = look(t, false);
		if (code)
			break;
		if (t->o.json) {
			json_dumpf(t->status, t->o.to, JSON_COMPACT);
			putc('\n', t->o.to);
		} else {
			if (n)
				putc('\n', t->o.to);
			draw(t, &t->o);
		}
		if (fflush(t->o.to))
			break; /* main() says why */
	}
	return code;
}

/* ---- on a terminal ---- */

static void leave(void)
{
	if (!is_raw)
		return;
	is_raw = false;
	tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
}

/* All that is called here may be called from a handler (signal-safety(7)). */
static void on_end(int sig)
{
	ssize_t put = write(STDOUT_FILENO, LEAVE, sizeof(LEAVE) - 1);

	leave();
	_exit(put < 0 ? MPIOCTL_REFUSED : MPIOCTL_DONE);
}

static void on_resize(int sig)
{
	resized = 1;
}

static void enter(struct top *t)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	const struct sigaction resize = { .sa_handler = on_resize }; /* interrupts poll() */
	struct termios raw;

	t->keys = tcgetattr(STDIN_FILENO, &cooked) == 0;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		signal(ends[i], on_end);
	sigaction(SIGWINCH, &resize, NULL);
	if (t->keys) {
		raw = cooked;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		raw.c_cc[VSUSP] = _POSIX_VDISABLE; /* stopped on the other screen nobody sees why */
		is_raw = true;
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	fputs(ENTER, t->o.to);
}

/* The frame in place of the last one, cut to what there is room for. */
static void paint(struct top *t)
{
	struct output o = t->o;
	struct winsize ws = { .ws_row = 24 };
	char *text = NULL, *rest, *line;
	size_t len;
	int row = 0;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col)
		o.width = ws.ws_col;
	o.to = open_memstream(&text, &len);
	if (!o.to)
		err(MPIOCTL_REFUSED, NULL);
	draw(t, &o);
	if (fclose(o.to))
		err(MPIOCTL_REFUSED, NULL);
	fputs("\033[H", t->o.to);
	rest = text;
	for (; row < ws.ws_row - 1 && (line = strsep(&rest, "\n")) && rest; row++)
		fprintf(t->o.to, "%s\033[K\r\n", line);
	fprintf(t->o.to, "\033[J%s", rest && *rest ? "..." : "");
	fflush(t->o.to);
	free(text);
}

/* Until the next look is due, or a key or a new size asks for something. True: to quit. */
static bool idle(struct top *t)
{
	struct pollfd in = { .fd = t->keys ? STDIN_FILENO : -1, .events = POLLIN };
	double rest;
	char key;

	while ((rest = t->due - now()) > 0.) {
		if (poll(&in, 1, (int)(rest * 1e3) + 1) > 0) {
			if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q')
				return true;
		}
		if (resized) {
			resized = 0;
			paint(t);
		}
	}
	return false;
}

static enum mpioctl_exit live(struct top *t)
{
	enum mpioctl_exit code = look(t, false);

	if (code) /* before the screen is gone */
		return code;
	enter(t);
	do {
		paint(t);
		if (idle(t))
			break;
		if (look(t, true))
			continue; /* one that is started again shows up again */
	} while (!ferror(t->o.to));
	fputs(LEAVE, t->o.to);
	fflush(t->o.to);
	leave();
	return MPIOCTL_DONE;
}

enum mpioctl_exit top_run(struct client *c, const struct output *o, long frames)
{
	struct top t = { .c = c, .o = *o };
	enum mpioctl_exit code;

	if (frames < 0 && !o->json && isatty(fileno(o->to)))
		code = live(&t);
	else
		code = print_frames(&t, frames);
	json_decref(t.status);
	free(t.trouble);
	return code;
}
