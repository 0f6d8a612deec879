/* SPDX-License-Identifier: MIT */
/* Every parser of what a target answers. The first byte chooses it, the second what it is asked. */
#include "fuzz.h"
#include "transport/scsi.h"

static void text_is_clean(const char *text, size_t cap)
{
	size_t n = strnlen(text, cap);

	ck_assert_uint_lt(n, cap);
	for (size_t i = 0; i < n; i++)
		ck_assert_msg(text[i] >= 0x20 && text[i] < 0x7f, "byte %02x in a text", (uint8_t)text[i]);
}

static void sense(const uint8_t *p, size_t n, uint8_t how)
{
	struct sense s;

	scsi_parse_sense(p, n, &s);
	if (s.valid)
		ck_assert_uint_lt(s.key, 16);
	ck_assert_ptr_nonnull(scsi_key_name(s.key));
}

static void inquiry(const uint8_t *p, size_t n, uint8_t how)
{
	struct scsi_inquiry q;

	if (scsi_parse_inquiry(p, n, &q))
		return;
	text_is_clean(q.vendor, sizeof(q.vendor));
	text_is_clean(q.product, sizeof(q.product));
	text_is_clean(q.revision, sizeof(q.revision));
	ck_assert_uint_lt(q.tpgs, 4);
}

static void vpd_pages(const uint8_t *p, size_t n, uint8_t how)
{
	struct scsi_vpd_pages v;

	if (!scsi_parse_vpd_pages(p, n, &v))
		(void)scsi_vpd_has(&v, how);
}

static void vpd_serial(const uint8_t *p, size_t n, uint8_t how)
{
	size_t cap = how ? how : 1;
	char *serial = malloc(cap);

	if (!scsi_parse_vpd_serial(p, n, serial, cap))
		text_is_clean(serial, cap);
	free(serial);
}

static void vpd_device_id(const uint8_t *p, size_t n, uint8_t how)
{
	struct scsi_device_id d;

	if (scsi_parse_vpd_device_id(p, n, &d))
		return;
	text_is_clean(d.id, sizeof(d.id));
	text_is_clean(d.t10, sizeof(d.t10));
	ck_assert_int_ge(d.relative_port, -1);
	ck_assert_int_le(d.relative_port, 0xffff);
	ck_assert_int_ge(d.port_group, -1);
	ck_assert_int_le(d.port_group, 0xffff);
}

static void vpd_block_limits(const uint8_t *p, size_t n, uint8_t how)
{
	struct scsi_block_limits b;

	(void)!scsi_parse_vpd_block_limits(p, n, &b);
}

static void vpd_block_chars(const uint8_t *p, size_t n, uint8_t how)
{
	uint16_t rotation;

	(void)!scsi_parse_vpd_block_chars(p, n, &rotation);
}

static void vpd_provisioning(const uint8_t *p, size_t n, uint8_t how)
{
	struct scsi_provisioning v;

	(void)!scsi_parse_vpd_provisioning(p, n, &v);
}

static void capacity16(const uint8_t *p, size_t n, uint8_t how)
{
	struct scsi_capacity c;

	if (scsi_parse_capacity16(p, n, &c))
		return;
	ck_assert(c.block_size >= 512 && c.block_size <= 65536 && !(c.block_size & (c.block_size - 1)));
	ck_assert_uint_le(c.blocks, (1ULL << 63) / c.block_size);
	ck_assert_uint_ge(c.physical_block_size, c.block_size);
}

static void mode_sense6(const uint8_t *p, size_t n, uint8_t how)
{
	struct scsi_mode m;

	(void)!scsi_parse_mode_sense6(p, n, &m);
}

static void report_luns(const uint8_t *p, size_t n, uint8_t how)
{
	uint16_t *luns = malloc(how * sizeof(*luns));

	ck_assert_int_le(scsi_parse_report_luns(p, n, luns, how), how);
	free(luns);
}

static void groups(const uint8_t *p, size_t n, uint8_t how)
{
	struct scsi_groups *g = malloc(sizeof(*g));

	if (!scsi_parse_groups(p, n, how & 1, g)) {
		ck_assert(g->n >= 0 && g->n <= SCSI_GROUPS_MAX);
		for (int i = 0; i < g->n; i++)
			ck_assert_uint_le(g->g[i].nports, SCSI_GROUP_PORTS);
	}
	free(g);
}

static void pr_keys(const uint8_t *p, size_t n, uint8_t how)
{
	uint64_t *keys = malloc(how * sizeof(*keys));
	uint32_t generation;
	int count = scsi_parse_pr_keys(p, n, &generation, keys, how);

	if (count > 0)
		ck_assert_uint_le((unsigned)count, n / 8);
	free(keys);
}

static void pr_reservation(const uint8_t *p, size_t n, uint8_t how)
{
	struct scsi_reservation r;

	if (!scsi_parse_pr_reservation(p, n, &r))
		ck_assert_ptr_nonnull(scsi_pr_type_name(r.type));
}

/* CVE-2025-47711 of nbdkit was an extent beyond what had been asked for. */
static void lba_status(const uint8_t *p, size_t n, uint8_t how)
{
	static const uint64_t starts[] = { 0, 1, 4096, UINT32_MAX, 1ULL << 40, UINT64_MAX - 64 };
	uint64_t lba = starts[(how >> 4) % 6], blocks = 1ULL << (how & 15), at = lba;
	int cap = 1 + (how & 7), count;
	struct scsi_lba_extent *e = malloc((size_t)cap * sizeof(*e));

	if (blocks > UINT64_MAX - lba)
		blocks = UINT64_MAX - lba;
	count = scsi_parse_lba_status(p, n, lba, blocks, e, cap);
	ck_assert_int_le(count, cap);
	for (int i = 0; i < count; i++) {
		ck_assert_uint_gt(e[i].blocks, 0);
		ck_assert_uint_ge(e[i].lba, at);
		ck_assert_uint_le(e[i].blocks, lba + blocks - e[i].lba);
		at = e[i].lba + e[i].blocks;
		ck_assert_uint_le(at, lba + blocks);
	}
	free(e);
}

static void names(const uint8_t *p, size_t n, uint8_t how)
{
	ck_assert_ptr_nonnull(scsi_opcode_name(how));
	ck_assert_ptr_nonnull(scsi_status_name(how));
	ck_assert_ptr_nonnull(scsi_key_name(how));
	ck_assert_ptr_nonnull(scsi_pr_type_name(how));
}

static void (*const parsers[])(const uint8_t *p, size_t n, uint8_t how) = {
	sense, inquiry, vpd_pages, vpd_serial, vpd_device_id, vpd_block_limits, vpd_block_chars,
	vpd_provisioning, capacity16, mode_sense6, report_luns, groups, pr_keys, pr_reservation,
	lba_status, names,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = { data, size };
	uint8_t which = feed_u8(&f), how = feed_u8(&f);
	uint8_t *p = feed_exact(f.p, f.n);

	parsers[which % (sizeof(parsers) / sizeof(*parsers))](p, f.n, how);
	free(p);
	return 0;
}
