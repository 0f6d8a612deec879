/* SPDX-License-Identifier: MIT */
/* The process that goes: what is still is written down, and left to the next one (inherit.c). */
#include "handover.h"
#include "handover_internal.h"
#include "log.h"
#include "model.h"
#include "notify.h"
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define POLL_S 0.01
#define DOUBT_S 60.  /* for writes in doubt, while all is served */
#define ANSWER_S 30. /* for what was asked to be answered, while nothing more is read */
#define TRIAL_MS 10000 /* for the new program's mpiod -t, while nothing is served */

extern char **environ;

static char **args;
static char program[4096];

static struct {
	ev_timer timer;
	ev_tstamp until;
	bool finishing;
	bool active;
} job;

void handover_begin(int argc, char **argv)
{
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	char *gone;

	(void)argc;
	args = argv;
	program[n > 0 ? n : 0] = '\0';
	gone = strstr(program, " (deleted)"); /* replaced by a newer one, which has the name now */
	if (gone && !gone[strlen(" (deleted)")])
		*gone = '\0';
	handover_inherit();
}

void handover_signals(int how)
{
	sigset_t set;

	handover_signal_set(&set);
	sigprocmask(how, &set, NULL);
}

static void keep_open(int fd, bool on)
{
	if (fcntl(fd, F_SETFD, on ? 0 : FD_CLOEXEC))
		log_msg(LOG_ERR, "restart: descriptor %d: %s", fd, strerror(errno));
}

static void keep_listener(void *to, const char *addr, int fd, bool foreign)
{
	json_array_append_new(json_object_get(to, "listeners"),
			      json_pack("{s:s, s:i, s:b}", "addr", addr, "fd", fd, "foreign", foreign));
}

static void keep_conn(void *to, const struct nbd_kept *k)
{
	char *hex = calloc(1, 2 * k->in_len + 1);
	json_t *o;

	if (!hex) /* without the bytes it would go on with the wrong ones: it ends with this process */
		return;
	for (size_t i = 0; i < k->in_len; i++)
		sprintf(hex + 2 * i, "%02x", k->in[i]);
	o = json_pack("{s:i, s:b, s:b, s:b, s:b, s:b, s:b, s:s?, s:i, s:I, s:I, s:s?, s:s?}", "fd", k->fd, "transmit", k->transmit,
		      "options", k->options, "fixed", k->fixed, "no_zeroes", k->no_zeroes, "structured", k->structured,
		      "allocation", k->allocation, "context_of", k->context_of, "flags", k->flags, "size", (json_int_t)k->size, "max_block", (json_int_t)k->max_block, "export",
		      k->export, "in", hex);
	free(hex);
	json_array_append_new(json_object_get(to, "connections"), o);
}

static void keep_all_open(const json_t *o, bool on)
{
	json_t *v;
	size_t i;

	json_array_foreach(json_object_get(o, "listeners"), i, v)
		keep_open(handover_fd(v), on);
	json_array_foreach(json_object_get(o, "connections"), i, v)
		keep_open(handover_fd(v), on);
}

/* The state in memory, as a descriptor that stays open; -errno. */
static int write_state(const json_t *o)
{
	int fd = memfd_create("mpiod-handover", 0);
	char *text = json_dumps(o, JSON_COMPACT);
	size_t n = text ? strlen(text) : 0, at = 0;

	while (fd >= 0 && text && at < n) {
		ssize_t k = write(fd, text + at, n - at);

		if (k <= 0)
			break;
		at += (size_t)k;
	}
	free(text);
	if (fd >= 0 && (!n || at < n)) {
		close(fd);
		return -ENOMEM;
	}
	return fd < 0 ? -errno : fd;
}

static json_t *state_of(struct server *sv)
{
	json_t *o = json_pack("{s:i, s:i, s:[], s:[]}", "version", HANDOVER_VERSION, "count",
			      (int)handover_count() + 1, "listeners", "connections");

	if (o)
		nbd_server_keep(sv->nbd, keep_conn, keep_listener, o);
	return o;
}

static void name_all(json_t *o, const char *list)
{
	json_t *v;
	size_t i;

	json_array_foreach(json_object_get(o, list), i, v) {
		char name[40];

		snprintf(name, sizeof(name), HANDOVER_STORED "%.4s-%zu", list, i);
		json_object_set_new(v, "name", json_string(name));
	}
}

static bool store_all(const json_t *o, const char *list)
{
	json_t *v;
	size_t i;

	json_array_foreach(json_object_get(o, list), i, v)
		if (!notify_store(handover_fd(v), json_string_value(json_object_get(v, "name"))))
			return false;
	return true;
}

/* A socket unit's come again with the next start by themselves. */
static void drop_foreign(json_t *listeners)
{
	for (size_t i = json_array_size(listeners); i-- > 0;)
		if (json_is_true(json_object_get(json_array_get(listeners, i), "foreign")))
			json_array_remove(listeners, i);
}

