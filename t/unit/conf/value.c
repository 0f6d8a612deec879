/* SPDX-License-Identifier: MIT */
#include "helper.h"
#include "conf/value.h"

#include <errno.h>

static const struct conf_key *key(enum conf_kind kind, const char *name)
{
	int i = conf_key_find(kind, name);

	ck_assert_msg(i >= 0, "%s", name);
	return conf_key_at(kind, i);
}

START_TEST(times)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t us;
	} cases[] = {
		{"0", 1, 0},
		{"5", 1, 5000000},
		{"0.5", 1, 500000},
		{"1.25s", 1, 1250000},
		{"500ms", 1, 500000},
		{"0.5ms", 1, 500},
		{"2m", 1, 120000000},
		{"0.000001", 1, 1},
		{"86400", 1, 86400000000},
		{"1440m", 1, 86400000000},
		{"immediate", 1, 0},
		{"manual", 1, CONF_QUEUE},
		{"86401", -ERANGE, 0},
		{"99999999999m", -ERANGE, 0},
		{"999999999999", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{".5", -EINVAL, 0},
		{"1.", -EINVAL, 0},
		{"1..2", -EINVAL, 0},
		{"1,5", -EINVAL, 0},
		{"1e3", -EINVAL, 0},
		{"5 s", -EINVAL, 0},
		{"5h", -EINVAL, 0},
		{"5sec", -EINVAL, 0},
		{"s", -EINVAL, 0},
		{"queue", -EINVAL, 0},
		{"Immediate", -EINVAL, 0},
	};
	const struct conf_key *k = key(CONF_DEFAULTS, "failback");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conf_opts o = {.failback_us = 77};

		ck_assert_msg(conf_value_set(k, cases[i].text, &o) == cases[i].rc, "%s",
			      cases[i].text);
		ck_assert_uint_eq(o.failback_us, cases[i].rc > 0 ? cases[i].us : 77);
	}
}
END_TEST

START_TEST(sizes)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t bytes;
	} cases[] = {
		{"1048576", 1, 1 << 20},
		{"1024K", 1, 1 << 20},
		{"1M", 1, 1 << 20},
		{"3m", 1, 3 << 20},
		{"64G", 1, 64ULL << 30},
		{"65G", -ERANGE, 0},
		{"1048575", -ERANGE, 0},
		{"0", -ERANGE, 0},
		{"99999999999999999999", -ERANGE, 0},
		{"18446744073709551615G", -ERANGE, 0},
		{"17179869185G", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"M", -EINVAL, 0},
		{"1T", -EINVAL, 0},
		{"1MB", -EINVAL, 0},
		{"1.5M", -EINVAL, 0},
		{"-1M", -EINVAL, 0},
		{"1 M", -EINVAL, 0},
	};
	const struct conf_key *k = key(CONF_DEFAULTS, "no_path_max_bytes");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conf_opts o = {.no_path_max_bytes = 77};

		ck_assert_msg(conf_value_set(k, cases[i].text, &o) == cases[i].rc, "%s",
			      cases[i].text);
		ck_assert_uint_eq(o.no_path_max_bytes, cases[i].rc > 0 ? cases[i].bytes : 77);
	}
}
END_TEST

START_TEST(counts_and_bools)
{
	static const char *const yes[] = {"yes", "true", "on", "1"};
	static const char *const no[] = {"no", "false", "off", "0"};
	static const char *const bad[] = {"", "Yes", "y", "2", "yes "};
	const struct conf_key *depth = key(CONF_DEFAULTS, "queue_depth");
	const struct conf_key *hedge = key(CONF_DEFAULTS, "hedge");
	const struct conf_key *digest = key(CONF_TARGET, "header_digest");
	struct conf_target t = {0};
	struct conf_opts o = {0};

	ck_assert_int_eq(conf_value_set(depth, "1", &o), 1);
	ck_assert_int_eq(conf_value_set(depth, "256", &o), 1);
	ck_assert_uint_eq(o.queue_depth, 256);
	ck_assert_int_eq(conf_value_set(depth, "0", &o), -ERANGE);
	ck_assert_int_eq(conf_value_set(depth, "257", &o), -ERANGE);
	ck_assert_int_eq(conf_value_set(depth, "4294967297", &o), -ERANGE);
	ck_assert_int_eq(conf_value_set(depth, "1x", &o), -EINVAL);
	ck_assert_int_eq(conf_value_set(depth, "0x10", &o), -EINVAL);
	ck_assert_int_eq(conf_value_set(depth, " 1", &o), -EINVAL);
	for (int i = 0; i < 4; i++) {
		o.hedge = false;
		ck_assert_int_eq(conf_value_set(hedge, yes[i], &o), 1);
		ck_assert(o.hedge);
		ck_assert_int_eq(conf_value_set(hedge, no[i], &o), 1);
		ck_assert(!o.hedge);
	}
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(conf_value_set(hedge, bad[i], &o), -EINVAL);
	ck_assert_int_eq(conf_value_set(digest, "crc32c", &t), 1);
	ck_assert(t.header_digest);
	ck_assert_int_eq(conf_value_set(digest, "yes", &t), -EINVAL);
}
END_TEST

