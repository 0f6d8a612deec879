/* SPDX-License-Identifier: MIT */
/* transport/nbd_handover.c: a server goes on after all, or another one goes on with its connections. */
#include "nbd_world.h"

static struct {
	int n;
	struct nbd_kept k[8];
	uint8_t in[8][65536];
	char export[8][32], context[8][32];
} kept;

static const char *name_of(void *arg, void *handle)
{
	return export_names[(int *)handle - w.users];
}

static bool absent;          /* the export is not there yet */
static uint64_t disk_size;   /* as it is now */

static bool open_later(void *arg, const char *name, struct nbd_export *out, void **handle)
{
	bool known = !absent && world_open(arg, name, out, handle);

	out->size = disk_size;
	return known;
}

static struct nbd_server *server(void)
{
	static const struct nbd_callbacks cb = {
		.open = open_later, .users = world_users, .list = world_list, .submit = world_submit,
		.admit = world_admit, .allow = world_allow, .log = world_log, .name = name_of,
	};
	struct nbd_limits lim = { .max_connections = 100, .handshake_ms = 10000, .req_priv = sizeof(struct job) };

	return nbd_server_new(w.loop, w.pool, &lim, &cb, NULL);
}

static void up(void)
{
	world_up();
	nbd_server_free(w.server);
	memset(&kept, 0, sizeof(kept));
	absent = false;
	disk_size = DISK_BYTES;
	w.server = server();
}

static void keep(void *to, const struct nbd_kept *k)
{
	int i = kept.n++;

	kept.k[i] = *k;
	kept.k[i].fd = fcntl(k->fd, F_DUPFD_CLOEXEC, 0); /* as an exec would leave it open */
	if (k->in_len)
		memcpy(kept.in[i], k->in, k->in_len);
	kept.k[i].in = kept.in[i];
	if (k->export)
		kept.k[i].export = strcpy(kept.export[i], k->export);
	if (k->context_of)
		kept.k[i].context_of = strcpy(kept.context[i], k->context_of);
}

static void keep_listener(void *to, const char *addr, int fd, bool foreign)
{
}

/* The process ends, the next one begins. */
static void leave(void)
{
	nbd_server_finish(w.server);
	until(nbd_server_still(w.server));
	nbd_server_keep(w.server, keep, keep_listener, NULL);
	nbd_server_free(w.server);
	w.server = server();
}

static void arrive(void)
{
	for (int i = 0; i < kept.n; i++)
		ck_assert_int_eq(nbd_server_adopt(w.server, &kept.k[i]), 0);
}

/* A connection that waits for room keeps waiting, and goes on when there is some. */
START_TEST(goes_on_with_one_that_waits)
{
	int a = opened("disk", false), b = opened("disk", false);
	uint8_t data[512] = { 7 };

	w.refuse[0] = true;
	request(a, 0, NBD_CMD_WRITE, 1, 0, sizeof(data));
	put(a, data, sizeof(data));
	request(b, 0, NBD_CMD_WRITE, 2, 512, sizeof(data));
	put(b, data, sizeof(data));
	until(w.refusals > 0);
	turns(5);
	nbd_server_finish(w.server);
	turns(5);
	nbd_server_go_on(w.server);
	turns(5);
	expect_quiet(a);
	w.refuse[0] = false;
	nbd_server_resume(w.server);
	expect_simple(a, 1, 0);
	expect_simple(b, 2, 0);
	expect_works(a, false);
	close(a);
	close(b);
}
END_TEST

/* One whose export is not there yet is left alone until it is. */
START_TEST(goes_on_with_an_orphan)
{
	int fd = opened("disk", true);

	w.refuse[0] = true;
	request(fd, 0, NBD_CMD_READ, 1, 0, 512);
	until(w.refusals > 0);
	leave();
	ck_assert_uint_eq(kept.k[0].in_len, NBD_REQUEST_HEAD);
	w.refuse[0] = false;
	absent = true;
	arrive();
	turns(5);
	nbd_server_finish(w.server);
	turns(5);
	nbd_server_go_on(w.server);
	expect_quiet(fd);
	absent = false;
	nbd_server_exports(w.server);
	expect_chunk(fd, 1, 0, 0, 512);
	expect_works(fd, true);
	close(fd);
}
END_TEST

/* In transmission, with and without structured replies. */
START_TEST(connections_go_on)
{
	int s = opened("disk", true), p = opened("plain", false);

	expect_works(s, true);
	leave();
	arrive();
	expect_works(s, true);
	expect_works(p, false);
	ck_assert_int_eq(w.users[0], 1);
	ck_assert_int_eq(w.users[2], 1);
	close(s);
	close(p);
}
END_TEST

/* A request of which only the head has come when nothing more is read: all of it is read by one of the two. */
START_TEST(bytes_left_over)
{
	int fd = opened("disk", false);
	uint8_t head[NBD_REQUEST_HEAD], data[512] = { 9 };

	request_bytes(head, 0, NBD_CMD_WRITE, 3, 1024, sizeof(data));
	put(fd, head, 10);
	turns(5);
	leave();
	ck_assert_uint_eq(kept.k[0].in_len, 10);
	arrive();
	put(fd, head + 10, sizeof(head) - 10);
	put(fd, data, sizeof(data));
	expect_simple(fd, 3, 0);
	ck_assert_mem_eq(w.disk + 1024, data, sizeof(data));
	expect_works(fd, false);
	close(fd);
}
END_TEST

/* In the middle of the handshake: what was agreed on holds. */
START_TEST(half_a_handshake)
{
	int fresh = client(), fd = client();

	greet(fresh, 3);
	greet(fd, 3);
	option(fd, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	expect_reply(fd, NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
	put(fd, "IHAVE", 5); /* the first bytes of an option */
	turns(5);
	leave();
	ck_assert_int_eq(kept.n, 2);
	arrive();
	{
		uint8_t b[600], info[600];
		size_t n = info_bytes(info, "disk", NULL, 0);

		n = option_bytes(b, NBD_OPT_GO, info, (uint32_t)n);
		put(fd, b + 5, n - 5);
		ck_assert_uint_eq(reply_to(fd, NBD_OPT_GO, NBD_REP_INFO, b, sizeof(b)), 12);
		expect_reply(fd, NBD_OPT_GO, NBD_REP_ACK);
	}
	expect_works(fd, true);
	go(fresh, "disk");
	expect_works(fresh, false);
	close(fd);
	close(fresh);
}
END_TEST

/* Where its blocks are gone a client is sent away; one that has grown is told nothing and goes on. */
START_TEST(export_of_another_size)
{
	int fd = opened("disk", true);

	leave();
	disk_size = DISK_BYTES - 512;
	arrive();
	expect_end(fd);
	kept.n = 0;
	disk_size = DISK_BYTES;
	fd = opened("disk", true);
	leave();
	disk_size = DISK_BYTES + 512;
	arrive();
	expect_works(fd, true);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("nbd_handover");
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, up, world_down);
	tcase_add_test(t, goes_on_with_one_that_waits);
	tcase_add_test(t, goes_on_with_an_orphan);
	tcase_add_test(t, connections_go_on);
	tcase_add_test(t, bytes_left_over);
	tcase_add_test(t, half_a_handshake);
	tcase_add_test(t, export_of_another_size);
	suite_add_tcase(s, t);
	return run_suite(s);
}
