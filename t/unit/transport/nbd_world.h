/* SPDX-License-Identifier: MIT */
/*
 * For the tests of the NBD server: a loop, a server, an owner with a piece of memory, and clients that
 * are one end of a socketpair and speak bytes. Everything runs in this thread: whoever waits for
 * something turns the loop meanwhile, for WAIT_S seconds at most.
 */
#ifndef NBD_WORLD_H
#define NBD_WORLD_H

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "transport/nbd.h"
#include "transport/nbd_proto.h"

#define WAIT_S 60.
#ifndef DISK_BYTES
#define DISK_BYTES (40ULL << 20)
#endif
#ifndef STALL_MS
#define STALL_MS 5000
#endif
#define EXPORTS 3

struct job {
	struct list link;
	struct nbd_req *req;
};

static struct {
	struct ev_loop *loop;
	struct buf_pool *pool;
	struct nbd_server *server;
	uint8_t *disk;
	bool hold;               /* keep requests on jobs; else served at once */
	struct list jobs;
	int users[EXPORTS], submits, opens, lists, refusals, logs;
	struct nbd_req last;     /* of the last submit */
	bool refuse[EXPORTS];    /* admit() says no */
	bool strangers;          /* allow() says no */
	int turned_away;
	uint64_t admit_len;      /* what admit() was asked last */
	uint64_t room;           /* for jobs and what the server holds; 0: any amount */
	size_t job_bytes;        /* payload bytes of jobs */
	int served_fd;           /* the server's end of the last client() */
	char log[600];
	void (*on_submit)(struct nbd_req *req);
} w;

/* Export 0 can all, 1 is read-only, 2 can only read and write. Names longer than it are unknown. */
static const char *const export_names[EXPORTS] = { "disk", "ro", "plain" };

static inline void world_describe(int i, struct nbd_export *out)
{
	*out = (struct nbd_export){
		.name = export_names[i], .description = i ? NULL : "first disk", .size = DISK_BYTES,
		.min_block = 1, .pref_block = 4096, .max_block = 32U << 20, .read_only = i == 1,
		.can_trim = i < 2, .can_zero = i < 2, .can_flush = i < 2, .can_fua = i < 2,
		.can_cache = i < 2, .can_fast_zero = i < 2, .can_status = i < 2,
	};
}

static inline bool world_open(void *arg, const char *name, struct nbd_export *out, void **handle)
{
	w.opens++;
	for (int i = 0; i < EXPORTS; i++) {
		if (strcmp(name, export_names[i]) && (name[0] || i))
			continue;
		world_describe(i, out);
		*handle = &w.users[i];
		return true;
	}
	return false;
}

static inline bool world_list(void *arg, int i, struct nbd_export *out)
{
	if (i >= EXPORTS)
		return false;
	world_describe(i, out);
	w.lists++;
	return true;
}

static inline void world_users(void *arg, void *handle, int delta)
{
	int *users = handle;

	*users += delta;
	ck_assert_int_ge(*users, 0);
}

static inline bool world_admit(void *arg, void *handle, uint64_t len)
{
	w.admit_len = len;
	if (!w.refuse[(int *)handle - w.users] && (!w.room || w.job_bytes + len <= w.room))
		return true;
	w.refusals++;
	return false;
}

static inline bool world_allow(void *arg, const struct sockaddr *peer)
{
	ck_assert(peer->sa_family == AF_INET || peer->sa_family == AF_INET6);
	w.turned_away += w.strangers;
	return !w.strangers;
}

static inline void world_log(void *arg, int level, const char *text)
{
	w.logs++;
	snprintf(w.log, sizeof(w.log), "%s", text);
}

/* One extent for each part of 64 KiB, as many as there is room for: a hole, zeroes, data, both, and again. */
static inline void world_status(struct nbd_req *req)
{
	struct nbd_extent *x;
	uint64_t at = req->offset, end = req->offset + req->len;

	req->buf = buf_get(w.pool, NBD_EXTENTS_MAX * sizeof(*x));
	req->data = req->buf->data;
	x = (void *)req->data;
	while (at < end && req->nextents < (req->one ? 1 : NBD_EXTENTS_MAX)) {
		uint64_t next = (at | 65535) + 1;

		x[req->nextents].len = (uint32_t)((next < end ? next : end) - at);
		x[req->nextents++].flags = at / 65536 % 4;
		at = next;
	}
}

