/* SPDX-License-Identifier: MIT */
/*
 * The engine's sessions on real iSCSI: resolves the portal's name, connects, follows login
 * redirections, and tells the engine what happens. What goes wrong inside an op is told from the loop.
 */
#include "server.h"
#include "model.h"
#include "resolve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_REDIRECTS 4 /* RFC 7143 11.13.5: a target may send us on, but not in circles */

/* One connection of a session; s->io points to it. */
struct wire {
	struct server *sv;
	struct session *s;
	struct iscsi_session *iscsi;
	struct resolve *resolve;
	ev_timer bad;           /* a failure inside an op, told a moment later */
	char why[200];
	char portal[160];       /* numeric, once it is known */
	int redirects;
	bool connected;
	int ifindex;            /* of the local address; 0: not known */
	struct sockaddr_storage local;
};

static void connect_now(struct wire *w);

static void bad_soon(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct wire *w = t->data;

	(void)loop;
	(void)revents;
	server_enter(w->sv);
	engine_session_lost(w->sv->engine, w->s, SESSION_LOSS_CONNECT, w->why);
}

static void fail_later(struct wire *w, const char *why)
{
	snprintf(w->why, sizeof(w->why), "%s", why);
	ev_timer_stop(w->sv->loop, &w->bad);
	ev_timer_set(&w->bad, 0., 0.);
	ev_timer_start(w->sv->loop, &w->bad);
}

static void on_up(void *arg)
{
	struct wire *w = arg;

	w->connected = true;
	if (iscsi_session_local_addr(w->iscsi, &w->local) == 0)
		w->ifindex = netmon_ifindex_of(&w->local);
	w->s->tpgt = iscsi_session_tpgt(w->iscsi);
	server_enter(w->sv);
	engine_session_up(w->sv->engine, w->s);
}

static enum session_loss loss_of(const struct wire *w, enum iscsi_loss why)
{
	switch (why) {
	case ISCSI_LOSS_CONNECT:
		return SESSION_LOSS_CONNECT;
	case ISCSI_LOSS_LOGIN:
	case ISCSI_LOSS_REDIRECT:
		return SESSION_LOSS_LOGIN;
	case ISCSI_LOSS_LOGOUT:
		return SESSION_LOSS_LOGOUT;
	case ISCSI_LOSS_CLOSED:
		break;
	}
	return iscsi_session_closed_by_target(w->iscsi) ? SESSION_LOSS_CLOSED : SESSION_LOSS_ERROR;
}

static void on_lost(void *arg, enum iscsi_loss why, const char *text)
{
	struct wire *w = arg;

	if (why == ISCSI_LOSS_REDIRECT && w->redirects++ < MAX_REDIRECTS && resolve_is_numeric(text)) {
		snprintf(w->portal, sizeof(w->portal), "%s", text);
		iscsi_session_kill(w->iscsi);
		w->iscsi = NULL;
		connect_now(w);
		return;
	}
	server_enter(w->sv);
	engine_session_lost(w->sv->engine, w->s, loss_of(w, why), text);
}

static void on_done(void *arg, struct iscsi_cmd *cmd)
{
	struct wire *w = arg;

	server_enter(w->sv);
	engine_cmd_done(w->sv->engine, &cmd->scsi);
}

static void on_pong(void *arg)
{
	struct wire *w = arg;

	server_enter(w->sv);
	engine_session_pong(w->sv->engine, w->s);
}

static const struct iscsi_callbacks callbacks = {
	.up = on_up,
	.lost = on_lost,
	.done = on_done,
	.pong = on_pong,
};

/* Of any LUN, for a session carries several, and which they are is not known before the login. */
static bool solicited(const struct conf *c)
{
	bool yes = c->defaults.fence == CONF_FENCE_SOLICITED;

	for (int i = 0; i < c->nluns; i++)
		yes |= c->luns[i].opt.fence == CONF_FENCE_SOLICITED;
	for (int i = 0; i < c->nhardware; i++)
		yes |= c->hardware[i].opt.fence == CONF_FENCE_SOLICITED;
	return yes;
}

