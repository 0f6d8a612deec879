/* SPDX-License-Identifier: MIT */
#include "handover.h"
#include "log.h"
#include "model.h"
#include "notify.h"
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define VARIABLE "MPIOD_HANDOVER" /* the descriptor of the state, a file in memory */
#define STORED "mpiod-" /* names of descriptors that the service manager keeps */
#define STATE_NAME STORED "state"
#define VERSION 1
#define POLL_S 0.01
#define DOUBT_S 60.  /* for writes in doubt, while all is served */
#define ANSWER_S 30. /* for what was asked to be answered, while nothing more is read */

extern char **environ;

static char **args;
static char program[4096];
static json_t *state;   /* of the process before */
static unsigned count;
static int activated[64]; /* sockets of systemd.socket(5) */
static int nactivated;

static struct {
	ev_timer timer;
	ev_tstamp until;
	bool finishing;
	bool active;
} job;

/* ---- the new process ---- */

static json_t *read_state(int fd)
{
	struct stat st;
	char *text;
	json_t *o = NULL;

	if (fstat(fd, &st) || st.st_size <= 0)
		return NULL;
	text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text != MAP_FAILED) {
		o = json_loadb(text, (size_t)st.st_size, 0, NULL);
		munmap(text, (size_t)st.st_size);
	}
	return o;
}

/* A name that store_all() gives; a socket unit may have any other. */
static bool is_stored(const char *name)
{
	return !strncmp(name, STORED "list-", strlen(STORED "list-")) ||
	       !strncmp(name, STORED "conn-", strlen(STORED "conn-")) || !strcmp(name, STATE_NAME);
}

/*
 * Descriptors of the state carry names there: back to numbers. What nobody claims is closed. All others are those
 * of socket units.
 */
static void from_store(char **names, int n)
{
	static const char *const lists[] = { "listeners", "connections" };

	for (int i = 0; i < n; i++)
		if (!strcmp(names[i], STATE_NAME)) {
			state = read_state(SD_LISTEN_FDS_START + i);
			close(SD_LISTEN_FDS_START + i);
			notify_drop(STATE_NAME);
		}
	for (int i = 0; i < n; i++) {
		bool found = false;
		json_t *o;
		size_t k;

		for (int l = 0; l < 2; l++)
			json_array_foreach(json_object_get(state, lists[l]), k, o) {
				const char *name = json_string_value(json_object_get(o, "name"));

				if (!name || strcmp(name, names[i]))
					continue;
				json_object_set_new(o, "fd", json_integer(SD_LISTEN_FDS_START + i));
				found = true;
			}
		if (found || is_stored(names[i]))
			notify_drop(names[i]);
		else if (nactivated < (int)(sizeof(activated) / sizeof(activated[0])))
			activated[nactivated++] = SD_LISTEN_FDS_START + i;
		else
			close(SD_LISTEN_FDS_START + i);
		if (!found && is_stored(names[i]) && strcmp(names[i], STATE_NAME))
			close(SD_LISTEN_FDS_START + i);
	}
}

void handover_begin(int argc, char **argv)
{
	const char *text = getenv(VARIABLE);
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	char *gone, **names = NULL;
	int n_stored;

	(void)argc;
	args = argv;
	program[n > 0 ? n : 0] = '\0';
	gone = strstr(program, " (deleted)"); /* replaced by a newer one, which has the name now */
	if (gone && !gone[strlen(" (deleted)")])
		*gone = '\0';
	n_stored = sd_listen_fds_with_names(1, &names);
	if (text) {
		state = read_state(atoi(text));
		close(atoi(text));
		unsetenv(VARIABLE);
	} else {
		from_store(names, n_stored);
	}
	for (int i = 0; i < n_stored; i++)
		free(names[i]);
	free(names);
	count = (unsigned)json_integer_value(json_object_get(state, "count"));
}

unsigned handover_count(void)
{
	return count;
}

static int fd_of(const json_t *o)
{
	const json_t *v = json_object_get(o, "fd");

	return json_is_integer(v) ? (int)json_integer_value(v) : -1;
}

void handover_listeners(struct server *sv)
{
	json_t *l;
	size_t i;

	json_array_foreach(json_object_get(state, "listeners"), i, l) {
		const char *addr = json_string_value(json_object_get(l, "addr"));

		if (addr && nbd_server_inherit(sv->nbd, addr, fd_of(l), json_is_true(json_object_get(l, "foreign"))))
			log_msg(LOG_ERR, "restart: %s: %s", addr, strerror(errno));
	}
	for (int n = 0; n < nactivated; n++) {
		if (sd_is_socket(activated[n], AF_UNSPEC, SOCK_STREAM, 1) > 0) {
			if (nbd_server_inherit(sv->nbd, NULL, activated[n], true))
				log_msg(LOG_ERR, "socket of the service manager: %s", strerror(errno));
			continue;
		}
		log_msg(LOG_ERR, "a descriptor of the service manager is no listening stream socket (Accept=no?)");
		close(activated[n]);
	}
	nactivated = 0;
}

