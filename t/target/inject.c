/* SPDX-License-Identifier: MIT */
/* Rules: which command meets which fate. The first that matches and is not used up decides. */
#include "target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
	[FATE_PASS] = "pass",	    [FATE_STATUS] = "status", [FATE_RESPONSE] = "response",
	[FATE_DELAY] = "delay",	    [FATE_NEVER] = "never",   [FATE_HOLD] = "hold",
	[FATE_CLOSE] = "close",	    [FATE_RESET] = "reset",   [FATE_CUT] = "cut",
	[FATE_REJECT] = "reject",   [FATE_SHORT] = "short",   [FATE_TRUNCATE] = "truncate",
	[FATE_LONG] = "long",	    [FATE_OVER] = "over",     [FATE_OVERFLOW] = "overflow",
	[FATE_PAYLOAD] = "payload", [FATE_ITT] = "itt",	      [FATE_NOR2T] = "nor2t",
	[FATE_BADR2T] = "badr2t",
};
enum { NFATES = sizeof(names) / sizeof(names[0]) };

static enum moment moment_of(const struct rule *r)
{
	if (r->what == FATE_REJECT)
		return ON_ARRIVAL;
	return r->what == FATE_NOR2T || r->what == FATE_BADR2T ? ON_R2T : WHEN_READY;
}

static bool has_block(const uint8_t *c, uint64_t lba)
{
	switch (c[0]) {
	case 0x28:
	case 0x2a:
		return lba >= get32(c + 2) && lba - get32(c + 2) < get16(c + 7);
	case 0x88:
	case 0x8a:
	case 0x93:
		return lba >= get64(c + 2) && lba - get64(c + 2) < get32(c + 10);
	}
	return false;
}

static bool about(const struct rule *r, const struct task *t)
{
	bool evpd = t->cdb[0] == 0x12 && t->cdb[1] & 1;

	return (r->portal < 0 || r->portal == t->portal) && (r->lun < 0 || r->lun == t->lun) &&
	       (r->opcode < 0 || r->opcode == t->cdb[0]) &&
	       (r->action < 0 || r->action == (t->cdb[1] & 0x1f)) &&
	       (r->page < 0 || (evpd && r->page == t->cdb[2])) &&
	       (r->lba < 0 || has_block(t->cdb, (uint64_t)r->lba));
}

struct rule *rule_match(const struct task *t, enum moment m)
{
	struct list *pos;

	list_for_each(pos, &T.rules) {
		struct rule *r = list_entry(pos, struct rule, link);

		if (moment_of(r) != m || !about(r, t) || (r->count && r->hits == r->count))
			continue;
		if (r->skip) {
			r->skip--;
			continue;
		}
		r->hits++;
		return r;
	}
	return NULL;
}

json_t *rule_then(const struct rule *r)
{
	return json_incref(r->then);
}

/* -1: not hex, or too long. */
static int payload(struct rule *r, const char *hex)
{
	for (; hex && *hex; hex += 2) {
		int byte = hex_byte(hex);

		if (r->payload_len == sizeof(r->payload) || byte < 0)
			return -1;
		r->payload[r->payload_len++] = (uint8_t)byte;
	}
	return 0;
}

static void fill(struct rule *r, const json_t *o)
{
	const json_t *lba = json_object_get(o, "lba");

	r->portal = json_int(o, "portal", -1);
	r->lun = json_int(o, "lun", -1);
	r->opcode = json_int(o, "opcode", -1);
	r->action = json_int(o, "action", -1);
	r->page = json_int(o, "page", -1);
	r->lba = json_is_integer(lba) ? json_integer_value(lba) : -1;
	r->skip = (uint32_t)json_int(o, "skip", 0);
	r->count = (uint32_t)json_int(o, "count", 1);
	r->execute = json_is(o, "execute", false);
	r->reset = json_is(o, "reset", false);
	r->status = (uint8_t)json_int(o, "status", 0);
	r->code = (uint8_t)json_int(o, "code", 1);
	r->key = (uint8_t)json_int(o, "key", 0);
	r->asc = (uint8_t)json_int(o, "asc", 0);
	r->ascq = (uint8_t)json_int(o, "ascq", 0);
	r->sense = json_object_get(o, "key") != NULL;
	r->sense_bytes = json_int(o, "sense_bytes", -1);
	r->desc = json_is(o, "descriptor", false);
	r->deferred = json_is(o, "deferred", false);
	r->ms = (uint32_t)json_int(o, "ms", 0);
	r->bytes = (uint32_t)json_int(o, "bytes", 0);
	r->at = (uint32_t)json_int(o, "at", 0);
}

int rule_add(const json_t *o, char *err, size_t cap)
{
	const char *what = json_string_value(json_object_get(o, "what"));
	struct rule *r;
	int i = 0;

	while (what && i < NFATES && strcmp(what, names[i]))
		i++;
	if (!what || i == NFATES) {
		snprintf(err, cap, "no such fate: %s", what ? what : "(none)");
		return -1;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		abort();
	fill(r, o);
	r->what = (enum fate)i;
	if (payload(r, json_string_value(json_object_get(o, "payload"))) || r->bytes > MAX_DATA) {
		snprintf(err, cap,
			 r->bytes > MAX_DATA ? "bytes: too many"
					     : "payload: 256 bytes in hex at most");
		free(r);
		return -1;
	}
	r->then = json_incref(json_object_get(o, "then"));
	list_add_tail(&r->link, &T.rules);
	return 0;
}

void rules_clear(void)
{
	struct list *pos;

	while ((pos = list_pop(&T.rules))) {
		struct rule *r = list_entry(pos, struct rule, link);

		json_decref(r->then);
		free(r);
	}
}
