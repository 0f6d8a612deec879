/* SPDX-License-Identifier: MIT */
/* transport/nbd_meta.c: which contexts are listed and chosen, for which export, and what BLOCK_STATUS answers then. */
#include "nbd_world.h"

#define M (1U << 20)

static const char *const ours[] = { NBD_CONTEXT };

/* A client that has structured replies. */
static int negotiating(void)
{
	int fd = client();

	greet(fd, 3);
	option(fd, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	expect_reply(fd, NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
	return fd;
}

static uint32_t meta_bytes(uint8_t *b, const char *name, const char *const *queries, uint32_t n)
{
	uint32_t len = (uint32_t)strlen(name), at = 8 + len;

	put_be32(b, len);
	memcpy(b + 4, name, len);
	put_be32(b + 4 + len, n);
	for (uint32_t i = 0; i < n; i++) {
		len = (uint32_t)strlen(queries[i]);
		put_be32(b + at, len);
		memcpy(b + at + 4, queries[i], len);
		at += 4 + len;
	}
	return at;
}

/* SET or LIST: base:allocation comes back `found` times, under this id. */
static void ask(int fd, uint32_t code, const char *name, const char *const *queries, uint32_t n, int found)
{
	uint8_t b[8192];

	option(fd, code, b, meta_bytes(b, name, queries, n));
	while (found-- > 0) {
		ck_assert_uint_eq(reply_to(fd, code, NBD_REP_META_CONTEXT, b, sizeof(b)), 4 + 15);
		ck_assert_uint_eq(get_be32(b), code == NBD_OPT_SET_META_CONTEXT ? NBD_CONTEXT_ID : 0);
		ck_assert_mem_eq(b + 4, NBD_CONTEXT, 15);
	}
	expect_reply(fd, code, NBD_REP_ACK);
}

/* Extents from offset; how many bytes they are. */
static uint64_t expect_status(int fd, uint64_t cookie, uint64_t offset, uint32_t *nextents)
{
	uint8_t b[NBD_CHUNK_HEAD + 4], x[8];
	uint64_t at = offset;
	uint32_t len;

	take(fd, b, sizeof(b));
	ck_assert_uint_eq(get_be32(b), NBD_STRUCTURED_REPLY_MAGIC);
	ck_assert_uint_eq(get_be16(b + 4), NBD_REPLY_FLAG_DONE);
	ck_assert_uint_eq(get_be16(b + 6), NBD_REPLY_TYPE_BLOCK_STATUS);
	ck_assert_uint_eq(get_be64(b + 8), cookie);
	len = get_be32(b + 16);
	ck_assert_uint_eq(len % 8, 4);
	ck_assert_uint_eq(get_be32(b + 20), NBD_CONTEXT_ID);
	*nextents = len / 8;
	for (uint32_t i = 0; i < *nextents; i++) {
		take(fd, x, sizeof(x));
		ck_assert_uint_eq(get_be32(x + 4), at / 65536 % 4);
		ck_assert_uint_gt(get_be32(x), 0);
		at += get_be32(x);
	}
	return at - offset;
}

START_TEST(listed)
{
	static const char *const many[] = { "base:", "x-other:", "base:allocation", "base", "base:allocationx", "" };
	int fd = negotiating();

	ask(fd, NBD_OPT_LIST_META_CONTEXT, "disk", NULL, 0, 1);
	ask(fd, NBD_OPT_LIST_META_CONTEXT, "", many, 1, 1);
	ask(fd, NBD_OPT_LIST_META_CONTEXT, "disk", many, 6, 1);
	ask(fd, NBD_OPT_LIST_META_CONTEXT, "disk", many + 1, 1, 0);
	ask(fd, NBD_OPT_LIST_META_CONTEXT, "disk", many + 3, 3, 0);
	ask(fd, NBD_OPT_LIST_META_CONTEXT, "plain", NULL, 0, 0);
	go(fd, "disk"); /* nothing was chosen */
	request(fd, 0, NBD_CMD_BLOCK_STATUS, 1, 0, 512);
	expect_chunk(fd, 1, EINVAL, 0, 0);
	expect_works(fd, true);
	close(fd);
}
END_TEST

START_TEST(status)
{
	uint32_t n;
	int fd = negotiating();

	ask(fd, NBD_OPT_SET_META_CONTEXT, "disk", ours, 1, 1);
	go(fd, "disk");
	request(fd, 0, NBD_CMD_BLOCK_STATUS, 1, 1000, 300000);
	ck_assert_uint_eq(expect_status(fd, 1, 1000, &n), 300000);
	ck_assert_uint_eq(n, 5);
	ck_assert_uint_eq(w.admit_len, 8192);
	request(fd, NBD_CMD_FLAG_REQ_ONE, NBD_CMD_BLOCK_STATUS, 2, 65536, 300000);
	ck_assert(expect_status(fd, 2, 65536, &n) == 65536 && n == 1 && w.last.one);
	request(fd, 0, NBD_CMD_BLOCK_STATUS, 3, DISK_BYTES - 1, 1);
	ck_assert(expect_status(fd, 3, DISK_BYTES - 1, &n) == 1 && n == 1 && !w.last.one);
	request(fd, 0, NBD_CMD_BLOCK_STATUS, 4, 0, DISK_BYTES);
	ck_assert(expect_status(fd, 4, 0, &n) == DISK_BYTES && n == DISK_BYTES / 65536);
	request(fd, 0, NBD_CMD_BLOCK_STATUS, 5, 0, 0);
	expect_chunk(fd, 5, EINVAL, 0, 0);
	request(fd, 0, NBD_CMD_BLOCK_STATUS, 6, 1, DISK_BYTES);
	expect_chunk(fd, 6, EINVAL, 0, 0);
	request(fd, NBD_CMD_FLAG_DF, NBD_CMD_BLOCK_STATUS, 7, 0, 512);
	expect_chunk(fd, 7, EINVAL, 0, 0);
	w.hold = true;
	request(fd, 0, NBD_CMD_BLOCK_STATUS, 8, 0, 65537);
	until(jobs() == 1);
	job_end(false, EIO);
	expect_chunk(fd, 8, EIO, 0, 0);
	w.hold = false;
	expect_works(fd, true);
	close(fd);
}
END_TEST

/* Through a socket that takes little at a time. */
START_TEST(status_in_pieces)
{
	uint32_t n;
	int fd = negotiating();

	ask(fd, NBD_OPT_SET_META_CONTEXT, "disk", ours, 1, 1);
	go(fd, "disk");
	narrow();
	for (uint64_t i = 0; i < 100; i++)
		request(fd, 0, NBD_CMD_BLOCK_STATUS, i, i, DISK_BYTES - 100);
	for (uint64_t i = 0; i < 100; i++)
		ck_assert_uint_eq(expect_status(fd, i, i, &n), DISK_BYTES - 100);
	close(fd);
}
END_TEST

/* The choice is the export's, and the last SET counts, also when it fails. */
START_TEST(bound_to_the_export)
{
	static const char *const none[] = { "qemu:dirty-bitmap:x" };
	uint8_t b[64];
	uint32_t n;

	for (int i = 0; i < 5; i++) {
		int fd = negotiating();

		ask(fd, NBD_OPT_SET_META_CONTEXT, i == 0 ? "ro" : "disk", ours, 1, 1);
		if (i == 1)
			ask(fd, NBD_OPT_SET_META_CONTEXT, "disk", none, 1, 0);
		if (i == 2) {
			option(fd, NBD_OPT_SET_META_CONTEXT, b, meta_bytes(b, "nothing", NULL, 0));
			expect_reply(fd, NBD_OPT_SET_META_CONTEXT, NBD_REP_ERR_UNKNOWN);
		}
		if (i == 3) {
			uint8_t *much = calloc(1, 20000);

			option(fd, NBD_OPT_SET_META_CONTEXT, much, 20000);
			expect_reply(fd, NBD_OPT_SET_META_CONTEXT, NBD_REP_ERR_TOO_BIG);
			free(much);
		}
		if (i == 4) /* LIST changes nothing */
			ask(fd, NBD_OPT_LIST_META_CONTEXT, "ro", none, 1, 0);
		go(fd, "disk");
		request(fd, 0, NBD_CMD_BLOCK_STATUS, 1, 0, 65536);
		if (i == 4)
			ck_assert_uint_eq(expect_status(fd, 1, 0, &n), 65536);
		else
			expect_chunk(fd, 1, EINVAL, 0, 0);
		expect_works(fd, true);
		close(fd);
	}
}
END_TEST

START_TEST(with_export_name)
{
	uint8_t b[10];
	uint32_t n;
	int fd = negotiating();

	ask(fd, NBD_OPT_SET_META_CONTEXT, "disk", ours, 1, 1);
	option(fd, NBD_OPT_EXPORT_NAME, "disk", 4);
	take(fd, b, 10);
	request(fd, 0, NBD_CMD_BLOCK_STATUS, 1, 0, 65536);
	ck_assert_uint_eq(expect_status(fd, 1, 0, &n), 65536);
	close(fd);
}
END_TEST

START_TEST(malformed)
{
	static const char *const query[] = { "base:allocation" };
	uint8_t good[64], b[9000];
	uint32_t len = meta_bytes(good, "disk", query, 1);
	int fd = client();

	greet(fd, 3);
	option(fd, NBD_OPT_SET_META_CONTEXT, good, len); /* before STRUCTURED_REPLY */
	expect_reply(fd, NBD_OPT_SET_META_CONTEXT, NBD_REP_ERR_INVALID);
	option(fd, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	expect_reply(fd, NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
	for (uint32_t n = 0; n < len; n++) { /* cut short anywhere */
		option(fd, NBD_OPT_LIST_META_CONTEXT, good, n);
		expect_reply(fd, NBD_OPT_LIST_META_CONTEXT, NBD_REP_ERR_INVALID);
	}
	for (int i = 0; i < 2; i++) { /* a length that is a lie: of the name, of the query */
		memcpy(b, good, len);
		put_be32(b + 12 * i, UINT32_MAX);
		option(fd, NBD_OPT_SET_META_CONTEXT, b, len);
		expect_reply(fd, NBD_OPT_SET_META_CONTEXT, NBD_REP_ERR_INVALID);
	}
	memcpy(b, good, len);
	put_be32(b + 8, 2); /* a query more than there is */
	option(fd, NBD_OPT_SET_META_CONTEXT, b, len);
	expect_reply(fd, NBD_OPT_SET_META_CONTEXT, NBD_REP_ERR_INVALID);
	put_be32(b + 8, UINT32_MAX);
	option(fd, NBD_OPT_SET_META_CONTEXT, b, len);
	expect_reply(fd, NBD_OPT_SET_META_CONTEXT, NBD_REP_ERR_INVALID);
	memcpy(b, good, len);
	b[5] = 0; /* a NUL in the name */
	option(fd, NBD_OPT_SET_META_CONTEXT, b, len);
	expect_reply(fd, NBD_OPT_SET_META_CONTEXT, NBD_REP_ERR_INVALID);
	memset(b, 'n', sizeof(b));
	put_be32(b, 4097);
	put_be32(b + 4101, 0);
	option(fd, NBD_OPT_SET_META_CONTEXT, b, 4105);
	expect_reply(fd, NBD_OPT_SET_META_CONTEXT, NBD_REP_ERR_TOO_BIG);
	go(fd, "disk");
	expect_works(fd, true);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("nbd_meta");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, world_up, world_down);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, listed);
	tcase_add_test(t, status);
	tcase_add_test(t, status_in_pieces);
	tcase_add_test(t, bound_to_the_export);
	tcase_add_test(t, with_export_name);
	tcase_add_test(t, malformed);
	suite_add_tcase(s, t);
	return run_suite(s);
}
