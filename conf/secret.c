/* SPDX-License-Identifier: MIT */
/* Secret files: where they are, how they are read, who else could. */
#include "parse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_MAX 255

/* A relative name: a credential of the service, or else a neighbour of the configuration. */
static char *find_file(const char *conf_file, const char *name)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY"), *slash = strrchr(conf_file, '/');
	char *path;
	int n;

	if (name[0] == '/')
		return strdup(name);
	if (credentials && *credentials)
		n = asprintf(&path, "%s/%s", credentials, name);
	else
		n = asprintf(&path, "%.*s%s", slash ? (int)(slash + 1 - conf_file) : 0, conf_file,
			     name);
	return n < 0 ? NULL : path;
}

/* systemd guards these by other means than the mode bits. */
static bool is_credential(const char *path)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	size_t len = dir ? strlen(dir) : 0;

	while (len > 1 && dir[len - 1] == '/')
		len--;
	return len && !strncmp(path, dir, len) && path[len] == '/' && !strstr(path, "/../");
}

static int read_all(int fd, char *buf, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, buf + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		len += (size_t)n;
	}
	return (int)len;
}

static int judge(const char *buf, int len, char why[CONF_WHY])
{
	const char *what = NULL;

	if (!len)
		what = "is empty";
	else if (len > SECRET_MAX)
		what = "is longer than 255 bytes";
	else if (memchr(buf, '\0', (size_t)len))
		what = "holds a zero byte";
	if (!what)
		return 0;
	snprintf(why, CONF_WHY, "%s", what);
	return -EINVAL;
}

int conf_secret_read(const char *conf_file, const char *name, struct conf_secret *s,
		     char why[CONF_WHY])
{
	char *path = find_file(conf_file, name), buf[SECRET_MAX + 2];
	int fd = -1, len, err = -ENOMEM;
	struct stat st;

	memset(s, 0, sizeof(*s));
	snprintf(why, CONF_WHY, "out of memory");
	if (!path)
		return err;
	/* not blocking: the name may be that of a FIFO, and a reload must not stop the daemon */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st)) {
		err = -errno;
		snprintf(why, CONF_WHY, "cannot be read (%s)", strerror(-err));
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		err = -EINVAL;
		snprintf(why, CONF_WHY, "is not a file");
		goto out;
	}
	len = read_all(fd, buf, sizeof(buf));
	if (len < 0) {
		err = len;
		snprintf(why, CONF_WHY, "cannot be read (%s)", strerror(-err));
		goto out;
	}
	if (len && buf[len - 1] == '\n')
		len--;
	err = judge(buf, len, why);
	if (err)
		goto out;
	if (!is_credential(path))
		s->mode = st.st_mode & 0077;
	s->text = strndup(buf, (size_t)len);
	if (!s->text)
		err = -ENOMEM;
out:
	explicit_bzero(buf, sizeof(buf));
	if (fd >= 0)
		close(fd);
	free(path);
	return err;
}

void conf_secret_free(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}