static void connect_now(struct wire *w)
{
	const struct conf_target *t = w->s->target->conf;
	struct iscsi_params p = {
		.initiator_name = w->sv->conf->initiator_name,
		.target_name = t->iqn,
		.portal = w->portal,
		.interface = w->s->interface,
		.chap_user = t->chap_user,
		.chap_secret = t->chap_secret,
		.mutual_chap_user = t->mutual_chap_user,
		.mutual_chap_secret = t->mutual_chap_secret,
		.header_digest = t->header_digest,
		.isid = w->s->isid,
		.solicited = solicited(w->sv->conf),
		.login_timeout_ms = t->login_timeout_us / 1000,
		.user_timeout_ms = w->sv->conf->defaults.command_timeout_us / 1000,
	};
	char why[120];
	int err = 0;

	w->iscsi = iscsi_session_start(w->sv->iscsi, &p, &callbacks, w, &err);
	if (!w->iscsi) {
		snprintf(why, sizeof(why), "connect to %.60s: %s", w->portal, strerror(-err));
		fail_later(w, why);
	}
}

static void resolved(void *arg, const char *numeric, const char *why)
{
	struct wire *w = arg;

	if (numeric)
		snprintf(w->portal, sizeof(w->portal), "%s", numeric);
	else
		fail_later(w, why);
	resolve_cancel(w->resolve);
	w->resolve = NULL;
	if (numeric)
		connect_now(w);
}

void wire_session_start(void *arg, struct session *s)
{
	struct server *sv = arg;
	struct wire *w = calloc(1, sizeof(*w));
	int err;

	s->io = w;
	if (!w) /* the engine's own deadline ends this try */
		return;
	w->sv = sv;
	w->s = s;
	ev_init(&w->bad, bad_soon);
	w->bad.data = w;
	snprintf(w->portal, sizeof(w->portal), "%s", s->portal);
	if (resolve_is_numeric(s->portal)) {
		connect_now(w);
		return;
	}
	w->resolve = resolve_start(sv->loop, s->portal, resolved, w, &err);
	if (!w->resolve)
		fail_later(w, strerror(-err));
}

static void wire_free(struct wire *w)
{
	resolve_cancel(w->resolve);
	ev_timer_stop(w->sv->loop, &w->bad);
	w->s->io = NULL;
	free(w);
}

void wire_session_kill(void *arg, struct session *s)
{
	struct wire *w = s->io;

	(void)arg;
	if (!w)
		return;
	iscsi_session_kill(w->iscsi);
	wire_free(w);
}

void wire_session_logout(void *arg, struct session *s)
{
	struct wire *w = s->io;

	(void)arg;
	if (!w)
		return;
	if (w->iscsi)
		iscsi_session_logout(w->iscsi);
	wire_free(w);
}

int wire_submit(void *arg, struct session *s, struct scsi_cmd *cmd)
{
	struct wire *w = s->io;

	(void)arg;
	if (!w || !w->iscsi)
		return -ENOTCONN;
	return iscsi_session_submit(w->iscsi, (struct iscsi_cmd *)(void *)cmd);
}

int wire_probe(void *arg, struct session *s)
{
	struct wire *w = s->io;

	(void)arg;
	return w && w->iscsi ? iscsi_session_probe(w->iscsi) : -ENOTCONN;
}

uint64_t wire_silence(void *arg, struct session *s)
{
	struct wire *w = s->io;

	(void)arg;
	return w && w->iscsi ? iscsi_session_silence_us(w->iscsi) : UINT64_MAX;
}

/* Tells the engine that every session for which hit() is true lost its link. */
static void lose(struct server *sv, bool (*hit)(const struct wire *w, const void *what),
		 const void *what, const char *why)
{
	struct engine *e = sv->engine;
	struct list *t, *pos, *tmp;

	server_enter(sv);
	list_for_each(t, &e->targets) {
		list_for_each_safe(pos, tmp, &list_entry(t, struct target, in_engine)->sessions) {
			struct session *s = list_entry(pos, struct session, in_target);
			struct wire *w = s->io;

			/* One that drains its last commands may go, and its target with it: leave it
			 * to its time-out. */
			if (w && w->connected && !s->removing && hit(w, what))
				engine_session_lost(e, s, SESSION_LOSS_LINK, why);
		}
	}
}

static bool on_interface(const struct wire *w, const void *what)
{
	return w->ifindex && w->ifindex == *(const int *)what;
}

static bool on_address(const struct wire *w, const void *what)
{
	return netmon_same_addr(&w->local, what);
}

void wire_link_down(void *arg, int ifindex, const char *name)
{
	char why[100];

	snprintf(why, sizeof(why), "local interface %s is down", name);
	lose(arg, on_interface, &ifindex, why);
}

void wire_addr_gone(void *arg, const struct sockaddr_storage *addr)
{
	lose(arg, on_address, addr, "the local address was removed");
}

void wire_link_up(void *arg, int ifindex, const char *name)
{
	struct server *sv = arg;

	(void)ifindex;
	server_enter(sv);
	engine_link_up(sv->engine, name);
}
