/* SPDX-License-Identifier: MIT */
/* transport/nbd_request.c and nbd_reply.c: what each request is answered, and with which bytes. */
#include "nbd_world.h"

#define M (1U << 20)

START_TEST(each_command)
{
	for (int structured = 0; structured < 2; structured++) {
		int fd = opened("disk", structured);
		uint8_t b[1000];

		memset(b, 0x5a, sizeof(b));
		expect_works(fd, structured);
		request(fd, NBD_CMD_FLAG_FUA, NBD_CMD_WRITE, 1, 4097, 1000);
		put(fd, b, 1000);
		expect_simple(fd, 1, 0);
		ck_assert(w.last.fua && w.last.op == NBD_OP_WRITE && w.last.offset == 4097);
		ck_assert_mem_eq(w.disk + 4097, b, 1000);
		request(fd, 0, NBD_CMD_FLUSH, 2, 0, 0);
		expect_simple(fd, 2, 0);
		ck_assert(w.last.op == NBD_OP_FLUSH && !w.last.fua && !w.last.buf);
		request(fd, NBD_CMD_FLAG_FUA, NBD_CMD_TRIM, 3, 5000, 3);
		expect_simple(fd, 3, 0);
		ck_assert(w.last.op == NBD_OP_TRIM && w.last.fua && w.last.len == 3);
		request(fd, NBD_CMD_FLAG_NO_HOLE, NBD_CMD_WRITE_ZEROES, 4, 0, 30 * M);
		expect_simple(fd, 4, 0);
		ck_assert(w.last.op == NBD_OP_ZERO && w.last.no_hole && w.last.len == 30 * M);
		request(fd, 0, NBD_CMD_WRITE_ZEROES, 5, 7, 1);
		expect_simple(fd, 5, 0);
		ck_assert(!w.last.no_hole && !w.last.fast);
		request(fd, NBD_CMD_FLAG_FAST_ZERO, NBD_CMD_WRITE_ZEROES, 7, 7, 1);
		expect_simple(fd, 7, 0);
		ck_assert(w.last.fast && !w.last.no_hole);
		request(fd, 0, NBD_CMD_CACHE, 8, 1, 33 * M);
		expect_simple(fd, 8, 0);
		ck_assert(w.last.op == NBD_OP_CACHE && w.last.len == 33 * M && !w.last.buf);
		ck_assert_uint_eq(w.admit_len, 0);
		request(fd, 0, NBD_CMD_CACHE, 9, 1, 0);
		expect_simple(fd, 9, 0);
		request(fd, structured ? NBD_CMD_FLAG_DF : NBD_CMD_FLAG_FUA, NBD_CMD_READ, 6,
			DISK_BYTES - 3, 3);
		if (structured) {
			expect_chunk(fd, 6, 0, DISK_BYTES - 3, 3);
		} else {
			expect_simple(fd, 6, 0);
			expect_bytes(fd, DISK_BYTES - 3, 3);
		}
		close(fd);
	}
}
END_TEST

struct bad {
	const char *export;
	uint16_t flags, type;
	uint64_t offset;
	uint32_t len, err;
};

