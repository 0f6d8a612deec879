/* SPDX-License-Identifier: MIT */
/*
 * Requests on an open export. First byte: HOW_ bits, second: sizes of the pieces, third: WHAT_ bits, export,
 * kind of replies.
 */
#include "nbd_client.h"

struct count {
	unsigned n;
	uint64_t cookies; /* their sum */
};

/* The requests that have left in full. */
static struct count asked(const uint8_t *p, size_t n)
{
	struct count c = { 0 };

	while (n >= NBD_REQUEST_HEAD && get_be32(p) == NBD_REQUEST_MAGIC) {
		uint32_t payload = get_be16(p + 6) == NBD_CMD_WRITE ? get_be32(p + 24) : 0;

		if (payload > n - NBD_REQUEST_HEAD)
			break;
		c.n++;
		c.cookies += get_be64(p + 8);
		p += NBD_REQUEST_HEAD + payload;
		n -= NBD_REQUEST_HEAD + payload;
	}
	return c;
}

/* Each reply has its form. Those that end an answer are counted. */
static struct count answered(void)
{
	const uint8_t *p = client_io.answer, *end = p + client_io.len;
	struct count c = { 0 };

	while (end - p >= NBD_SIMPLE_HEAD) {
		size_t len = NBD_SIMPLE_HEAD;
		bool done = true;

		if (get_be32(p) != NBD_SIMPLE_REPLY_MAGIC) { /* as it is for a READ here */
			ck_assert_uint_eq(get_be32(p), NBD_STRUCTURED_REPLY_MAGIC);
			if (end - p < NBD_CHUNK_HEAD)
				break;
			len = NBD_CHUNK_HEAD + get_be32(p + 16);
			done = get_be16(p + 4) & NBD_REPLY_FLAG_DONE;
			ck_assert_uint_le(len, NBD_CHUNK_HEAD + DISK_BYTES + 8);
		}
		if ((size_t)(end - p) < len)
			break;
		c.n += done;
		c.cookies += done ? get_be64(p + 8) : 0;
		p += len;
	}
	return c;
}

/* sent[0..n) has left. Every request has its one answer, unless the connection was closed before. */
static void check(const uint8_t *sent, size_t n, uint8_t how)
{
	struct count q = asked(sent, n), a = answered();

	ck_assert_uint_le(a.n, q.n);
	if (client_io.over || how & HOW_QUIESCE)
		return;
	ck_assert_uint_eq(a.n, q.n);
	ck_assert_uint_eq(a.cookies, q.cookies);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = { data, size };
	uint8_t how = feed_u8(&f);
	struct pieces s = { 0, feed_u8(&f) };
	uint8_t what = feed_u8(&f);
	const uint8_t *begin = f.p;

	world_up();
	client_begin(opened(export_names[(what & 15) % EXPORTS], what & 128));
	client_send(&f, how, what, &s);
	client_end(how);
	if (!(how & HOW_CLOSE) && what & 128 && !client_io.lost)
		check(begin, (size_t)(f.p - begin), how);
	if (!(how & HOW_QUIESCE)) /* it reads no more, then, not even an end */
		ck_assert_int_eq(nbd_server_connections(w.server), 0);
	world_down();
	return 0;
}
