/* SPDX-License-Identifier: MIT */
/*
 * SendTargets (RFC 7143 appendix C): one discovery session, one text request, one list. Owns the
 * session and the list.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "iscsi_internal.h"

struct iscsi_discovery {
	struct iscsi_loop *loop;
	struct iscsi_session *session; /* NULL once it is over */
	ev_timer deadline;
	unsigned timeout_ms;
	void (*done)(void *arg, const struct iscsi_portal_list *list, const char *text);
	void *arg;
	struct iscsi_portal_list list;
	bool oom, finished, inside, freed;
};

static void release(struct iscsi_discovery *d)
{
	free(d->list.e);
	free(d);
}

/* list NULL: it failed, because of text. d may be freed when this returns. */
static void finish(struct iscsi_discovery *d, const struct iscsi_portal_list *list,
		   const char *text)
{
	char copy[256];

	assert(!d->finished);
	d->finished = true;
	ev_timer_stop(d->loop->ev, &d->deadline);
	snprintf(copy, sizeof(copy), "%s", text); /* it may be the session's */
	if (list)
		iscsi_session_logout(d->session);
	else
		iscsi_session_kill(d->session);
	d->session = NULL;
	d->inside = true;
	d->done(d->arg, list, list ? NULL : copy);
	d->inside = false;
	if (d->freed)
		release(d);
}

/*
 * "ADDR:PORT,TPGT" with the tag cut off and the port filled in. False: a host name, or not an
 * address at all.
 */
static bool clean_portal(const char *in, char *out, size_t cap)
{
	unsigned char addr[sizeof(struct in6_addr)];
	char buf[64], *host = buf, *end, *port = NULL;
	size_t n = strcspn(in, ",");
	bool v6;
	unsigned long number = 3260;

	if (n >= sizeof(buf))
		return false;
	memcpy(buf, in, n);
	buf[n] = '\0';
	v6 = buf[0] == '[';
	if (v6) {
		host++;
		end = strchr(host, ']');
		if (!end)
			return false;
		*end = '\0';
		if (end[1] == ':')
			port = end + 2;
		else if (end[1])
			return false;
	} else if ((end = strchr(buf, ':')) != NULL) {
		*end = '\0';
		port = end + 1;
	}
	if (inet_pton(v6 ? AF_INET6 : AF_INET, host, addr) != 1)
		return false;
	if (port) {
		if (!*port || port[strspn(port, "0123456789")])
			return false;
		number = strtoul(port, NULL, 10);
		if (number == 0 || number > 65535)
			return false;
	}
	n = (size_t)snprintf(out, cap, v6 ? "[%s]:%lu" : "%s:%lu", host, number);
	return n < cap;
}

static bool printable(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= 0x20 || *s == 0x7f)
			return false;
	return true;
}

/* libiscsi's lists are last first: fill from the back. */
static void take(struct iscsi_discovery *d, const struct iscsi_discovery_address *first)
{
	const struct iscsi_discovery_address *t;
	const struct iscsi_target_portal *p;
	int n = 0, at;

	for (t = first; t; t = t->next)
		for (p = t->portals; p; p = p->next)
			n++;
	if (n == 0)
		return;
	d->list.e = calloc((size_t)n, sizeof(*d->list.e));
	if (!d->list.e) {
		d->oom = true;
		return;
	}
	at = n;
	for (t = first; t; t = t->next) {
		if (strlen(t->target_name) >= sizeof(d->list.e->target) || !printable(t->target_name))
			continue; /* longer than an iSCSI name can be (RFC 7143 4.2.7.1: 223) */
		for (p = t->portals; p; p = p->next) {
			if (!clean_portal(p->portal, d->list.e[at - 1].portal,
					  sizeof(d->list.e->portal)))
				continue;
			at--;
			snprintf(d->list.e[at].target, sizeof(d->list.e->target), "%s",
				 t->target_name);
		}
	}
	d->list.n = n - at;
	memmove(d->list.e, d->list.e + at, (size_t)d->list.n * sizeof(*d->list.e));
}

/* Inside libiscsi, and its strings are only valid here: copy, and let the session deliver. */
static void on_targets(struct iscsi_context *ctx, int status, void *data, void *priv)
{
	struct iscsi_discovery *d = priv;

	if (!d->session || d->session->killed)
		return;
	if (status != SCSI_STATUS_GOOD) {
		d->session->broken = true;
		return;
	}
	take(d, data);
	d->session->pongs++;
}

static void on_pong(void *arg)
{
	struct iscsi_discovery *d = arg;

	if (d->oom)
		finish(d, NULL, "out of memory");
	else
		finish(d, &d->list, NULL);
}

static void on_up(void *arg)
{
	struct iscsi_discovery *d = arg;

	if (iscsi_discovery_async(d->session->ctx, on_targets, d) != 0)
		finish(d, NULL, "out of memory");
	else
		iscsi_mark_dirty(d->session);
}

static void on_lost(void *arg, enum iscsi_loss why, const char *text)
{
	finish(arg, NULL, text);
}

static void on_deadline(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct iscsi_discovery *d = w->data;
	char text[64];

	snprintf(text, sizeof(text), "no answer within %u ms", d->timeout_ms);
	finish(d, NULL, text);
}

struct iscsi_discovery *iscsi_discovery_start(struct iscsi_loop *loop, const struct iscsi_params *p,
					      void (*done)(void *arg,
							   const struct iscsi_portal_list *list,
							   const char *text),
					      void *arg, int *err)
{
	static const struct iscsi_callbacks cb = { .up = on_up, .lost = on_lost, .pong = on_pong };
	struct iscsi_discovery *d = calloc(1, sizeof(*d));
	struct iscsi_params own = *p;

	if (!d) {
		*err = -ENOMEM;
		return NULL;
	}
	own.target_name = NULL;
	d->loop = loop;
	d->done = done;
	d->arg = arg;
	d->session = iscsi_session_start(loop, &own, &cb, d, err);
	if (!d->session) {
		free(d);
		return NULL;
	}
	d->timeout_ms = d->session->login_timeout_ms;
	ev_timer_init(&d->deadline, on_deadline, d->timeout_ms / 1000.0, 0);
	d->deadline.data = d;
	ev_timer_start(loop->ev, &d->deadline);
	return d;
}

void iscsi_discovery_free(struct iscsi_discovery *d)
{
	if (!d)
		return;
	if (!d->finished) {
		ev_timer_stop(d->loop->ev, &d->deadline);
		iscsi_session_kill(d->session);
	}
	if (d->inside)
		d->freed = true;
	else
		release(d);
}
