/* SPDX-License-Identifier: MIT */
/*
 * The thread owns a job; the loop and the thread share it with two references, and the thread
 * tells the loop through a pipe, so that a cancelled look-up may end whenever it likes.
 */
#include "resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct job {
	atomic_int refs;
	int fd; /* write end: closed when the answer is there */
	char host[256], port[8];
	char numeric[80], why[160];
};

struct resolve {
	struct ev_loop *loop;
	ev_io io;
	struct job *job;
	void (*done)(void *arg, const char *numeric, const char *why);
	void *arg;
};

/* "[::1]:3260" or "host:3260" into its two parts. */
static int split(const char *portal, char *host, size_t hcap, char *port, size_t pcap)
{
	const char *colon = strrchr(portal, ':');
	size_t n;

	if (!colon || strlen(colon + 1) >= pcap)
		return -EINVAL;
	snprintf(port, pcap, "%s", colon + 1);
	n = colon - portal;
	if (portal[0] == '[' && n >= 2 && portal[n - 1] == ']') {
		portal++;
		n -= 2;
	}
	if (n >= hcap)
		return -EINVAL;
	memcpy(host, portal, n);
	host[n] = 0;
	return 0;
}

static int look_up(const char *host, const char *port, int flags, char *out, size_t cap)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags }, *ai;
	char h[64], p[8];
	int ret = getaddrinfo(host, port, &hints, &ai);

	if (ret)
		return ret;
	ret = getnameinfo(ai->ai_addr, ai->ai_addrlen, h, sizeof(h), p, sizeof(p),
			  NI_NUMERICHOST | NI_NUMERICSERV);
	if (!ret)
		snprintf(out, cap, ai->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s", h, p);
	freeaddrinfo(ai);
	return ret;
}

int resolve_is_numeric(const char *portal)
{
	char host[256], port[8], out[80];

	return split(portal, host, sizeof(host), port, sizeof(port)) == 0 &&
	       look_up(host, port, AI_NUMERICHOST | AI_NUMERICSERV, out, sizeof(out)) == 0;
}

static void job_put(struct job *j)
{
	if (atomic_fetch_sub(&j->refs, 1) == 1)
		free(j);
}

static void *work(void *arg)
{
	struct job *j = arg;
	int ret = look_up(j->host, j->port, AI_NUMERICSERV, j->numeric, sizeof(j->numeric));

	if (ret) {
		j->numeric[0] = 0;
		snprintf(j->why, sizeof(j->why), "name look-up of %.100s: %s", j->host,
			 gai_strerror(ret));
	}
	close(j->fd);
	job_put(j);
	return NULL;
}

static void answered(struct ev_loop *loop, ev_io *w, int revents)
{
	struct resolve *r = w->data;

	(void)revents;
	ev_io_stop(loop, w);
	r->done(r->arg, r->job->numeric[0] ? r->job->numeric : NULL, r->job->why);
}

static int start_thread(struct job *j)
{
	pthread_attr_t attr;
	pthread_t t;
	int ret;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	ret = pthread_create(&t, &attr, work, j);
	pthread_attr_destroy(&attr);
	return -ret;
}

struct resolve *resolve_start(struct ev_loop *loop, const char *portal,
			      void (*done)(void *arg, const char *numeric, const char *why), void *arg,
			      int *err)
{
	struct resolve *r = calloc(1, sizeof(*r));
	struct job *j = calloc(1, sizeof(*j));
	int fd[2] = { -1, -1 };

	*err = -ENOMEM;
	if (!r || !j)
		goto err;
	*err = split(portal, j->host, sizeof(j->host), j->port, sizeof(j->port));
	if (*err)
		goto err;
	if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) < 0) {
		*err = -errno;
		goto err;
	}
	j->fd = fd[1];
	atomic_init(&j->refs, 2);
	r->loop = loop;
	r->job = j;
	r->done = done;
	r->arg = arg;
	*err = start_thread(j);
	if (*err)
		goto err;
	ev_io_init(&r->io, answered, fd[0], EV_READ);
	r->io.data = r;
	ev_io_start(loop, &r->io);
	return r;
err:
	if (fd[0] >= 0) {
		close(fd[0]);
		close(fd[1]);
	}
	free(j);
	free(r);
	return NULL;
}

void resolve_cancel(struct resolve *r)
{
	if (!r)
		return;
	ev_io_stop(r->loop, &r->io);
	close(r->io.fd);
	job_put(r->job);
	free(r);
}
