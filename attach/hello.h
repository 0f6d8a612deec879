/* SPDX-License-Identifier: MIT */
/*
 * The client's half of an NBD handshake (proto.md, fixed newstyle with GO or INFO), blocking, each
 * with a deadline. Nothing the server says is believed before its length has been checked; texts come
 * out as printable ASCII.
 */
#ifndef ATTACH_HELLO_H
#define ATTACH_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HELLO_ID_MAX 320

struct hello_info {
	uint64_t size;           /* bytes, above 0, fits off_t */
	uint16_t flags;          /* transmission flags, NBD_FLAG_HAS_FLAGS among them */
	uint32_t logical_block;  /* bytes: 512 to 4096, of the LUN; what the kernel gets */
	uint32_t max_block;      /* bytes, 0 where the server names none */
	char id[HELLO_ID_MAX];   /* printable, no blank: the device identifier, else what describes the export, else export=NAME */
};

/*
 * Connects to "unix:PATH", a path, or "tcp:HOST:PORT" (tcp:[ADDR6]:PORT) within ms. The socket blocks.
 * A descriptor or -errno with a reason in why[]: -ENOENT and -ECONNREFUSED where nobody listens, -EINVAL where
 * addr is none of these.
 */
int hello_dial(const char *addr, int ms, char *why, size_t cap) __attribute__((warn_unused_result));

/*
 * The handshake on fd, within ms. go: the connection is in transmission afterwards, with not a byte of
 * it read; else only asked, and ended with ABORT. 0, -ENODEV (no such export), -EACCES (refused otherwise), -EPROTO
 * (not what the protocol allows), -EPIPE (closed in the midst), -ETIMEDOUT or another -errno.
 */
int hello_talk(int fd, const char *export, bool go, int ms, struct hello_info *out, char *why,
	       size_t cap) __attribute__((warn_unused_result));

/*
 * Both, for n connections, all in transmission and all to the same export: fds[] gets them. Returns how many,
 * at least 1, or -errno; the first tells *out, one that differs from it or fails ends it (why[] says so).
 * More than one only where the server allows several.
 */
int hello_open(const char *addr, const char *export, int n, int ms, int *fds, struct hello_info *out,
	       char *why, size_t cap) __attribute__((warn_unused_result));

/* Only asks. 0 or as hello_dial() and hello_talk(). */
int hello_ask(const char *addr, const char *export, int ms, struct hello_info *out, char *why,
	      size_t cap) __attribute__((warn_unused_result));

#endif
