/* SPDX-License-Identifier: MIT */
/*
 * Requests on an open export. First byte: HOW_ bits, second: sizes of the pieces, third: WHAT_ bits, export, kind of replies.
 */
#include "nbd_client.h"

/* Each reply has its form, and no answer comes without a question. */
static void check_replies(size_t asked)
{
	const uint8_t *p = client_io.answer, *end = p + client_io.len;
	size_t done = 0;

	while (end - p >= NBD_SIMPLE_HEAD) {
		uint32_t len;

		if (get_be32(p) == NBD_SIMPLE_REPLY_MAGIC) { /* never to a READ here */
			done++;
			p += NBD_SIMPLE_HEAD;
			continue;
		}
		ck_assert_uint_eq(get_be32(p), NBD_STRUCTURED_REPLY_MAGIC);
		if (end - p < NBD_CHUNK_HEAD)
			break;
		len = get_be32(p + 16);
		done += get_be16(p + 4) & NBD_REPLY_FLAG_DONE;
		ck_assert_uint_le(len, DISK_BYTES + 8);
		p += NBD_CHUNK_HEAD;
		if ((size_t)(end - p) < len)
			break;
		p += len;
	}
	ck_assert_uint_le(done, asked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = { data, size };
	uint8_t how = feed_u8(&f);
	struct pieces s = { 0, feed_u8(&f) };
	uint8_t what = feed_u8(&f);

	world_up();
	client_begin(opened(export_names[(what & 15) % EXPORTS], what & 128));
	client_send(&f, how, what, &s);
	client_end(how);
	if (!(how & HOW_CLOSE) && what & 128 && !client_io.lost)
		check_replies(size / NBD_REQUEST_HEAD + 1);
	if (!(how & HOW_QUIESCE)) /* it reads no more, then, not even an end */
		ck_assert_int_eq(nbd_server_connections(w.server), 0);
	world_down();
	return 0;
}
