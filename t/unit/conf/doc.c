/* SPDX-License-Identifier: MIT */
#include "helper.h"
#include "conf/keys.h"

static char *print(void (*what)(FILE *out))
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(out);
	what(out);
	ck_assert_int_eq(fclose(out), 0);
	return text;
}

/* Run from the top of the project, as the Makefile does. */
START_TEST(mpiod_conf_example_is_what_the_table_says)
{
	char *want = print(conf_print_example), got[65536];
	FILE *in = fopen("mpiod.conf.example", "r");
	size_t len;

	ck_assert_msg(in, "mpiod.conf.example cannot be opened: wrong directory?");
	len = fread(got, 1, sizeof(got) - 1, in);
	got[len] = '\0';
	fclose(in);
	ck_assert_msg(!strcmp(got, want),
		      "mpiod.conf.example is old: gendoc example > mpiod.conf.example");
	free(want);
}
END_TEST

START_TEST(the_example_parses_and_changes_nothing)
{
	char *text = print(conf_print_example);
	struct conf *c = check_accepted(text), *plain = check_accepted(TARGET);

	ck_assert_int_eq(c->ntargets, 1);
	ck_assert_int_eq(c->targets[0].nportals, 2);
	ck_assert_int_eq(c->nluns, 0);
	ck_assert_uint_eq(c->defaults.set, 0);
	ck_assert(conf_opts_equal(&c->defaults, &plain->defaults));
	ck_assert_str_eq(c->initiator_name, plain->initiator_name);
	conf_free(c);
	conf_free(plain);
	free(text);
}
END_TEST

START_TEST(the_example_with_every_line_in_force_parses)
{
	char *text = print(conf_print_example), *errors;
	char *out = text;
	struct conf *c;

	/* "#key = value" and "#[lun disk1]", but not "# words"; secrets are not on this machine */
	for (const char *in = text; *in;) {
		size_t len = strcspn(in, "\n") + 1;

		if (in[0] == '#' && in[1] != ' ') {
			in++;
			len--;
		}
		if (!strncmp(in, "chap_", 5) || !strncmp(in, "mutual_", 7)) {
			in += len;
			continue;
		}
		memmove(out, in, len);
		out += len;
		in += len;
	}
	c = conf_parse("f", text, (size_t)(out - text), &errors);
	ck_assert_msg(c && !errors, "%s", errors ? errors : "");
	ck_assert_int_eq(c->nluns, 1);
	ck_assert_int_eq(c->nhardware, 1);
	ck_assert_str_eq(c->hardware[0].product, "FastDisk*");
	ck_assert_int_eq(c->luns[0].nactive, 2);
	ck_assert_uint_ne(c->defaults.set, 0);
	conf_free(c);
	free(text);
}
END_TEST

START_TEST(the_manual_names_every_key)
{
	char *text = print(conf_print_man_keys), item[100];
	const struct conf_key *k;

	for (int kind = 0; kind < CONF_NKINDS; kind++) {
		snprintf(item, sizeof(item), ".Ss [%s]\n", conf_sections[kind].heading);
		ck_assert_ptr_nonnull(strstr(text, item));
		for (int i = 0; (k = conf_key_at((enum conf_kind)kind, i)); i++) {
			snprintf(item, sizeof(item), ".It Ic \"%s\"", k->name);
			ck_assert_msg(strstr(text, item) != NULL, "%s", k->name);
		}
	}
	ck_assert_ptr_nonnull(strstr(text, ".It Ic \"queue_depth\" = 64\n"));
	ck_assert_ptr_nonnull(strstr(text, "number from 1 to 256"));
	free(text);
}
END_TEST

START_TEST(what_is_expected_in_words)
{
	static const struct {
		enum conf_kind kind;
		const char *key, *expect;
	} cases[] = {
		{CONF_DEFAULTS, "no_path_timeout",
		 "seconds (ms, s or m may follow) from 0 to 86400, queue or fail"},
		{CONF_DEFAULTS, "suspect_after", "seconds (ms, s or m may follow) from 0.01 to 10"},
		{CONF_DEFAULTS, "probation",
		 "seconds (ms, s or m may follow) from 0 to 86400 or off"},
		{CONF_MPIOD, "max_inflight_bytes", "bytes (K, M and G may follow) from 64M to 64G"},
		{CONF_TARGET, "header_digest", "none or crc32c"},
		{CONF_HARDWARE, "product",
		 "a pattern (* and ? are wildcards) for a text of at most 16 characters"},
		{CONF_HARDWARE, "dsm", "lio, tgt, alua or generic"},
		{CONF_LUN, "fence", "auto, reservation, reinstate, hold, solicited or off"},
		{CONF_LUN, "reservation_key", "1 to 12 hex digits, with or without 0x, not 0"},
		{CONF_MPIOD, "metrics", "off, or tcp:ADDR:PORT with a numeric address"},
		{CONF_MPIOD, "log_level", "error, warning, info or debug"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char buf[400];

		conf_key_expect(
			conf_key_at(cases[i].kind, conf_key_find(cases[i].kind, cases[i].key)), buf,
			sizeof(buf));
		ck_assert_str_eq(buf, cases[i].expect);
	}
}
END_TEST

RUN("conf/doc", mpiod_conf_example_is_what_the_table_says, the_example_parses_and_changes_nothing,
    the_example_with_every_line_in_force_parses, the_manual_names_every_key,
    what_is_expected_in_words)
