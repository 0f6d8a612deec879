/* SPDX-License-Identifier: MIT */
/* The life of a struct conf: from a file or from memory, compared, asked, freed. */
#include "conf.h"
#include "parse.h"
#include "value.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (1 << 20) /* larger is a mistake, such as a disk's device node */

static struct conf *build(struct conf_doc *d, const char *text, size_t len)
{
	struct conf *c = calloc(1, sizeof(*c));

	if (!c || !(c->file = strdup(d->report.file)))
		goto err;
	conf_doc_read(d, text, len);
	if (!d->report.no_memory)
		conf_doc_fill(d, c);
	if (!d->report.no_memory)
		conf_check(d, c);
	if (!d->report.no_memory && !d->report.nerrors)
		return c;
	conf_free(c);
	return NULL;
err:
	free(c);
	d->report.no_memory = true;
	return NULL;
}

struct conf *conf_parse(const char *file, const char *text, size_t len, char **errors)
{
	struct conf_doc d = {.report.file = file};
	struct conf *c = build(&d, text, len);

	*errors = conf_report_text(&d.report);
	conf_doc_free(&d);
	return c;
}

static struct conf *fail(const char *file, char **errors, const char *what)
{
	if (asprintf(errors, "%s: %s\n", file, what) < 0)
		*errors = NULL;
	return NULL;
}

struct conf *conf_load(const char *file, char **errors)
{
	char *text = malloc(FILE_MAX + 1), why[200] = "";
	FILE *in = text ? fopen(file, "re") : NULL;
	struct conf *c;
	size_t len = 0;

	if (in)
		len = fread(text, 1, FILE_MAX + 1, in);
	if (!in || ferror(in))
		snprintf(why, sizeof(why), "cannot be read: %s", strerror(errno));
	else if (len > FILE_MAX)
		snprintf(why, sizeof(why), "is larger than 1 MiB, expected a configuration");
	c = *why ? fail(file, errors, why) : conf_parse(file, text, len, errors);
	if (in)
		fclose(in);
	free(text);
	return c;
}

static void clear_keys(enum conf_kind kind, void *base)
{
	const struct conf_key *k;

	for (int i = 0; (k = conf_key_at(kind, i)); i++)
		if (kind == CONF_DEFAULTS || conf_key_opt(k) < 0)
			conf_value_clear(k, base);
}

void conf_free(struct conf *c)
{
	if (!c)
		return;
	for (int i = 0; i < c->ntargets; i++) {
		struct conf_target *t = &c->targets[i];

		clear_keys(CONF_TARGET, t);
		conf_secret_free(t->chap_secret);
		conf_secret_free(t->mutual_chap_secret);
		free(t->name);
	}
	for (int i = 0; i < c->nhardware; i++) {
		clear_keys(CONF_HARDWARE, &c->hardware[i]);
		clear_keys(CONF_DEFAULTS, &c->hardware[i].opt);
		free(c->hardware[i].name);
	}
	for (int i = 0; i < c->nluns; i++) {
		clear_keys(CONF_LUN, &c->luns[i]);
		clear_keys(CONF_DEFAULTS, &c->luns[i].opt);
		free(c->luns[i].name);
	}
	clear_keys(CONF_DEFAULTS, &c->defaults);
	clear_keys(CONF_MPIOD, c);
	free(c->targets);
	free(c->hardware);
	free(c->luns);
	free(c->file);
	free(c);
}

static const struct conf_lun *find_lun(const struct conf *c, const char *id)
{
	for (int i = 0; i < c->nluns; i++)
		if (!strcmp(c->luns[i].id, id))
			return &c->luns[i];
	return NULL;
}

static bool fits(const char *pattern, const char *text)
{
	return !pattern || (text && !fnmatch(pattern, text, 0));
}

static const struct conf_hardware *find_hardware(const struct conf *c, const char *vendor,
						 const char *product)
{
	for (int i = 0; i < c->nhardware; i++)
		if (fits(c->hardware[i].vendor, vendor) && fits(c->hardware[i].product, product))
			return &c->hardware[i];
	return NULL;
}

static void lay_over(struct conf_opts *out, const struct conf_opts *section)
{
	const struct conf_key *k;

	for (int i = 0; (k = conf_key_at(CONF_DEFAULTS, i)); i++)
		if (section->set & 1ULL << i)
			conf_value_share(k, out, section);
	out->set |= section->set;
}

void conf_opts_resolve(const struct conf *c, const char *id, const char *vendor,
		       const char *product, struct conf_opts *out, const struct conf_lun **lun,
		       const struct conf_hardware **hw)
{
	const struct conf_hardware *h = find_hardware(c, vendor, product);
	const struct conf_lun *l = find_lun(c, id);

	*out = c->defaults;
	if (h)
		lay_over(out, &h->opt);
	if (l)
		lay_over(out, &l->opt);
	if (lun)
		*lun = l;
	if (hw)
		*hw = h;
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

/* Secrets count by what they are, not by the file that they came from. */
bool conf_target_equal(const struct conf_target *a, const struct conf_target *b)
{
	return same(a->name, b->name) && same(a->iqn, b->iqn) &&
	       a->all_luns == b->all_luns && a->nluns == b->nluns &&
	       (!a->nluns || !memcmp(a->luns, b->luns, (size_t)a->nluns * sizeof(*a->luns))) &&
	       same(a->chap_user, b->chap_user) && same(a->chap_secret, b->chap_secret) &&
	       same(a->mutual_chap_user, b->mutual_chap_user) &&
	       same(a->mutual_chap_secret, b->mutual_chap_secret) &&
	       a->header_digest == b->header_digest;
}

bool conf_portal_equal(const struct conf_portal *a, const struct conf_portal *b)
{
	return same(a->addr, b->addr) && same(a->interface, b->interface);
}

/* By value: where one was given does not matter. */
bool conf_opts_equal(const struct conf_opts *a, const struct conf_opts *b)
{
	return same(a->policy, b->policy) && a->failback_us == b->failback_us &&
	       a->probe_interval_us == b->probe_interval_us &&
	       a->probe_timeout_us == b->probe_timeout_us &&
	       a->suspect_after_us == b->suspect_after_us &&
	       a->command_timeout_us == b->command_timeout_us &&
	       a->no_path_timeout_us == b->no_path_timeout_us &&
	       a->no_path_max_bytes == b->no_path_max_bytes && a->queue_depth == b->queue_depth &&
	       a->hedge == b->hedge && a->read_only == b->read_only &&
	       a->probation_us == b->probation_us &&
	       a->verify_interval_us == b->verify_interval_us && a->fence == b->fence &&
	       a->fence_timeout_us == b->fence_timeout_us &&
	       a->reservation_key == b->reservation_key;
}
