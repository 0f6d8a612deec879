/* SPDX-License-Identifier: MIT */
/* The client's end of the control socket. */
#include "mpioctl.h"
#include "control.h"

#include <err.h>
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_TIMEOUT_S 30
#define READ_STEP 65536
#define ANSWER_MAX ((size_t)256 << 20) /* no daemon says so much: it isn't one */

int client_open(struct client *c)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int saved;

	if (strlen(c->path) >= sizeof(addr.sun_path))
		return ENAMETOOLONG;
	strcpy(addr.sun_path, c->path);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return errno;
	if (connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return 0;
	saved = errno;
	close(c->fd);
	c->fd = -1;
	return saved;
}

void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->buf);
	c->buf = NULL;
	c->len = c->cap = c->used = 0;
	c->fd = -1;
}

void client_explain(const struct client *c, int error)
{
	const struct group *g;
	struct stat st;

	switch (error) {
	case ENOENT:
		warnx("no daemon: there is no socket %s\n"
		      "Start it (systemctl start mpiod), or name its control socket with -s.",
		      c->path);
		return;
	case ECONNREFUSED:
		warnx("no daemon: nobody listens on %s\n"
		      "It has died or was stopped. See why (journalctl -u mpiod), then start it "
		      "(systemctl start mpiod).", c->path);
		return;
	case EACCES:
	case EPERM:
		g = stat(c->path, &st) == 0 ? getgrgid(st.st_gid) : NULL;
		warnx("can't reach the daemon: no permission to use %s\n"
		      "Run this as root%s%s.", c->path,
		      g && g->gr_gid ? ", or become a member of the group " : "",
		      g && g->gr_gid ? g->gr_name : "");
		return;
	default:
		warnx("can't reach the daemon at %s: %s", c->path, strerror(error));
	}
}

/* 0, or a positive errno. */
static int send_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t put = send(fd, p, n, MSG_NOSIGNAL);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return errno;
		p += put;
		n -= (size_t)put;
	}
	return 0;
}

/* Reads more into the buffer. 0, or a positive errno; EPIPE: the other end hung up. */
static int read_more(struct client *c)
{
	ssize_t n;

	if (c->len + READ_STEP > c->cap) {
		char *more = realloc(c->buf, c->cap * 2 + READ_STEP);

		if (!more || c->cap > ANSWER_MAX)
			return ENOMEM;
		c->buf = more;
		c->cap = c->cap * 2 + READ_STEP;
	}
	n = recv(c->fd, c->buf + c->len, c->cap - c->len, 0);
	if (n < 0)
		return errno == EINTR ? 0 : errno;
	c->len += (size_t)n;
	return n ? 0 : EPIPE;
}

/* The next line, without its end, valid until the next call. 0 or a positive errno. */
static int read_line(struct client *c, const char **line, size_t *len)
{
	size_t seen = 0;

	if (c->used)
		memmove(c->buf, c->buf + c->used, c->len - c->used);
	c->len -= c->used;
	c->used = 0;
	for (;;) {
		const char *end = c->len > seen ? memchr(c->buf + seen, '\n', c->len - seen) : NULL;
		int error;

		if (end) {
			*line = c->buf;
			*len = (size_t)(end - c->buf);
			c->used = *len + 1;
			return 0;
		}
		seen = c->len;
		error = read_more(c);
		if (error)
			return error;
	}
}

/* Puts the reason where the caller wants it. */
static enum mpioctl_exit fail(enum mpioctl_exit code, char **error, const char *text)
{
	if (!error)
		warnx("%s", text);
	else if (!(*error = strdup(text)))
		err(MPIOCTL_REFUSED, NULL);
	return code;
}

static enum mpioctl_exit lost(struct client *c, int error, char **text)
{
	client_close(c);
	if (error == EAGAIN || error == EWOULDBLOCK)
		return fail(MPIOCTL_NO_DAEMON, text, "the daemon does not answer");
	if (error == EPIPE || error == ECONNRESET)
		return fail(MPIOCTL_NO_DAEMON, text, "the daemon closed the connection");
	return fail(MPIOCTL_NO_DAEMON, text, strerror(error));
}

enum mpioctl_exit client_next(struct client *c, bool forever, json_t **data, char **error)
{
	const struct timeval limit = { .tv_sec = forever ? 0 : ANSWER_TIMEOUT_S };
	enum mpioctl_exit code;
	const char *line;
	json_t *answer;
	size_t len;
	int e;

	*data = NULL;
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	e = read_line(c, &line, &len);
	if (e)
		return lost(c, e, error);
	answer = json_loadb(line, len, 0, NULL);
	if (json_is_true(json_object_get(answer, "ok"))) {
		*data = json_incref(json_object_get(answer, "data"));
		json_decref(answer);
		return MPIOCTL_DONE;
	}
	if (!json_is_object(answer) || !*get_string(answer, "error")) {
		json_decref(answer);
		return fail(MPIOCTL_NO_DAEMON, error, "whoever listens there is not mpiod");
	}
	code = !strcmp(get_string(answer, "code"), "invalid") ? MPIOCTL_USAGE : MPIOCTL_REFUSED;
	code = fail(code, error, get_string(answer, "error"));
	json_decref(answer);
	return code;
}

enum mpioctl_exit client_ask(struct client *c, json_t *request, json_t **data, char **error)
{
	char *text, *line;
	int e = 0;

	*data = NULL;
	if (!request || json_object_set_new(request, "version", json_integer(CONTROL_VERSION)) < 0)
		errx(MPIOCTL_USAGE, "the arguments are not valid UTF-8");
	text = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	if (!text || asprintf(&line, "%s\n", text) < 0)
		err(MPIOCTL_REFUSED, NULL);
	free(text);
	if (c->fd < 0)
		e = client_open(c);
	if (e) {
		free(line);
		if (!error)
			client_explain(c, e);
		else
			return fail(MPIOCTL_NO_DAEMON, error, strerror(e));
		return MPIOCTL_NO_DAEMON;
	}
	e = send_all(c->fd, line, strlen(line));
	free(line);
	return e && e != EPIPE ? lost(c, e, error) : client_next(c, false, data, error);
}
