/* SPDX-License-Identifier: MIT */
/*
 * The life of one session: connect, login, death, teardown, logout. The state is changed here
 * only. Everything that must hold before the connect (no reconnect, no library time-outs, digests,
 * CHAP) is set in one place, new_context().
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "iscsi_internal.h"
#include "iscsi_purge.h"

#define STRING_MAX 255 /* libiscsi cuts longer ones without a word */
#define LOGOUT_SECONDS 2.0
#define DEFAULT_LOGIN_MS 15000

static bool fits(const char *s)
{
	return !s || (s[0] && strlen(s) <= STRING_MAX);
}

/* Numeric only: libiscsi would call a blocking getaddrinfo() on anything else. */
static bool numeric_portal(const char *portal)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
				  .ai_socktype = SOCK_STREAM };
	struct addrinfo *ai;
	char host[STRING_MAX + 1];
	const char *colon = strrchr(portal, ':');
	size_t n;

	if (!colon || colon == portal || !colon[1] || strlen(portal) > STRING_MAX)
		return false;
	n = (size_t)(colon - portal);
	if (portal[0] == '[' && colon[-1] == ']') {
		portal++;
		n -= 2;
	} else if (memchr(portal, ':', n)) {
		return false;
	}
	memcpy(host, portal, n);
	host[n] = '\0';
	if (getaddrinfo(host, colon + 1, &hints, &ai) != 0)
		return false;
	freeaddrinfo(ai);
	return true;
}

static bool valid(const struct iscsi_params *p)
{
	if (!p->initiator_name || !fits(p->initiator_name) || !fits(p->target_name))
		return false;
	if (!p->portal || !numeric_portal(p->portal))
		return false;
	if (!fits(p->chap_user) || !fits(p->chap_secret) || !fits(p->mutual_chap_user) ||
	    !fits(p->mutual_chap_secret))
		return false;
	if (!p->chap_user != !p->chap_secret || !p->mutual_chap_user != !p->mutual_chap_secret)
		return false;
	if (p->mutual_chap_user && !p->chap_user) /* libiscsi would not ask the target for anything */
		return false;
	/* A comma would make libiscsi take turns between two interfaces. */
	if (p->interface && (!p->interface[0] || strlen(p->interface) >= IFNAMSIZ ||
			     strchr(p->interface, ',')))
		return false;
	return true;
}

static struct iscsi_context *new_context(const struct iscsi_params *p)
{
	struct iscsi_context *ctx = iscsi_create_context(p->initiator_name);

	if (!ctx)
		return NULL;
	iscsi_log_attach(ctx);
	iscsi_set_noautoreconnect(ctx, 1);
	iscsi_set_timeout(ctx, 0);
	iscsi_set_alias(ctx, "mpiod");
	iscsi_set_isid_random(ctx, p->isid & 0xffffff, 0);
	/* Without this libiscsi turns digests on when a target leaves the key out. */
	iscsi_set_header_digest(ctx, p->header_digest ? ISCSI_HEADER_DIGEST_CRC32C
						      : ISCSI_HEADER_DIGEST_NONE);
	if (p->solicited) {
		iscsi_set_immediate_data(ctx, ISCSI_IMMEDIATE_DATA_NO);
		iscsi_set_initial_r2t(ctx, ISCSI_INITIAL_R2T_YES);
	}
	if (p->target_name) {
		iscsi_set_session_type(ctx, ISCSI_SESSION_NORMAL);
		iscsi_set_targetname(ctx, p->target_name);
	} else {
		iscsi_set_session_type(ctx, ISCSI_SESSION_DISCOVERY);
	}
	iscsi_set_initiator_username_pwd(ctx, p->chap_user, p->chap_secret);
	iscsi_set_target_username_pwd(ctx, p->mutual_chap_user, p->mutual_chap_secret);
	if (p->user_timeout_ms)
		iscsi_set_tcp_user_timeout(ctx, (int)p->user_timeout_ms);
	if (p->interface)
		iscsi_set_bind_interfaces(ctx, (char *)p->interface); /* only read */
	return ctx;
}

