/* SPDX-License-Identifier: MIT */
/* A configuration: a whole text, or (odd first byte) the values of one key, one a line. */
#include "fuzz.h"
#include "conf/value.h"

/* Errors go to a terminal and to the log. */
static void check_errors(const char *errors)
{
	for (; errors && *errors; errors++)
		ck_assert_msg(*errors == '\n' || ((uint8_t)*errors >= 0x20 && *errors != 0x7f),
			      "byte %02x in an error", (uint8_t)*errors);
}

static void check_conf(const struct conf *c)
{
	struct conf_opts opt;

	ck_assert_int_gt(c->nlisten, 0);
	ck_assert_ptr_nonnull(c->initiator_name);
	for (int i = 0; i < c->ntargets; i++) {
		ck_assert_ptr_nonnull(c->targets[i].iqn);
		ck_assert(conf_target_equal(&c->targets[i], &c->targets[i]));
	}
	conf_opts_resolve(c, "naa.6001405", NULL, NULL, &opt, NULL, NULL);
	for (int i = 0; i < c->nluns; i++) {
		ck_assert_ptr_nonnull(c->luns[i].id);
		conf_opts_resolve(c, c->luns[i].id, "IET", "VIRTUAL-DISK", &opt, NULL, NULL);
		ck_assert(conf_opts_equal(&opt, &opt));
	}
}

static void whole(const uint8_t *p, size_t n)
{
	char *errors = NULL, *text = (char *)feed_exact(p, n);
	struct conf *c = conf_parse("/nonexistent/fuzz.conf", text, n, &errors);

	free(text);
	ck_assert(c || (errors && *errors));
	check_errors(errors);
	if (c)
		check_conf(c);
	free(errors);
	conf_free(c);
}

/* The struct that a key of this section belongs to, zeroed. */
union base {
	struct conf conf;
	struct conf_target target;
	struct conf_hardware hardware;
	struct conf_lun lun;
	struct conf_opts opts;
};

static void values(struct feed *f)
{
	uint8_t kind = feed_u8(f) % CONF_NKINDS;
	const struct conf_key *k = conf_key_at(kind, feed_u8(f) % CONF_MAX_KEYS);
	char *text = malloc(f->n + 1), *rest = text, *line, expect[400], *addr = NULL, *again = NULL;
	union base base = { 0 };

	memcpy(text, f->p, f->n);
	text[f->n] = '\0';
	if (k) {
		conf_key_expect(k, expect, sizeof(expect));
		while ((line = strsep(&rest, "\n")))
			if (conf_value_set(k, line, &base) < 0)
				break;
		conf_value_clear(k, &base);
	} else {
		(void)!conf_key_find(kind, text);
		(void)conf_value_is_export(text);
		(void)conf_address_is_socket(text);
		if (!conf_address_portal(text, &addr)) { /* the normal form is one */
			ck_assert_int_eq(conf_address_portal(addr, &again), 0);
			ck_assert_str_eq(addr, again);
		}
		free(addr);
		free(again);
		addr = again = NULL;
		if (!conf_address_listen(text, &addr)) {
			ck_assert_int_eq(conf_address_listen(addr, &again), 0);
			ck_assert_str_eq(addr, again);
			(void)conf_address_is_local(addr);
		}
		free(addr);
		free(again);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = { data, size };

	if (feed_u8(&f) & 1)
		values(&f);
	else
		whole(f.p, f.n);
	return 0;
}
