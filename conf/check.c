/* SPDX-License-Identifier: MIT */
/* What values mean together: keys that need each other, names given twice, portals that exist. */
#include "parse.h"
#include "value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* RFC 7143 9.2.1: shorter secrets fall to an off-line dictionary attack. */
#define SECRET_SHORT 12

static int line_of(const struct conf_part *p, const char *key)
{
	int i = conf_key_find(p->kind, key);

	return i < 0 ? 0 : p->first[i];
}

static void check_required(struct conf_report *r, const struct conf_part *p)
{
	const struct conf_key *k;
	char expect[400];

	for (int i = 0; (k = conf_key_at(p->kind, i)); i++) {
		if (!k->required || p->first[i])
			continue;
		conf_key_expect(k, expect, sizeof(expect));
		conf_error(r, p->line, p, k->name, "missing, expected %s", expect);
	}
}

/* A user without the secret, or the other way round. */
static void check_pair(struct conf_report *r, const struct conf_part *p, const char *user,
		       const char *file)
{
	int user_line = line_of(p, user), file_line = line_of(p, file);

	if (user_line && !file_line)
		conf_error(r, user_line, p, user, "%s is missing, expected both or neither", file);
	if (file_line && !user_line)
		conf_error(r, file_line, p, file, "%s is missing, expected both or neither", user);
}

static char *read_secret(struct conf_report *r, const struct conf_part *p, const char *key,
			 const char *name)
{
	char quoted[CONF_QUOTED], why[CONF_WHY];
	struct conf_secret secret;
	int line = line_of(p, key);

	if (!name)
		return NULL;
	conf_quote(name, quoted);
	if (conf_secret_read(r->file, name, &secret, why)) {
		conf_error(r, line, p, key,
			   "%s %s, expected a file with a secret of 1 to 255 bytes", quoted, why);
		return NULL;
	}
	if (secret.mode)
		conf_warn(r, line, p, key,
			  "%s is open to others than its owner, expected mode 0600", quoted);
	if (strlen(secret.text) < SECRET_SHORT)
		conf_warn(r, line, p, key, "the secret in %s is short, expected at least %d bytes",
			  quoted, SECRET_SHORT);
	return secret.text;
}

static void check_chap(struct conf_report *r, const struct conf_part *p, struct conf_target *t)
{
	int mutual = line_of(p, "mutual_chap_user");

	check_pair(r, p, "chap_user", "chap_secret_file");
	check_pair(r, p, "mutual_chap_user", "mutual_chap_secret_file");
	if (mutual && !line_of(p, "chap_user"))
		conf_error(r, mutual, p, "mutual_chap_user",
			   "chap_user is missing, expected CHAP wherever mutual CHAP is");
	t->chap_secret = read_secret(r, p, "chap_secret_file", t->chap_secret_file);
	t->mutual_chap_secret =
		read_secret(r, p, "mutual_chap_secret_file", t->mutual_chap_secret_file);
	/* RFC 7143 12.1.3: else the target's challenge could be sent back to it for the answer */
	if (t->chap_secret && t->mutual_chap_secret &&
	    !strcmp(t->chap_secret, t->mutual_chap_secret))
		conf_error(r, line_of(p, "mutual_chap_secret_file"), p, "mutual_chap_secret_file",
			   "the same secret as in chap_secret_file, expected another one");
}

static bool same_session(const struct conf_target *a, int i, const struct conf_target *b, int j)
{
	return a->iqn && b->iqn && !strcmp(a->iqn, b->iqn) &&
	       conf_portal_equal(&a->portals[i], &b->portals[j]);
}

/* Each portal against those before it, in this section and in earlier ones. */
static void check_portals(struct conf_report *r, const struct conf *c, const struct conf_part *p,
			  const struct conf_part *o)
{
	const struct conf_target *t = &c->targets[p->index], *u = &c->targets[o->index];

	for (int i = 0; i < t->nportals; i++) {
		for (int j = 0; j < (o == p ? i : u->nportals); j++) {
			if (!same_session(t, i, u, j))
				continue;
			conf_error(r, conf_doc_line(p, "portal", i), p, "portal",
				   "\"%s\" of this iqn is given twice, first in line %d, expected "
				   "once",
				   t->portals[i].addr, conf_doc_line(o, "portal", j));
			break;
		}
	}
}

