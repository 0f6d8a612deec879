/* SPDX-License-Identifier: MIT */
/* The control socket: one JSON object a line in, one a line out (README.md). */
#include "target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int integer(const json_t *o, const char *key, int def)
{
	const json_t *v = json_object_get(o, key);

	return json_is_integer(v) ? (int)json_integer_value(v) : def;
}

static const char *text(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static json_t *error(const char *what)
{
	return json_pack("{s:s}", "error", what);
}

static json_t *ok(void)
{
	return json_pack("{s:b}", "ok", 1);
}

static json_t *inject(const json_t *o)
{
	char err[100];

	return rule_add(o, err, sizeof(err)) ? error(err) : ok();
}

static json_t *clear(const json_t *o)
{
	(void)o;
	rules_clear();
	window_closed = false;
	return ok();
}

static json_t *release(const json_t *o)
{
	(void)o;
	rules_clear();
	task_release();
	return ok();
}

static json_t *async(const json_t *o)
{
	int portal = integer(o, "portal", -1);
	struct list *pos;

	list_for_each(pos, &T.conns) {
		struct conn *c = list_entry(pos, struct conn, link);

		if (c->full && !c->discovery && (portal < 0 || c->portal == portal))
			conn_async(c, (uint8_t)integer(o, "event", 1), (uint16_t)integer(o, "p1", 0),
				   (uint16_t)integer(o, "p2", 0), (uint16_t)integer(o, "p3", 0));
	}
	return ok();
}

static json_t *drop(const json_t *o)
{
	int portal = integer(o, "portal", -1);
	struct list *pos;

	list_for_each(pos, &T.conns) {
		struct conn *c = list_entry(pos, struct conn, link);

		if (portal < 0 || c->portal == portal)
			conn_close(c, json_is_true(json_object_get(o, "reset")));
	}
	return ok();
}

/* ---- what there is ---- */

static json_t *lun(const json_t *o)
{
	struct disk *d = disk_find(-1, (uint16_t)integer(o, "lun", -1));
	const json_t *portals = json_object_get(o, "portals"), *blocks = json_object_get(o, "blocks");
	const char *s;

	for (int i = 0; !d && i < MAX_LUNS && json_is_true(json_object_get(o, "new")); i++)
		if (!T.disk[i].used) {
			d = &T.disk[i];
			*d = (struct disk){ .used = true, .lun = (uint16_t)integer(o, "lun", 0), .portals = UINT64_MAX,
					    .block_size = 512, .version = 6, .naa = "60014050000000000000000000000000",
					    .serial = "T0", .vendor = "MPIOD", .product = "TEST" };
			disk_resize(d, 32768);
		}
	if (!d)
		return error("no such LUN");
	if (json_is_true(json_object_get(o, "remove"))) {
		free(d->data);
		*d = (struct disk){ 0 };
		return ok();
	}
	if (json_is_integer(blocks))
		disk_resize(d, (uint64_t)json_integer_value(blocks));
	d->block_size = (uint32_t)integer(o, "block_size", (int)d->block_size);
	d->version = (uint8_t)integer(o, "version", d->version);
	d->tpgs = (uint8_t)integer(o, "tpgs", d->tpgs);
	if (json_object_get(o, "read_only"))
		d->read_only = json_is_true(json_object_get(o, "read_only"));
	s = text(o, "naa");
	if (s)
		snprintf(d->naa, sizeof(d->naa), "%s", s);
	s = text(o, "serial");
	if (s)
		snprintf(d->serial, sizeof(d->serial), "%s", s);
	s = text(o, "vendor");
	if (s)
		snprintf(d->vendor, sizeof(d->vendor), "%s", s);
	s = text(o, "product");
	if (s)
		snprintf(d->product, sizeof(d->product), "%s", s);
	if (json_is_array(portals)) {
		size_t i;
		json_t *v;

		d->portals = 0;
		json_array_foreach(portals, i, v)
			d->portals |= 1ULL << (json_integer_value(v) & 63);
	}
	if (json_object_get(o, "asc"))
		ua_all(d->lun, (uint8_t)integer(o, "asc", 0), (uint8_t)integer(o, "ascq", 0), NULL);
	return ok();
}

static json_t *ua(const json_t *o)
{
	ua_all((uint16_t)integer(o, "lun", 0), (uint8_t)integer(o, "asc", 0), (uint8_t)integer(o, "ascq", 0), NULL);
	return ok();
}

static json_t *group(const json_t *o)
{
	struct group *g = group_find((uint16_t)integer(o, "id", -1));

	if (!g)
		return error("no such group");
	if (json_object_get(o, "preferred"))
		g->preferred = json_is_true(json_object_get(o, "preferred"));
	group_set(g, (uint8_t)integer(o, "state", g->state));
	return ok();
}

static json_t *portal(const json_t *o)
{
	int i = integer(o, "portal", -1);
	const char *to = text(o, "redirect");

	if (i < 0 || i >= T.nportals)
		return error("no such portal");
	if (json_object_get(o, "told"))
		T.portal[i].told = json_is_true(json_object_get(o, "told"));
	if (json_object_get(o, "closed"))
		T.portal[i].closed = json_is_true(json_object_get(o, "closed"));
	T.portal[i].refuse = integer(o, "refuse", T.portal[i].refuse);
	if (to)
		snprintf(T.portal[i].redirect, sizeof(T.portal[i].redirect), "%s", to);
	return ok();
}

static json_t *set(const json_t *o)
{
	if (json_object_get(o, "reinstate"))
		T.reinstate = json_is_true(json_object_get(o, "reinstate"));
	if (json_object_get(o, "uas"))
		T.uas = json_is_true(json_object_get(o, "uas"));
	if (json_object_get(o, "window_closed"))
		window_closed = json_is_true(json_object_get(o, "window_closed"));
	return ok();
}

/* ---- what happened ---- */

static json_t *show_log(const json_t *o)
{
	json_t *a = json_array();

	for (size_t i = (size_t)integer(o, "from", 0); i < T.nlog; i++) {
		const struct entry *e = &T.log[i];

		json_array_append_new(a, json_pack("{s:i,s:i,s:i,s:i,s:i,s:i,s:I,s:i,s:I}", "n", (int)i, "conn", (int)e->conn,
						   "portal", e->portal, "lun", e->lun, "opcode", e->opcode, "status",
						   e->status, "lba", (json_int_t)e->lba, "blocks", (int)e->blocks, "crc",
						   (json_int_t)e->crc));
	}
	return json_pack("{s:o}", "log", a);
}

static json_t *counts(const json_t *o)
{
	json_t *by = json_object(), *rules = json_array(), *portals = json_array();
	int sessions = 0, held = 0, tasks = 0;
	struct list *pos;

	(void)o;
	for (size_t i = 0; i < T.nlog; i++) {
		char op[8];

		snprintf(op, sizeof(op), "%02x", T.log[i].opcode);
		json_object_set_new(by, op, json_integer(json_integer_value(json_object_get(by, op)) + 1));
	}
	list_for_each(pos, &T.conns) {
		const struct conn *c = list_entry(pos, struct conn, link);

		sessions += c->full && !c->discovery && !c->dead;
	}
	list_for_each(pos, &T.tasks) {
		tasks++;
		held += list_entry(pos, struct task, link)->held;
	}
	list_for_each(pos, &T.rules)
		json_array_append_new(rules, json_integer(list_entry(pos, struct rule, link)->hits));
	for (int i = 0; i < T.nportals; i++)
		json_array_append_new(portals, json_integer((json_int_t)T.portal[i].executed));
	return json_pack("{s:i,s:i,s:i,s:I,s:I,s:I,s:o,s:o,s:o}", "sessions", sessions, "held", held, "tasks", tasks,
			 "reinstated", (json_int_t)T.reinstated, "logins", (json_int_t)T.logins, "tmfs",
			 (json_int_t)T.tmfs, "executed", by, "hits", rules, "portals", portals);
}

/* Bytes of the medium as runs: "11*4096 22*8192". */
static json_t *bytes(const json_t *o)
{
	const struct disk *d = disk_find(-1, (uint16_t)integer(o, "lun", 0));
	size_t at = (size_t)integer(o, "offset", 0), len = (size_t)integer(o, "len", 0), end = at + len;
	char out[4096] = "";
	size_t n = 0;

	if (!d || end > d->blocks * d->block_size)
		return error("no such bytes");
	while (at < end && n + 32 < sizeof(out)) {
		size_t first = at;

		while (at < end && d->data[at] == d->data[first])
			at++;
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%02x*%zu", n ? " " : "", d->data[first], at - first);
	}
	return json_pack("{s:s}", "bytes", out);
}

static json_t *keys(const json_t *o)
{
	const struct disk *d = disk_find(-1, (uint16_t)integer(o, "lun", 0));
	json_t *a = json_array();

	for (int i = 0; d && i < d->nreg; i++) {
		char key[24];

		snprintf(key, sizeof(key), "%016llx", (unsigned long long)d->reg[i].key);
		json_array_append_new(a, json_string(key));
	}
	return json_pack("{s:o,s:i}", "keys", a, "type", d ? d->reserved : 0);
}

json_t *control_run(const json_t *o)
{
	static const struct {
		const char *name;
		json_t *(*run)(const json_t *o);
	} commands[] = {
		{ "inject", inject }, { "clear", clear }, { "release", release }, { "async", async }, { "drop", drop },
		{ "lun", lun }, { "ua", ua }, { "group", group }, { "portal", portal }, { "set", set },
		{ "log", show_log }, { "counts", counts }, { "bytes", bytes }, { "keys", keys },
	};
	const char *name = text(o, "do");

	for (size_t i = 0; name && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].run(o);
	return error("no such command");
}

/* ---- the socket: tests are trusted to send whole lines and to read the answer ---- */

static void on_client(struct ev_loop *l, ev_io *w, int revents)
{
	char line[8192];
	ssize_t n = recv(w->fd, line, sizeof(line) - 1, 0);
	json_t *o, *r;
	char *answer;

	(void)revents;
	if (n <= 0) {
		ev_io_stop(l, w);
		close(w->fd);
		free(w);
		return;
	}
	line[n] = '\0';
	o = json_loads(line, 0, NULL);
	r = o ? control_run(o) : error("not JSON");
	answer = json_dumps(r, JSON_COMPACT);
	for (size_t at = 0, len = strlen(answer); at < len; at += (size_t)n) {
		n = send(w->fd, answer + at, len - at, MSG_NOSIGNAL);
		if (n <= 0)
			break;
	}
	send(w->fd, "\n", 1, MSG_NOSIGNAL);
	free(answer);
	json_decref(o);
	json_decref(r);
}

static void on_connection(struct ev_loop *l, ev_io *w, int revents)
{
	int fd = accept(w->fd, NULL, NULL);
	ev_io *c = fd < 0 ? NULL : calloc(1, sizeof(*c));

	(void)revents;
	if (!c) {
		if (fd >= 0)
			close(fd);
		return;
	}
	ev_io_init(c, on_client, fd, EV_READ);
	ev_io_start(l, c);
}

void control_start(const char *path)
{
	static ev_io io;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 16)) {
		fprintf(stderr, "t-target: %s: %s\n", path, strerror(errno));
		exit(1);
	}
	ev_io_init(&io, on_connection, fd, EV_READ);
	ev_io_start(T.loop, &io);
}
