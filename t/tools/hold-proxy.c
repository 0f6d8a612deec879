/* SPDX-License-Identifier: MIT */
/*
 * hold-proxy: a network that can keep bytes to itself for as long as a test likes.
 *
 *	hold-proxy --listen ADDR:PORT --to ADDR:PORT --control PATH
 *	hold-proxy --ctl PATH COMMAND...
 *
 * What is held was accepted from its sender, which sees it acknowledged, and so is the end of the connection
 * (FIN or RST): it is delivered behind the bytes, also when the sender is long gone. "up" is towards --to.
 *
 *	hold [up|down|both]        what comes from now on, on these connections and on new ones
 *	hold-new on|off|refuse     new connections: held both ways; not held; reset at once
 *	release                    all of it in order, the end last; then nothing is held any more
 *	stats, status              JSON: totals; each connection
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <getopt.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "transport/list.h"

enum dir { UP, DOWN, BOTH = 3 }; /* BOTH as a mask of 1 << dir */
enum end { END_NONE, END_FIN, END_RST };
enum { CHUNK = 65536, PENDING_MAX = 1 << 20 };

/* One direction of a connection. */
struct flow {
	struct conn *c;
	int from, to;
	ev_io rd, wr;
	uint8_t *buf;
	size_t off, len, cap; /* the bytes are buf[off .. off + len) */
	uint64_t passed;
	enum end end;     /* what the sender did behind the bytes in buf */
	bool over;        /* the end was delivered, or there is nobody to deliver to */
};

struct conn {
	struct list link;
	unsigned id, hold; /* mask */
	bool connecting, dead;
	struct flow flow[2];
	ev_timer drain;    /* until the receiver has acknowledged what precedes a reset */
};

static struct ev_loop *loop;
static struct list conns;
static struct addrinfo *to_addr;
static unsigned hold_new, next_id;
static bool refuse;

static _Noreturn __attribute__((format(printf, 1, 2))) void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("hold-proxy: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(2);
}

static void set_reset(int fd)
{
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
}

static void flow_drop(struct flow *f)
{
	free(f->buf);
	f->buf = NULL;
	f->off = f->len = f->cap = 0;
}

static void conn_free(struct conn *c)
{
	for (int d = UP; d <= DOWN; d++) {
		ev_io_stop(loop, &c->flow[d].rd);
		ev_io_stop(loop, &c->flow[d].wr);
		flow_drop(&c->flow[d]);
		if (c->dead)
			set_reset(c->flow[d].from);
		close(c->flow[d].from);
	}
	ev_timer_stop(loop, &c->drain);
	list_del(&c->link);
	free(c);
}

static void flow_read(struct flow *f);

/* The receiver takes no more: what it did is the end of the other direction, unless it is known. */
static void flow_refused(struct flow *f)
{
	struct flow *other = &f->c->flow[f == &f->c->flow[UP]];

	f->over = true;
	flow_drop(f);
	flow_read(other);
	other->end = END_RST;
	ev_io_stop(loop, &other->rd);
}

/* Bytes that the receiver has not acknowledged and may yet. One that has reset the connection never will. */
static bool on_its_way(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int unacked = 0;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_state == TCP_CLOSE)
		return false;
	ioctl(fd, SIOCOUTQ, &unacked);
	return unacked;
}

static void flow_push(struct flow *f)
{
	struct conn *c = f->c;

	if (f->over || c->connecting || c->hold & (1U << (f - c->flow)))
		return;
	while (f->len) {
		ssize_t n = send(f->to, f->buf + f->off, f->len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN) {
			ev_io_start(loop, &f->wr);
			return;
		}
		if (n < 0) {
			flow_refused(f);
			return;
		}
		f->passed += n;
		f->len -= n;
		f->off += n;
	}
	f->off = 0;
	if (f->end == END_FIN) {
		shutdown(f->to, SHUT_WR);
		f->over = true;
	} else if (f->end == END_RST) {
		/* a reset would take the bytes before it out of our kernel's queue */
		c->dead = !on_its_way(f->to);
		if (!c->dead)
			ev_timer_again(loop, &c->drain);
	} else {
		ev_io_start(loop, &f->rd);
	}
}

/* Takes what there is. Without end while it is held: that is what this program is for. */
static void flow_read(struct flow *f)
{
	bool held = f->c->hold & (1U << (f - f->c->flow));
	ssize_t n;

	while (f->end == END_NONE && (held || f->len < PENDING_MAX)) {
		if (f->cap - f->off - f->len < CHUNK) {
			f->cap = f->cap * 2 + CHUNK;
			f->buf = realloc(f->buf, f->cap);
			if (!f->buf)
				die("out of memory");
		}
		n = recv(f->from, f->buf + f->off + f->len, CHUNK, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n > 0 && !f->over)
			f->len += n;
		else if (n <= 0)
			f->end = n ? END_RST : END_FIN;
	}
	if (f->end == END_RST) { /* nor does it receive any more */
		struct flow *other = &f->c->flow[f == &f->c->flow[UP]];

		other->over = true;
		flow_drop(other);
	}
	if (f->end || (!held && f->len >= PENDING_MAX))
		ev_io_stop(loop, &f->rd);
}