/* Each has its error; the owner never hears of it; the connection goes on. */
START_TEST(errors)
{
	static const struct bad bad[] = {
		{ "disk", 0, NBD_CMD_READ, DISK_BYTES, 1, EINVAL },
		{ "disk", 0, NBD_CMD_READ, DISK_BYTES - 1, 2, EINVAL },
		{ "disk", 0, NBD_CMD_READ, UINT64_MAX, 1, EINVAL },
		{ "disk", 0, NBD_CMD_READ, UINT64_MAX - 4095, 4096, EINVAL },
		{ "disk", 0, NBD_CMD_READ, 0, 32 * M + 1, EINVAL },
		{ "disk", 0, NBD_CMD_READ, 0, UINT32_MAX, EINVAL },
		{ "disk", 0, NBD_CMD_WRITE, DISK_BYTES, 1, ENOSPC },
		{ "disk", 0, NBD_CMD_WRITE, DISK_BYTES - 511, 512, ENOSPC },
		{ "disk", 0, NBD_CMD_WRITE, UINT64_MAX - 511, 512, ENOSPC },
		{ "disk", 0, NBD_CMD_WRITE, 0, 32 * M + 1, EINVAL },
		{ "disk", 0, NBD_CMD_WRITE, 0, 64 * M, EINVAL },
		{ "disk", 0, NBD_CMD_TRIM, DISK_BYTES, 1, EINVAL },
		{ "disk", 0, NBD_CMD_TRIM, 1, UINT32_MAX, EINVAL },
		{ "disk", 0, NBD_CMD_WRITE_ZEROES, DISK_BYTES - 1, 2, ENOSPC },
		{ "disk", 0, NBD_CMD_WRITE_ZEROES, UINT64_MAX, UINT32_MAX, ENOSPC },
		{ "disk", NBD_CMD_FLAG_FAST_ZERO, NBD_CMD_TRIM, 0, 512, EINVAL },
		{ "disk", NBD_CMD_FLAG_REQ_ONE, NBD_CMD_WRITE_ZEROES, 0, 512, EINVAL },
		{ "disk", 0, NBD_CMD_CACHE, DISK_BYTES, 1, EINVAL },
		{ "disk", 0, NBD_CMD_CACHE, 1, UINT32_MAX, EINVAL },
		{ "disk", NBD_CMD_FLAG_DF, NBD_CMD_CACHE, 0, 512, EINVAL },
		{ "ro", NBD_CMD_FLAG_FAST_ZERO, NBD_CMD_WRITE_ZEROES, 0, 512, EPERM },
		{ "plain", 0, NBD_CMD_CACHE, 0, 512, EINVAL },
		{ "disk", 0, NBD_CMD_FLUSH, 512, 0, EINVAL },
		{ "disk", 0, NBD_CMD_FLUSH, 0, 512, EINVAL },
		{ "disk", 0, NBD_CMD_BLOCK_STATUS, 0, 512, EINVAL }, /* no context was chosen */
		{ "disk", 0, 8, 0, 512, EINVAL },
		{ "disk", 0, 0xffff, 0, 512, EINVAL },
		{ "disk", 0x8000, NBD_CMD_READ, 0, 512, EINVAL },
		{ "disk", NBD_CMD_FLAG_NO_HOLE, NBD_CMD_READ, 0, 512, EINVAL },
		{ "disk", 0x8000, NBD_CMD_WRITE, 0, 512, EINVAL },
		{ "disk", NBD_CMD_FLAG_DF, NBD_CMD_WRITE, 0, 512, EINVAL },
		{ "disk", NBD_CMD_FLAG_NO_HOLE, NBD_CMD_TRIM, 0, 512, EINVAL },
		{ "disk", NBD_CMD_FLAG_NO_HOLE, NBD_CMD_FLUSH, 0, 0, EINVAL },
		{ "ro", 0, NBD_CMD_WRITE, 0, 512, EPERM },
		{ "ro", 0, NBD_CMD_WRITE_ZEROES, 0, 512, EPERM },
		{ "ro", 0, NBD_CMD_TRIM, 0, 512, EPERM },
		{ "plain", 0, NBD_CMD_WRITE_ZEROES, 0, 512, EINVAL },
		{ "plain", 0, NBD_CMD_TRIM, 0, 512, EINVAL },
		{ "plain", 0, NBD_CMD_FLUSH, 0, 0, EINVAL },
		{ "plain", NBD_CMD_FLAG_FUA, NBD_CMD_WRITE, 0, 512, EINVAL },
		{ "plain", NBD_CMD_FLAG_FUA, NBD_CMD_READ, 0, 512, EINVAL },
	};
	uint8_t *payload = calloc(1, 64 * M);

	for (size_t i = 0; i < 2 * sizeof(bad) / sizeof(bad[0]); i++) {
		const struct bad *t = &bad[i / 2];
		bool structured = i % 2;
		int fd = opened(t->export, structured);
		uint8_t b[1];

		request(fd, t->flags, t->type, i, t->offset, t->len);
		if (t->type == NBD_CMD_WRITE)
			put(fd, payload, t->len);
		if ((t->type == NBD_CMD_READ || t->type == NBD_CMD_BLOCK_STATUS) && structured)
			expect_chunk(fd, i, t->err, 0, 0);
		else
			expect_simple(fd, i, t->err);
		ck_assert_int_eq(w.submits, 0);
		request(fd, 0, NBD_CMD_READ, 5, 0, 1);
		if (structured) {
			expect_chunk(fd, 5, 0, 0, 1);
		} else {
			expect_simple(fd, 5, 0);
			take(fd, b, 1);
		}
		w.submits = 0;
		close(fd);
	}
	free(payload);
}
END_TEST

/* DF is an unknown flag for who did not negotiate structured replies. */
START_TEST(df_without_structured)
{
	int fd = opened("disk", false);

	request(fd, NBD_CMD_FLAG_DF, NBD_CMD_READ, 1, 0, 1);
	expect_simple(fd, 1, EINVAL);
	close(fd);
}
END_TEST

