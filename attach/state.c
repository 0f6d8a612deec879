/* SPDX-License-Identifier: MIT */
#include "state.h"
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *directory(void)
{
	const char *dir = getenv("RUNTIME_DIRECTORY");

	return dir && dir[0] ? dir : "/run/mpio-attach";
}

static void file_of(int index, char *path, size_t cap)
{
	snprintf(path, cap, "%s/nbd%d", directory(), index);
}

/* A line break would end the value: no name of an export has one in mpiod. */
static bool one_line(const char *text)
{
	return !strchr(text, '\n');
}

static bool have_directory(void)
{
	return !mkdir(directory(), 0755) || errno == EEXIST;
}

/* For root alone: whoever can open it can lock it. */
static int open_file(const char *path)
{
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

int state_gate(void)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[300];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/lock", directory());
	fd = have_directory() ? open_file(path) : -1;
	if (fd < 0)
		return -errno;
	while (fcntl(fd, F_OFD_SETLKW, &whole)) {
		if (errno == EINTR)
			continue;
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

bool state_removed(int lock)
{
	struct stat st;

	return fstat(lock, &st) || st.st_nlink == 0;
}

int state_keep(const struct state *s, char *why, size_t cap)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[300];
	int fd, ret = 0;

	file_of(s->index, path, sizeof(path));
	if (!have_directory()) {
		ret = -errno;
		snprintf(why, cap, "%s: %s", directory(), strerror(errno));
		return ret;
	}
again:
	fd = open_file(path);
	if (fd < 0 || fcntl(fd, F_OFD_SETLK, &whole)) {
		ret = errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
		snprintf(why, cap, "%s: %s", path,
			 ret == -EBUSY ? "another mpio-attach keeps that device" : strerror(errno));
		goto err;
	}
	if (state_removed(fd)) { /* by the keeper that has just ended */
		close(fd);
		goto again;
	}
	if (!one_line(s->export) || !one_line(s->socket) || ftruncate(fd, 0) ||
	    dprintf(fd, "pid=%d\nid=%s\nsocket=%s\nexport=%s\n", (int)getpid(), s->id, s->socket,
		    s->export) < 0) {
		ret = -EIO;
		snprintf(why, cap, "%s can't be written", path);
		goto err;
	}
	return fd;
err:
	if (fd >= 0)
		close(fd);
	return ret;
}

void state_remove(int index)
{
	char path[300];

	file_of(index, path, sizeof(path));
	unlink(path);
}

static void take_line(struct state *s, char *line)
{
	char *value = strchr(line, '=');

	line[strcspn(line, "\n")] = '\0';
	if (!value)
		return;
	*value++ = '\0';
	if (!strcmp(line, "pid"))
		s->pid = (pid_t)strtol(value, NULL, 10);
	else if (!strcmp(line, "id"))
		snprintf(s->id, sizeof(s->id), "%s", value);
	else if (!strcmp(line, "socket"))
		snprintf(s->socket, sizeof(s->socket), "%s", value);
	else if (!strcmp(line, "export"))
		snprintf(s->export, sizeof(s->export), "%s", value);
}

bool state_read(int index, struct state *s)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[300], *line = NULL;
	size_t room = 0;
	FILE *f;

	*s = (struct state){ .index = index };
	file_of(index, path, sizeof(path));
	f = fopen(path, "re");
	if (!f)
		return false;
	while (getline(&line, &room, f) > 0)
		take_line(s, line);
	free(line);
	if (fcntl(fileno(f), F_OFD_GETLK, &whole) || whole.l_type != F_WRLCK) /* that process has gone */
		s->pid = 0;
	fclose(f);
	return s->export[0] && s->id[0];
}

bool state_find(const char *export, const char *socket, struct state *s)
{
	char id[HELLO_ID_MAX];

	for (int i = device_last(); i >= 0; i--)
		if (device_connected(i) && state_read(i, s) && !strcmp(s->export, export) &&
		    (!socket || !strcmp(s->socket, socket)) && !strcmp(device_backend(i, id), s->id))
			return true;
	return false;
}
