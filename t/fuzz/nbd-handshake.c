/* SPDX-License-Identifier: MIT */
/*
 * All that a client may say from the greeting on. First byte: HOW_ bits, second: sizes of the pieces, third:
 * WHAT_ bits.
 */
#include "nbd_client.h"

/* The next option that has left in full; false: there is none, or one that has no option reply. */
static bool next_option(struct feed *sent, uint32_t *code)
{
	size_t got;
	uint32_t len;

	if (sent->n < NBD_OPT_HEAD || get_be64(sent->p) != NBD_OPT_MAGIC)
		return false;
	*code = get_be32(sent->p + 8);
	len = get_be32(sent->p + 12);
	feed_bytes(sent, NBD_OPT_HEAD, &got);
	feed_bytes(sent, len, &got);
	return got == len && *code != NBD_OPT_EXPORT_NAME;
}

/* Each option has one reply that ends it, in order, up to the one after which other rules hold. */
static void check(struct feed sent, uint8_t how)
{
	const uint8_t *p = client_io.answer, *end = p + client_io.len;
	bool transmission = false;
	uint32_t code = UINT32_MAX;
	size_t got;

	ck_assert_uint_ge(client_io.len, 18);
	ck_assert_mem_eq(p, "NBDMAGICIHAVEOPT", 16);
	feed_bytes(&sent, 4, &got);
	p += 18;
	while (end - p >= NBD_REP_HEAD && get_be64(p) == NBD_REP_MAGIC && !transmission) {
		uint32_t type = get_be32(p + 12), len = get_be32(p + 16);

		ck_assert_uint_le(len, 16384);
		if (type == NBD_REP_ACK || type & 0x80000000) {
			/* of one whose data is still to come it may be the reply, too: that is the last */
			bool whole = next_option(&sent, &code);

			ck_assert_uint_eq(get_be32(p + 8), code);
			if (!whole)
				return;
			transmission = type == NBD_REP_ACK && code == NBD_OPT_GO;
		}
		p += NBD_REP_HEAD + len;
	}
	if (!client_io.over && !(how & HOW_QUIESCE) && !transmission)
		ck_assert(!next_option(&sent, &code));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = { data, size };
	uint8_t how = feed_u8(&f);
	struct pieces s = { 0, feed_u8(&f) };
	uint8_t what = feed_u8(&f);
	struct feed sent = f;

	world_up();
	client_begin(client());
	client_send(&f, how, what, &s);
	sent.n -= f.n;
	client_end(how);
	if (!(how & HOW_CLOSE) && !client_io.lost)
		check(sent, how);
	if (!(how & HOW_QUIESCE)) /* it reads no more, then, not even an end */
		ck_assert_int_eq(nbd_server_connections(w.server), 0);
	world_down();
	return 0;
}
