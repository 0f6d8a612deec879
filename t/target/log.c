/* SPDX-License-Identifier: MIT */
/* What was executed, in order, and how often what happened. */
#include "target.h"

#include <stdio.h>
#include <stdlib.h>

#define LOG_MAX 2000000

static uint32_t crc(const uint8_t *p, size_t n)
{
	static uint32_t table[256];
	uint32_t c = ~0U;

	if (!table[1])
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t v = i;

			for (int k = 0; k < 8; k++)
				v = v >> 1 ^ (v & 1 ? 0xedb88320 : 0);
			table[i] = v;
		}
	for (size_t i = 0; i < n; i++)
		c = c >> 8 ^ table[(c ^ p[i]) & 0xff];
	return ~c;
}

/* READ and WRITE (10), (16), SBC-3 5.8 to 5.33 */
static bool has_fua(const uint8_t *cdb)
{
	return (cdb[0] == 0x28 || cdb[0] == 0x2a || cdb[0] == 0x88 || cdb[0] == 0x8a) && cdb[1] & 8;
}

void log_add(const struct task *t)
{
	T.portal[t->portal].executed++;
	if (T.nlog == LOG_MAX) {
		T.log_lost++;
		return;
	}
	if (T.nlog == T.log_cap) {
		T.log_cap = T.log_cap ? 2 * T.log_cap : 1024;
		T.log = realloc(T.log, T.log_cap * sizeof(*T.log));
		if (!T.log)
			abort();
	}
	T.log[T.nlog++] = (struct entry){ t->conn_id, t->portal,
					  t->lun,     t->cdb[0],
					  t->status,  t->lba,
					  t->blocks,  t->write ? crc(t->data, t->got) : 0,
					  has_fua(t->cdb) };
}

void log_free(void)
{
	free(T.log);
}

json_t *log_show(size_t from)
{
	json_t *a = json_array();

	for (size_t i = from; i < T.nlog; i++) {
		const struct entry *e = &T.log[i];

		json_array_append_new(a, json_pack("{s:I,s:i,s:i,s:i,s:i,s:i,s:I,s:I,s:I,s:b}", "n",
						   (json_int_t)i, "conn", (int)e->conn, "portal",
						   e->portal, "lun", e->lun, "opcode", e->opcode,
						   "status", e->status, "lba", (json_int_t)e->lba,
						   "blocks", (json_int_t)e->blocks, "crc",
						   (json_int_t)e->crc, "fua", e->fua));
	}
	return json_pack("{s:o,s:I}", "log", a, "lost", (json_int_t)T.log_lost);
}

static json_t *by_opcode(void)
{
	uint64_t n[256] = { 0 };
	json_t *o = json_object();

	for (size_t i = 0; i < T.nlog; i++)
		n[T.log[i].opcode]++;
	for (int i = 0; i < 256; i++) {
		char name[4];

		snprintf(name, sizeof(name), "%02x", (unsigned)i);
		if (n[i])
			json_object_set_new(o, name, json_integer((json_int_t)n[i]));
	}
	return o;
}

json_t *log_counts(void)
{
	const struct {
		const char *name;
		uint64_t n;
	} totals[] = {
		{ "reinstated", T.reinstated },
		{ "logins", T.logins },
		{ "logouts", T.logouts },
		{ "tmfs", T.tmfs },
		{ "r2ts", T.r2ts },
		{ "immediate", T.immediate },
		{ "unsolicited", T.unsolicited },
		{ "beyond_window", T.beyond_window },
		{ "violations", T.violations },
	};
	json_t *rules = json_array(), *portals = json_array(), *o;
	int sessions = 0, held = 0, tasks = 0;
	struct list *pos;

	list_for_each(pos, &T.conns) {
		const struct conn *c = list_entry(pos, struct conn, link);

		sessions += c->full && !c->discovery && !c->dead;
	}
	list_for_each(pos, &T.tasks) {
		tasks++;
		held += list_entry(pos, struct task, link)->held;
	}
	list_for_each(pos, &T.rules)
		json_array_append_new(rules,
				      json_integer(list_entry(pos, struct rule, link)->hits));
	for (int i = 0; i < T.nportals; i++)
		json_array_append_new(portals, json_integer((json_int_t)T.portal[i].executed));
	o = json_pack("{s:i,s:i,s:i,s:o,s:o,s:o}", "sessions", sessions, "held", held, "tasks",
		      tasks, "executed", by_opcode(), "portals", portals, "hits", rules);
	for (size_t i = 0; i < sizeof(totals) / sizeof(totals[0]); i++)
		json_object_set_new(o, totals[i].name, json_integer((json_int_t)totals[i].n));
	return o;
}
