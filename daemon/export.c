/* SPDX-License-Identifier: MIT */
/* Pseudo-LUNs as NBD exports: requests up into the engine, answers back down. */
#include "server.h"
#include "handover.h"
#include "log.h"
#include "model.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#define MAX_BLOCK (32U << 20)   /* largest payload, as proto.md suggests */
#define HANDSHAKE_MS 10000
#define STALL_MS 15000

static_assert(sizeof(struct nbd_extent) == sizeof(struct request_extent) &&
		      NBD_EXTENT_HOLE == REQUEST_EXTENT_HOLE && NBD_EXTENT_ZERO == REQUEST_EXTENT_ZERO &&
		      NBD_EXTENTS_MAX == REQUEST_EXTENTS_MAX,
	      "the extents go down as they are");

/* The engine's request lives behind the NBD request it came as. */
static struct nbd_req *nbd_of(struct request *r)
{
	return list_entry(r, struct nbd_req, priv);
}

static struct request *request_of(struct nbd_req *req)
{
	return (struct request *)(void *)req->priv;
}

/* mpio-attach reads the description: the device identifier, then " block=" and the LUN's own block size. */
static void describe(struct server *sv, const struct lun *l, struct nbd_export *out)
{
	uint32_t pref = l->block_size;

	if (pref < 4096)
		pref = 4096;
	snprintf(sv->description, sizeof(sv->description), "%s block=%u", l->id, l->block_size);
	*out = (struct nbd_export){
		.name = l->name,
		.description = sv->description,
		.size = l->size,
		.min_block = 1, /* partial blocks are read, modified and written */
		.pref_block = pref,
		.max_block = MAX_BLOCK,
		.read_only = l->opt->read_only || l->write_protect,
		.can_trim = !l->no_unmap,
		.can_zero = true,
		.can_flush = true,
		.can_fua = true,
		.can_cache = true,
		.can_fast_zero = true,
		.can_status = true, /* of those that can't tell, all of it holds data */
	};
}

static struct lun *nth_export(struct engine *e, int i)
{
	struct list *pos;

	list_for_each(pos, &e->luns) {
		struct lun *l = list_entry(pos, struct lun, in_engine);

		if (l->size && i-- == 0)
			return l;
	}
	return NULL;
}

static bool on_open(void *arg, const char *name, struct nbd_export *out, void **handle)
{
	struct server *sv = arg;
	struct engine *e = sv->engine;
	struct lun *l = NULL;

	if (!name[0]) { /* the default export: the only one */
		l = nth_export(e, 1) ? NULL : nth_export(e, 0);
	} else {
		/* by the identifier first: it is one disk's, for ever */
		for (int i = 0; (l = nth_export(e, i)) && strcmp(l->id, name) != 0; i++)
			;
		for (int i = 0; !l && (l = nth_export(e, i)); i++)
			if (strcmp(l->name, name) != 0)
				l = NULL;
	}
	if (!l)
		return false;
	describe(sv, l, out);
	*handle = l;
	return true;
}

static const char *on_name(void *arg, void *handle)
{
	const struct lun *l = handle;

	(void)arg;
	return l->id;
}

static bool on_list(void *arg, int i, struct nbd_export *out)
{
	struct server *sv = arg;
	struct lun *l = nth_export(sv->engine, i);

	if (!l)
		return false;
	describe(sv, l, out);
	return true;
}

static void on_users(void *arg, void *handle, int delta)
{
	struct server *sv = arg;
	struct lun *l = handle;

	l->users += delta;
	sv->unused |= !l->users; /* later: the connection is just being taken apart */
}

static void on_submit(void *arg, struct nbd_req *req)
{
	static const uint8_t ops[] = {
		[NBD_OP_READ] = REQUEST_READ, [NBD_OP_WRITE] = REQUEST_WRITE,
		[NBD_OP_FLUSH] = REQUEST_FLUSH, [NBD_OP_TRIM] = REQUEST_TRIM,
		[NBD_OP_ZERO] = REQUEST_ZERO, [NBD_OP_CACHE] = REQUEST_CACHE,
		[NBD_OP_STATUS] = REQUEST_STATUS,
	};
	struct server *sv = arg;
	struct request *r = request_of(req);

	r->lun = req->export;
	r->op = ops[req->op];
	r->fua = req->fua;
	r->no_hole = req->no_hole;
	r->fast = req->fast;
	r->one = req->one;
	r->offset = req->offset;
	r->len = req->len;
	r->buf = req->buf;
	r->data = req->data;
	server_enter(sv);
	engine_submit(sv->engine, r);
}