/* Whether a portal that [lun] names can ever lead to a path. */
static bool is_known_portal(const struct conf *c, const char *addr)
{
	for (int i = 0; i < c->ntargets; i++) {
		if (c->targets[i].discovery)
			return true;
		for (int j = 0; j < c->targets[i].nportals; j++)
			if (!strcmp(c->targets[i].portals[j].addr, addr))
				return true;
	}
	return false;
}

static void check_reference(struct conf_report *r, const struct conf *c, const struct conf_part *p,
			    const char *key, int nth, const char *addr)
{
	if (!is_known_portal(c, addr))
		conf_error(r, conf_doc_line(p, key, nth), p, key,
			   "\"%s\" is no portal of any target, expected one that is", addr);
}

static void check_lun_portals(struct conf_report *r, const struct conf *c,
			      const struct conf_part *p)
{
	const struct conf_lun *l = &c->luns[p->index];

	if (l->preferred)
		check_reference(r, c, p, "preferred", 0, l->preferred);
	for (int i = 0; i < l->nactive; i++)
		check_reference(r, c, p, "active", i, l->active[i]);
	for (int i = 0; i < l->nweights; i++)
		check_reference(r, c, p, "weight", i, l->weights[i].portal);
}

static const char *export_name(const struct conf_lun *l)
{
	return l->alias ? l->alias : l->name;
}

static void check_lun_twins(struct conf_report *r, const struct conf *c, const struct conf_part *p,
			    const struct conf_part *o)
{
	const struct conf_lun *l = &c->luns[p->index], *m = &c->luns[o->index];
	char quoted[CONF_QUOTED];

	if (l->id && m->id && !strcmp(l->id, m->id))
		conf_error(r, line_of(p, "id"), p, "id",
			   "%s is the id of %s in line %d too, expected one "
			   "section for each LUN",
			   conf_quote(l->id, quoted), o->title, line_of(o, "id"));
	if (!strcmp(export_name(l), export_name(m)))
		conf_error(
			r, l->alias ? line_of(p, "alias") : p->line, p, l->alias ? "alias" : NULL,
			"%s is the name of the export of %s in line %d too, expected another one",
			conf_quote(export_name(l), quoted), o->title, o->line);
}

/* Clients that ask for an identifier mean that disk, also when they come back after a restart. */
static void check_lun_name(struct conf_report *r, const struct conf_lun *l, const struct conf_part *p)
{
	char quoted[CONF_QUOTED];

	if (conf_value_is_id(export_name(l)) && (!l->id || strcmp(export_name(l), l->id) != 0))
		conf_error(r, l->alias ? line_of(p, "alias") : p->line, p, l->alias ? "alias" : NULL,
			   "%s looks like the identifier of another disk, expected a name, or this one's id",
			   conf_quote(export_name(l), quoted));
}

static void check_hardware(struct conf_report *r, const struct conf_part *p)
{
	if (!line_of(p, "vendor") && !line_of(p, "product"))
		conf_error(r, p->line, p, NULL,
			   "vendor and product are missing, expected at least one of them");
}

