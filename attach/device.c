/* SPDX-License-Identifier: MIT */
#include "device.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NUMBERS_MAX 64 /* partitions of one device, and itself */

int device_index(const char *name)
{
	char *end;
	long n;

	if (!strncmp(name, "/dev/", 5))
		name += 5;
	if (strncmp(name, "nbd", 3) != 0 || !isdigit((unsigned char)name[3]))
		return -1;
	errno = 0;
	n = strtol(name + 3, &end, 10);
	return *end || errno || n > 1 << 20 ? -1 : (int)n;
}

/* First line of /sys/block/NAME/ATTR; "" where there is none. */
static const char *sysfs_line(const char *device, const char *attr, char *line, size_t cap)
{
	char path[320];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/block/%s/%s", device, attr);
	f = fopen(path, "re");
	if (!f || !fgets(line, (int)cap, f))
		line[0] = '\0';
	if (f)
		fclose(f);
	line[strcspn(line, "\n")] = '\0';
	return line;
}

static const char *attribute(int index, const char *attr, char *line, size_t cap)
{
	char name[24];

	snprintf(name, sizeof(name), "nbd%d", index);
	return sysfs_line(name, attr, line, cap);
}

bool device_connected(int index)
{
	return device_pid(index) > 0;
}

long device_pid(int index)
{
	char line[32];

	return strtol(attribute(index, "pid", line, sizeof(line)), NULL, 10);
}

bool device_read_only(int index)
{
	char line[32];

	return attribute(index, "ro", line, sizeof(line))[0] == '1';
}

void device_changed(int index)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/block/nbd%d/uevent", index);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!write(fd, "change", 6);
	close(fd);
}

uint64_t device_size(int index)
{
	char line[32];

	return strtoull(attribute(index, "size", line, sizeof(line)), NULL, 10) * 512;
}

int device_queues(int index)
{
	char path[64];
	int n = 0;

	for (; n < ATTACH_CONNECTIONS_MAX; n++) {
		snprintf(path, sizeof(path), "/sys/block/nbd%d/mq/%d", index, n);
		if (access(path, F_OK))
			break;
	}
	return n;
}

const char *device_backend(int index, char id[HELLO_ID_MAX])
{
	attribute(index, "backend", id, HELLO_ID_MAX);
	if (!strcmp(id, "(null)")) /* so the kernel prints one that was not set */
		id[0] = '\0';
	return id;
}

int device_last(void)
{
	DIR *dir = opendir("/sys/block");
	const struct dirent *e;
	int last = -1, n;

	while (dir && (e = readdir(dir))) {
		n = device_index(e->d_name);
		if (n > last)
			last = n;
	}
	if (dir)
		closedir(dir);
	return last;
}

int device_with_backend(const char *id)
{
	char other[HELLO_ID_MAX];

	for (int i = device_last(); i >= 0; i--)
		if (device_connected(i) && !strcmp(device_backend(i, other), id))
			return i;
	return -1;
}

struct numbers {
	char text[NUMBERS_MAX][16]; /* "43:16" */
	int n;
};

static void add_number(struct numbers *to, const char *name, const char *attr)
{
	if (to->n < NUMBERS_MAX &&
	    sysfs_line(name, attr, to->text[to->n], sizeof(to->text[0]))[0])
		to->n++;
}

static void numbers_of(int index, struct numbers *to)
{
	char name[24], path[64], attr[300];
	const struct dirent *e;
	DIR *dir;

	to->n = 0;
	snprintf(name, sizeof(name), "nbd%d", index);
	add_number(to, name, "dev");
	snprintf(path, sizeof(path), "/sys/block/%s", name);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		if (strncmp(e->d_name, name, strlen(name)) != 0)
			continue;
		snprintf(attr, sizeof(attr), "%s/dev", e->d_name);
		add_number(to, name, attr);
	}
	if (dir)
		closedir(dir);
}

/* proc(5): the third field is the device, the fifth the mount point. */
static bool is_mounted(const struct numbers *of, char *by, size_t cap)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, number[16], at[256];
	size_t room = 0;
	bool found = false;

	while (f && !found && getline(&line, &room, f) > 0) {
		if (sscanf(line, "%*s %*s %15s %*s %255s", number, at) != 2)
			continue;
		for (int i = 0; i < of->n && !found; i++)
			found = !strcmp(number, of->text[i]);
	}
	if (found)
		snprintf(by, cap, "mounted on %s", at);
	free(line);
	if (f)
		fclose(f);
	return found;
}

/* Other block devices on it or on its partitions; a name under holders/ is one. */
static bool has_holder(const char *path, char *by, size_t cap)
{
	DIR *dir = opendir(path);
	const struct dirent *e;
	bool found = false;

	while (dir && !found && (e = readdir(dir))) {
		found = e->d_name[0] != '.';
		if (found)
			snprintf(by, cap, "held by %s", e->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool is_held(int index, char *by, size_t cap)
{
	char name[24], path[400];
	const struct dirent *e;
	bool found;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/block/nbd%d/holders", index);
	found = has_holder(path, by, cap);
	snprintf(name, sizeof(name), "nbd%dp", index);
	snprintf(path, sizeof(path), "/sys/block/nbd%d", index);
	dir = opendir(path);
	while (dir && !found && (e = readdir(dir))) {
		if (strncmp(e->d_name, name, strlen(name)) != 0)
			continue;
		snprintf(path, sizeof(path), "/sys/block/nbd%d/%s/holders", index, e->d_name);
		found = has_holder(path, by, cap);
	}
	if (dir)
		closedir(dir);
	return found;
}

bool device_busy(int index, int ms, char *by, size_t cap)
{
	static const struct timespec step = { .tv_nsec = 100000000 };
	struct numbers numbers;
	char path[32];
	int fd;

	numbers_of(index, &numbers);
	if (is_mounted(&numbers, by, cap) || is_held(index, by, cap))
		return true;
	snprintf(path, sizeof(path), "/dev/nbd%d", index);
	do
		fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK);
	while (fd < 0 && errno == EBUSY && (ms -= 100) > 0 && !nanosleep(&step, NULL));
	if (fd < 0 && errno == EBUSY) {
		snprintf(by, cap, "in use (a file system, swap, or a mount in another namespace)");
		return true;
	}
	if (fd >= 0)
		close(fd);
	return false;
}

bool device_wait_gone(int index, int ms)
{
	static const struct timespec step = { .tv_nsec = 20000000 };

	for (; ms > 0 && device_connected(index); ms -= 20)
		nanosleep(&step, NULL);
	return !device_connected(index);
}
