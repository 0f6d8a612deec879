/* SPDX-License-Identifier: MIT */
/*
 * The NBD server of transport/ on a piece of memory, to meet other people's clients without any
 * storage below: nbd-ramdisk [--size N[KMG]] [--read-only] [--late] [--inflight BYTES] [--connections N] ADDR...
 *
 * --late answers a batch of requests in the next loop iteration, last one first. ADDR is unix:PATH or
 * tcp:ADDR:PORT. The exports are "ram" (the default) and "zero-flags", the same memory without TRIM,
 * WRITE_ZEROES, FLUSH and FUA. SIGTERM ends it in order, and everything has to be back by then.
 */
#include <ev.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "transport/nbd.h"

struct disk {
	struct nbd_server *nbd;
	struct buf_pool *pool;
	uint8_t *bytes;
	uint64_t size;
	bool read_only, late, refused;
	size_t inflight, inflight_max;
	struct list todo;
	ev_prepare settle;
	ev_timer tick;
};

/* What the owner keeps with each request. */
struct job {
	struct list link;
	struct nbd_req *req;
};

static struct disk disk;
static const char *const names[] = { "ram", "zero-flags" };

static void describe(int i, struct nbd_export *out)
{
	bool all = i == 0;

	*out = (struct nbd_export){
		.name = names[i], .description = all ? "memory" : "memory, read and write only",
		.size = disk.size, .min_block = 1, .pref_block = 4096, .max_block = 32U << 20,
		.read_only = disk.read_only, .can_trim = all, .can_zero = all, .can_flush = all,
		.can_fua = all,
	};
}

static bool on_open(void *arg, const char *name, struct nbd_export *out, void **handle)
{
	for (int i = 0; i < 2; i++) {
		if (strcmp(name, names[i]) && (name[0] || i))
			continue;
		describe(i, out);
		*handle = (void *)names[i];
		return true;
	}
	return false;
}

static bool on_list(void *arg, int i, struct nbd_export *out)
{
	if (i > 1)
		return false;
	describe(i, out);
	return true;
}

static void on_users(void *arg, void *handle, int delta)
{
}

static bool on_admit(void *arg, void *handle, uint64_t len)
{
	if (!disk.inflight || disk.inflight + len <= disk.inflight_max)
		return true;
	disk.refused = true;
	return false;
}

static void on_log(void *arg, int level, const char *text)
{
	fprintf(stderr, "<%d>%s\n", level, text);
}

static void serve(struct nbd_req *req)
{
	uint8_t *at = disk.bytes + req->offset;

	switch (req->op) {
	case NBD_OP_READ:
		memcpy(req->data, at, req->len);
		break;
	case NBD_OP_WRITE:
		memcpy(at, req->data, req->len);
		break;
	case NBD_OP_TRIM:
	case NBD_OP_ZERO:
		memset(at, 0, req->len);
		break;
	default:
		break;
	}
	nbd_req_done(req, 0);
}

static void on_submit(void *arg, struct nbd_req *req)
{
	struct job *job = (void *)req->priv;

	if (!disk.late) {
		serve(req);
		return;
	}
	job->req = req;
	disk.inflight += req->len;
	list_add_head(&job->link, &disk.todo);
	if (!ev_is_active(&disk.tick))
		ev_timer_start(EV_DEFAULT, &disk.tick);
}

static void on_tick(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct list *pos;

	while ((pos = list_pop(&disk.todo))) {
		struct job *job = list_entry(pos, struct job, link);

		disk.inflight -= job->req->len;
		serve(job->req);
	}
}

static void on_settle(struct ev_loop *loop, ev_prepare *p, int revents)
{
	if (disk.refused && !disk.inflight) {
		disk.refused = false;
		nbd_server_resume(disk.nbd);
	}
}

static void on_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
	ev_break(loop, EVBREAK_ALL);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	switch (*end) {
	case 'G':
		n <<= 10; /* fall through */
	case 'M':
		n <<= 10; /* fall through */
	case 'K':
		n <<= 10;
	}
	return n;
}

static void options(int argc, char **argv, struct nbd_limits *lim)
{
	static const struct option longs[] = {
		{ "size", 1, NULL, 's' },        { "read-only", 0, NULL, 'r' },
		{ "late", 0, NULL, 'l' },        { "inflight", 1, NULL, 'i' },
		{ "connections", 1, NULL, 'c' }, { NULL, 0, NULL, 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "s:rli:c:", longs, NULL)) != -1) {
		switch (opt) {
		case 's':
			disk.size = number(optarg);
			break;
		case 'r':
			disk.read_only = true;
			break;
		case 'l':
			disk.late = true;
			break;
		case 'i':
			disk.inflight_max = number(optarg);
			break;
		case 'c':
			lim->max_connections = atoi(optarg);
			break;
		default:
			exit(2);
		}
	}
}

static int start(struct ev_loop *loop, const struct nbd_limits *lim, char **addrs)
{
	static const struct nbd_callbacks cb = {
		.open = on_open, .users = on_users, .list = on_list,
		.submit = on_submit, .admit = on_admit, .log = on_log,
	};
	char why[256];

	disk.bytes = mmap(NULL, disk.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	disk.pool = buf_pool_new(16 << 20);
	if (disk.bytes == MAP_FAILED || !disk.pool)
		return -1;
	disk.nbd = nbd_server_new(loop, disk.pool, lim, &cb, NULL);
	if (!disk.nbd)
		return -1;
	for (; *addrs; addrs++) {
		const struct nbd_access access = { 0600, (gid_t)-1 };

		if (!nbd_server_listen(disk.nbd, *addrs, &access, why, sizeof(why)))
			continue;
		fprintf(stderr, "nbd-ramdisk: %s\n", why);
		return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct nbd_limits lim = { .max_connections = 100, .handshake_ms = 10000, .stall_ms = 5000,
				  .req_priv = sizeof(struct job) };
	struct ev_loop *loop = EV_DEFAULT;
	ev_signal term, intr;

	disk.size = 64 << 20;
	disk.inflight_max = 64 << 20;
	list_init(&disk.todo);
	options(argc, argv, &lim);
	if (optind == argc) {
		fprintf(stderr, "usage: %s [--size N] [--read-only] [--late] ADDR...\n", argv[0]);
		return 2;
	}
	ev_timer_init(&disk.tick, on_tick, 0., 0.);
	ev_prepare_init(&disk.settle, on_settle);
	ev_prepare_start(loop, &disk.settle);
	ev_signal_init(&term, on_signal, SIGTERM);
	ev_signal_start(loop, &term);
	ev_signal_init(&intr, on_signal, SIGINT);
	ev_signal_start(loop, &intr);
	if (start(loop, &lim, argv + optind))
		return 1;
	ev_run(loop, 0);
	nbd_server_stop(disk.nbd);
	on_tick(loop, &disk.tick, 0);
	nbd_server_free(disk.nbd);
	buf_pool_free(disk.pool);
	munmap(disk.bytes, disk.size);
	return 0;
}
