/* SPDX-License-Identifier: MIT */
#include "iscsi_batch.h"
#include "iscsi_vet.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define RX_BYTES (260u << 10) /* any PDU that has to be there as a whole */
#define TX_BYTES (256u << 10)
#define DIRECT_BYTES (16u << 10) /* from here on a copy costs more than a system call */
#define MAX_IOV 16

_Static_assert(RX_BYTES >= ISCSI_VET_PDU_MAX, "a PDU does not fit");

struct iscsi_batch {
	struct iscsi_vet *vet;
	size_t pass;            /* bytes libiscsi may have before the vet is asked again */
	size_t rx_start, rx_end;
	bool rx_dry;            /* the kernel has given all it had */
	bool closed;            /* the other side has, or reset the connection */
	size_t tx_start, tx_end;
	uint8_t rx[RX_BYTES], tx[TX_BYTES];
};

static _Thread_local struct iscsi_batch *current;

/* What libiscsi's recv(), readv(), send() and writev() were renamed to. */
ssize_t mpio_iscsi_recv(int fd, void *buf, size_t n, int flags);
ssize_t mpio_iscsi_readv(int fd, const struct iovec *iov, int niov);
ssize_t mpio_iscsi_send(int fd, const void *buf, size_t n, int flags);
ssize_t mpio_iscsi_writev(int fd, const struct iovec *iov, int niov);

/*
 * And its stderr: a static library that is not made for shared ones can't refer to data of the C library, as
 * nbdkit-mpio-plugin.so would have it do.
 */
extern FILE *mpio_iscsi_stderr;
FILE *mpio_iscsi_stderr;

static __attribute__((constructor)) void set_stderr(void)
{
	mpio_iscsi_stderr = stderr;
}

struct iscsi_batch *iscsi_batch_new(struct iscsi_vet *vet)
{
	struct iscsi_batch *b = malloc(sizeof(*b));

	if (!b)
		return NULL;
	memset(b, 0, offsetof(struct iscsi_batch, rx));
	b->vet = vet;
	if (!vet)
		b->pass = SIZE_MAX;
	return b;
}

void iscsi_batch_free(struct iscsi_batch *b)
{
	free(b);
}

void iscsi_batch_enter(struct iscsi_batch *b)
{
	current = b;
}

void iscsi_batch_leave(void)
{
	current = NULL;
}

void iscsi_batch_readable(struct iscsi_batch *b)
{
	b->rx_dry = false;
}

bool iscsi_batch_closed(const struct iscsi_batch *b)
{
	return b->closed;
}

size_t iscsi_batch_unread(const struct iscsi_batch *b)
{
	return b->rx_end - b->rx_start;
}

static ssize_t again(void)
{
	errno = EAGAIN;
	return -1;
}

/* ---- in ---- */

static void passed(struct iscsi_batch *b, size_t n)
{
	if (b->vet)
		b->pass -= n;
}

static size_t take(struct iscsi_batch *b, void *to, size_t n)
{
	size_t have = b->rx_end - b->rx_start;

	if (n > have)
		n = have;
	if (n > b->pass)
		n = b->pass;
	memcpy(to, b->rx + b->rx_start, n);
	b->rx_start += n;
	passed(b, n);
	return n;
}

/*
 * One system call: into iov first, what is left over into the buffer, behind what it holds. With an
 * iov (niov may be 0) it must be empty.
 */
static ssize_t fill(struct iscsi_batch *b, int fd, const struct iovec *iov, int niov, size_t want)
{
	struct iovec all[MAX_IOV + 1];
	size_t kept = b->rx_end - b->rx_start, room = RX_BYTES - kept;
	ssize_t k;

	if (kept && b->rx_start)
		memmove(b->rx, b->rx + b->rx_start, kept);
	b->rx_start = 0;
	b->rx_end = kept;
	for (int i = 0; i < niov; i++)
		all[i] = iov[i];
	all[niov] = (struct iovec){ b->rx + kept, room };
	k = readv(fd, all, niov + 1);
	b->closed |= k == 0 || (k < 0 && errno == ECONNRESET);
	if (k < 0)
		return k;
	/* Less than there was room for: the socket is empty. The end of the stream is asked for again. */
	b->rx_dry = k > 0 && (size_t)k < want + room;
	if ((size_t)k > want)
		b->rx_end = kept + k - want;
	return k;
}

/* At the start of a PDU: has it vetted. 1: some of it may pass; else as recv(). */
static ssize_t admit(struct iscsi_batch *b, int fd)
{
	struct iscsi_vet_pdu pdu;
	ssize_t k;

	for (;;) {
		switch (iscsi_vet_pdu(b->vet, b->rx + b->rx_start, b->rx_end - b->rx_start, &pdu)) {
		case ISCSI_VET_PASS:
			b->rx_start += pdu.skip;
			b->pass = pdu.pass;
			return 1;
		case ISCSI_VET_MORE:
			if (b->rx_dry)
				return again();
			k = fill(b, fd, NULL, 0, 0);
			if (k <= 0)
				return k;
			break;
		case ISCSI_VET_HOLD:
			return again();
		case ISCSI_VET_FAIL:
			errno = EPROTO;
			return -1;
		}
	}
}

