/* SPDX-License-Identifier: MIT */
#include "helper.h"
#include "conf/keys.h"
#include "conf/value.h"

#include <errno.h>

START_TEST(every_default_and_example_is_a_value_of_its_key)
{
	const struct conf_key *k;

	for (int kind = 0; kind < CONF_NKINDS; kind++) {
		for (int i = 0; (k = conf_key_at((enum conf_kind)kind, i)); i++) {
			union {
				struct conf c;
				struct conf_target t;
				struct conf_hardware h;
				struct conf_lun l;
				struct conf_opts o;
			} u;
			const char *text = k->def ? k->def : k->example;

			memset(&u, 0, sizeof(u));
			ck_assert_ptr_nonnull(text);
			ck_assert_msg(conf_value_set(k, text, &u) > 0, "%s = %s", k->name, text);
			conf_value_clear(k, &u);
			ck_assert_int_eq(conf_key_find((enum conf_kind)kind, k->name), i);
			ck_assert(k->help && k->help[strlen(k->help) - 1] == '.');
			ck_assert(!k->doc || k->doc[strlen(k->doc) - 1] == '.');
		}
	}
}
END_TEST

START_TEST(hardware_and_lun_take_the_keys_of_defaults)
{
	static const enum conf_kind kinds[] = {CONF_HARDWARE, CONF_LUN};
	const struct conf_key *k;

	for (int i = 0; (k = conf_key_at(CONF_DEFAULTS, i)); i++) {
		ck_assert_int_eq(conf_key_opt(k), i);
		for (int n = 0; n < 2; n++) {
			int j = conf_key_find(kinds[n], k->name);

			ck_assert_int_ge(j, 0);
			ck_assert_ptr_eq(conf_key_at(kinds[n], j), k);
		}
	}
	for (int n = 0; n < 2; n++)
		ck_assert_int_eq(conf_key_opt(conf_key_at(kinds[n], 0)), -1);
	ck_assert_int_eq(conf_key_find(CONF_DEFAULTS, "id"), -ENOENT);
}
END_TEST

static const char *target_name(void *arg, int i)
{
	const struct conf_key *k = conf_key_at(CONF_TARGET, i);

	return k ? k->name : NULL;
}

START_TEST(nearest_name)
{
	static const struct {
		const char *typed, *name;
	} cases[] = {
		{"portals", "portal"},
		{"prot", NULL},
		{"poratl", "portal"},
		{"chap_secret", "chap_secret_file"},
		{"chap-user", "chap_user"},
		{"lun", "luns"},
		{"iqm", "iqn"},
		{"x", NULL},
		{"", NULL},
		{"colour", NULL},
		{"mutual_chap_users", "mutual_chap_user"},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_pstr_eq(conf_key_nearest(cases[i].typed, target_name, NULL),
				  cases[i].name);
}
END_TEST

RUN("conf/keys", every_default_and_example_is_a_value_of_its_key,
    hardware_and_lun_take_the_keys_of_defaults, nearest_name)
