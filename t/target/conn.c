/* SPDX-License-Identifier: MIT */
/* Connections: bytes into PDUs and PDUs into bytes (RFC 7143 11.2). */
#include "target.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void conn_free(struct conn *c)
{
	list_del(&c->link);
	free(c->in);
	free(c->out);
	free(c);
}

static void reap(struct ev_loop *l, ev_prepare *w, int revents)
{
	struct list *pos, *tmp;

	(void)l, (void)w, (void)revents;
	list_for_each_safe(pos, tmp, &T.conns) {
		struct conn *c = list_entry(pos, struct conn, link);

		if (c->dead)
			conn_free(c);
	}
}

void conn_close(struct conn *c, bool reset)
{
	if (c->dead)
		return;
	c->dead = true;
	ev_io_stop(T.loop, &c->rd);
	ev_io_stop(T.loop, &c->wr);
	if (reset)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 },
			   sizeof(struct linger));
	close(c->fd);
	task_conn_gone(c);
}

static void flush(struct conn *c)
{
	while (!c->dead && c->out_len) {
		ssize_t n =
			send(c->fd, c->out + c->out_off, c->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN) {
			ev_io_start(T.loop, &c->wr);
			return;
		}
		if (n <= 0) { /* nobody listens; what came before is executed all the same */
			c->out_len = 0;
			break;
		}
		c->out_off += (size_t)n;
		c->out_len -= (size_t)n;
	}
	if (!c->dead && c->closing)
		conn_close(c, c->reset);
	c->out_off = 0;
	ev_io_stop(T.loop, &c->wr);
}

static void writable(struct ev_loop *l, ev_io *w, int revents)
{
	(void)l, (void)revents;
	flush(w->data);
}

void conn_raw(struct conn *c, const void *p, size_t n)
{
	if (c->dead || c->closing)
		return;
	if (c->out_off > c->out_len) {
		memcpy(c->out, c->out + c->out_off, c->out_len);
		c->out_off = 0;
	}
	if (c->out_off + c->out_len + n > c->out_cap) {
		c->out_cap = 2 * (c->out_off + c->out_len + n);
		c->out = realloc(c->out, c->out_cap);
		if (!c->out)
			abort();
	}
	memcpy(c->out + c->out_off + c->out_len, p, n);
	c->out_len += n;
	ev_io_start(T.loop, &c->wr);
}

void conn_window(struct conn *c, uint8_t bhs[48])
{
	uint32_t max = c->expcmdsn + (uint32_t)T.portal[c->portal].window - 1;

	put32(bhs + 28, c->expcmdsn);
	put32(bhs + 32, max);
	if (!c->full || (int32_t)(max - c->maxcmdsn) > 0) /* it never shrinks, RFC 7143 4.2.2.1 */
		c->maxcmdsn = max;
}

void conn_send(struct conn *c, uint8_t bhs[48], const void *data, uint32_t len, bool stat)
{
	static const uint8_t zeroes[4];

	bhs[5] = (uint8_t)(len >> 16);
	put16(bhs + 6, (uint16_t)len);
	if (stat)
		put32(bhs + 24, c->statsn++);
	conn_window(c, bhs);
	conn_raw(c, bhs, 48);
	if (len)
		conn_raw(c, data, len);
	if (len % 4)
		conn_raw(c, zeroes, 4 - len % 4);
}

void conn_reject(struct conn *c, const uint8_t bhs[48], uint8_t reason)
{
	uint8_t r[48] = { OP_REJECT, 0x80, reason };

	put32(r + 16, 0xffffffff);
	conn_send(c, r, bhs, 48, true);
}

void conn_async(struct conn *c, uint8_t event, uint16_t p1, uint16_t p2, uint16_t p3)
{
	uint8_t r[48] = { OP_ASYNC, 0x80 };

	put32(r + 16, 0xffffffff);
	r[36] = event;
	put16(r + 38, p1);
	put16(r + 40, p2);
	put16(r + 42, p3);
	conn_send(c, r, NULL, 0, true);
}

void conn_window_changed(int portal)
{
	struct list *pos;

	list_for_each(pos, &T.conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		uint8_t r[48] = { OP_NOP_IN, 0x80 };

		if (!c->full || c->portal != portal)
			continue;
		put32(r + 16, 0xffffffff);
		put32(r + 20, 0xffffffff);
		put32(r + 24, c->statsn);
		conn_send(c, r, NULL, 0, false);
	}
}

void conn_stall(int portal, bool on)
{
	struct list *pos;

	T.portal[portal].stall = on;
	list_for_each(pos, &T.conns) {
		struct conn *c = list_entry(pos, struct conn, link);

		if (c->dead || c->portal != portal)
			continue;
		if (on)
			ev_io_stop(T.loop, &c->rd);
		else
			ev_io_start(T.loop, &c->rd);
	}
}