/* The state first: what the store has no room for is lost, and without the state all of it would be. */
static void store(struct server *sv, json_t *o)
{
	int fd;

	name_all(o, "listeners");
	name_all(o, "connections");
	fd = write_state(o);
	if (fd < 0)
		return;
	if (notify_store(fd, HANDOVER_STATE_NAME) && store_all(o, "listeners")) {
		if (!store_all(o, "connections"))
			log_msg(LOG_ERR, "the service manager does not take all connections");
		notify_heard();
		nbd_server_leave_files(sv->nbd);
	}
	close(fd);
}

void handover_store(struct server *sv)
{
	json_t *o = getenv("NOTIFY_SOCKET") && sv->nbd ? state_of(sv) : NULL;

	if (o) {
		drop_foreign(json_object_get(o, "listeners"));
		store(sv, o);
	}
	json_decref(o);
}

/* Does not return when all is well. Signals wait: the new process is deaf at first, and would die of them. */
static int execute(struct server *sv)
{
	json_t *o = state_of(sv);
	char number[16];
	int fd = o ? write_state(o) : -ENOMEM;

	if (fd >= 0) {
		keep_all_open(o, true);
		snprintf(number, sizeof(number), "%d", fd);
		setenv(HANDOVER_VARIABLE, number, 1);
		handover_signals(SIG_BLOCK);
		execv(program, args);
		fd = -errno;
		handover_signals(SIG_UNBLOCK);
		close(atoi(number));
		unsetenv(HANDOVER_VARIABLE);
		keep_all_open(o, false);
	}
	json_decref(o);
	return fd;
}

/* Its exit status; -errno. A program that hangs must not hang this one. */
static int wait_for(pid_t pid)
{
	static const struct timespec pause = { .tv_nsec = 5000000 };
	int status, ret;

	for (int ms = 0; (ret = waitpid(pid, &status, WNOHANG)) == 0 && ms < TRIAL_MS; ms += 5)
		nanosleep(&pause, NULL);
	if (ret == 0) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return -ETIMEDOUT;
	}
	return ret < 0 ? -errno : status;
}

/* Does the program that is there now load, take this configuration, and read what this one writes down? */
static int try_out(struct server *sv, char *why, size_t cap)
{
	char *argv[] = { program, (char *)"-t", (char *)"-c", sv->conf_file, NULL };
	char version[16];
	int ret;
	pid_t pid;

	snprintf(version, sizeof(version), "%d", HANDOVER_VERSION);
	setenv(HANDOVER_TRIAL, version, 1);
	setenv("LD_BIND_NOW", "1", 0); /* a function that a library lacks shows now */
	ret = posix_spawn(&pid, program, NULL, NULL, argv, environ);
	unsetenv("LD_BIND_NOW");
	unsetenv(HANDOVER_TRIAL);
	ret = ret ? -ret : wait_for(pid);
	if (ret < 0)
		snprintf(why, cap, "%s -t: %s", program, strerror(-ret));
	else if (ret)
		snprintf(why, cap, "%s -t -c %s does not succeed: it would not start", program, sv->conf_file);
	return ret <= 0 ? ret : -EINVAL;
}

static void give_up(struct server *sv, const char *why)
{
	log_msg(LOG_ERR, "restart: %s; nothing was changed", why);
	if (job.finishing)
		nbd_server_go_on(sv->nbd);
	ev_timer_stop(sv->loop, &job.timer);
	job.active = job.finishing = false;
}

static void poll(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct server *sv = t->data;
	bool late = ev_now(loop) >= job.until;
	char why[4400];

	(void)revents;
	if (sv->stop_by > 0.) { /* a stop came in between */
		ev_timer_stop(loop, t);
		return;
	}
	if (engine_in_doubt(sv->engine)) {
		if (late)
			give_up(sv, "writes are in doubt (see mpioctl status)");
		return;
	}
	if (!job.finishing) {
		job.finishing = true;
		job.until = ev_now(loop) + ANSWER_S;
		nbd_server_finish(sv->nbd);
		return;
	}
	if (!engine_idle(sv->engine) || !nbd_server_still(sv->nbd)) {
		if (late)
			give_up(sv, "requests can't be answered (is there a path?)");
		return;
	}
	/* There is no way back from what comes now: once more, the file may have changed. */
	if (!try_out(sv, why, sizeof(why)))
		snprintf(why, sizeof(why), "%s: %s", program, strerror(-execute(sv)));
	give_up(sv, why);
}

int handover_start(struct server *sv, char *why, size_t cap)
{
	int ret;

	if (job.active || sv->stop_by > 0.) {
		snprintf(why, cap, job.active ? "it is under way" : "the daemon stops");
		return -EBUSY;
	}
	ret = try_out(sv, why, cap);
	if (ret)
		return ret;
	job.active = true;
	job.until = ev_now(sv->loop) + DOUBT_S;
	ev_timer_init(&job.timer, poll, POLL_S, POLL_S);
	job.timer.data = sv;
	ev_timer_start(sv->loop, &job.timer);
	log_msg(LOG_INFO, "restarting as %s", program);
	return 0;
}
