/* SPDX-License-Identifier: MIT */
/*
 * The control socket of a daemon with a small model. The input is what clients send, in pieces; bytes FE and FF
 * as such (no JSON text has them) are: another client, and this one hangs up.
 */
#include "fuzz.h"
#include "daemon/control.h"
#include "daemon/control_cmd.h"
#include "daemon/log.h"
#include "t/unit/daemon/model.h"

#include <fcntl.h>
#include <jansson.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#define CLIENTS 3

static struct model m;
static struct ev_loop *loop;
static char dir[] = "/tmp/mpiod-fuzz-XXXXXX", path[96];
static int clients[CLIENTS];
static char answers[CLIENTS][1 << 20];
static size_t lens[CLIENTS];

static void touch(void *arg) {}
static void settle(void *arg) {}

static int reload(void *arg, char **message)
{
	*message = strdup("fuzz.conf:1: one\nfuzz.conf:2: \x1b[31mtwo\n");
	return -EINVAL;
}

static unsigned restarts(void *arg)
{
	return 7;
}

static const struct control_ops ops = { .touch = touch, .settle = settle, .reload = reload,
					.restarts = restarts };

static void leave(void)
{
	rmdir(dir);
}

static void hang_up(int i)
{
	if (clients[i] >= 0)
		close(clients[i]);
	clients[i] = -1;
	lens[i] = 0;
}

static void dial(int i)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	hang_up(i);
	clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	strcpy(addr.sun_path, path);
	ck_assert_int_eq(connect(clients[i], (struct sockaddr *)&addr, sizeof(addr)), 0);
	ev_run(loop, EVRUN_NOWAIT);
}

/* Every line that is answered is an object with a version and a verdict. */
static void check_line(const char *line, size_t n)
{
	json_t *o = json_loadb(line, n, 0, NULL);

	ck_assert_msg(o != NULL, "no JSON: %.*s", (int)n, line);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "version")), CONTROL_VERSION);
	if (json_is_false(json_object_get(o, "ok")))
		ck_assert_ptr_nonnull(json_string_value(json_object_get(o, "code")));
	else
		ck_assert_ptr_nonnull(json_object_get(o, "data"));
	for (size_t i = 0; i < n; i++)
		ck_assert_msg((uint8_t)line[i] >= 0x20, "byte %02x in an answer", (uint8_t)line[i]);
	json_decref(o);
}

static void take(int i)
{
	char *end;
	ssize_t n;

	while (clients[i] >= 0 &&
	       (n = recv(clients[i], answers[i] + lens[i], sizeof(answers[i]) - lens[i], 0)) != -1) {
		if (n <= 0) {
			hang_up(i);
			return;
		}
		lens[i] += (size_t)n;
		while ((end = memchr(answers[i], '\n', lens[i]))) {
			size_t len = (size_t)(end - answers[i]);

			check_line(answers[i], len);
			lens[i] -= len + 1;
			memmove(answers[i], end + 1, lens[i]);
		}
	}
}

static void turns(int n)
{
	while (n-- > 0) {
		ev_run(loop, EVRUN_NOWAIT);
		for (int i = 0; i < CLIENTS; i++)
			take(i);
	}
}

static void talk(struct feed *f, struct pieces *s)
{
	int who = 0, stuck = 0;

	while (f->n && stuck < 10) {
		size_t n = piece(s, f->n);
		const uint8_t *stop;
		ssize_t sent;

		if (*f->p >= 0xfe) {
			if (feed_u8(f) == 0xfe)
				who = (who + 1) % CLIENTS;
			else
				hang_up(who);
			continue;
		}
		for (stop = f->p; stop < f->p + n && *stop < 0xfe; stop++)
			;
		if (clients[who] < 0)
			dial(who);
		sent = send(clients[who], f->p, (size_t)(stop - f->p), MSG_NOSIGNAL);
		stuck += sent <= 0;
		if (sent > 0)
			feed_bytes(f, (size_t)sent, &n);
		turns(1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = { data, size };
	struct pieces s = { 0, feed_u8(&f) };
	struct control *control;
	char why[256];

	if (!loop) {
		loop = ev_loop_new(0);
		log_set_level(LOG_EMERG);
		ck_assert_ptr_nonnull(mkdtemp(dir));
		snprintf(path, sizeof(path), "%s/control.sock", dir);
		atexit(leave);
	}
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = -1;
	model_start(&m);
	ck_assert_msg(!control_start(&control, loop, path, &ops, &m, m.engine, m.events, why, sizeof(why)), "%s",
		      why);
	talk(&f, &s);
	turns(20);
	for (int i = 0; i < CLIENTS; i++)
		hang_up(i);
	ev_run(loop, EVRUN_NOWAIT);
	control_stop(control);
	model_stop(&m);
	return 0;
}
