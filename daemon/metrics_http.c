/* SPDX-License-Identifier: MIT */
/*
 * GET /metrics. libmicrohttpd without a thread of its own: its epoll descriptor and its time-out are
 * watched by our loop, as one of many things.
 */
#include "metrics.h"
#include "log.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 16, CONNECTION_MEMORY = 16384, IDLE_S = 15 };

struct metrics_http {
	struct ev_loop *loop;
	struct MHD_Daemon *mhd;
	ev_io io;
	ev_timer timer;
	char *(*text)(void *arg, size_t *len);
	void *arg;
};

static void arm(struct metrics_http *h)
{
	MHD_UNSIGNED_LONG_LONG ms;

	ev_timer_stop(h->loop, &h->timer);
	if (MHD_get_timeout(h->mhd, &ms) != MHD_YES)
		return;
	ev_timer_set(&h->timer, (double)ms / 1e3, 0.);
	ev_timer_start(h->loop, &h->timer);
}

static unsigned connections(struct metrics_http *h)
{
	return MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

/*
 * At its limit of connections the library takes its listening socket out of its epoll set, and puts it
 * back only when a run begins below the limit: nothing would wake us for that one.
 */
static void run(struct metrics_http *h)
{
	unsigned before;

	do {
		before = connections(h);
		MHD_run(h->mhd);
	} while (connections(h) < before);
	arm(h);
}

static void on_ready(struct ev_loop *loop, ev_io *w, int revents)
{
	run(w->data);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	run(w->data);
}

static enum MHD_Result answer(struct MHD_Connection *c, unsigned code, char *text, size_t len,
			      enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(len, text, mode);
	enum MHD_Result ret;

	if (!r) {
		if (mode == MHD_RESPMEM_MUST_FREE)
			free(text);
		return MHD_NO;
	}
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE,
				code == MHD_HTTP_OK ? "text/plain; version=0.0.4; charset=utf-8"
						    : "text/plain; charset=utf-8");
	if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, MHD_HTTP_METHOD_GET);
	ret = MHD_queue_response(c, code, r);
	MHD_destroy_response(r);
	return ret;
}

static enum MHD_Result refuse(struct MHD_Connection *c, unsigned code, const char *text)
{
	return answer(c, code, (char *)text, strlen(text), MHD_RESPMEM_PERSISTENT);
}

/* Answers as soon as the headers are there: whoever sends a body has asked for nothing we have. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **state)
{
	struct metrics_http *h = arg;
	size_t len = 0;
	char *text;

	if (strcmp(url, "/metrics"))
		return refuse(c, MHD_HTTP_NOT_FOUND, "Not found. There is /metrics.\n");
	if (strcmp(method, MHD_HTTP_METHOD_GET))
		return refuse(c, MHD_HTTP_METHOD_NOT_ALLOWED, "Only GET is possible here.\n");
	text = h->text(h->arg, &len);
	if (!text)
		return refuse(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "Out of memory.\n");
	return answer(c, MHD_HTTP_OK, text, len, MHD_RESPMEM_MUST_FREE);
}

/* A client may send what it likes, and the log is not for that. */
static void on_log(void *arg, const char *fmt, va_list ap)
{
	char text[256];

	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	log_msg(LOG_DEBUG, "metrics: %s", text);
}

/* "ADDR:PORT" or "[ADDR6]:PORT". A socket, or -errno. */
static int listen_tcp(const char *addr)
{
	static const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
					       .ai_socktype = SOCK_STREAM };
	const char *colon = strrchr(addr, ':');
	size_t n = colon ? (size_t)(colon - addr) : 0;
	struct addrinfo *ai;
	char host[64];
	int fd, err, one = 1;

	if (n > 2 && addr[0] == '[' && colon[-1] == ']') {
		addr++;
		n -= 2;
	}
	if (!n || n >= sizeof(host))
		return -EINVAL;
	memcpy(host, addr, n);
	host[n] = '\0';
	if (getaddrinfo(host, colon + 1, &hints, &ai))
		return -EINVAL;
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    (ai->ai_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one))) ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, SOMAXCONN)) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		fd = err;
	}
	freeaddrinfo(ai);
	return fd;
}

int metrics_http_start(struct metrics_http **out, struct ev_loop *loop, const char *addr,
		       char *(*text)(void *arg, size_t *len), void *arg, char *why, size_t cap)
{
	struct metrics_http *h = calloc(1, sizeof(*h));
	const union MHD_DaemonInfo *info;
	int fd = !h ? -ENOMEM : strncmp(addr, "tcp:", 4) ? -EINVAL : listen_tcp(addr + 4);

	*out = NULL;
	if (fd < 0) {
		snprintf(why, cap, "%s: %s", addr, strerror(-fd));
		free(h);
		return fd;
	}
	h->loop = loop;
	h->text = text;
	h->arg = arg;
	h->mhd = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, h,
				  MHD_OPTION_EXTERNAL_LOGGER, on_log, h, MHD_OPTION_LISTEN_SOCKET,
				  fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
				  MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
				  MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_END);
	info = h->mhd ? MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info || info->epoll_fd < 0) {
		snprintf(why, cap, "%s: the HTTP server does not start", addr);
		if (h->mhd)
			MHD_stop_daemon(h->mhd);
		else
			close(fd);
		free(h);
		return -EIO;
	}
	ev_io_init(&h->io, on_ready, info->epoll_fd, EV_READ);
	ev_timer_init(&h->timer, on_timer, 0., 0.);
	h->io.data = h->timer.data = h;
	ev_io_start(loop, &h->io);
	*out = h;
	return 0;
}

void metrics_http_stop(struct metrics_http *h)
{
	if (!h)
		return;
	ev_io_stop(h->loop, &h->io);
	ev_timer_stop(h->loop, &h->timer);
	MHD_stop_daemon(h->mhd);
	free(h);
}