START_TEST(names_and_identifiers)
{
	static const struct {
		const char *key;
		enum conf_kind kind;
		const char *text;
		const char *stored; /* NULL: refused */
	} cases[] = {
		{"iqn", CONF_TARGET, "iqn.2001-05.com.example:Disk_1",
		 "iqn.2001-05.com.example:Disk_1"},
		{"iqn", CONF_TARGET, "eui.0123456789abcDEF", "eui.0123456789abcDEF"},
		{"iqn", CONF_TARGET, "naa.0123456789abcdef", "naa.0123456789abcdef"},
		{"iqn", CONF_TARGET, "naa.0123456789abcdef0123456789abcdef",
		 "naa.0123456789abcdef0123456789abcdef"},
		{"iqn", CONF_TARGET, "iqn.2001-05.", NULL},
		{"iqn", CONF_TARGET, "iqn.2001-5.com.example", NULL},
		{"iqn", CONF_TARGET, "iqn.", NULL},
		{"iqn", CONF_TARGET, "iqn.2001", NULL},
		{"iqn", CONF_TARGET, "iqn.2001-05.com.example: x", NULL},
		{"iqn", CONF_TARGET, "eui.0123", NULL},
		{"iqn", CONF_TARGET, "naa.0123456789abcdeg", NULL},
		{"iqn", CONF_TARGET, "disk1", NULL},
		{"id", CONF_LUN, "naa.6001405ABCDEF", "naa.6001405abcdef"},
		{"id", CONF_LUN, "eui.0123456789ABCDEF", "eui.0123456789abcdef"},
		{"id", CONF_LUN, "t10.IET     00010001", "t10.IET     00010001"},
		{"id", CONF_LUN, "name.iqn.x:Y", "name.iqn.x:Y"},
		{"id", CONF_LUN, "vendor.abc\\x00", "vendor.abc\\x00"},
		{"id", CONF_LUN, "naa.", NULL},
		{"id", CONF_LUN, "naa.60g", NULL},
		{"id", CONF_LUN, "t10.", NULL},
		{"id", CONF_LUN, "wwn.600", NULL},
		{"alias", CONF_LUN, "db/\xc3\xa9", "db/\xc3\xa9"},
		{"alias", CONF_LUN, "a b", NULL},
		{"alias", CONF_LUN, "a\x01", NULL},
		{"alias", CONF_LUN, "", NULL},
		{"policy", CONF_DEFAULTS, "least-blocks", "least-blocks"},
		{"policy", CONF_DEFAULTS, "least", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct conf_key *k = key(cases[i].kind, cases[i].key);
		union {
			struct conf_target t;
			struct conf_lun l;
			struct conf_opts o;
		} u;
		int rc;

		memset(&u, 0, sizeof(u));
		rc = conf_value_set(k, cases[i].text, &u);
		ck_assert_msg(rc == (cases[i].stored ? 1 : -EINVAL), "%s: %d", cases[i].text, rc);
		ck_assert_pstr_eq(*(char **)((char *)&u + k->offset), cases[i].stored);
		conf_value_clear(k, &u);
	}
}
END_TEST

START_TEST(reservation_keys)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t key;
	} cases[] = {
		{"1", 1, 1},
		{"0x1", 1, 1},
		{"0XaBcDeF", 1, 0xabcdef},
		{"abcdef012345", 1, 0xabcdef012345},
		{"0xffffffffffff", 1, 0xffffffffffff},
		{"000000000001", 1, 1},
		{"0000000000001", -ERANGE, 0},
		{"0x1000000000000", -ERANGE, 0},
		{"0", -ERANGE, 0},
		{"0x000000000000", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"0x", -EINVAL, 0},
		{"x1", -EINVAL, 0},
		{"0x0x1", -EINVAL, 0},
		{"12 34", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"10g", -EINVAL, 0},
	};
	const struct conf_key *k = key(CONF_LUN, "reservation_key");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conf_opts o = {.reservation_key = 77};

		ck_assert_msg(conf_value_set(k, cases[i].text, &o) == cases[i].rc, "%s",
			      cases[i].text);
		ck_assert_uint_eq(o.reservation_key, cases[i].rc > 0 ? cases[i].key : 77);
	}
}
END_TEST