ssize_t mpio_iscsi_recv(int fd, void *buf, size_t n, int flags)
{
	struct iscsi_batch *b = current;
	ssize_t k;

	if (!b)
		return recv(fd, buf, n, flags);
	if (b->pass == 0) {
		k = admit(b, fd);
		if (k <= 0)
			return k;
	}
	if (b->rx_start == b->rx_end) {
		if (b->rx_dry)
			return again();
		k = fill(b, fd, NULL, 0, 0);
		if (k <= 0)
			return k;
	}
	return take(b, buf, n);
}

ssize_t mpio_iscsi_readv(int fd, const struct iovec *iov, int niov)
{
	struct iscsi_batch *b = current;
	size_t want = 0, got = 0;
	ssize_t k;

	if (!b || niov > MAX_IOV)
		return readv(fd, iov, niov);
	for (int i = 0; i < niov; i++)
		want += iov[i].iov_len;
	if (b->pass == 0) {
		k = admit(b, fd);
		if (k <= 0)
			return k;
	}
	if (b->rx_start == b->rx_end) {
		if (b->rx_dry)
			return again();
		if (want >= DIRECT_BYTES && want <= b->pass) {
			k = fill(b, fd, iov, niov, want);
			if (k > (ssize_t)want)
				k = (ssize_t)want;
			if (k > 0)
				passed(b, k);
			return k;
		}
		k = fill(b, fd, NULL, 0, 0);
		if (k <= 0)
			return k;
	}
	for (int i = 0; i < niov; i++)
		got += take(b, iov[i].iov_base, iov[i].iov_len);
	return got;
}

/* ---- out ---- */

static ssize_t send_iov(struct iscsi_batch *b, int fd, struct iovec *iov, int niov)
{
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = niov };
	ssize_t k = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);

	b->closed |= k < 0 && (errno == EPIPE || errno == ECONNRESET);
	return k;
}

static void sent(struct iscsi_batch *b, size_t n)
{
	b->tx_start += n;
	if (b->tx_start == b->tx_end)
		b->tx_start = b->tx_end = 0;
}

int iscsi_batch_flush(struct iscsi_batch *b, int fd)
{
	while (b->tx_start < b->tx_end) {
		struct iovec iov = { b->tx + b->tx_start, b->tx_end - b->tx_start };
		ssize_t k = send_iov(b, fd, &iov, 1);

		if (k < 0)
			return errno == EAGAIN || errno == EINTR ? 1 : -errno;
		sent(b, k);
	}
	return 0;
}

static ssize_t put(struct iscsi_batch *b, const struct iovec *iov, int niov, size_t total)
{
	for (int i = 0; i < niov; i++) {
		memcpy(b->tx + b->tx_end, iov[i].iov_base, iov[i].iov_len);
		b->tx_end += iov[i].iov_len;
	}
	return total;
}

/* What waits and iov in one system call. Returns how many bytes of iov the kernel took. */
static ssize_t send_through(struct iscsi_batch *b, int fd, const struct iovec *iov, int niov)
{
	struct iovec all[MAX_IOV + 1];
	size_t waiting = b->tx_end - b->tx_start;
	ssize_t k;

	all[0] = (struct iovec){ b->tx + b->tx_start, waiting };
	memcpy(all + 1, iov, niov * sizeof(*iov));
	k = send_iov(b, fd, all, niov + 1);
	if (k < 0)
		return k;
	if ((size_t)k <= waiting) {
		sent(b, k);
		return again();
	}
	sent(b, waiting);
	return k - waiting;
}

static ssize_t out(int fd, const struct iovec *iov, int niov)
{
	struct iscsi_batch *b = current;
	size_t total = 0;
	ssize_t k;

	for (int i = 0; i < niov; i++)
		total += iov[i].iov_len;
	if (total < DIRECT_BYTES && total <= TX_BYTES - b->tx_end)
		k = put(b, iov, niov, total);
	else
		k = send_through(b, fd, iov, niov);
	if (k > 0 && b->vet)
		iscsi_vet_sent(b->vet, iov[0].iov_base, iov[0].iov_len, k);
	return k;
}

ssize_t mpio_iscsi_send(int fd, const void *buf, size_t n, int flags)
{
	struct iovec iov = { (void *)buf, n };

	return current ? out(fd, &iov, 1) : send(fd, buf, n, flags);
}

ssize_t mpio_iscsi_writev(int fd, const struct iovec *iov, int niov)
{
	return current && niov <= MAX_IOV ? out(fd, iov, niov) : writev(fd, iov, niov);
}
