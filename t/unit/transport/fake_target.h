/* SPDX-License-Identifier: MIT */
/*
 * A target of a few lines: a thread that accepts one connection on an ephemeral loopback port and
 * plays a script on it, and the initiator's side of a test, which counts what it is told.
 */
#ifndef T_UNIT_TRANSPORT_FAKE_TARGET_H
#define T_UNIT_TRANSPORT_FAKE_TARGET_H

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "transport/iscsi.h"

/* ---- the target ---- */

struct pdu {
	uint8_t h[48];
	uint8_t data[65536];
	size_t n;
};

struct fake {
	int listener, fd;
	pthread_t thread;
	void (*script)(struct fake *f);
	char portal[32];
	struct pdu in; /* the last one read */
	uint32_t statsn;
	const char *keys; /* of the login answer; NULL: LOGIN_OK */
	size_t keys_n;
	const void *with; /* for the script */
	size_t with_n;
};

static inline void be32(uint8_t *p, uint32_t v)
{
	v = htonl(v);
	memcpy(p, &v, 4);
}

static inline uint32_t from32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return ntohl(v);
}

static inline bool read_full(int fd, void *buf, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t r = recv(fd, (char *)buf + at, n - at, 0);

		if (r <= 0)
			return false;
		at += (size_t)r;
	}
	return true;
}

static inline bool read_pdu(struct fake *f)
{
	if (!read_full(f->fd, f->in.h, 48))
		return false;
	f->in.n = from32(f->in.h + 4) & 0xffffff;
	return f->in.n <= sizeof(f->in.data) &&
	       read_full(f->fd, f->in.data, (f->in.n + 3) & ~(size_t)3);
}

static inline void drain(struct fake *f)
{
	char buf[4096];

	while (recv(f->fd, buf, sizeof(buf), 0) > 0)
		;
}

static inline void send_raw(struct fake *f, const void *p, size_t n)
{
	(void)!send(f->fd, p, n, MSG_NOSIGNAL);
}

/* Sets tag, serial numbers and data length in h, and sends. The window stays open by 64. */
static inline void send_pdu(struct fake *f, uint8_t *h, const void *data, size_t n)
{
	uint8_t buf[48 + 65536 + 4] = { 0 };
	uint32_t cmdsn = from32(f->in.h + 24);

	h[5] = (uint8_t)(n >> 16);
	h[6] = (uint8_t)(n >> 8);
	h[7] = (uint8_t)n;
	be32(h + 24, f->statsn++);
	be32(h + 28, cmdsn + !(f->in.h[0] & 0x40));
	be32(h + 32, cmdsn + 64);
	memcpy(buf, h, 48);
	if (n)
		memcpy(buf + 48, data, n);
	send_raw(f, buf, 48 + ((n + 3) & ~(size_t)3));
}

static inline void reply_login(struct fake *f, uint8_t flags, unsigned status, const char *keys,
			       size_t n)
{
	uint8_t h[48] = { 0x23, flags };

	memcpy(h + 8, f->in.h + 8, 6);
	h[15] = 1;
	memcpy(h + 16, f->in.h + 16, 4);
	h[36] = (uint8_t)(status >> 8);
	h[37] = (uint8_t)status;
	send_pdu(f, h, keys, n);
}

#define LOGIN_OK "HeaderDigest=None\0MaxRecvDataSegmentLength=8192\0InitialR2T=Yes\0ImmediateData=Yes\0"
#define LOGIN_R2T "HeaderDigest=None\0MaxRecvDataSegmentLength=8192\0InitialR2T=Yes\0ImmediateData=No\0"

static inline bool do_login(struct fake *f)
{
	if (!read_pdu(f))
		return false;
	if (f->keys)
		reply_login(f, 0x87, 0, f->keys, f->keys_n);
	else
		reply_login(f, 0x87, 0, LOGIN_OK, sizeof(LOGIN_OK) - 1);
	return true;
}

static inline void use_keys(struct fake *f, const char *keys, size_t n)
{
	f->keys = keys;
	f->keys_n = n;
}

/* An R2T for the command in f->in; its tag is the offset. */
static inline void ask(struct fake *f, const uint8_t *command, uint32_t offset, uint32_t n)
{
	uint8_t h[48] = { 0x31, 0x80 };

	memcpy(h + 16, command + 16, 4);
	be32(h + 20, offset);
	be32(h + 40, offset);
	be32(h + 44, n);
	send_pdu(f, h, NULL, 0);
}

/* A SCSI response or Data-In for the command in f->in. */
static inline void reply_scsi(struct fake *f, uint8_t opcode, uint8_t flags, uint8_t status,
			      uint32_t residual, const void *data, size_t n)
{
	uint8_t h[48] = { opcode, flags };

	h[3] = status;
	memcpy(h + 16, f->in.h + 16, 4);
	be32(h + 20, 0xffffffff);
	be32(h + 44, residual);
	send_pdu(f, h, data, n);
}

static inline void *fake_thread(void *arg)
{
	struct fake *f = arg;

	f->fd = accept(f->listener, NULL, NULL);
	if (f->fd >= 0) {
		f->script(f);
		close(f->fd);
	}
	return NULL;
}