static void conn_settle(struct conn *c)
{
	/* up once more: it may have got its end from the other one */
	for (int i = 0; i < 3 && !c->dead; i++)
		flow_push(&c->flow[i & 1]);
	if (c->dead || (c->flow[UP].over && c->flow[DOWN].over))
		conn_free(c);
}

static void on_readable(struct ev_loop *l, ev_io *w, int revents)
{
	struct flow *f = w->data;

	flow_read(f);
	conn_settle(f->c);
}

static void on_writable(struct ev_loop *l, ev_io *w, int revents)
{
	struct flow *f = w->data;
	socklen_t len = sizeof(int);
	int err = 0;

	ev_io_stop(loop, w);
	if (f->c->connecting) {
		getsockopt(f->to, SOL_SOCKET, SO_ERROR, &err, &len);
		f->c->connecting = false;
		f->c->dead = err;
		ev_io_start(loop, &f->c->flow[DOWN].rd);
	}
	conn_settle(f->c);
}

static void on_drain(struct ev_loop *l, ev_timer *t, int revents)
{
	ev_timer_stop(loop, t);
	conn_settle(t->data);
}

static void on_connection(struct ev_loop *l, ev_io *w, int revents)
{
	int fd[2] = { accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), -1 };
	struct conn *c;

	if (fd[0] < 0)
		return;
	if (refuse) {
		set_reset(fd[0]);
		close(fd[0]);
		return;
	}
	fd[1] = socket(to_addr->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	c = calloc(1, sizeof(*c));
	if (!c || fd[1] < 0)
		die("a connection: %s", strerror(errno));
	c->id = next_id++;
	c->hold = hold_new;
	c->connecting = true;
	list_add_tail(&c->link, &conns);
	ev_timer_init(&c->drain, on_drain, 0., .002);
	c->drain.data = c;
	for (int d = UP; d <= DOWN; d++) {
		struct flow *f = &c->flow[d];

		*f = (struct flow){ .c = c, .from = fd[d], .to = fd[!d] };
		setsockopt(fd[d], IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
		ev_io_init(&f->rd, on_readable, f->from, EV_READ);
		ev_io_init(&f->wr, on_writable, f->to, EV_WRITE);
		f->rd.data = f->wr.data = f;
	}
	if (connect(fd[1], to_addr->ai_addr, to_addr->ai_addrlen) < 0 && errno != EINPROGRESS)
		c->dead = true;
	ev_io_start(loop, &c->flow[UP].rd);
	ev_io_start(loop, &c->flow[UP].wr);
	if (c->dead)
		conn_free(c);
}

/* ---- control ---- */

static void print_stats(FILE *out)
{
	uint64_t held[2] = { 0, 0 };
	struct list *pos;
	unsigned n = 0;

	list_for_each(pos, &conns) {
		struct conn *c = list_entry(pos, struct conn, link);

		n++;
		for (int d = UP; d <= DOWN; d++)
			held[d] += c->hold & (1U << d) ? c->flow[d].len : 0;
	}
	fprintf(out, "{\"connections\": %u, \"accepted\": %u, \"held_up\": %ju, \"held_down\": %ju}\n",
		n, next_id, (uintmax_t)held[UP], (uintmax_t)held[DOWN]);
}

static void print_status(FILE *out)
{
	static const char *const ends[] = { "", "fin", "rst" }, *const names[] = { "up", "down" };
	struct list *pos;

	fprintf(out, "{\"hold_new\": \"%s\", \"connections\": [",
		refuse ? "refuse" : hold_new ? "on" : "off");
	list_for_each(pos, &conns) {
		struct conn *c = list_entry(pos, struct conn, link);

		fprintf(out, "%s{\"id\": %u", pos == conns.next ? "" : ", ", c->id);
		for (int d = UP; d <= DOWN; d++)
			fprintf(out, ", \"%s\": {\"held\": %s, \"bytes\": %zu, \"passed\": %ju, "
				"\"end\": \"%s\"}", names[d], c->hold & (1U << d) ? "true" : "false",
				c->flow[d].len, (uintmax_t)c->flow[d].passed, ends[c->flow[d].end]);
		fputs("}", out);
	}
	fputs("]}\n", out);
}

static void conn_hold(struct conn *c, unsigned mask)
{
	c->hold |= mask;
	for (int d = UP; d <= DOWN; d++) /* there is no limit any more */
		if (!c->flow[d].end && !c->connecting)
			ev_io_start(loop, &c->flow[d].rd);
}

static void release(void)
{
	struct list *pos, *tmp;

	hold_new = 0;
	refuse = false;
	list_for_each(pos, &conns)
		list_entry(pos, struct conn, link)->hold = 0;
	list_for_each_safe(pos, tmp, &conns)
		conn_settle(list_entry(pos, struct conn, link));
}

static bool run(char *line, FILE *out)
{
	static const struct { const char *name; unsigned mask; } dirs[] = {
		{ "up", 1 << UP }, { "down", 1 << DOWN }, { "both", BOTH }, { "on", BOTH }, { "off", 0 },
		{ "refuse", 0 },
	};
	const char *cmd = strtok(line, " \n"), *arg = strtok(NULL, " \n");
	struct list *pos;
	size_t i;

	if (!cmd)
		return false;
	if (!strcmp(cmd, "stats") || !strcmp(cmd, "status")) {
		(cmd[4] == 's' ? print_stats : print_status)(out);
		return true;
	}
	if (!strcmp(cmd, "release")) {
		release();
	} else if (!strcmp(cmd, "hold") || !strcmp(cmd, "hold-new")) {
		size_t n = cmd[4] ? 6 : 3;

		for (i = cmd[4] ? 3 : 0; i < n && strcmp(dirs[i].name, arg ? arg : "both"); i++)
			;
		if (i == n)
			return false;
		hold_new = cmd[4] ? dirs[i].mask : hold_new | dirs[i].mask;
		if (cmd[4])
			refuse = !strcmp(dirs[i].name, "refuse");
		else
			list_for_each(pos, &conns)
				conn_hold(list_entry(pos, struct conn, link), dirs[i].mask);
	} else {
		return false;
	}
	fputs("ok\n", out);
	return true;
}

/* A command a connection, and tests are trusted to send it at once. */
static void on_control(struct ev_loop *l, ev_io *w, int revents)
{
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
	char line[128];
	ssize_t n;

	if (!out)
		return;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 1, 0 }, sizeof(struct timeval));
	n = recv(fd, line, sizeof(line) - 1, 0);
	line[n > 0 ? n : 0] = '\0';
	if (!run(line, out))
		fputs("error: hold [up|down|both], hold-new on|off|refuse, release, stats, status\n",
		      out);
	fclose(out);
}

