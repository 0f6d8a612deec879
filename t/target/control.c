/* SPDX-License-Identifier: MIT */
/* The control socket: one JSON object a line in, one a line out. Answers are written at once: tests
 * read them. */
#include "target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_MAX_BYTES 65536

struct client {
	ev_io io;
	size_t len;
	char line[LINE_MAX_BYTES];
};

static bool send_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		p += sent;
		n -= (size_t)sent;
	}
	return true;
}

static bool answer_line(int fd, const char *line)
{
	json_t *o = json_loads(line, 0, NULL);
	json_t *r = o ? command_run(o) : json_pack("{s:s}", "error", "not JSON");
	char *out = json_dumps(r, JSON_COMPACT);
	bool sent = out && send_all(fd, out, strlen(out)) && send_all(fd, "\n", 1);

	free(out);
	json_decref(o);
	json_decref(r);
	return sent;
}

static void client_end(struct client *c)
{
	ev_io_stop(T.loop, &c->io);
	close(c->io.fd);
	free(c);
}

static void on_client(struct ev_loop *l, ev_io *w, int revents)
{
	struct client *c = w->data;
	ssize_t n = recv(w->fd, c->line + c->len, sizeof(c->line) - c->len, 0);
	char *at = c->line, *nl;

	(void)l, (void)revents;
	if (n <= 0) { /* also when a line is too long: there is no room */
		client_end(c);
		return;
	}
	c->len += (size_t)n;
	while ((nl = memchr(at, '\n', (size_t)(c->line + c->len - at)))) {
		*nl = '\0';
		if (!answer_line(w->fd, at)) {
			client_end(c);
			return;
		}
		at = nl + 1;
	}
	c->len -= (size_t)(at - c->line);
	memmove(c->line, at, c->len);
}

static void on_connection(struct ev_loop *l, ev_io *w, int revents)
{
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC);
	struct client *c = fd < 0 ? NULL : calloc(1, sizeof(*c));

	(void)revents;
	if (!c) {
		if (fd >= 0)
			close(fd);
		return;
	}
	ev_io_init(&c->io, on_client, fd, EV_READ);
	c->io.data = c;
	ev_io_start(l, &c->io);
}

void control_start(const char *path)
{
	static ev_io io;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (strlen(path) >= sizeof(a.sun_path)) {
		fprintf(stderr, "t-target: %s: the path is too long\n", path);
		exit(2);
	}
	strcpy(a.sun_path, path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 16)) {
		fprintf(stderr, "t-target: %s: %s\n", path, strerror(errno));
		exit(1);
	}
	ev_io_init(&io, on_connection, fd, EV_READ);
	ev_io_start(T.loop, &io);
}