static inline void serve(struct nbd_req *req, int err)
{
	if (req->op == NBD_OP_READ)
		memcpy(req->data, w.disk + req->offset, req->len);
	else if (req->op == NBD_OP_WRITE)
		memcpy(w.disk + req->offset, req->data, req->len);
	else if (req->op == NBD_OP_STATUS && !err)
		world_status(req);
	else if (req->op == NBD_OP_TRIM || req->op == NBD_OP_ZERO)
		memset(w.disk + req->offset, 0, req->len);
	nbd_req_done(req, err);
}

static inline void world_submit(void *arg, struct nbd_req *req)
{
	struct job *job = (void *)req->priv;

	ck_assert(req->offset <= DISK_BYTES && req->len <= DISK_BYTES - req->offset);
	/* one check for all: libcheck writes each down */
	ck_assert_mem_eq(req->priv, &(struct job){ 0 }, sizeof(*job));
	w.submits++;
	memcpy(&w.last, req, sizeof(w.last));
	if (w.on_submit) {
		w.on_submit(req);
	} else if (w.hold) {
		job->req = req;
		list_add_tail(&job->link, &w.jobs);
		w.job_bytes += req->buf ? req->len : 0;
	} else {
		serve(req, 0);
	}
}

static inline int jobs(void)
{
	struct list *pos;
	int n = 0;

	list_for_each(pos, &w.jobs)
		n++;
	return n;
}

/* The oldest or the newest held request goes back. */
static inline void job_end(bool newest, int err)
{
	struct list *pos = newest ? w.jobs.prev : w.jobs.next;
	struct nbd_req *req = list_entry(pos, struct job, link)->req;

	ck_assert(pos != &w.jobs);
	list_del(pos);
	w.job_bytes -= req->buf ? req->len : 0;
	serve(req, err);
}

static inline void world_up_with(int max_connections, unsigned handshake_ms)
{
	static const struct nbd_callbacks cb = {
		.open = world_open, .users = world_users, .list = world_list,
		.submit = world_submit, .admit = world_admit, .allow = world_allow, .log = world_log,
	};
	struct nbd_limits lim = { .max_connections = max_connections, .handshake_ms = handshake_ms,
				  .stall_ms = STALL_MS, .req_priv = sizeof(struct job) };

	memset(&w, 0, sizeof(w));
	list_init(&w.jobs);
	w.loop = ev_loop_new(EVFLAG_AUTO);
	w.pool = buf_pool_new(1 << 20);
	w.disk = malloc(DISK_BYTES);
	for (size_t i = 0; i < DISK_BYTES; i++)
		w.disk[i] = (uint8_t)(i * 2654435761U >> 13);
	w.server = nbd_server_new(w.loop, w.pool, &lim, &cb, NULL);
	ck_assert_ptr_nonnull(w.server);
}

static inline void world_up(void)
{
	world_up_with(100, 10000);
}

/* Stopping with requests out is legal; afterwards nothing may be left. */
static inline void world_down(void)
{
	nbd_server_stop(w.server);
	ck_assert_int_eq(nbd_server_connections(w.server), 0);
	while (!list_empty(&w.jobs))
		job_end(false, 0);
	for (int i = 0; i < EXPORTS; i++)
		ck_assert_int_eq(w.users[i], 0);
	nbd_server_free(w.server);
	ck_assert_uint_eq(buf_pool_used(w.pool), 0);
	buf_pool_free(w.pool);
	ev_loop_destroy(w.loop);
	free(w.disk);
}

static inline void turn(void)
{
	ev_run(w.loop, EVRUN_NOWAIT);
}

static inline void turns(int n)
{
	while (n-- > 0)
		turn();
}

