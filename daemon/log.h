/* SPDX-License-Identifier: MIT */
/*
 * The daemon's log: one line on stderr for each message, with a time stamp, or with the priority
 * prefix of sd-daemon(3) when stderr is the journal. Levels are those of syslog(3).
 *
 * Process-wide, because stderr is. Safe from any thread. Text that came from a target or a client
 * is made harmless (text_escape); a line that keeps repeating is cut short (struct log_limit).
 */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h> /* LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG */

#define LOG_LINE_MAX 2048 /* longer lines end in "..." */

/* Chooses the form of the lines. foreground: time stamps even when stderr is the journal. */
void log_start(bool foreground);

/* Messages less important than level (a larger number) are dropped. LOG_INFO until told. */
void log_set_level(int level);

/* Would a message of that level be written? For text that is costly to make. */
bool log_wants(int level);

void log_msg(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Many lines, one by one. NULL: none. */
void log_lines(int level, const char *text);

/*
 * Where lines go instead of stderr: one at a time, without a newline, harmless. NULL: stderr again. Before there are threads.
 */
void log_to(void (*sink)(int level, const char *text));

/*
 * Identical lines: LOG_LIMIT_BURST of them pass in LOG_LIMIT_WINDOW_US, the rest are counted. The
 * count comes out with the first message after the window, whatever that says. Zeroed to begin.
 */
#define LOG_LIMIT_BURST 5
#define LOG_LIMIT_WINDOW_US 10000000ULL
#define LOG_LIMIT_SLOTS 16

struct log_limit {
	struct log_limit_slot {
		uint64_t hash, since;
		unsigned count;    /* seen in this window; 0: the slot is free */
		int level;
		char begin[80];    /* of the line, to name it when the count comes out */
	} slot[LOG_LIMIT_SLOTS];
};

/* Shall this line be written at `now` (any monotonic clock, microseconds)? */
bool log_limit_pass(struct log_limit *l, uint64_t now, int level, const char *line);

/*
 * Takes out one line whose window is over and that was cut short; returns how many were dropped and
 * points *old at its slot (valid until the next log_limit_pass()), or 0 when there is none.
 */
unsigned log_limit_expire(struct log_limit *l, uint64_t now, const struct log_limit_slot **old);

#endif
