/* SPDX-License-Identifier: MIT */
/* LUNs that come, change and go at run time, with the unit attentions that belong to it or without.
 */
#include "target.h"

#include <stdio.h>
#include <string.h>

/* true: there is one, and it differs */
static bool text(const json_t *o, const char *key, char *to, size_t cap)
{
	const char *s = json_string_value(json_object_get(o, key));

	if (!s || !strcmp(s, to))
		return false;
	snprintf(to, cap, "%s", s);
	return true;
}

static void portals(struct disk *d, const json_t *list)
{
	size_t i;
	json_t *v;

	d->portals = 0;
	json_array_foreach(list, i, v) d->portals |= 1ULL << (json_integer_value(v) & 63);
}

/* NULL, or what is wrong; *identity: INQUIRY or VPD data differ now. */
static const char *change_identity(struct disk *d, const json_t *o, bool *identity)
{
	const char *naa = json_string_value(json_object_get(o, "naa"));
	uint8_t version = (uint8_t)json_int(o, "version", d->version),
		tpgs = (uint8_t)json_int(o, "tpgs", d->tpgs) & 3;

	*identity = version != d->version || tpgs != d->tpgs;
	if (naa && strcmp(naa, d->naa) != 0) {
		if (!disk_name(d, naa))
			return "naa: 16 or 32 hex digits are expected";
		*identity = true;
	}
	*identity |= text(o, "serial", d->serial, sizeof(d->serial));
	*identity |= text(o, "vendor", d->vendor, sizeof(d->vendor));
	*identity |= text(o, "product", d->product, sizeof(d->product));
	d->version = version;
	d->tpgs = tpgs;
	return NULL;
}

static const char *change(struct disk *d, const json_t *o, bool attention)
{
	const json_t *blocks = json_object_get(o, "blocks"), *list = json_object_get(o, "portals");
	uint64_t n = json_is_integer(blocks) ? (uint64_t)json_integer_value(blocks) : d->blocks;
	bool identity, size = n != d->blocks, read_only = json_is(o, "read_only", d->read_only);
	uint32_t block_size = (uint32_t)json_int(o, "block_size", (int)d->block_size);
	const char *wrong = change_identity(d, o, &identity);

	size |= block_size != d->block_size;
	if (wrong)
		return wrong;
	if (!disk_resize(d, n, block_size))
		return "blocks, block_size: no such size";
	if (list)
		portals(d, list);
	if (attention && size)
		ua_all(d->lun, 0x2a, 0x09, NULL);
	if (attention && identity)
		ua_all(d->lun, 0x3f, 0x03, NULL);
	if (attention && read_only != d->read_only)
		ua_all(d->lun, 0x2a, 0x01, NULL); /* mode parameters */
	if (attention && list)
		ua_all(-1, 0x3f, 0x0e, NULL);
	d->read_only = read_only;
	d->thin = json_is(o, "thin", d->thin);
	d->lbprz = json_is(o, "lbprz", d->lbprz);
	d->no_lba_status = !json_is(o, "lba_status", !d->no_lba_status);
	d->extents = (unsigned)json_int(o, "extents", (int)d->extents) & 1023;
	if (json_object_get(o, "asc"))
		ua_all(d->lun, (uint8_t)json_int(o, "asc", 0), (uint8_t)json_int(o, "ascq", 0),
		       NULL);
	return NULL;
}

json_t *command_lun(const json_t *o)
{
	uint16_t lun = (uint16_t)json_int(o, "lun", 0);
	bool new = json_is(o, "new", false), attention = json_is(o, "ua", false);
	struct disk *d = new ? disk_new(lun, 32768) : disk_find(json_int(o, "at", -1), lun);
	const char *wrong = NULL;

	if (!d)
		return json_pack("{s:s}", "error", new ? "too many LUNs" : "no such LUN");
	if (json_is(o, "remove", false))
		disk_remove(d);
	else
		wrong = change(d, o, attention && !new);
	if (wrong && new)
		disk_remove(d);
	if (wrong)
		return json_pack("{s:s}", "error", wrong);
	if (attention && (new || json_is(o, "remove", false)))
		ua_all(-1, 0x3f, 0x0e, NULL); /* reported LUNs data has changed */
	return json_pack("{s:b}", "ok", 1);
}
