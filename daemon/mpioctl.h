/* SPDX-License-Identifier: MIT */
/*
 * What the files of mpioctl(1) share. main() is in mpioctl.c; mpioctl_client.c talks to the daemon,
 * mpioctl_show.c and mpioctl_events.c draw what it says, with mpioctl_table.c and mpioctl_format.c.
 */
#ifndef DAEMON_MPIOCTL_H
#define DAEMON_MPIOCTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum mpioctl_exit { MPIOCTL_DONE, MPIOCTL_REFUSED, MPIOCTL_USAGE, MPIOCTL_NO_DAEMON };

/* How to write. */
struct output {
	FILE *to;
	int width;       /* columns; 0: as wide as it gets */
	bool color, json;
	bool utf8;       /* the terminal's character set */
};

/* ---- mpioctl_client.c ---- */

struct client {
	const char *path;
	int fd;          /* -1: not connected */
	char *buf;       /* bytes received, some of them the beginning of the next line */
	size_t len, cap, used;
};

#define CLIENT_INIT(control) { .path = (control), .fd = -1 }

/* Connects. 0 or a positive errno; says nothing. */
int client_open(struct client *c) __attribute__((warn_unused_result));
void client_close(struct client *c);

/* Says on stderr why there is no daemon, and what to do. */
void client_explain(const struct client *c, int err);

/*
 * Sends the request (with "version" added; the reference is taken over) and reads the answer,
 * connecting first if need be. MPIOCTL_DONE: *data is the answer's, json_decref() it. Else *data is
 * NULL and the reason in *error, or on stderr when error is NULL.
 */
enum mpioctl_exit client_ask(struct client *c, json_t *request, json_t **data, char **error)
	__attribute__((warn_unused_result));

/* The next answer of a request that has many. Waits without end when `forever`. */
enum mpioctl_exit client_next(struct client *c, bool forever, json_t **data, char **error)
	__attribute__((warn_unused_result));

/* ---- mpioctl_format.c: numbers for people, into buf (FORMAT_MAX), which is returned ---- */

#define FORMAT_MAX 32
char *format_bytes(char *buf, json_int_t n);     /* "1.5 GiB" */
char *format_count(char *buf, json_int_t n);     /* "12.3k" */
char *format_age(char *buf, json_int_t ms);      /* "12 s", "3 min", "5 h", "9 d" */
char *format_latency(char *buf, json_int_t us);  /* "850 us", "1.2 ms", "-" for 0 */

/* Columns that s takes on a terminal, one for each character. */
int format_width(const char *s);

/* s in at most width columns, the middle left out. room: at least 4 * width + 4 bytes. */
char *format_middle(char *buf, size_t room, const char *s, int width, bool utf8);

/* ---- mpioctl_table.c ---- */

#define TABLE_COLUMNS 16

enum table_flags {
	TABLE_RIGHT = 1 << 0,    /* numbers */
	TABLE_SHRINK = 1 << 1,   /* may lose its middle, down to min columns */
	TABLE_OPTIONAL = 1 << 2, /* left out when there is no room, the last ones first */
};

struct table_column {
	const char *title;
	unsigned flags;
	int min;
};

struct table;

/* cols: ends with a NULL title; must outlive the table. Exits when out of memory, as all here. */
struct table *table_new(const struct table_column *cols);
void table_free(struct table *t);

/* The next cell, row after row. color: an escape sequence, or NULL. Both are copied or static. */
void table_cell(struct table *t, const char *text, const char *color);

/* Lines of text under the last row, wrapped. */
void table_note(struct table *t, const char *text);
void table_print(const struct table *t, const struct output *o, int indent);

/* text, wrapped at the width, each line behind `indent` blanks. */
void table_wrap(const struct output *o, int indent, const char *text);

/* The same on a line of which `at` columns are filled; at > 0. */
void table_wrap_on(const struct output *o, int at, int indent, const char *text);

/* ---- mpioctl_show.c ---- */

#define COLOR_RED "\033[31m"
#define COLOR_YELLOW "\033[33m"
#define COLOR_GREEN "\033[32m"
#define COLOR_BOLD "\033[1m"
#define COLOR_OFF "\033[0m"

void show_status(const struct output *o, const json_t *data);
void show_headline(const struct output *o, const json_t *status); /* "mpiod 1.0: 2 LUNs, all ok" */
void show_paths(const struct output *o, const json_t *data);
void show_sessions(const struct output *o, const json_t *data);

/* mpioctl_lun.c: one LUN with all there is to say. */
void show_lun(const struct output *o, const json_t *lun);

/* mpioctl_why.c: explain, reservations, the doubts of one LUN (nothing without any), port groups as text. */
void show_explain(const struct output *o, const json_t *data);
void show_reservations(const struct output *o, const json_t *data);
void show_doubts(const struct output *o, const json_t *lun);
char *format_groups(char *buf, size_t room, const json_t *groups);

/* mpioctl_restart.c: asks for a restart and waits, at most so many seconds, until the new process answers. */
enum mpioctl_exit restart_run(struct client *c, const struct output *o, double timeout_s);

/* Members of a JSON object; "", 0 and false when missing. */
const char *get_string(const json_t *o, const char *key);
json_int_t get_number(const json_t *o, const char *key);
bool get_bool(const json_t *o, const char *key);

/* The items of an array, the worst news first; json_decref() it. */
json_t *show_sorted(const json_t *array);
const char *show_color(const char *state);
const char *show_paint(const struct output *o, const char *color); /* color, or "" */
/* "12 requests (1.2 MiB) wait": what a LUN's clients see of its state. */
void show_lun_state(const struct output *o, const json_t *lun);

/* ---- mpioctl_events.c ---- */

enum mpioctl_exit events_run(struct client *c, const struct output *o, bool follow, long lines);

/* ---- mpioctl_wait.c ---- */

enum mpioctl_exit wait_run(struct client *c, const struct output *o, const char *lun, long paths,
			   double timeout_s);

/* ---- mpioctl_rate.c ---- */

/*
 * Adds to each path of `now`, to its LUNs and to itself what happened a second since `before` ("reads_per_s",
 * ...), two answers to "status" that are so many seconds apart. Nothing to those that are new.
 */
void rates_add(json_t *now, const json_t *before, double seconds);

/* One of these; below 0: it is not known. */
double get_rate(const json_t *o, const char *key);

/* ---- mpioctl_top.c ---- */

/* frames below 0: without end, on a terminal until q. */
enum mpioctl_exit top_run(struct client *c, const struct output *o, long frames);

#endif
