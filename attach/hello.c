/* SPDX-License-Identifier: MIT */
/* What is said on a new connection: greeting, flags, one option and its replies (proto.md, "Handshake phase"). */
#include "hello.h"
#include "../transport/nbd_proto.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REPLY_MAX 8192U  /* bytes; the longest allowed is a text of 4096 */
#define REPLIES_MAX 64   /* to one option */
#define BLOCK_MIN 512U   /* what the kernel takes */
#define BLOCK_MAX 4096U

struct talk {
	int fd;
	int64_t until; /* ms of the monotonic clock */
	uint32_t option;
	uint32_t min_block; /* bytes, 0 until it was told */
	bool have_export;
	struct hello_info *out;
	char *why;
	size_t cap;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int fail(struct talk *t, int err, const char *text)
{
	snprintf(t->why, t->cap, "%s", text);
	return err;
}

static int wait_for(struct talk *t, short events)
{
	struct pollfd p = { .fd = t->fd, .events = events };
	int64_t left = t->until - now_ms();
	int n = poll(&p, 1, left > 0 ? (int)left : 0);

	if (n < 0 && errno != EINTR)
		return fail(t, -errno, strerror(errno));
	if (n == 0)
		return fail(t, -ETIMEDOUT, "the server does not answer in time");
	return 0;
}

/* Exactly len bytes and none beyond: what follows is the kernel's. */
static int get(struct talk *t, void *to, size_t len)
{
	uint8_t *p = to;

	while (len > 0) {
		ssize_t n;
		int ret = wait_for(t, POLLIN);

		if (ret)
			return ret;
		n = recv(t->fd, p, len, MSG_DONTWAIT);
		if (n == 0)
			return fail(t, -EPIPE, "the server closed the connection during the handshake");
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return fail(t, -errno, strerror(errno));
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int put(struct talk *t, const void *from, size_t len)
{
	const uint8_t *p = from;

	while (len > 0) {
		ssize_t n;
		int ret = wait_for(t, POLLOUT);

		if (ret)
			return ret;
		n = send(t->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return fail(t, errno == EPIPE ? -EPIPE : -errno, strerror(errno));
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int greet(struct talk *t)
{
	uint8_t b[18], flags[4];
	uint16_t theirs;
	int ret = get(t, b, sizeof(b));

	if (ret)
		return ret;
	if (get_be64(b) != NBD_MAGIC || get_be64(b + 8) != NBD_OPT_MAGIC)
		return fail(t, -EPROTO, "what listens there is no NBD server of the newstyle kind");
	theirs = get_be16(b + 16);
	if (!(theirs & NBD_FLAG_FIXED_NEWSTYLE))
		return fail(t, -EPROTO, "the server knows no fixed newstyle negotiation");
	put_be32(flags, NBD_FLAG_FIXED_NEWSTYLE | (theirs & NBD_FLAG_NO_ZEROES));
	return put(t, flags, sizeof(flags));
}

static int send_option(struct talk *t, const char *export)
{
	static const uint16_t items[] = { NBD_INFO_NAME, NBD_INFO_DESCRIPTION, NBD_INFO_BLOCK_SIZE };
	uint8_t b[NBD_OPT_HEAD + 6 + NBD_NAME_MAX + sizeof(items)], *p = b + NBD_OPT_HEAD;
	size_t len = strlen(export);

	if (len > NBD_NAME_MAX)
		return fail(t, -EINVAL, "the export's name is longer than 4096 bytes");
	put_be32(p, (uint32_t)len);
	memcpy(p + 4, export, len);
	p += 4 + len;
	put_be16(p, sizeof(items) / sizeof(items[0]));
	p += 2;
	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++, p += 2)
		put_be16(p, items[i]);
	put_be64(b, NBD_OPT_MAGIC);
	put_be32(b + 8, t->option);
	put_be32(b + 12, (uint32_t)(p - b) - NBD_OPT_HEAD);
	return put(t, b, (size_t)(p - b));
}

/* It becomes a file name under /dev/disk/by-id and a line in sysfs. */
static void copy_word(char *to, size_t cap, const char *from)
{
	size_t i;

	for (i = 0; i < cap - 1 && from[i]; i++) {
		unsigned char c = (unsigned char)from[i];

		to[i] = c <= ' ' || c >= 0x7f || c == '/' || c == '\\' || c == '"' ? '_' : (char)c;
	}
	to[i] = '\0';
}

/* mpiod describes an export as "IDENTIFIER block=BYTES"; what others say is taken as it is. */
static void take_description(struct hello_info *out, const char *text, size_t len)
{
	static const char key[] = " block=";
	char copy[NBD_NAME_MAX + 1], *at = NULL;

	memcpy(copy, text, len);
	copy[len] = '\0';
	for (char *p = copy; (p = strstr(p, key)); p++)
		at = p;
	if (at) {
		unsigned long bytes = strtoul(at + sizeof(key) - 1, NULL, 10);

		if (bytes >= BLOCK_MIN && bytes <= BLOCK_MAX && !(bytes & (bytes - 1)))
			out->logical_block = (uint32_t)bytes;
		*at = '\0';
	}
	copy_word(out->id, sizeof(out->id), copy);
}

/*
 * Of an export without a description. Exports are asked for by their identifiers, too, and some servers agree to
 * any name: the name alone would look like the identifier of the disk that was meant.
 */
static void take_name(struct hello_info *out, const char *export)
{
	int n = snprintf(out->id, sizeof(out->id), "export=");

	copy_word(out->id + n, sizeof(out->id) - (size_t)n, export);
}

static int take_export(struct talk *t, const uint8_t *b, uint32_t len)
{
	struct hello_info *out = t->out;

	if (len != 12)
		return fail(t, -EPROTO, "NBD_INFO_EXPORT of a wrong length");
	out->size = get_be64(b + 2);
	out->flags = get_be16(b + 10);
	if (!out->size || out->size > INT64_MAX)
		return fail(t, -EPROTO, "the export's size is impossible");
	if (!(out->flags & NBD_FLAG_HAS_FLAGS))
		return fail(t, -EPROTO, "the export has no transmission flags");
	t->have_export = true;
	return 0;
}

static int take_blocks(struct talk *t, const uint8_t *b, uint32_t len)
{
	uint32_t min, pref;

	if (len != 14)
		return fail(t, -EPROTO, "NBD_INFO_BLOCK_SIZE of a wrong length");
	min = get_be32(b + 2);
	pref = get_be32(b + 6);
	t->out->max_block = get_be32(b + 10);
	if (!min || min & (min - 1) || min > 65536 || pref < min)
		return fail(t, -EPROTO, "the export's block sizes are impossible");
	if (min > BLOCK_MAX)
		return fail(t, -EPROTO, "the export's smallest block is larger than the kernel can use");
	t->min_block = min;
	return 0;
}

static int take_info(struct talk *t, const uint8_t *b, uint32_t len)
{
	if (len < 2)
		return fail(t, -EPROTO, "an information reply without its type");
	switch (get_be16(b)) {
	case NBD_INFO_EXPORT:
		return take_export(t, b, len);
	case NBD_INFO_BLOCK_SIZE:
		return take_blocks(t, b, len);
	case NBD_INFO_DESCRIPTION:
		if (len - 2 > NBD_NAME_MAX)
			return fail(t, -EPROTO, "a description of more than 4096 bytes");
		take_description(t->out, (const char *)b + 2, len - 2);
		return 0;
	default: /* proto.md: unknown ones are to be ignored */
		return 0;
	}
}

static int take_error(struct talk *t, uint32_t type, const uint8_t *b, uint32_t len)
{
	char text[160];
	size_t n = len < sizeof(text) - 1 ? len : sizeof(text) - 1;

	for (size_t i = 0; i < n; i++)
		text[i] = b[i] < 0x20 || b[i] >= 0x7f ? '?' : (char)b[i];
	text[n] = '\0';
	if (type == NBD_REP_ERR_UNKNOWN) {
		snprintf(t->why, t->cap, "the server: %s", n ? text : "no such export");
		return -ENODEV;
	}
	snprintf(t->why, t->cap, "the server refuses, error %#x%s%s", type, n ? ": " : "", text);
	return -EACCES;
}

/* 1: more are to come. */
static int take_reply(struct talk *t)
{
	uint8_t head[NBD_REP_HEAD], b[REPLY_MAX];
	uint32_t type, len;
	int ret = get(t, head, sizeof(head));

	if (ret)
		return ret;
	type = get_be32(head + 12);
	len = get_be32(head + 16);
	if (get_be64(head) != NBD_REP_MAGIC || get_be32(head + 8) != t->option)
		return fail(t, -EPROTO, "no option reply where one belongs");
	if (len > sizeof(b))
		return fail(t, -EPROTO, "an option reply longer than any may be");
	ret = get(t, b, len);
	if (ret)
		return ret;
	if (type & 0x80000000U)
		return take_error(t, type, b, len);
	if (type == NBD_REP_INFO) {
		ret = take_info(t, b, len);
		return ret ? ret : 1;
	}
	if (type != NBD_REP_ACK || len)
		return fail(t, -EPROTO, "an option reply of an unexpected kind");
	return t->have_export ? 0 : fail(t, -EPROTO, "the server acknowledged without naming the size");
}

static void send_abort(struct talk *t)
{
	uint8_t b[NBD_OPT_HEAD];

	put_be64(b, NBD_OPT_MAGIC);
	put_be32(b + 8, NBD_OPT_ABORT);
	put_be32(b + 12, 0);
	if (!put(t, b, sizeof(b)))
		(void)get(t, b, 1); /* its answer: closed before, it would be a broken connection in the log */
}

int hello_talk(int fd, const char *export, bool go, int ms, struct hello_info *out, char *why,
	       size_t cap)
{
	struct talk t = {
		.fd = fd, .until = now_ms() + ms, .option = go ? NBD_OPT_GO : NBD_OPT_INFO,
		.out = out, .why = why, .cap = cap,
	};
	int ret, n = 0;

	*out = (struct hello_info){ .logical_block = BLOCK_MIN };
	ret = greet(&t);
	if (!ret)
		ret = send_option(&t, export);
	while (!ret) {
		ret = take_reply(&t);
		if (ret <= 0)
			break;
		ret = ++n < REPLIES_MAX ? 0 : fail(&t, -EPROTO, "option replies without end");
	}
	if (ret)
		return ret;
	if (t.min_block > out->logical_block)
		out->logical_block = t.min_block;
	if (!out->id[0])
		take_name(out, export);
	if (!go)
		send_abort(&t);
	return 0;
}

int hello_ask(const char *addr, const char *export, int ms, struct hello_info *out, char *why, size_t cap)
{
	int fd = hello_dial(addr, ms, why, cap), ret;

	if (fd < 0)
		return fd;
	ret = hello_talk(fd, export, false, ms, out, why, cap);
	close(fd);
	return ret;
}

static int open_one(const char *addr, const char *export, int ms, struct hello_info *out, char *why,
		    size_t cap)
{
	int fd = hello_dial(addr, ms, why, cap), ret;

	if (fd < 0)
		return fd;
	ret = hello_talk(fd, export, true, ms, out, why, cap);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

int hello_open(const char *addr, const char *export, int n, int ms, int *fds, struct hello_info *out,
	       char *why, size_t cap)
{
	struct hello_info other;
	int have = 0, ret;

	ret = open_one(addr, export, ms, out, why, cap);
	if (ret < 0)
		return ret;
	fds[have++] = ret;
	if (!(out->flags & NBD_FLAG_CAN_MULTI_CONN))
		n = 1;
	while (have < n) {
		ret = open_one(addr, export, ms, &other, why, cap);
		if (ret < 0)
			break;
		if (strcmp(other.id, out->id) || other.size != out->size || other.flags != out->flags) {
			snprintf(why, cap, "the export changed between two connections");
			close(ret);
			break;
		}
		fds[have++] = ret;
	}
	return have;
}