static void nop_out(struct conn *c, const uint8_t bhs[48], const uint8_t *data, uint32_t len)
{
	uint8_t r[48] = { OP_NOP_IN, 0x80 };

	if (get32(bhs + 16) == 0xffffffff || T.portal[c->portal].no_nops)
		return;
	memcpy(r + 8, bhs + 8, 8);
	memcpy(r + 16, bhs + 16, 4);
	put32(r + 20, 0xffffffff);
	conn_send(c, r, data, len, true);
}

static void logout(struct conn *c, const uint8_t bhs[48])
{
	uint8_t r[48] = { OP_LOGOUT_RSP, 0x80 };

	T.logouts++;
	memcpy(r + 16, bhs + 16, 4);
	conn_send(c, r, NULL, 0, true);
	c->closing = true;
}

/* The number of a command that is not "immediate" must be the next one (RFC 7143 4.2.2.1). */
static bool numbered(struct conn *c, const uint8_t bhs[48])
{
	if (bhs[0] & 0x40)
		return true;
	if (get32(bhs + 24) != c->expcmdsn)
		return false;
	if ((int32_t)(c->expcmdsn - c->maxcmdsn) > 0)
		T.beyond_window++;
	c->expcmdsn++;
	return true;
}

static void pdu(struct conn *c, const uint8_t bhs[48], uint8_t *data, uint32_t len)
{
	uint8_t op = bhs[0] & 0x3f;

	if (!c->full && op != OP_LOGIN) {
		conn_close(c, true);
		return;
	}
	if (c->full && op != OP_DATA_OUT && !numbered(c, bhs))
		return;
	switch (op) {
	case OP_LOGIN:
		login_pdu(c, bhs, (char *)data, len);
		break;
	case OP_TEXT:
		text_pdu(c, bhs, (char *)data, len);
		break;
	case OP_NOP_OUT:
		nop_out(c, bhs, data, len);
		break;
	case OP_LOGOUT:
		logout(c, bhs);
		break;
	case OP_SCSI:
		receive_command(c, bhs, data, len);
		break;
	case OP_DATA_OUT:
		receive_data(c, bhs, data, len);
		break;
	case OP_TMF:
		task_management(c, bhs);
		break;
	default:
		conn_reject(c, bhs, 0x05); /* command not supported */
	}
}

static void take_pdus(struct conn *c)
{
	size_t at = 0;

	while (!c->dead && !c->closing && c->in_len - at >= 48) {
		uint8_t *bhs = c->in + at;
		uint32_t ahs = bhs[4] * 4U, len = get24(bhs + 5),
			 whole = 48 + ahs + ((len + 3) & ~3U);

		if (len > MAX_SEGMENT) {
			conn_close(c, true);
			return;
		}
		if (c->in_len - at < whole)
			break;
		pdu(c, bhs, bhs + 48 + ahs, len);
		at += whole;
	}
	if (c->dead)
		return;
	memmove(c->in, c->in + at, c->in_len - at);
	c->in_len -= at;
}

#define IN_CAP (2 * MAX_SEGMENT)

static void readable(struct ev_loop *l, ev_io *w, int revents)
{
	struct conn *c = w->data;
	ssize_t n = recv(c->fd, c->in + c->in_len, IN_CAP - c->in_len, MSG_DONTWAIT);

	(void)l, (void)revents;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_close(c, false);
		return;
	}
	c->in_len = c->closing ? 0 : c->in_len + (size_t)n;
	take_pdus(c);
	if (!c->dead)
		flush(c);
}

void conn_accept(int portal)
{
	static ev_prepare reaper;
	int fd = accept(T.portal[portal].fd, NULL, NULL), one = 1;
	struct conn *c;

	if (fd < 0)
		return;
	c = T.portal[portal].closed ? NULL : calloc(1, sizeof(*c));
	if (c)
		c->in = malloc(IN_CAP);
	if (!c || !c->in) {
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 },
			   sizeof(struct linger));
		close(fd);
		free(c);
		return;
	}
	if (!ev_is_active(&reaper)) {
		ev_prepare_init(&reaper, reap);
		ev_prepare_start(T.loop, &reaper);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->id = ++T.next_conn;
	c->fd = fd;
	c->portal = portal;
	c->max_recv = 8192;
	c->first_burst = FIRST_BURST;
	c->max_burst = MAX_BURST;
	c->immediate = true;
	c->initial_r2t = true;
	list_add_tail(&c->link, &T.conns);
	ev_io_init(&c->rd, readable, fd, EV_READ);
	ev_io_init(&c->wr, writable, fd, EV_WRITE);
	c->rd.data = c->wr.data = c;
	if (!T.portal[portal].stall)
		ev_io_start(T.loop, &c->rd);
}
