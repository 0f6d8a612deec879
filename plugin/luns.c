/* SPDX-License-Identifier: MIT */
/* Which LUNs are exported: all that were seen, or the one that lun= names. */
#include "plugin.h"
#include "../daemon/model.h"

#include <stdlib.h>
#include <string.h>

static bool has_number(const struct lun *l, const char *number)
{
	const struct list *pos;
	char *end;
	unsigned long n = strtoul(number, &end, 10);

	if (*end || !*number)
		return false;
	list_for_each(pos, &l->paths) {
		const struct path *p = list_entry(pos, struct path, in_lun);

		if ((p->lun_number & 0x3fff) == n) /* SAM-5 4.7.7.1: the two high bits are the method */
			return true;
	}
	return false;
}

static bool exported(const struct lun *l)
{
	const char *lun = params_lun();

	if (!l->size) /* no path was identified yet */
		return false;
	return !lun || !strcmp(l->name, lun) || !strcmp(l->id, lun) || has_number(l, lun);
}

struct lun *luns_nth(const struct server *sv, int i)
{
	struct list *pos;

	list_for_each(pos, &sv->engine->luns) {
		struct lun *l = list_entry(pos, struct lun, in_engine);

		if (exported(l) && i-- == 0)
			return l;
	}
	return NULL;
}

struct lun *luns_find(const struct server *sv, const char *name)
{
	struct lun *l;

	if (!*name) /* one that nobody named has to be the only one */
		return luns_nth(sv, 1) ? NULL : luns_nth(sv, 0);
	/* by the identifier first: it is one disk's, for ever */
	for (int i = 0; (l = luns_nth(sv, i)); i++)
		if (!strcmp(l->id, name))
			return l;
	for (int i = 0; (l = luns_nth(sv, i)); i++)
		if (!strcmp(l->name, name))
			return l;
	return NULL;
}