#define until(cond)                                                                                \
	do {                                                                                       \
		ev_tstamp end_ = ev_time() + WAIT_S;                                               \
		while (!(cond)) {                                                                  \
			ck_assert_msg(ev_time() < end_, "never: %s", #cond);                       \
			turn();                                                                    \
		}                                                                                  \
	} while (0)

/* ---- bytes ---- */

/* A client of the server; nothing is said yet. */
static inline int client(void)
{
	int sv[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	fcntl(sv[0], F_SETFL, O_NONBLOCK);
	nbd_server_add_fd(w.server, sv[1]);
	w.served_fd = sv[1];
	return sv[0];
}

/* What the server sends to the last client() is soon too much for the socket. */
static inline void narrow(void)
{
	int bytes = 4096;

	ck_assert_int_eq(setsockopt(w.served_fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
}

static inline void put(int fd, const void *bytes, size_t len)
{
	ev_tstamp end = ev_time() + WAIT_S;
	const uint8_t *p = bytes;

	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		ck_assert_msg(n > 0 || errno == EAGAIN, "send: %s", strerror(errno));
		if (n < 0) {
			ck_assert_msg(ev_time() < end, "the server does not read");
			turn();
			continue;
		}
		p += n;
		len -= (size_t)n;
	}
}

static inline void take(int fd, void *bytes, size_t len)
{
	ev_tstamp end = ev_time() + WAIT_S;
	uint8_t *p = bytes;

	while (len) {
		ssize_t n = recv(fd, p, len, 0);

		ck_assert_msg(n > 0 || (n < 0 && errno == EAGAIN), "the server closed: %s", w.log);
		if (n < 0) {
			ck_assert_msg(ev_time() < end, "no answer, %zu bytes missing", len);
			turn();
			continue;
		}
		p += n;
		len -= (size_t)n;
	}
}

/* The server closes, whatever it says before. */
static inline void expect_end(int fd)
{
	uint8_t b[65536];
	ssize_t n = -1;

	until((n = recv(fd, b, sizeof(b), 0)) == 0 || (n < 0 && errno != EAGAIN));
	close(fd);
}

/* The server says nothing, and does not close. */
static inline void expect_quiet(int fd)
{
	uint8_t b;

	turns(5);
	ck_assert_int_eq(recv(fd, &b, 1, MSG_PEEK), -1);
	ck_assert_int_eq(errno, EAGAIN);
}

/* ---- handshake ---- */

static inline void greet(int fd, uint32_t flags)
{
	uint8_t b[18];

	take(fd, b, sizeof(b));
	ck_assert_mem_eq(b, "NBDMAGICIHAVEOPT", 16);
	ck_assert_uint_eq(get_be16(b + 16), 3);
	put_be32(b, flags);
	put(fd, b, 4);
}

static inline size_t option_bytes(uint8_t *b, uint32_t code, const void *data, uint32_t len)
{
	put_be64(b, NBD_OPT_MAGIC);
	put_be32(b + 8, code);
	put_be32(b + 12, len);
	if (len)
		memcpy(b + 16, data, len);
	return 16 + len;
}

static inline void option(int fd, uint32_t code, const void *data, uint32_t len)
{
	uint8_t *b = malloc(16 + (size_t)len);

	put(fd, b, option_bytes(b, code, data, len));
	free(b);
}

/* Takes one option reply; its data to data[], its length is returned. */
static inline uint32_t reply_to(int fd, uint32_t code, uint32_t type, uint8_t *data, size_t cap)
{
	uint8_t b[NBD_REP_HEAD];
	uint32_t len;

	take(fd, b, sizeof(b));
	ck_assert_uint_eq(get_be64(b), NBD_REP_MAGIC);
	ck_assert_uint_eq(get_be32(b + 8), code);
	ck_assert_uint_eq(get_be32(b + 12), type);
	len = get_be32(b + 16);
	ck_assert_uint_le(len, cap);
	take(fd, data, len);
	return len;
}

static inline void expect_reply(int fd, uint32_t code, uint32_t type)
{
	uint8_t data[8192];
	uint32_t len = reply_to(fd, code, type, data, sizeof(data));

	if (type == NBD_REP_ACK)
		ck_assert_uint_eq(len, 0);
}

/* The data of INFO and GO. */
static inline size_t info_bytes(uint8_t *b, const char *name, const uint16_t *items, int n)
{
	size_t len = strlen(name);

	put_be32(b, (uint32_t)len);
	memcpy(b + 4, name, len);
	put_be16(b + 4 + len, (uint16_t)n);
	for (int i = 0; i < n; i++)
		put_be16(b + 6 + len + 2 * i, items[i]);
	return 6 + len + 2 * (size_t)n;
}

/* Opens an export with GO; the transmission flags. */
static inline uint16_t go(int fd, const char *name)
{
	uint8_t b[600];

	option(fd, NBD_OPT_GO, b, (uint32_t)info_bytes(b, name, NULL, 0));
	ck_assert_uint_eq(reply_to(fd, NBD_OPT_GO, NBD_REP_INFO, b, sizeof(b)), 12);
	ck_assert_uint_eq(get_be16(b), NBD_INFO_EXPORT);
	ck_assert_uint_eq(get_be64(b + 2), DISK_BYTES);
	expect_reply(fd, NBD_OPT_GO, NBD_REP_ACK);
	return get_be16(b + 10);
}

/* A client in transmission. */
static inline int opened(const char *name, bool structured)
{
	int fd = client();

	greet(fd, 3);
	if (structured) {
		option(fd, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
		expect_reply(fd, NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
	}
	go(fd, name);
	return fd;
}

/* ---- transmission ---- */

static inline void request_bytes(uint8_t *b, uint16_t flags, uint16_t type, uint64_t cookie,
				 uint64_t offset, uint32_t len)
{
	put_be32(b, NBD_REQUEST_MAGIC);
	put_be16(b + 4, flags);
	put_be16(b + 6, type);
	put_be64(b + 8, cookie);
	put_be64(b + 16, offset);
	put_be32(b + 24, len);
}

static inline void request(int fd, uint16_t flags, uint16_t type, uint64_t cookie, uint64_t offset,
			   uint32_t len)
{
	uint8_t b[NBD_REQUEST_HEAD];

	request_bytes(b, flags, type, cookie, offset, len);
	put(fd, b, sizeof(b));
}

static inline void expect_simple(int fd, uint64_t cookie, uint32_t err)
{
	uint8_t b[NBD_SIMPLE_HEAD];

	take(fd, b, sizeof(b));
	ck_assert_uint_eq(get_be32(b), NBD_SIMPLE_REPLY_MAGIC);
	ck_assert_uint_eq(get_be64(b + 8), cookie);
	ck_assert_uint_eq(get_be32(b + 4), err);
}

static inline void expect_bytes(int fd, uint64_t offset, uint32_t len)
{
	uint8_t *b = malloc(len ? len : 1);

	take(fd, b, len);
	ck_assert(!memcmp(b, w.disk + offset, len));
	free(b);
}

/* The one chunk that answers a READ. err 0: with the bytes of the disk. */
static inline void expect_chunk(int fd, uint64_t cookie, uint32_t err, uint64_t offset, uint32_t len)
{
	uint8_t b[NBD_CHUNK_HEAD + 8];
	uint16_t type = err ? NBD_REPLY_TYPE_ERROR :
			len ? NBD_REPLY_TYPE_OFFSET_DATA : NBD_REPLY_TYPE_NONE;

	take(fd, b, NBD_CHUNK_HEAD);
	ck_assert_uint_eq(get_be32(b), NBD_STRUCTURED_REPLY_MAGIC);
	ck_assert_uint_eq(get_be16(b + 4), NBD_REPLY_FLAG_DONE);
	ck_assert_uint_eq(get_be16(b + 6), type);
	ck_assert_uint_eq(get_be64(b + 8), cookie);
	if (err) {
		ck_assert_uint_eq(get_be32(b + 16), 6);
		take(fd, b, 6);
		ck_assert_uint_eq(get_be32(b), err);
		ck_assert_uint_eq(get_be16(b + 4), 0);
	} else if (len) {
		ck_assert_uint_eq(get_be32(b + 16), 8 + len);
		take(fd, b, 8);
		ck_assert_uint_eq(get_be64(b), offset);
		expect_bytes(fd, offset, len);
	} else {
		ck_assert_uint_eq(get_be32(b + 16), 0);
	}
}

/* The connection still works: a write, read back. */
static inline void expect_works(int fd, bool structured)
{
	static const uint8_t text[9] = "it works";

	request(fd, 0, NBD_CMD_WRITE, 901, 12345, 9);
	put(fd, text, 9);
	expect_simple(fd, 901, 0);
	request(fd, 0, NBD_CMD_READ, 902, 12345, 9);
	if (structured) {
		expect_chunk(fd, 902, 0, 12345, 9);
	} else {
		expect_simple(fd, 902, 0);
		expect_bytes(fd, 12345, 9);
	}
	ck_assert_mem_eq(w.disk + 12345, text, 9);
}

static inline int run_suite(Suite *s)
{
	SRunner *sr = srunner_create(s);
	int failed;

	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