static void request_done(void *arg, struct request *r)
{
	struct nbd_req *req = nbd_of(r);

	(void)arg;
	req->buf = r->buf;
	req->data = r->data;
	req->nextents = r->nextents;
	nbd_req_done(req, r->err);
}

static bool on_admit(void *arg, void *handle, uint64_t len)
{
	struct server *sv = arg;

	return engine_admit(sv->engine, handle, len);
}

static bool on_allow(void *arg, const struct sockaddr *peer)
{
	const struct server *sv = arg;

	return conf_allows(sv->conf, peer);
}

static void on_log(void *arg, int level, const char *text)
{
	(void)arg;
	log_msg(level, "nbd: %s", text);
}

static void lun_ready(void *arg, struct lun *l)
{
	struct server *sv = arg;

	(void)l;
	nbd_server_exports(sv->nbd);
}

static void lun_gone(void *arg, struct lun *l)
{
	struct server *sv = arg;

	if (sv->nbd)
		nbd_server_close_export(sv->nbd, l);
}

static void room(struct server *sv)
{
	nbd_server_resume(sv->nbd);
}

static bool still(struct server *sv)
{
	return nbd_server_still(sv->nbd);
}

static bool listens_on(const struct conf *c, const char *addr)
{
	for (int i = 0; c && i < c->nlisten; i++)
		if (!strcmp(c->listen[i], addr))
			return true;
	return false;
}

static int find_group(const char *name, gid_t *gid)
{
	const struct group *g;
	char *end;

	if (!name)
		return 0;
	g = getgrnam(name);
	*gid = g ? g->gr_gid : (gid_t)strtoul(name, &end, 10);
	return g || !*end ? 0 : -ENOENT;
}

/* Opens what the new configuration listens on and the old one (NULL: none) does not; then closes the rest. */
static int listen_on(struct server *sv, const struct conf *old, const struct conf *new, char *why,
		     size_t cap)
{
	struct nbd_access access = { .mode = new->listen_mode, .gid = (gid_t)-1 };
	int i, ret = find_group(new->listen_group, &access.gid);

	if (ret) {
		snprintf(why, cap, "no group %s", new->listen_group);
		if (old || !handover_do_without("listen", why))
			return ret;
		access.gid = (gid_t)-1;
	}
	for (i = 0; i < new->nlisten; i++) {
		if (listens_on(old, new->listen[i]))
			continue;
		ret = nbd_server_listen(sv->nbd, new->listen[i], &access, why, cap);
		if (ret && (old || !handover_do_without("listen", why)))
			goto undo;
	}
	for (i = 0; old && i < old->nlisten; i++)
		if (!listens_on(new, old->listen[i]))
			nbd_server_unlisten(sv->nbd, old->listen[i]);
	return 0;
undo:
	while (old && i-- > 0) /* a start that fails ends all of it, and leaves what it inherited as it was */
		if (!listens_on(old, new->listen[i]))
			nbd_server_unlisten(sv->nbd, new->listen[i]);
	return ret;
}

static int start(struct server *sv, char *why, size_t cap)
{
	static const struct nbd_callbacks cb = {
		.open = on_open,
		.users = on_users,
		.list = on_list,
		.submit = on_submit,
		.admit = on_admit,
		.allow = on_allow,
		.name = on_name,
		.log = on_log,
	};
	struct nbd_limits lim = {
		.max_connections = sv->conf->max_connections,
		.handshake_ms = HANDSHAKE_MS,
		.stall_ms = STALL_MS,
		.req_priv = sizeof(struct request),
	};
	int ret;

	sv->nbd = nbd_server_new(sv->loop, sv->pool, &lim, &cb, sv);
	if (!sv->nbd) {
		snprintf(why, cap, "out of memory");
		return -ENOMEM;
	}
	handover_listeners(sv);
	ret = listen_on(sv, NULL, sv->conf, why, cap);
	if (ret)
		return ret;
	if (nbd_server_inherit_end(sv->nbd))
		log_msg(LOG_WARNING, "nbd: sockets that were handed over and are in no listen were closed");
	handover_connections(sv);
	return ret;
}

const struct server_front export_front = {
	.start = start,
	.reload = listen_on,
	.still = still,
	.room = room,
	.request_done = request_done,
	.lun_ready = lun_ready,
	.lun_gone = lun_gone,
};