static size_t from_hex(const char *hex, uint8_t *out, size_t cap)
{
	size_t n = 0;
	unsigned byte;

	while (n < cap && hex[0] && hex[1] && sscanf(hex, "%2x", &byte) == 1) {
		out[n++] = (uint8_t)byte;
		hex += 2;
	}
	return n;
}

static void adopt(struct server *sv, const json_t *o)
{
	static uint8_t in[65536];
	const char *hex = json_string_value(json_object_get(o, "in"));
	struct nbd_kept k = {
		.fd = fd_of(o),
		.transmit = json_is_true(json_object_get(o, "transmit")),
		.options = json_is_true(json_object_get(o, "options")),
		.fixed = json_is_true(json_object_get(o, "fixed")),
		.no_zeroes = json_is_true(json_object_get(o, "no_zeroes")),
		.structured = json_is_true(json_object_get(o, "structured")),
		.allocation = json_is_true(json_object_get(o, "allocation")),
		.context_of = json_string_value(json_object_get(o, "context_of")),
		.flags = (uint16_t)json_integer_value(json_object_get(o, "flags")),
		.size = (uint64_t)json_integer_value(json_object_get(o, "size")),
		.max_block = (uint32_t)json_integer_value(json_object_get(o, "max_block")),
		.export = json_string_value(json_object_get(o, "export")),
		.in = in,
	};
	int ret;

	k.in_len = from_hex(hex ? hex : "", in, sizeof(in));
	ret = nbd_server_adopt(sv->nbd, &k);
	if (ret)
		log_msg(LOG_ERR, "restart: a connection was lost: %s", strerror(-ret));
}

void handover_connections(struct server *sv)
{
	const json_t *list = json_object_get(state, "connections");
	json_t *o;
	size_t i;

	json_array_foreach(list, i, o)
		adopt(sv, o);
	if (state)
		log_msg(LOG_INFO, "restarted, %zu connections go on", json_array_size(list));
	json_decref(state);
	state = NULL;
}

/* ---- the old process ---- */

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

	for (size_t i = 0; hex && i < k->in_len; i++)
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
		keep_open(fd_of(v), on);
	json_array_foreach(json_object_get(o, "connections"), i, v)
		keep_open(fd_of(v), on);
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
	json_t *o = json_pack("{s:i, s:i, s:[], s:[]}", "version", VERSION, "count", (int)count + 1, "listeners",
			      "connections");

	if (o)
		nbd_server_keep(sv->nbd, keep_conn, keep_listener, o);
	return o;
}

static bool store_all(json_t *o, const char *list)
{
	json_t *v;
	size_t i;

	json_array_foreach(json_object_get(o, list), i, v) {
		char name[40];

		snprintf(name, sizeof(name), STORED "%.4s-%zu", list, i);
		if (!notify_store(fd_of(v), name))
			return false;
		json_object_set_new(v, "name", json_string(name));
	}
	return true;
}

/* A socket unit's come again with the next start by themselves. */
static void drop_foreign(json_t *listeners)
{
	for (size_t i = json_array_size(listeners); i-- > 0;)
		if (json_is_true(json_object_get(json_array_get(listeners, i), "foreign")))
			json_array_remove(listeners, i);
}

void handover_store(struct server *sv)
{
	json_t *o = getenv("NOTIFY_SOCKET") ? state_of(sv) : NULL;
	int fd;

	drop_foreign(json_object_get(o, "listeners"));

	if (o && store_all(o, "listeners") && store_all(o, "connections")) {
		fd = write_state(o);
		if (fd >= 0) {
			notify_store(fd, STATE_NAME);
			notify_heard();
			nbd_server_leave_files(sv->nbd);
			close(fd);
		}
	}
	json_decref(o);
}

/* Does not return when all is well. */
static int execute(struct server *sv)
{
	json_t *o = state_of(sv);
	char number[16];
	int fd = o ? write_state(o) : -ENOMEM;

	if (fd >= 0) {
		keep_all_open(o, true);
		snprintf(number, sizeof(number), "%d", fd);
		setenv(VARIABLE, number, 1);
		execv(program, args);
		fd = -errno;
		close(atoi(number));
		unsetenv(VARIABLE);
		keep_all_open(o, false);
	}
	json_decref(o);
	return fd;
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
	char why[100];

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
	snprintf(why, sizeof(why), "%s: %s", program, strerror(-execute(sv)));
	give_up(sv, why);
}

/* Does the program that is there now take this configuration? */
static int try_out(struct server *sv, char *why, size_t cap)
{
	char *argv[] = { program, (char *)"-t", (char *)"-c", sv->conf_file, NULL };
	int status, ret;
	pid_t pid;

	ret = posix_spawn(&pid, program, NULL, NULL, argv, environ);
	if (ret) {
		snprintf(why, cap, "%s: %s", program, strerror(ret));
		return -ret;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	snprintf(why, cap, "%s -t -c %s does not succeed: it would not start", program, sv->conf_file);
	return -EINVAL;
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
