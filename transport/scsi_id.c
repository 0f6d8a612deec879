/* SPDX-License-Identifier: MIT */
/*
 * Device identification, VPD page 83h (SPC-4 7.8.6): which designator names the logical unit.
 *
 * Two units that get the same text are taken for one disk, so whatever might not be unique is
 * left out: other associations, cut or all-zero designators, ones that do not fit the text.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "scsi.h"
#include "scsi_internal.h"

enum { TYPE_VENDOR, TYPE_T10, TYPE_EUI, TYPE_NAA, TYPE_REL_PORT, TYPE_PORT_GROUP, TYPE_NAME = 8 };
enum { ASSOC_LUN, ASSOC_PORT };
enum { CODE_BINARY = 1 };

struct designator {
	uint8_t code_set, association, type;
	size_t len;
	const uint8_t *data;
};

/* 0: not a designator of the logical unit that can be used. */
static int rank(uint8_t type)
{
	switch (type) {
	case TYPE_NAME:
		return 5;
	case TYPE_NAA:
		return 4;
	case TYPE_EUI:
		return 3;
	case TYPE_T10:
		return 2;
	case TYPE_VENDOR:
		return 1;
	}
	return 0;
}

/* A target whose administrator set no name sends zeroes or blanks, the same for every unit. */
static bool blank(const struct designator *d)
{
	bool binary = d->type == TYPE_NAA || d->type == TYPE_EUI;

	for (size_t i = 0; i < d->len; i++) {
		uint8_t c = d->data[i];

		if (c != 0 && (binary || (c != ' ' && c != '0')))
			return false;
	}
	return true;
}

static bool append_hex(char *out, size_t cap, const uint8_t *p, size_t n)
{
	if (n * 2 + 1 > cap)
		return false;
	for (size_t i = 0; i < n; i++)
		snprintf(out + i * 2, 3, "%02x", p[i]);
	return true;
}

/* The backslash is written as \x5c too, so that different bytes always give different text. */
static bool append_text(char *out, size_t cap, const uint8_t *p, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		bool plain = p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\\';

		if (at + (plain ? 1 : 4) + 1 > cap)
			return false;
		if (plain)
			out[at++] = (char)p[i];
		else
			at += (size_t)snprintf(out + at, cap - at, "\\x%02x", p[i]);
	}
	out[at] = '\0';
	return true;
}

static size_t trimmed(const uint8_t *p, size_t n)
{
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == 0))
		n--;
	return n;
}

static bool to_text(const struct designator *d, char out[SCSI_ID_MAX])
{
	size_t n = d->len;

	if (blank(d))
		return false;
	switch (d->type) {
	case TYPE_NAME: /* NUL-terminated, NUL-padded (SPC-4 7.8.6.11) */
		n = strnlen((const char *)d->data, n);
		memcpy(out, "name.", 5);
		return n > 0 && append_text(out + 5, SCSI_ID_MAX - 5, d->data, n);
	case TYPE_NAA:
		memcpy(out, "naa.", 4);
		return d->code_set == CODE_BINARY && (n == 8 || n == 16) &&
		       append_hex(out + 4, SCSI_ID_MAX - 4, d->data, n);
	case TYPE_EUI:
		memcpy(out, "eui.", 4);
		return d->code_set == CODE_BINARY && (n == 8 || n == 12 || n == 16) &&
		       append_hex(out + 4, SCSI_ID_MAX - 4, d->data, n);
	case TYPE_T10: /* 8 bytes of vendor, then the vendor's own (SPC-4 7.8.6.4) */
		n = trimmed(d->data, n);
		memcpy(out, "t10.", 4);
		return n > 8 && append_text(out + 4, SCSI_ID_MAX - 4, d->data, n);
	case TYPE_VENDOR:
		n = trimmed(d->data, n);
		memcpy(out, "vendor.", 7);
		return n > 0 && append_text(out + 7, SCSI_ID_MAX - 7, d->data, n);
	}
	return false;
}

static void take_port(const struct designator *d, struct scsi_device_id *out)
{
	if (d->association != ASSOC_PORT || d->len != 4 || d->code_set != CODE_BINARY)
		return;
	if (d->type == TYPE_REL_PORT)
		out->relative_port = get_be16(d->data + 2);
	else if (d->type == TYPE_PORT_GROUP)
		out->port_group = get_be16(d->data + 2);
}

int scsi_parse_vpd_device_id(const uint8_t *p, size_t len, struct scsi_device_id *out)
{
	char text[SCSI_ID_MAX] = "";
	int best_rank = 0;
	size_t best_len = 0, t10_len = 0, end, at = 4;

	memset(out, 0, sizeof(*out));
	out->relative_port = out->port_group = -1;
	if (len < 4)
		return -ENODATA;
	if (p[1] != 0x83)
		return -EPROTO;
	end = 4 + (size_t)get_be16(p + 2);
	if (end > len) /* the best designator may be in what is missing: the name would be another one */
		return -EPROTO;

	while (at < end) {
		struct designator d;
		int r;

		if (end - at < 4 || end - at - 4 < p[at + 3]) {
			out->id[0] = out->t10[0] = '\0'; /* not even what was found so far */
			return -EPROTO;
		}
		d.code_set = p[at] & 0x0f;
		d.association = p[at + 1] >> 4 & 0x03;
		d.type = p[at + 1] & 0x0f;
		d.len = p[at + 3];
		d.data = p + at + 4;
		at += 4 + d.len;

		take_port(&d, out);
		r = d.association == ASSOC_LUN ? rank(d.type) : 0;
		if (r == rank(TYPE_T10) && d.len > t10_len && to_text(&d, text)) {
			t10_len = d.len;
			memcpy(out->t10, text, sizeof(out->t10));
		}
		if (r == 0 || r < best_rank || (r == best_rank && d.len <= best_len) ||
		    !to_text(&d, text))
			continue;
		best_rank = r;
		best_len = d.len;
		memcpy(out->id, text, sizeof(out->id));
	}
	return best_rank ? 0 : -ENODATA;
}
