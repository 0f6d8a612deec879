/* SPDX-License-Identifier: MIT */
/* Lines on stderr, for a person or for the journal. */
#include "log.h"
#include "text.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct {
	pthread_mutex_t lock; /* of everything below but level */
	int level;
	bool journal;
	void (*sink)(int level, const char *text);
	struct log_limit limit;
} logger = { .lock = PTHREAD_MUTEX_INITIALIZER, .level = LOG_INFO };

/* systemd.exec(5), $JOURNAL_STREAM: "DEVICE:INODE" of the stream it connected stderr to. */
static bool stderr_is_journal(void)
{
	const char *env = getenv("JOURNAL_STREAM");
	struct stat st;
	char have[64];

	if (!env || fstat(STDERR_FILENO, &st) < 0)
		return false;
	snprintf(have, sizeof(have), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return !strcmp(env, have);
}

void log_start(bool foreground)
{
	pthread_mutex_lock(&logger.lock);
	logger.journal = !foreground && stderr_is_journal();
	pthread_mutex_unlock(&logger.lock);
}

void log_to(void (*sink)(int level, const char *text))
{
	pthread_mutex_lock(&logger.lock);
	logger.sink = sink;
	pthread_mutex_unlock(&logger.lock);
}

void log_set_level(int level)
{
	__atomic_store_n(&logger.level, level, __ATOMIC_RELAXED);
}

bool log_wants(int level)
{
	return level <= __atomic_load_n(&logger.level, __ATOMIC_RELAXED);
}

/* FNV-1a, 64 bits. */
static uint64_t hash_line(int level, const char *line)
{
	uint64_t h = 0xcbf29ce484222325ULL ^ (unsigned)level;

	for (; *line; line++)
		h = (h ^ (unsigned char)*line) * 0x100000001b3ULL;
	return h;
}

static bool expired(const struct log_limit_slot *s, uint64_t now)
{
	return now - s->since >= LOG_LIMIT_WINDOW_US;
}

bool log_limit_pass(struct log_limit *l, uint64_t now, int level, const char *line)
{
	uint64_t hash = hash_line(level, line);
	struct log_limit_slot *use = NULL;

	for (int i = 0; i < LOG_LIMIT_SLOTS; i++) {
		struct log_limit_slot *s = &l->slot[i];

		if (s->count && s->hash == hash && !expired(s, now)) {
			s->count++;
			return s->count <= LOG_LIMIT_BURST;
		}
		/* a slot that owes nobody a count, the oldest first */
		if (s->count <= LOG_LIMIT_BURST && (!use || !s->count || s->since < use->since))
			use = s;
	}
	if (!use) /* all are cutting lines short: this one passes, unwatched */
		return true;
	use->hash = hash;
	use->since = now;
	use->count = 1;
	use->level = level;
	text_escape(use->begin, sizeof(use->begin), line);
	return true;
}

unsigned log_limit_expire(struct log_limit *l, uint64_t now, const struct log_limit_slot **old)
{
	for (int i = 0; i < LOG_LIMIT_SLOTS; i++) {
		struct log_limit_slot *s = &l->slot[i];
		unsigned count = s->count;

		if (!count || !expired(s, now))
			continue;
		s->count = 0;
		*old = s;
		if (count > LOG_LIMIT_BURST)
			return count - LOG_LIMIT_BURST;
	}
	return 0;
}

static const char *level_name(int level)
{
	if (level <= LOG_ERR)
		return "error: ";
	if (level == LOG_WARNING)
		return "warning: ";
	if (level >= LOG_DEBUG)
		return "debug: ";
	return "";
}

/* In one write, so that lines of several threads and processes do not mix. */
static void put(int level, const char *text)
{
	char line[LOG_LINE_MAX + 96], stamp[40];
	struct timespec ts;
	struct tm tm;
	int n;

	if (logger.sink) {
		logger.sink(level, text);
		return;
	}
	if (logger.journal) {
		n = snprintf(line, sizeof(line), "<%d>%s\n", level & 7, text);
	} else {
		clock_gettime(CLOCK_REALTIME, &ts);
		localtime_r(&ts.tv_sec, &tm);
		strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &tm);
		n = snprintf(line, sizeof(line), "%s.%03ld mpiod[%d]: %s%s\n", stamp,
			     ts.tv_nsec / 1000000, (int)getpid(), level_name(level), text);
	}
	/* Nothing can be done about a log that can't be written. */
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void log_msg(int level, const char *fmt, ...)
{
	char raw[LOG_LINE_MAX], text[LOG_LINE_MAX], note[LOG_LINE_MAX];
	const struct log_limit_slot *old;
	uint64_t now = now_us();
	unsigned dropped;
	va_list ap;

	if (!log_wants(level))
		return;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	text_escape(text, sizeof(text), raw);

	pthread_mutex_lock(&logger.lock);
	while ((dropped = log_limit_expire(&logger.limit, now, &old))) {
		snprintf(note, sizeof(note), "%u more like this were left out: %s", dropped,
			 old->begin);
		put(old->level, note);
	}
	if (log_limit_pass(&logger.limit, now, level, text))
		put(level, text);
	pthread_mutex_unlock(&logger.lock);
}

void log_lines(int level, const char *text)
{
	while (text && *text) {
		int n = strcspn(text, "\n");

		log_msg(level, "%.*s", n, text);
		text += n + (text[n] == '\n');
	}
}