START_TEST(nothing_at_all)
{
	static const uint16_t types[] = { NBD_CMD_READ, NBD_CMD_WRITE, NBD_CMD_TRIM, NBD_CMD_WRITE_ZEROES };

	for (int structured = 0; structured < 2; structured++) {
		int fd = opened("disk", structured);

		for (int i = 0; i < 4; i++) {
			request(fd, 0, types[i], 1, DISK_BYTES, 0);
			if (structured && types[i] == NBD_CMD_READ)
				expect_chunk(fd, 1, 0, 0, 0);
			else
				expect_simple(fd, 1, 0);
			request(fd, 0, types[i], 1, DISK_BYTES + 1, 0);
			if (structured && types[i] == NBD_CMD_READ)
				expect_chunk(fd, 1, EINVAL, 0, 0);
			else
				expect_simple(fd, 1, i % 2 ? ENOSPC : EINVAL);
		}
		ck_assert_int_eq(w.submits, 0);
		close(fd);
	}
}
END_TEST

/* proto.md knows eight values, of which two are no fault of the storage; the rest is EIO to a client. */
START_TEST(errors_of_the_owner)
{
	static const int known[] = { EPERM, EIO, EINVAL, ENOSPC, EOVERFLOW, ENOTSUP };
	int s = opened("disk", true), p = opened("disk", false);

	w.hold = true;
	for (int err = 1; err < 134; err++) {
		uint32_t wire = EIO;

		if (err == ENOMEM || err == ESHUTDOWN)
			continue;
		for (int i = 0; i < 6; i++)
			if (known[i] == err)
				wire = (uint32_t)err;
		request(s, 0, NBD_CMD_READ, 1, 0, 512);
		until(jobs() == 1);
		job_end(false, err);
		expect_chunk(s, 1, wire, 0, 512);
		request(s, 0, NBD_CMD_FLUSH, 2, 0, 0);
		until(jobs() == 1);
		job_end(false, err);
		expect_simple(s, 2, wire);
		request(p, 0, NBD_CMD_READ, 3, 0, 512);
		until(jobs() == 1);
		job_end(false, err);
		expect_simple(p, 3, wire); /* and no data */
	}
	w.hold = false;
	expect_works(s, true);
	expect_works(p, false);
	close(s);
	close(p);
}
END_TEST

/* The owner has no memory, or ends: not a word of it to the client, which is cut off with all that it has out. */
START_TEST(what_passes_is_no_answer)
{
	static const int errs[] = { ENOMEM, ESHUTDOWN };

	for (int i = 0; i < 8; i++) {
		int fd = opened("disk", i & 1), other = opened("disk", i & 1);
		uint8_t b;
		ssize_t n;

		w.hold = true;
		request(fd, 0, NBD_CMD_FLUSH, 1, 0, 0);
		request(fd, 0, NBD_CMD_READ, 2, 0, 512);
		until(jobs() == 2);
		job_end(i & 4, errs[i / 2 % 2]);
		until((n = recv(fd, &b, 1, 0)) >= 0 || errno != EAGAIN);
		ck_assert_int_eq(n, 0);
		job_end(false, 0);
		w.hold = false;
		expect_works(other, i & 1);
		close(fd);
		close(other);
	}
}
END_TEST

START_TEST(breaches_close)
{
	int fd = opened("disk", false);
	uint8_t b[28] = { 0 };

	put(fd, b, sizeof(b));
	expect_end(fd);
	fd = opened("disk", true);
	request(fd, 0, NBD_CMD_WRITE, 1, 0, 64 * M + 1);
	expect_end(fd);
	fd = opened("disk", true);
	request(fd, 0, NBD_CMD_WRITE, 1, 0, UINT32_MAX);
	expect_end(fd);
	ck_assert_int_eq(w.users[0], 0);
}
END_TEST