static bool same_glob(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

/* The first section that fits is used, so a later one with the same patterns would do nothing. */
static void check_hardware_twins(struct conf_report *r, const struct conf *c,
				 const struct conf_part *p, const struct conf_part *o)
{
	const struct conf_hardware *h = &c->hardware[p->index], *g = &c->hardware[o->index];

	if ((h->vendor || h->product) && same_glob(h->vendor, g->vendor) &&
	    same_glob(h->product, g->product))
		conf_error(r, p->line, p, NULL,
			   "the vendor and product of %s in line %d, expected one section for each "
			   "kind of storage",
			   o->title, o->line);
}

/* Where the key may come from, if not from the same section. An unknown section may have been meant. */
static bool defaults_have_key(const struct conf_doc *d)
{
	for (int i = 0; i < d->n; i++) {
		const struct conf_part *p = &d->parts[i];

		if (p->kind == CONF_NKINDS ||
		    (p->kind == CONF_DEFAULTS && line_of(p, "reservation_key")))
			return true;
	}
	return false;
}

/*
 * A [lun] may not rely on the key of a [hardware]: which one fits is not known before the storage
 * has answered.
 */
static void check_fence(struct conf_doc *d, const struct conf_part *p, const struct conf_opts *o)
{
	if (line_of(p, "fence") && o->fence == CONF_FENCE_RESERVATION &&
	    !line_of(p, "reservation_key") && !defaults_have_key(d))
		conf_error(&d->report, line_of(p, "fence"), p, "fence",
			   "reservation needs a reservation_key, expected one in this section%s",
			   p->kind == CONF_DEFAULTS ? "" : " or in [defaults]");
}

static void check_metrics(struct conf_report *r, const struct conf *c, const struct conf_part *p)
{
	int line = line_of(p, "metrics");

	if (!line || !c->metrics)
		return;
	if (!c->listen_insecure && !conf_address_is_local(c->metrics))
		conf_error(r, line, p, "metrics",
			   "\"%s\" can be reached from other machines, expected a loopback address or "
			   "listen_insecure = yes",
			   c->metrics);
	for (int i = 0; i < c->nlisten; i++)
		if (!strcmp(c->listen[i], c->metrics))
			conf_error(r, line, p, "metrics",
				   "\"%s\" is where NBD clients connect, by listen in line %d, "
				   "expected another address",
				   c->metrics, conf_doc_line(p, "listen", i));
}

static void check_listen(struct conf_report *r, const struct conf *c, const struct conf_part *p)
{
	for (int i = 0; i < c->nlisten; i++) {
		int line = conf_doc_line(p, "listen", i);

		if (!c->listen_insecure && !conf_address_is_local(c->listen[i]))
			conf_error(r, line, p, "listen",
				   "\"%s\" can be reached from other machines, expected "
				   "a loopback address or listen_insecure = yes",
				   c->listen[i]);
		for (int j = 0; j < i; j++) {
			if (strcmp(c->listen[i], c->listen[j]))
				continue;
			conf_error(r, line, p, "listen",
				   "\"%s\" is given twice, first in line %d, expected once",
				   c->listen[i], conf_doc_line(p, "listen", j));
			break;
		}
		if (c->control && !strncmp(c->listen[i], "unix:", 5) &&
		    !strcmp(c->listen[i] + 5, c->control))
			conf_error(r, line, p, "listen",
				   "\"%s\" is the control socket, expected another path",
				   c->listen[i]);
	}
}

/* A portal that was refused is in no list: [lun] may well name that one. */
static bool portals_complete(const struct conf_doc *d)
{
	for (int i = 0; i < d->n; i++) {
		const struct conf_part *p = &d->parts[i];

		if (p->kind == CONF_NKINDS)
			return false;
		for (int j = 0; p->kind == CONF_TARGET && j < p->n; j++)
			if (!p->entries[j].items)
				return false;
		if (p->kind == CONF_TARGET && line_of(p, "portal") == 0)
			return false;
	}
	return true;
}

static void check_part(struct conf_doc *d, struct conf *c, const struct conf_part *p, bool complete)
{
	struct conf_report *r = &d->report;

	if (p->kind == CONF_NKINDS || p->refused)
		return;
	check_required(r, p);
	if (p->kind == CONF_MPIOD) {
		check_listen(r, c, p);
		check_metrics(r, c, p);
	}
	if (p->kind == CONF_TARGET)
		check_chap(r, p, &c->targets[p->index]);
	if (p->kind == CONF_DEFAULTS)
		check_fence(d, p, &c->defaults);
	if (p->kind == CONF_HARDWARE) {
		check_hardware(r, p);
		check_fence(d, p, &c->hardware[p->index].opt);
	}
	if (p->kind == CONF_LUN) {
		check_lun_name(r, &c->luns[p->index], p);
		check_fence(d, p, &c->luns[p->index].opt);
		if (complete)
			check_lun_portals(r, c, p);
	}
	for (const struct conf_part *o = d->parts; o <= p; o++) {
		if (o->kind != p->kind || o->refused)
			continue;
		if (p->kind == CONF_TARGET)
			check_portals(r, c, p, o);
		else if (p->kind == CONF_HARDWARE && o != p)
			check_hardware_twins(r, c, p, o);
		else if (p->kind == CONF_LUN && o != p)
			check_lun_twins(r, c, p, o);
	}
}

void conf_check(struct conf_doc *d, struct conf *c)
{
	bool complete = portals_complete(d), target = false;

	for (int i = 0; i < d->n; i++) {
		/* a section that could not be understood may have been meant as one */
		target = target || d->parts[i].kind == CONF_TARGET ||
			 d->parts[i].kind == CONF_NKINDS;
		check_part(d, c, &d->parts[i], complete);
	}
	if (!target)
		conf_error(
			&d->report, 1, NULL, NULL,
			"no target in the whole file, expected at least one section [target NAME]");
}
