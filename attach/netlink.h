/* SPDX-License-Identifier: MIT */
/*
 * The kernel's NBD client over generic netlink (linux/nbd-netlink.h), and its news. Calls block until the
 * kernel has answered. Needs CAP_SYS_ADMIN and the host's network namespace.
 */
#ifndef ATTACH_NETLINK_H
#define ATTACH_NETLINK_H

#include <stddef.h>
#include <stdint.h>

struct netlink;

struct netlink_device {
	int index;                 /* N of /dev/nbdN; connect: -1 for one that is free */
	uint64_t size;             /* bytes; reconfigure: 0 leaves it */
	uint32_t block;            /* bytes; reconfigure: 0 leaves it */
	uint64_t flags;            /* transmission flags; connect only */
	unsigned timeout;          /* seconds a request may take; reconfigure: only with dead_timeout */
	unsigned dead_timeout;     /* seconds without any connection, not 0; reconfigure: 0 leaves both */
	const char *backend;       /* reconfigure: must be what it was connected with */
	const int *fds;            /* connections in transmission; the caller's, the kernel has its own references */
	int nfds;
};

/* Opens netlink, loading the module if it is missing. 0 or -errno with a reason. */
int netlink_open(struct netlink **out, char *why, size_t cap) __attribute__((warn_unused_result));
void netlink_close(struct netlink *n); /* NULL is fine */

/* The device's index or -errno (-EBUSY: that one is connected). */
int netlink_connect(struct netlink *n, const struct netlink_device *d, char *why, size_t cap)
	__attribute__((warn_unused_result));

/*
 * Replaces connections that the kernel has given up, one for one; of d->fds it drops without a word what
 * exceeds them. Sets the size. 0 or -errno; -EINVAL: not connected, or under another backend.
 */
int netlink_reconfigure(struct netlink *n, const struct netlink_device *d, char *why, size_t cap)
	__attribute__((warn_unused_result));

/* What is in flight or comes then fails. 0 also when it is not connected. */
int netlink_disconnect(struct netlink *n, int index, char *why, size_t cap) __attribute__((warn_unused_result));

/* A descriptor that is readable when there is news. */
int netlink_news_fd(const struct netlink *n);

/*
 * Reads all news: how many connections of that device were given up since, INT_MAX where some may have
 * been missed. */
int netlink_news(struct netlink *n, int index);

#endif