START_TEST(intervals_and_their_limits)
{
	static const struct {
		enum conf_kind kind;
		const char *key, *least, *below, *most, *above;
	} cases[] = {
		{CONF_DEFAULTS, "fence_timeout", "1", "999ms", "3600", "3601"},
		{CONF_DEFAULTS, "verify_interval", "1", "0", "60m", "61m"},
		{CONF_TARGET, "discovery_interval", "5", "4", "86400", "86401"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct conf_key *k = key(cases[i].kind, cases[i].key);
		union {
			struct conf_target t;
			struct conf_opts o;
		} u;

		ck_assert_int_eq(conf_value_set(k, cases[i].least, &u), 1);
		ck_assert_int_eq(conf_value_set(k, cases[i].below, &u), -ERANGE);
		ck_assert_int_eq(conf_value_set(k, cases[i].most, &u), 1);
		ck_assert_int_eq(conf_value_set(k, cases[i].above, &u), -ERANGE);
	}
}
END_TEST

START_TEST(patterns)
{
	static const char *const good[] = {"ACME", "A C", "*", "VERYLONGVENDOR*", "[A-Z]CME", "a\\*"};
	static const char *const bad[] = {"", "NINECHARS", "ACME\x01", "ACME\\"};
	const struct conf_key *k = key(CONF_HARDWARE, "vendor");
	struct conf_hardware h = {0};

	for (int i = 0; i < 6; i++) {
		ck_assert_msg(conf_value_set(k, good[i], &h) == 1, "%s", good[i]);
		ck_assert_str_eq(h.vendor, good[i]);
	}
	for (int i = 0; i < 4; i++)
		ck_assert_msg(conf_value_set(k, bad[i], &h) == -EINVAL, "%s", bad[i]);
	ck_assert_str_eq(h.vendor, good[5]);
	conf_value_clear(k, &h);
	ck_assert_int_eq(conf_value_set(key(CONF_HARDWARE, "product"), "NINECHARS", &h), 1);
	conf_value_clear(key(CONF_HARDWARE, "product"), &h);
}
END_TEST

START_TEST(where_metrics_are)
{
	static const char *const bad[] = {"",	   "on",     "unix:/x",		 "tcp:127.0.0.1",
					  "tcp:", "no",	     "tcp:localhost:80", "127.0.0.1:80"};
	const struct conf_key *k = key(CONF_MPIOD, "metrics");
	struct conf c = {0};

	ck_assert_int_eq(conf_value_set(k, "tcp:127.0.0.1:9100", &c), 1);
	ck_assert_str_eq(c.metrics, "tcp:127.0.0.1:9100");
	for (int i = 0; i < 8; i++)
		ck_assert_msg(conf_value_set(k, bad[i], &c) == -EINVAL, "%s", bad[i]);
	ck_assert_str_eq(c.metrics, "tcp:127.0.0.1:9100");
	ck_assert_int_eq(conf_value_set(k, "off", &c), 1);
	ck_assert_ptr_null(c.metrics);
}
END_TEST

START_TEST(limits_of_length)
{
	const struct conf_key *iqn = key(CONF_TARGET, "iqn");
	struct conf_target t = {0};
	char name[300];

	memset(name, 'x', sizeof(name));
	memcpy(name, "iqn.2001-05.", 12);
	name[224] = '\0';
	ck_assert_int_eq(conf_value_set(iqn, name, &t), -EINVAL);
	name[223] = '\0';
	ck_assert_int_eq(conf_value_set(iqn, name, &t), 1);
	conf_value_clear(iqn, &t);
	ck_assert_ptr_null(t.iqn);
	memset(name, 'x', sizeof(name));
	name[201] = '\0';
	ck_assert(!conf_value_is_export(name));
	name[200] = '\0';
	ck_assert(conf_value_is_export(name));
}
END_TEST

START_TEST(lists_of_luns)
{
	const struct conf_key *k = key(CONF_TARGET, "luns");
	struct conf_target t = {0};

	ck_assert_int_eq(conf_value_set(k, "all", &t), 1);
	ck_assert(t.all_luns);
	ck_assert_int_eq(conf_value_set(k, "7, 0 ,16383,3", &t), 4);
	ck_assert(!t.all_luns);
	ck_assert_int_eq(t.nluns, 4);
	ck_assert(t.luns[0] == 0 && t.luns[1] == 3 && t.luns[2] == 7 && t.luns[3] == 16383);
	ck_assert_int_eq(conf_value_set(k, "16384", &t), -ERANGE);
	ck_assert_int_eq(conf_value_set(k, "1,1", &t), -EEXIST);
	ck_assert_int_eq(conf_value_set(k, "1,,2", &t), -EINVAL);
	ck_assert_int_eq(conf_value_set(k, "1,", &t), -EINVAL);
	ck_assert_int_eq(conf_value_set(k, "1-3", &t), -EINVAL);
	ck_assert_int_eq(conf_value_set(k, "all,1", &t), -EINVAL);
	ck_assert_int_eq(conf_value_set(k, "", &t), -EINVAL);
	conf_value_clear(k, &t);
}
END_TEST

START_TEST(lists_of_portals_and_weights)
{
	const struct conf_key *active = key(CONF_LUN, "active"), *weight = key(CONF_LUN, "weight");
	struct conf_lun l = {0};

	ck_assert_int_eq(conf_value_set(active, "192.0.2.1, [::1]:1", &l), 2);
	ck_assert_int_eq(conf_value_set(active, "192.0.2.1:3260", &l), -EEXIST);
	ck_assert_int_eq(conf_value_set(active, "b,,c", &l), -EINVAL);
	ck_assert_int_eq(l.nactive, 3);
	ck_assert_str_eq(l.active[0], "192.0.2.1:3260");
	ck_assert_str_eq(l.active[1], "[::1]:1");
	ck_assert_int_eq(conf_value_set(weight, "192.0.2.1 4294967295", &l), 1);
	ck_assert_int_eq(conf_value_set(weight, "192.0.2.2\t \t0", &l), 1);
	ck_assert_int_eq(conf_value_set(weight, "192.0.2.1:3260 5", &l), -EEXIST);
	ck_assert_int_eq(conf_value_set(weight, "192.0.2.3 4294967296", &l), -ERANGE);
	ck_assert_int_eq(conf_value_set(weight, "192.0.2.3", &l), -EINVAL);
	ck_assert_int_eq(conf_value_set(weight, "192.0.2.3 -1", &l), -EINVAL);
	ck_assert_int_eq(conf_value_set(weight, "192.0.2.3 1 2", &l), -EINVAL);
	ck_assert_int_eq(conf_value_set(weight, "5 192.0.2.3", &l), -EINVAL);
	ck_assert_int_eq(l.nweights, 2);
	ck_assert_str_eq(l.weights[0].portal, "192.0.2.1:3260");
	ck_assert_uint_eq(l.weights[0].weight, 4294967295U);
	ck_assert_uint_eq(l.weights[1].weight, 0);
	conf_value_clear(active, &l);
	conf_value_clear(weight, &l);
}
END_TEST

START_TEST(modes_are_octal)
{
	static const struct conf_key key = {.name = "m", .type = CONF_MODE};
	static const struct {
		const char *text;
		int rc;
		unsigned mode;
	} cases[] = {
		{"0660", 1, 0660}, {"600", 1, 0600}, {"0", 1, 0}, {"0777", 1, 0777}, {"1000", -ERANGE, 0},
		{"7777", -ERANGE, 0}, {"0668", -EINVAL, 0}, {"-1", -EINVAL, 0}, {"", -EINVAL, 0}, {"00660", -EINVAL, 0},
		{"u=rw", -EINVAL, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned mode = 0;

		ck_assert_msg(conf_value_set(&key, cases[i].text, &mode) == cases[i].rc, "%s", cases[i].text);
		ck_assert_uint_eq(mode, cases[i].mode);
	}
}
END_TEST

RUN("conf/value", times, sizes, counts_and_bools, names_and_identifiers, reservation_keys,
    intervals_and_their_limits, patterns, where_metrics_are, limits_of_length,
    lists_of_luns, lists_of_portals_and_weights, modes_are_octal)