static inline void fake_start(struct fake *f, void (*script)(struct fake *f))
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t n = sizeof(a);

	f->script = script;
	f->statsn = 1;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f->listener = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(f->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(f->listener, 4), 0);
	ck_assert_int_eq(getsockname(f->listener, (struct sockaddr *)&a, &n), 0);
	snprintf(f->portal, sizeof(f->portal), "127.0.0.1:%u", ntohs(a.sin_port));
	ck_assert_int_eq(pthread_create(&f->thread, NULL, fake_thread, f), 0);
}

static inline void fake_stop(struct fake *f)
{
	shutdown(f->listener, SHUT_RDWR);
	pthread_join(f->thread, NULL);
	close(f->listener);
}

/* ---- the initiator ---- */

#define NCMD 32

struct ini {
	struct ev_loop *ev;
	struct iscsi_loop *loop;
	struct iscsi_session *s;
	struct iscsi_params p;
	ev_timer watchdog;
	int up, lost, done, pong;
	enum iscsi_loss why;
	char text[256];
	struct iscsi_cmd *cmd; /* NCMD, on the heap: to see who touches them later */
	uint8_t *data;
	void (*on_up)(struct ini *i);
	void (*on_done)(struct ini *i, struct iscsi_cmd *cmd);
	int want_done; /* ends the run */
	bool timed_out;
};

static inline void ini_up(void *arg)
{
	struct ini *i = arg;

	i->up++;
	if (i->on_up)
		i->on_up(i);
}

static inline void ini_lost(void *arg, enum iscsi_loss why, const char *text)
{
	struct ini *i = arg;

	i->lost++;
	i->why = why;
	snprintf(i->text, sizeof(i->text), "%s", text);
	ck_assert_ptr_null(strchr(text, '\n'));
	ck_assert_uint_gt(strlen(text), 0);
	ev_break(i->ev, EVBREAK_ALL);
}

static inline void ini_done(void *arg, struct iscsi_cmd *cmd)
{
	struct ini *i = arg;

	i->done++;
	if (i->on_done)
		i->on_done(i, cmd);
	if (i->done == i->want_done)
		ev_break(i->ev, EVBREAK_ALL);
}

static inline void ini_pong(void *arg)
{
	struct ini *i = arg;

	i->pong++;
	ev_break(i->ev, EVBREAK_ALL);
}

static const struct iscsi_callbacks ini_cb = { .up = ini_up, .lost = ini_lost, .done = ini_done,
					       .pong = ini_pong };

static inline void ini_timeout(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct ini *i = w->data;

	i->timed_out = true;
	ev_break(ev, EVBREAK_ALL);
}

static inline void ini_new(struct ini *i, const char *portal)
{
	memset(i, 0, sizeof(*i));
	i->ev = ev_loop_new(EVFLAG_AUTO);
	i->loop = iscsi_loop_new(i->ev);
	i->cmd = calloc(NCMD, sizeof(*i->cmd));
	i->data = calloc(NCMD, 4096);
	i->p = (struct iscsi_params){
		.initiator_name = "iqn.2026-01.test:unit", .target_name = "iqn.2026-01.test:disk",
		.portal = portal, .isid = 7, .login_timeout_ms = 2000, .user_timeout_ms = 2000,
	};
}

static inline void ini_start(struct ini *i)
{
	int err;

	i->s = iscsi_session_start(i->loop, &i->p, &ini_cb, i, &err);
	ck_assert_ptr_nonnull(i->s);
}

/* Runs until something ends the run; 5 s are a failure of the test. */
static inline void ini_run(struct ini *i)
{
	i->timed_out = false;
	ev_timer_init(&i->watchdog, ini_timeout, 5, 0);
	i->watchdog.data = i;
	ev_timer_start(i->ev, &i->watchdog);
	ev_run(i->ev, 0);
	ev_timer_stop(i->ev, &i->watchdog);
	ck_assert_msg(!i->timed_out, "nothing happened");
}

/* Goes on for a while, to see that nothing more comes. */
static inline void ini_idle(struct ini *i, double seconds)
{
	ev_timer_init(&i->watchdog, ini_timeout, seconds, 0);
	i->watchdog.data = i;
	ev_timer_start(i->ev, &i->watchdog);
	ev_run(i->ev, 0);
	ev_timer_stop(i->ev, &i->watchdog);
}

static inline void ini_free(struct ini *i)
{
	iscsi_session_kill(i->s);
	i->s = NULL;
	free(i->cmd);
	free(i->data);
	iscsi_loop_free(i->loop);
	ev_loop_destroy(i->ev);
}

static inline void submit(struct ini *i, int n, bool write)
{
	struct iscsi_cmd *cmd = &i->cmd[n];

	if (write)
		cdb_write16(&cmd->scsi, (uint64_t)n, 1, 4096, false);
	else
		cdb_read16(&cmd->scsi, (uint64_t)n, 1, 4096);
	cmd->scsi.lun = 1;
	cmd->scsi.niov = 1;
	cmd->scsi.iov[0] = (struct iovec){ i->data + n * 4096, 4096 };
	ck_assert_int_eq(iscsi_session_submit(i->s, cmd), 0);
}

#endif
