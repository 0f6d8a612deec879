/* SPDX-License-Identifier: MIT */
/* All that a client may say from the greeting on. First byte: HOW_ bits, second: sizes of the pieces, third: WHAT_ bits. */
#include "nbd_client.h"

/* The replies to options are well formed, up to the one after which other rules hold. */
static void check_replies(void)
{
	const uint8_t *p = client_io.answer, *end = p + client_io.len;

	ck_assert_uint_ge(client_io.len, 18);
	ck_assert_mem_eq(p, "NBDMAGICIHAVEOPT", 16);
	for (p += 18; end - p >= NBD_REP_HEAD && get_be64(p) == NBD_REP_MAGIC; p += NBD_REP_HEAD + get_be32(p + 16))
		ck_assert_uint_le(get_be32(p + 16), 16384);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = { data, size };
	uint8_t how = feed_u8(&f);
	struct pieces s = { 0, feed_u8(&f) };
	uint8_t what = feed_u8(&f);

	world_up();
	client_begin(client());
	client_send(&f, how, what, &s);
	client_end(how);
	if (!(how & HOW_CLOSE) && !client_io.lost)
		check_replies();
	if (!(how & HOW_QUIESCE)) /* it reads no more, then, not even an end */
		ck_assert_int_eq(nbd_server_connections(w.server), 0);
	world_down();
	return 0;
}
