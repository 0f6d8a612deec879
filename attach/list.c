/* SPDX-License-Identifier: MIT */
/* mpio-attach --list */
#include "device.h"
#include "keep.h"
#include "state.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct row {
	struct state s;
	uint64_t size;
	bool ours; /* an export is known */
};

static void fill(struct row *r, int index)
{
	char id[HELLO_ID_MAX];

	device_backend(index, id);
	r->ours = state_read(index, &r->s) && !strcmp(r->s.id, id);
	if (!r->ours)
		r->s = (struct state){ .index = index };
	strcpy(r->s.id, id);
	r->size = device_size(index);
}

static json_t *text_or_null(const char *text)
{
	json_t *t = text[0] ? json_string(text) : NULL;

	return t ? t : json_null();
}

static json_t *row_json(const struct row *r)
{
	char device[32];

	snprintf(device, sizeof(device), "/dev/nbd%d", r->s.index);
	return json_pack("{s:s, s:o, s:o, s:I, s:o, s:o}", "device", device, "export",
			 text_or_null(r->s.export), "id", text_or_null(r->s.id), "size",
			 (json_int_t)r->size, "keeper", r->s.pid ? json_integer(r->s.pid) : json_null(),
			 "socket", text_or_null(r->s.socket));
}

static void print_row(const struct row *r)
{
	char device[32], keeper[24] = "-";

	snprintf(device, sizeof(device), "/dev/nbd%d", r->s.index);
	if (r->s.pid)
		snprintf(keeper, sizeof(keeper), "%d", (int)r->s.pid);
	printf("%-12s %-20s %15" PRIu64 " %8s %s\n", device, r->s.export[0] ? r->s.export : "-", r->size,
	       keeper, r->s.id[0] ? r->s.id : "-");
}

enum attach_exit attach_list(const struct attach_options *o)
{
	static struct row r;
	json_t *all = json_array();
	int last = device_last();

	if (geteuid())
		fprintf(stderr, "mpio-attach: only root can see which exports these are and who keeps them\n");
	if (!o->json)
		printf("%-12s %-20s %15s %8s %s\n", "DEVICE", "EXPORT", "BYTES", "KEEPER", "IDENTIFIER");
	for (int i = 0; i <= last; i++) {
		if (!device_connected(i))
			continue;
		fill(&r, i);
		if (o->json)
			json_array_append_new(all, row_json(&r));
		else
			print_row(&r);
	}
	if (o->json) {
		json_dumpf(all, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(all);
	return ATTACH_DONE;
}
