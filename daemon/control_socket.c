/* SPDX-License-Identifier: MIT */
/*
 * Taking a unix socket path over from a daemon that is dead, and never from one that lives. Looking
 * and binding are two steps; the lock on the directory makes them one for all who come here.
 */
#include "control_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 32
#define LOCK_TRIES 50 /* of 20 ms: others may lock a public directory for good */

struct why {
	char *text;
	size_t room;
};

__attribute__((format(printf, 3, 4)))
static int say(const struct why *w, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->text, w->room, fmt, ap);
	va_end(ap);
	return err;
}

/* Waits for somebody else's lock, but not for ever. The descriptor to close, or -errno. */
static int lock_directory(const char *path)
{
	const struct timespec wait = { .tv_nsec = 20000000 };
	char copy[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int fd;

	strcpy(copy, path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (int i = 0; i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) < 0; i++)
		nanosleep(&wait, NULL);
	return fd;
}

/* Does anybody listen on addr? 0: no; 1: yes; -errno: can't tell. */
static int probe(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	err = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? errno : 0;
	close(fd);
	if (!err || err == EAGAIN) /* EAGAIN: its backlog is full, so it is there */
		return 1;
	return err == ECONNREFUSED || err == ENOENT ? 0 : -err;
}

static int remove_stale(const struct sockaddr_un *addr, const struct why *w)
{
	const char *path = addr->sun_path;
	struct stat st;
	int n;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : say(w, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return say(w, -ENOTSOCK, "%s exists and is not a socket: it is left alone", path);
	n = probe(addr);
	if (n > 0)
		return say(w, -EADDRINUSE, "%s: another daemon listens there", path);
	if (n < 0)
		return say(w, n, "%s: can't tell whether another daemon listens there: %s", path,
			   strerror(-n));
	if (unlink(path) < 0 && errno != ENOENT)
		return say(w, -errno, "%s: can't remove the stale socket: %s", path,
			   strerror(errno));
	return 0;
}

static int listen_on(struct control_socket *s, const struct sockaddr_un *addr, const struct why *w)
{
	mode_t mask = umask(0117); /* bind(2) makes the file: 0660 from its first moment */
	int err = bind(s->fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? errno : 0;
	struct stat st;

	umask(mask);
	if (err)
		return say(w, -err, "%s: can't listen: %s", s->path, strerror(err));
	if (listen(s->fd, BACKLOG) < 0 || lstat(s->path, &st) < 0) {
		err = errno;
		unlink(s->path);
		return say(w, -err, "%s: can't listen: %s", s->path, strerror(err));
	}
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return 0;
}

int control_socket_open(struct control_socket *s, const char *path, char *why, size_t whylen)
{
	const struct why w = { why, whylen };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int lock, err;

	if (!*path || strlen(path) >= sizeof(addr.sun_path))
		return say(&w, -ENAMETOOLONG, "%s: longer than %zu bytes", path,
			   sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	strcpy(s->path, path);
	lock = lock_directory(path);
	if (lock < 0)
		return say(&w, lock, "%s: can't open its directory: %s", path, strerror(-lock));
	err = remove_stale(&addr, &w);
	if (err)
		goto out;
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0) {
		err = say(&w, -errno, "socket: %s", strerror(errno));
		goto out;
	}
	err = listen_on(s, &addr, &w);
	if (err)
		close(s->fd);
out:
	close(lock); /* and with it the lock */
	return err;
}

void control_socket_close(struct control_socket *s)
{
	struct stat st;

	if (lstat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(s->path);
	close(s->fd);
}
