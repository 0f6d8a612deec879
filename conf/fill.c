/* SPDX-License-Identifier: MIT */
/* Entries to struct conf: every value by its type, then what was not given. */
#include "parse.h"
#include "value.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Built-in values, through the same parser as a user's. Lists that grow get theirs in the end. */
static int set_built_in(enum conf_kind kind, void *base)
{
	const struct conf_key *k;

	for (int i = 0; (k = conf_key_at(kind, i)); i++) {
		int rc;

		if (!k->def || k->repeat)
			continue;
		rc = conf_value_set(k, k->def, base);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* The struct a part's keys belong to; a new one for a target, hardware or LUN. NULL without memory. */
static void *part_base(struct conf_part *p, struct conf *c)
{
	struct conf_hardware *h;
	struct conf_target *t;
	struct conf_lun *l;

	switch (p->kind) {
	case CONF_TARGET:
		t = reallocarray(c->targets, (size_t)c->ntargets + 1, sizeof(*t));
		if (!t)
			return NULL;
		c->targets = t;
		p->index = c->ntargets;
		t += c->ntargets++;
		memset(t, 0, sizeof(*t));
		t->line = p->line;
		t->name = strdup(p->name);
		return t->name && !set_built_in(CONF_TARGET, t) ? t : NULL;
	case CONF_HARDWARE:
		h = reallocarray(c->hardware, (size_t)c->nhardware + 1, sizeof(*h));
		if (!h)
			return NULL;
		c->hardware = h;
		p->index = c->nhardware;
		h += c->nhardware++;
		memset(h, 0, sizeof(*h));
		h->line = p->line;
		h->name = strdup(p->name);
		return h->name ? h : NULL;
	case CONF_LUN:
		l = reallocarray(c->luns, (size_t)c->nluns + 1, sizeof(*l));
		if (!l)
			return NULL;
		c->luns = l;
		p->index = c->nluns;
		l += c->nluns++;
		memset(l, 0, sizeof(*l));
		l->line = p->line;
		l->name = strdup(p->name);
		return l->name ? l : NULL;
	case CONF_DEFAULTS:
		return &c->defaults;
	default:
		return c;
	}
}

/* The options among a part's keys. */
static struct conf_opts *part_opts(const struct conf_part *p, struct conf *c)
{
	switch (p->kind) {
	case CONF_HARDWARE:
		return &c->hardware[p->index].opt;
	case CONF_LUN:
		return &c->luns[p->index].opt;
	default:
		return &c->defaults;
	}
}

static void explain(struct conf_report *r, const struct conf_part *p, const struct conf_entry *e,
		    int err)
{
	char quoted[CONF_QUOTED], expect[400];

	conf_quote(e->value, quoted);
	conf_key_expect(e->key, expect, sizeof(expect));
	if (err == -ENOMEM)
		r->no_memory = true;
	else if (!*e->value)
		conf_error(r, e->line, p, e->key->name, "no value, expected %s", expect);
	else if (err == -ERANGE)
		conf_error(r, e->line, p, e->key->name, "%s is out of range, expected %s", quoted,
			   expect);
	else if (err == -EEXIST)
		conf_error(r, e->line, p, e->key->name, "%s says something twice, expected once",
			   quoted);
	else
		conf_error(r, e->line, p, e->key->name, "%s is not valid, expected %s", quoted,
			   expect);
}

static void fill_part(struct conf_report *r, struct conf_part *p, struct conf *c)
{
	void *base = part_base(p, c);

	if (!base) {
		r->no_memory = true;
		return;
	}
	for (int i = 0; i < p->n; i++) {
		struct conf_entry *e = &p->entries[i];
		int opt = conf_key_opt(e->key), rc;
		struct conf_opts *opts = NULL;

		if (opt >= 0)
			opts = part_opts(p, c);
		rc = conf_value_set(e->key, e->value, opts ? (void *)opts : base);
		if (rc < 0) {
			explain(r, p, e, rc);
			continue;
		}
		e->items = rc;
		if (opts)
			opts->set |= 1ULL << opt;
	}
}

static int name_initiator(struct conf *c)
{
	char host[65] = "";

	if (gethostname(host, sizeof(host) - 1) || !*host)
		strcpy(host, "localhost");
	/* RFC 7143 4.2.7.1: lower case letters, digits, '-', '.' and ':' */
	for (char *p = host; *p; p++)
		*p = isalnum((unsigned char)*p) ? (char)tolower((unsigned char)*p)
		     : *p == '.'		? '.'
						: '-';
	if (asprintf(&c->initiator_name, "iqn.2026-01.org.mpiod:%s", host) < 0) {
		c->initiator_name = NULL;
		return -ENOMEM;
	}
	return 0;
}

void conf_doc_fill(struct conf_doc *d, struct conf *c)
{
	struct conf_report *r = &d->report;
	const struct conf_key *k;

	if (set_built_in(CONF_MPIOD, c) || set_built_in(CONF_DEFAULTS, &c->defaults))
		r->no_memory = true;
	for (int i = 0; i < d->n && !r->no_memory; i++)
		if (d->parts[i].kind != CONF_NKINDS)
			fill_part(r, &d->parts[i], c);
	if (r->no_memory)
		return;
	if (!c->initiator_name && name_initiator(c))
		r->no_memory = true;
	k = conf_key_at(CONF_MPIOD, conf_key_find(CONF_MPIOD, "listen"));
	if (!c->nlisten && conf_value_set(k, k->def, c) < 0)
		r->no_memory = true;
}
