/* SPDX-License-Identifier: MIT */
/* Rules: which command meets which fate. The first that matches and is not used up decides. */
#include "target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum moment moment_of(const struct rule *r)
{
	if (!strcmp(r->what, "reject"))
		return ON_ARRIVAL;
	return !strcmp(r->what, "nor2t") || !strcmp(r->what, "badr2t") ? ON_R2T : WHEN_READY;
}

struct rule *rule_match(const struct task *t, enum moment m)
{
	struct list *pos;

	list_for_each(pos, &T.rules) {
		struct rule *r = list_entry(pos, struct rule, link);

		if (moment_of(r) != m || (r->portal >= 0 && r->portal != t->portal) ||
		    (r->lun >= 0 && r->lun != t->lun) || (r->opcode >= 0 && r->opcode != t->cdb[0]))
			continue;
		if (r->skip) {
			r->skip--;
			continue;
		}
		if (r->count && r->hits == r->count)
			continue;
		r->hits++;
		return r;
	}
	return NULL;
}

static int integer(const json_t *o, const char *key, int def)
{
	const json_t *v = json_object_get(o, key);

	return json_is_integer(v) ? (int)json_integer_value(v) : def;
}

static bool yes(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

int rule_add(const json_t *o, char *err, size_t cap)
{
	static const char *const whats[] = { "status", "delay", "never", "hold", "close", "reset", "cut", "reject",
					     "response", "short", "long", "overflow", "payload", "itt", "nor2t", "badr2t" };
	const char *what = json_string_value(json_object_get(o, "what"));
	const char *hex = json_string_value(json_object_get(o, "payload"));
	struct rule *r;
	size_t i;

	for (i = 0; what && i < sizeof(whats) / sizeof(whats[0]) && strcmp(what, whats[i]); i++)
		;
	if (!what || i == sizeof(whats) / sizeof(whats[0])) {
		snprintf(err, cap, "no such fate: %s", what ? what : "(none)");
		return -1;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		abort();
	snprintf(r->what, sizeof(r->what), "%s", what);
	r->portal = integer(o, "portal", -1);
	r->lun = integer(o, "lun", -1);
	r->opcode = integer(o, "opcode", -1);
	r->skip = (uint32_t)integer(o, "skip", 0);
	r->count = (uint32_t)integer(o, "count", 1);
	r->execute = yes(o, "execute");
	r->status = (uint8_t)integer(o, "status", 0);
	r->code = (uint8_t)integer(o, "code", 1);
	r->key = (uint8_t)integer(o, "key", 0);
	r->asc = (uint8_t)integer(o, "asc", 0);
	r->ascq = (uint8_t)integer(o, "ascq", 0);
	r->sense = json_object_get(o, "key") != NULL;
	r->desc = yes(o, "descriptor");
	r->deferred = yes(o, "deferred");
	r->ms = (uint32_t)integer(o, "ms", 0);
	r->bytes = (uint32_t)integer(o, "bytes", 0);
	r->at = (uint32_t)integer(o, "at", 0);
	for (i = 0; hex && hex[2 * i] && hex[2 * i + 1] && i < sizeof(r->payload); i++) {
		unsigned byte = 0;

		sscanf(hex + 2 * i, "%2x", &byte);
		r->payload[r->payload_len++] = (uint8_t)byte;
	}
	list_add_tail(&r->link, &T.rules);
	return 0;
}

void rules_clear(void)
{
	struct list *pos;

	while ((pos = list_pop(&T.rules)))
		free(list_entry(pos, struct rule, link));
}
