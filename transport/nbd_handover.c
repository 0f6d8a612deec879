/* SPDX-License-Identifier: MIT */
/*
 * A process ends and the next one goes on with its sockets. What a connection is between two requests fits in struct
 * nbd_kept; so requests are answered first, and bytes that nobody has looked at go along.
 */
#include "nbd_internal.h"
#include "nbd_proto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

void nbd_server_finish(struct nbd_server *s)
{
	s->finishing = true;
	nbd_server_quiesce(s);
}

static bool still(const struct nbd_conn *c)
{
	return !c->nreqs && !c->take_left && !nbd_reply_pending(c);
}

bool nbd_server_still(const struct nbd_server *s)
{
	const struct list *pos;

	list_for_each(pos, &s->conns)
		if (!still(list_entry(pos, struct nbd_conn, in_server)))
			return false;
	return true;
}

void nbd_server_go_on(struct nbd_server *s)
{
	struct list *pos;

	s->quiesced = s->finishing = false;
	nbd_listen_watch(s, true);
	list_for_each(pos, &s->conns) { /* each looks at what has come in meanwhile, and reads again */
		struct nbd_conn *c = list_entry(pos, struct nbd_conn, in_server);

		if (!list_linked(&c->in_waiting)) /* the others wait for room, or for their export */
			nbd_ready(c);
	}
	nbd_server_resume(s);
}

void nbd_server_keep(struct nbd_server *s, void (*conn)(void *to, const struct nbd_kept *k),
		     void (*listener)(void *to, const char *addr, int fd, bool foreign), void *to)
{
	struct list *pos;

	nbd_listen_tell(s, listener, to);
	list_for_each(pos, &s->conns) {
		const struct nbd_conn *c = list_entry(pos, struct nbd_conn, in_server);
		struct nbd_kept k = {
			.fd = c->fd,
			.transmit = c->state == NBD_ST_TRANSMIT,
			.options = c->state >= NBD_ST_OPTIONS,
			.fixed = c->fixed,
			.no_zeroes = c->no_zeroes,
			.structured = c->structured,
			.allocation = c->allocation,
			.context_of = c->context_of,
			.flags = c->flags,
			.size = c->size,
			.max_block = c->max_block,
			.in = c->in ? nbd_conn_bytes(c) : NULL,
			.in_len = c->in ? nbd_conn_avail(c) : 0,
		};

		/* Before the first byte of the client's there is nothing to keep: it has the greeting. */
		if (c->state > NBD_ST_TRANSMIT || !still(c))
			continue;
		if (k.transmit)
			k.export = c->use ? s->cb.name(s->arg, c->use->handle) : c->orphan_of;
		conn(to, &k);
	}
}

int nbd_server_inherit(struct nbd_server *s, const char *addr, int fd, bool foreign)
{
	size_t n = strlen(addr ? addr : "") + 1;
	struct inherited *i = malloc(sizeof(*i) + n);

	if (!i) {
		close(fd);
		return -ENOMEM;
	}
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) || fcntl(fd, F_SETFL, O_NONBLOCK)) {
		free(i);
		return -errno;
	}
	i->fd = fd;
	i->foreign = foreign;
	memcpy(i->addr, addr ? addr : "", n);
	list_add_tail(&i->link, &s->inherited);
	return 0;
}

int nbd_server_inherit_end(struct nbd_server *s)
{
	struct list *pos;
	int n = 0;

	while ((pos = list_pop(&s->inherited))) {
		struct inherited *i = list_entry(pos, struct inherited, link);

		close(i->fd);
		free(i);
		n++;
	}
	return n;
}

/* Goes on where the process before stopped. */
static void go_on(struct nbd_conn *c)
{
	nbd_conn_hold(c);
	nbd_conn_parse(c);
	nbd_conn_check(c);
	nbd_conn_release(c);
}

static void find_home(struct nbd_conn *c)
{
	struct nbd_server *s = c->server;
	struct nbd_export e = { 0 };
	uint16_t told = c->flags;
	uint64_t size = c->size;
	void *handle;

	if (!s->cb.open(s->arg, c->orphan_of, &e, &handle))
		return;
	list_del(&c->in_waiting);
	if (e.size < size) {
		nbd_conn_close(c, LOG_ERR, "its export has become smaller");
		return;
	}
	if (!nbd_handshake_done(c, &e, handle, c->orphan_of))
		return;
	c->flags = told | (c->flags & NBD_FLAG_READ_ONLY);
	free(c->orphan_of);
	c->orphan_of = NULL;
	go_on(c);
}

int nbd_server_adopt(struct nbd_server *s, const struct nbd_kept *k)
{
	struct nbd_conn *c;
	int ret;

	if (k->in_len > NBD_IN_BYTES || (k->transmit && !k->export)) {
		close(k->fd);
		return -EINVAL;
	}
	c = nbd_conn_alloc(s, k->fd, &ret);
	if (!c)
		return ret;
	c->fixed = k->fixed;
	c->no_zeroes = k->no_zeroes;
	c->structured = k->structured;
	c->allocation = k->allocation;
	c->flags = k->flags;
	c->size = k->size;
	c->max_block = k->max_block;
	c->state = k->transmit ? NBD_ST_TRANSMIT : k->options ? NBD_ST_OPTIONS : NBD_ST_FLAGS;
	if (k->in_len) {
		c->in = buf_get(s->pool, NBD_IN_BYTES);
		if (!c->in)
			goto no_memory;
		memcpy(c->in->data, k->in, k->in_len);
		c->in_len = (uint32_t)k->in_len;
	}
	if (k->context_of && !k->transmit) {
		c->context_of = strdup(k->context_of);
		if (!c->context_of)
			goto no_memory;
	}
	if (!k->transmit) {
		go_on(c);
		return 0;
	}
	ev_timer_stop(s->loop, &c->deadline);
	c->orphan_of = strdup(k->export);
	if (!c->orphan_of)
		goto no_memory;
	list_add_tail(&c->in_waiting, &s->orphans); /* nothing is read until its export is there */
	find_home(c);
	return 0;
no_memory:
	nbd_conn_close(c, LOG_ERR, "out of memory");
	return -ENOMEM;
}

/* Who has heard of the growth by another way (mpio-attach tells the kernel) may go that far. */
static void follow_size(struct nbd_conn *c)
{
	struct nbd_server *s = c->server;
	struct nbd_export e = { 0 };
	void *handle = NULL;

	if (c->state == NBD_ST_TRANSMIT && c->use && s->cb.name &&
	    s->cb.open(s->arg, s->cb.name(s->arg, c->use->handle), &e, &handle) &&
	    handle == c->use->handle && e.size > c->size)
		c->size = e.size;
}

void nbd_server_exports(struct nbd_server *s)
{
	struct list *pos, *tmp;

	list_for_each(pos, &s->conns)
		follow_size(list_entry(pos, struct nbd_conn, in_server));

	list_for_each_safe(pos, tmp, &s->orphans)
		find_home(list_entry(pos, struct nbd_conn, in_waiting));
}
