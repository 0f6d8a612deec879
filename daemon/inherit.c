/* SPDX-License-Identifier: MIT */
/* The process that comes: what the one before (handover.c) left to it, by exec or through the service manager. */
#include "handover.h"
#include "handover_internal.h"
#include "log.h"
#include "notify.h"
#include "server.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

static const char *const lists[] = { "listeners", "connections" };

static json_t *state;   /* of the process before */
static unsigned count;
static int clients;     /* connections that came with it */
static bool executed;   /* there is no process that could try again */
static char **names;    /* of descriptors that the service manager gave, from SD_LISTEN_FDS_START on */
static int nnames;
static int activated[64]; /* sockets of systemd.socket(5) */
static int nactivated;

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
	if (json_integer_value(json_object_get(o, "version")) == HANDOVER_VERSION)
		return o;
	json_decref(o); /* of a program that is too different */
	return NULL;
}

/* A name that handover_store() gives; a socket unit may have any other. */
static bool is_stored(const char *name)
{
	return !strncmp(name, HANDOVER_STORED "list-", strlen(HANDOVER_STORED "list-")) ||
	       !strncmp(name, HANDOVER_STORED "conn-", strlen(HANDOVER_STORED "conn-")) ||
	       !strcmp(name, HANDOVER_STATE_NAME);
}

/*
 * The numbers are those of a process that is gone: only what came back by its name has one. The service manager drops
 * what is of no use any more (a client left meanwhile) and what it has no room for.
 */
static json_t *entries_by_name(void)
{
	json_t *all = json_object(), *o;
	size_t i;

	for (int l = 0; l < 2; l++)
		json_array_foreach(json_object_get(state, lists[l]), i, o) {
			json_object_del(o, "fd");
			json_object_set(all, json_string_value(json_object_get(o, "name")), o);
		}
	return all;
}

/* Descriptors of the state back to numbers. What nobody claims is closed. All others are those of socket units. */
static void from_store(void)
{
	json_t *entries;

	for (int i = 0; i < nnames; i++)
		if (!strcmp(names[i], HANDOVER_STATE_NAME)) {
			json_decref(state);
			state = read_state(SD_LISTEN_FDS_START + i);
			close(SD_LISTEN_FDS_START + i);
		}
	entries = entries_by_name();
	for (int i = 0; i < nnames; i++) {
		json_t *o = json_object_get(entries, names[i]);

		if (o)
			json_object_set_new(o, "fd", json_integer(SD_LISTEN_FDS_START + i));
		else if (!is_stored(names[i]) && nactivated < (int)(sizeof(activated) / sizeof(activated[0])))
			activated[nactivated++] = SD_LISTEN_FDS_START + i;
		else if (strcmp(names[i], HANDOVER_STATE_NAME) != 0)
			close(SD_LISTEN_FDS_START + i);
	}
	json_decref(entries);
}

int handover_fd(const json_t *o)
{
	const json_t *v = json_object_get(o, "fd");

	return json_is_integer(v) ? (int)json_integer_value(v) : -1;
}

void handover_inherit(void)
{
	const char *text = getenv(HANDOVER_VARIABLE);
	json_t *o;
	size_t i;

	nnames = sd_listen_fds_with_names(1, &names);
	if (text) {
		state = read_state(atoi(text));
		close(atoi(text));
		unsetenv(HANDOVER_VARIABLE);
		executed = true;
		if (!state) /* nobody knows which is what, and a client that is cut off is better off than one that waits */
			close_range(STDERR_FILENO + 1, ~0U, 0);
	} else if (nnames > 0) {
		from_store();
	}
	count = (unsigned)json_integer_value(json_object_get(state, "count"));
	json_array_foreach(json_object_get(state, "connections"), i, o)
		clients += handover_fd(o) >= 0;
}

unsigned handover_count(void)
{
	return count;
}

bool handover_clients(void)
{
	return clients;
}

bool handover_do_without(const char *key, const char *why)
{
	if (clients)
		log_msg(LOG_ERR, "%s: %s; it goes on without: clients that are there go on", key, why);
	return clients;
}

bool handover_executed(void)
{
	return executed;
}

void handover_signal_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
}

bool handover_wait(void)
{
	static const struct timespec second = { .tv_sec = 1 };
	sigset_t set;
	int sig;

	handover_signal_set(&set);
	notify_alive();
	sig = sigtimedwait(&set, NULL, &second);
	return sig == SIGTERM || sig == SIGINT;
}

bool handover_readable(void)
{
	const char *version = getenv(HANDOVER_TRIAL);

	return !version || atoi(version) == HANDOVER_VERSION;
}

void handover_done(void)
{
	bool any = false;

	for (int i = 0; i < nnames; i++) {
		if (is_stored(names[i])) {
			notify_drop(names[i]);
			any = true;
		}
		free(names[i]);
	}
	free(names);
	names = NULL;
	nnames = 0;
	if (any)
		notify_heard();
}

void handover_listeners(struct server *sv)
{
	json_t *l;
	size_t i;

	json_array_foreach(json_object_get(state, "listeners"), i, l) {
		const char *addr = json_string_value(json_object_get(l, "addr"));

		if (addr && handover_fd(l) >= 0 &&
		    nbd_server_inherit(sv->nbd, addr, handover_fd(l), json_is_true(json_object_get(l, "foreign"))))
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

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* -1: that is not what was written. */
static ssize_t from_hex(const char *hex, uint8_t *out, size_t cap)
{
	size_t n = hex ? strlen(hex) : 1;

	if (n % 2 || n / 2 > cap)
		return -1;
	for (size_t i = 0; i < n / 2; i++) {
		int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return -1;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return (ssize_t)(n / 2);
}

static void adopt(struct server *sv, const json_t *o)
{
	static uint8_t in[65536];
	ssize_t n = from_hex(json_string_value(json_object_get(o, "in")), in, sizeof(in));
	struct nbd_kept k = {
		.fd = handover_fd(o),
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
	int ret = -EBADMSG;

	if (k.fd < 0) /* it left while there was no process */
		return;
	k.in_len = n < 0 ? 0 : (size_t)n;
	if (n < 0)
		close(k.fd);
	else
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
		log_msg(LOG_INFO, "restarted, %d connections go on", clients);
	json_decref(state);
	state = NULL;
}