/* Payloads to the limit both ways, at an odd place, in pieces of any size. */
START_TEST(large_payloads)
{
	static const uint32_t lens[] = { 100, 32767, 32768, 65508, 65536, 65537, M, 3 * M + 1, 32 * M };
	uint8_t *b = malloc(32 * M);
	int fd = opened("disk", true);

	srand(3);
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		uint32_t len = lens[i];

		for (uint32_t k = 0; k < len; k++)
			b[k] = (uint8_t)(k * 131 + k / 256 + i);
		request(fd, 0, NBD_CMD_WRITE, i, 4093, len);
		for (uint32_t sent = 0, n; sent < len; sent += n) {
			n = len > 2 * M ? len : (uint32_t)(rand() % 30000) + 1;
			n = n < len - sent ? n : len - sent;
			put(fd, b + sent, n);
			turn();
		}
		/* a request behind it, perhaps in the same bytes the server receives */
		request(fd, 0, NBD_CMD_READ, 100 + i, 4093, len);
		expect_simple(fd, i, 0);
		expect_chunk(fd, 100 + i, 0, 4093, len);
		ck_assert(!memcmp(w.disk + 4093, b, len));
		expect_works(fd, true);
	}
	free(b);
	close(fd);
}
END_TEST

/* A batch of reads and writes of all sizes in one stream; every answer, any order, right bytes. */
START_TEST(mixed_stream)
{
	uint8_t *b = malloc(40 * M);
	size_t len = 0;
	int fd = opened("disk", false), n = 900;

	srand(9);
	for (int i = 0; i < n; i++) {
		uint32_t size = (uint32_t)(rand() % 3 ? rand() % 5000 : rand() % 100000);
		uint64_t at = (uint64_t)i * 40000 % (32 * M);

		if (i % 3) {
			request_bytes(b + len, 0, NBD_CMD_WRITE, (uint64_t)i, at, size);
			len += NBD_REQUEST_HEAD;
			memset(b + len, i, size);
			len += size;
		} else {
			request_bytes(b + len, 0, NBD_CMD_FLUSH, (uint64_t)i, 0, 0);
			len += NBD_REQUEST_HEAD;
		}
	}
	put(fd, b, len);
	for (int i = 0; i < n; i++)
		expect_simple(fd, (uint64_t)i, 0);
	expect_works(fd, false);
	free(b);
	close(fd);
}
END_TEST

START_TEST(out_of_order)
{
	int fd = opened("disk", true);

	w.hold = true;
	for (uint64_t i = 0; i < 40; i++)
		request(fd, 0, NBD_CMD_READ, i, i * 5000, 4096);
	until(jobs() == 40);
	for (uint64_t i = 40; i-- > 0;)
		job_end(true, i % 7 == 3 ? EIO : 0);
	for (uint64_t i = 40; i-- > 0;)
		expect_chunk(fd, i, i % 7 == 3 ? EIO : 0, i * 5000, 4096);
	w.hold = false;
	expect_works(fd, true);
	close(fd);
}
END_TEST

static void replace_buf(struct nbd_req *req)
{
	struct buf *b = buf_get(w.pool, req->len + 100);

	memcpy(b->data + 100, w.disk + req->offset, req->len);
	buf_put(req->buf);
	req->buf = b;
	req->data = b->data + 100;
	nbd_req_done(req, 0);
}

/* The owner may hand back a READ in another buffer, the data anywhere inside. */
START_TEST(replaced_buffer)
{
	int fd = opened("disk", true);

	w.on_submit = replace_buf;
	for (uint32_t len = 1; len < 300000; len *= 3) {
		request(fd, 0, NBD_CMD_READ, len, 999, len);
		expect_chunk(fd, len, 0, 999, len);
	}
	close(fd);
}
END_TEST

/* Replies of one iteration leave in one piece. */
START_TEST(one_write_for_many)
{
	int fd = opened("disk", false);
	uint8_t b[16 * 40];

	w.hold = true;
	for (uint64_t i = 0; i < 40; i++)
		request(fd, 0, NBD_CMD_FLUSH, i, 0, 0);
	until(jobs() == 40);
	for (uint64_t i = 0; i < 40; i++)
		job_end(false, 0);
	ck_assert_int_eq(recv(fd, b, sizeof(b), 0), -1);
	turn();
	ck_assert_int_eq(recv(fd, b, sizeof(b), 0), sizeof(b));
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("nbd_request");
	TCase *tc = tcase_create("nbd_request");

	tcase_add_checked_fixture(tc, world_up, world_down);
	tcase_add_test(tc, each_command);
	tcase_add_test(tc, errors);
	tcase_add_test(tc, df_without_structured);
	tcase_add_test(tc, nothing_at_all);
	tcase_add_test(tc, errors_of_the_owner);
	tcase_add_test(tc, what_passes_is_no_answer);
	tcase_add_test(tc, breaches_close);
	tcase_add_test(tc, large_payloads);
	tcase_add_test(tc, mixed_stream);
	tcase_add_test(tc, out_of_order);
	tcase_add_test(tc, replaced_buffer);
	tcase_add_test(tc, one_write_for_many);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