static void on_deadline(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct iscsi_session *s = w->data;

	if (s->detached) {
		iscsi_session_kill(s);
		return;
	}
	if (s->state == ISCSI_CONNECTING)
		iscsi_die(s, ISCSI_LOSS_CONNECT, "no connection within %u ms", s->login_timeout_ms);
	else if (s->state == ISCSI_LOGIN)
		iscsi_die(s, ISCSI_LOSS_LOGIN, "no login within %u ms", s->login_timeout_ms);
	iscsi_deliver(s);
}

/*
 * libiscsi only logs it when the binding fails, and would then use any interface: look again. Its
 * counter for taking turns is shared by all contexts, but with one name each the turn is always 0.
 */
static int check_interface(int fd, const char *interface)
{
	char bound[IFNAMSIZ + 1] = "";
	socklen_t n = IFNAMSIZ; /* less is EINVAL */

	if (getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, bound, &n) != 0)
		return -errno;
	return strcmp(bound, interface) == 0 ? 0 : -ENODEV;
}

/* What fails here is told through lost(), from the loop. */
static void start_connect(struct iscsi_session *s, const struct iscsi_params *p)
{
	const struct linger rst = { .l_onoff = 1, .l_linger = 0 };
	int fd, err;

	/* No callback: libiscsi's idea of when it is connected is not to be trusted (finish_connect). */
	errno = 0;
	if (iscsi_connect_async(s->ctx, p->portal, NULL, NULL) != 0) {
		iscsi_die(s, ISCSI_LOSS_CONNECT, "connect: %s", errno ? strerror(errno) : "failed");
		return;
	}
	fd = iscsi_get_fd(s->ctx);
	(void)!fcntl(fd, F_SETFD, FD_CLOEXEC);
	/*
	 * What is still to be sent when the socket is closed, by whom and for what reason ever (the kernel closes it after a
	 * SIGKILL), is dropped: those WRITEs are retried elsewhere. An orderly logout waits for its answer first.
	 */
	(void)!setsockopt(fd, SOL_SOCKET, SO_LINGER, &rst, sizeof(rst));
	err = p->interface ? check_interface(fd, p->interface) : 0;
	if (err) {
		iscsi_die(s, ISCSI_LOSS_CONNECT, "can't bind to interface %s: %s", p->interface,
			  strerror(-err));
		return;
	}
	iscsi_io_start(s, fd);
}

struct iscsi_session *iscsi_session_start(struct iscsi_loop *loop, const struct iscsi_params *p,
					  const struct iscsi_callbacks *cb, void *arg, int *err)
{
	struct iscsi_session *s;

	if (!valid(p)) {
		*err = -EINVAL;
		return NULL;
	}
	*err = -ENOMEM;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->ctx = new_context(p);
	s->batch = iscsi_batch_new(&s->vet);
	if (!s->ctx || !s->batch) {
		if (s->ctx)
			iscsi_destroy_context(s->ctx);
		iscsi_batch_free(s->batch);
		free(s);
		return NULL;
	}
	s->loop = loop;
	s->cb = *cb;
	s->arg = arg;
	s->discovery = !p->target_name;
	s->want_digest = p->header_digest;
	s->mutual = p->mutual_chap_user != NULL;
	s->solicited = p->solicited;
	s->tpgt = -1;
	s->lowat = 1;
	s->login_timeout_ms = p->login_timeout_ms ? p->login_timeout_ms : DEFAULT_LOGIN_MS;
	list_init(&s->dirty);
	list_init(&s->done);
	list_init(&s->all);
	list_add_tail(&s->all, &loop->sessions);
	ev_init(&s->io, NULL);

	ev_now_update(loop->ev); /* or a long iteration before this would eat the deadline */
	ev_timer_init(&s->deadline, on_deadline, s->login_timeout_ms / 1000.0, 0);
	s->deadline.data = s;
	start_connect(s, p);
	if (s->state == ISCSI_DEAD)
		ev_timer_set(&s->deadline, 0, 0);
	ev_timer_start(loop->ev, &s->deadline);
	*err = 0;
	return s;
}

static void on_login(struct iscsi_context *ctx, int status, void *data, void *priv)
{
	struct iscsi_session *s = priv;

	if (status == SCSI_STATUS_GOOD)
		s->login_done = true;
	else
		s->broken = true;
}