static int control_socket(const char *path, bool serve)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	if (serve)
		unlink(path);
	if (fd < 0 || (serve ? bind(fd, (void *)&sun, sizeof(sun)) || listen(fd, 16)
			     : connect(fd, (void *)&sun, sizeof(sun))))
		die("%s: %s", path, strerror(errno));
	return fd;
}

static int ctl(const char *path, char **words)
{
	int fd = control_socket(path, false);
	FILE *f = fdopen(fd, "r");
	char line[4096];
	bool good = false;

	dprintf(fd, "%s %s\n", words[0], words[1] ? words[1] : "");
	for (int n = 0; fgets(line, sizeof(line), f); n++) {
		if (!n)
			good = strncmp(line, "error", 5) != 0;
		fputs(line, good ? stdout : stderr);
	}
	return good ? 0 : 1;
}

static struct addrinfo *resolve(const char *text)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST }, *ai;
	char host[128], *port;
	size_t n;

	snprintf(host, sizeof(host), "%s", text + (*text == '['));
	port = strrchr(host, ':');
	if (!port)
		die("%s: ADDR:PORT or [ADDR6]:PORT is expected", text);
	*port++ = '\0';
	n = strlen(host);
	if (n && host[n - 1] == ']')
		host[n - 1] = '\0';
	if (getaddrinfo(host, port, &hints, &ai))
		die("%s: no address", text);
	return ai;
}

static int listen_on(const struct addrinfo *ai, const char *text)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (fd < 0 || bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, 64))
		die("%s: %s", text, strerror(errno));
	return fd;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "listen", 1, NULL, 'l' }, { "to", 1, NULL, 't' }, { "control", 1, NULL, 'c' },
		{ "ctl", 1, NULL, 'x' },    { NULL, 0, NULL, 0 },
	};
	const char *at[128] = { NULL };
	ev_io accepting, control;
	struct addrinfo *ai;
	int opt;

	while ((opt = getopt_long(argc, argv, "+", longs, NULL)) != -1 && opt != '?')
		at[opt] = optarg;
	if (at['x'] && optind < argc)
		return ctl(at['x'], argv + optind);
	if (!at['l'] || !at['t'] || !at['c'] || opt != -1 || optind < argc)
		die("--listen ADDR:PORT --to ADDR:PORT --control PATH, or --ctl PATH COMMAND");
	loop = ev_default_loop(0);
	list_init(&conns);
	to_addr = resolve(at['t']);
	ai = resolve(at['l']);
	ev_io_init(&accepting, on_connection, listen_on(ai, at['l']), EV_READ);
	ev_io_start(loop, &accepting);
	ev_io_init(&control, on_control, control_socket(at['c'], true), EV_READ);
	ev_io_start(loop, &control);
	ev_run(loop, 0);
	return 0;
}