void iscsi_connected(struct iscsi_session *s)
{
	s->state = ISCSI_LOGIN;
	if (iscsi_login_async(s->ctx, on_login, s) != 0) {
		iscsi_die(s, ISCSI_LOSS_LOGIN, "login: out of memory");
		return;
	}
	iscsi_mark_dirty(s);
}

void iscsi_logged_in(struct iscsi_session *s)
{
	s->state = ISCSI_UP;
	iscsi_vet_init(&s->vet, s->want_digest, s->max_burst, s->exp_cmdsn, s->max_cmdsn);
	s->up_due = true;
	ev_timer_stop(s->loop->ev, &s->deadline);
}

void iscsi_die(struct iscsi_session *s, enum iscsi_loss why, const char *fmt, ...)
{
	va_list ap;

	if (s->state == ISCSI_DEAD)
		return;
	s->state = ISCSI_DEAD;
	s->why = why;
	s->lost_due = true;
	va_start(ap, fmt);
	vsnprintf(s->text, sizeof(s->text), fmt, ap);
	va_end(ap);
	for (char *c = s->text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	/* Nothing is sent or read any more; the socket stays until the owner's kill. */
	ev_io_stop(s->loop->ev, &s->io);
	ev_timer_stop(s->loop->ev, &s->deadline);
	list_del(&s->dirty);
}

void iscsi_session_kill(struct iscsi_session *s)
{
	struct iscsi_purge purge = { .wanted = false };
	int fd;

	if (!s)
		return;
	assert(!s->killed && !iscsi_log_inside());
	s->killed = true; /* destroying reports every command as cancelled: not to be looked at */
	ev_io_stop(s->loop->ev, &s->io);
	ev_timer_stop(s->loop->ev, &s->deadline);
	list_del(&s->dirty);
	list_del(&s->all);
	while (list_pop(&s->done))
		;
	fd = iscsi_get_fd(s->ctx);
	if (fd >= 0)
		iscsi_purge_prepare(&purge, fd);
	iscsi_destroy_context(s->ctx);
	iscsi_purge_run(&purge);
	s->ctx = NULL;
	iscsi_batch_free(s->batch);
	s->batch = NULL;
	if (!s->delivering)
		free(s);
}

static void on_logout(struct iscsi_context *ctx, int status, void *data, void *priv)
{
	struct iscsi_session *s = priv;

	s->logged_out = true;
}

void iscsi_session_logout(struct iscsi_session *s)
{
	/* The owner's commands die with the owner: with some in flight there is no orderly end. */
	if (s->state != ISCSI_UP || s->in_flight > 0 ||
	    iscsi_logout_async(s->ctx, on_logout, s) != 0) {
		iscsi_session_kill(s);
		return;
	}
	s->detached = true;
	while (list_pop(&s->done))
		;
	iscsi_mark_dirty(s);
	ev_now_update(s->loop->ev);
	ev_timer_set(&s->deadline, LOGOUT_SECONDS, 0);
	ev_timer_start(s->loop->ev, &s->deadline);
}

uint64_t iscsi_session_silence_us(const struct iscsi_session *s)
{
	struct tcp_info info;
	socklen_t n = sizeof(info);

	if (s->state != ISCSI_LOGIN && s->state != ISCSI_UP)
		return UINT64_MAX;
	if (getsockopt(iscsi_get_fd(s->ctx), IPPROTO_TCP, TCP_INFO, &info, &n) != 0)
		return UINT64_MAX;
	return info.tcpi_last_data_recv * UINT64_C(1000);
}

int iscsi_session_local_addr(const struct iscsi_session *s, struct sockaddr_storage *ss)
{
	socklen_t n = sizeof(*ss);
	int fd = iscsi_get_fd(s->ctx);

	if (fd < 0)
		return -ENOTCONN;
	memset(ss, 0, sizeof(*ss));
	return getsockname(fd, (struct sockaddr *)ss, &n) == 0 ? 0 : -errno;
}

bool iscsi_session_closed_by_target(const struct iscsi_session *s)
{
	return s->batch && iscsi_batch_closed(s->batch);
}

int iscsi_session_tpgt(const struct iscsi_session *s)
{
	return s->tpgt;
}
