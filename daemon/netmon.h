/* SPDX-License-Identifier: MIT */
/*
 * The local interfaces, watched through rtnetlink: a cable that is pulled on our own end, or an
 * address that is taken away, is known at once instead of after a time-out. (linux: rtnetlink(7))
 */
#ifndef DAEMON_NETMON_H
#define DAEMON_NETMON_H

#include <ev.h>
#include <net/if.h>
#include <sys/socket.h>

struct netmon;

struct netmon_callbacks {
	/* The interface lost its carrier, was set down, or is gone. */
	void (*link_down)(void *arg, int ifindex, const char *name);
	/* It has a carrier (again), or got an address. */
	void (*link_up)(void *arg, int ifindex, const char *name);
	/* This address is not ours any more. */
	void (*addr_gone)(void *arg, const struct sockaddr_storage *addr);
};

/* NULL: -errno in *err; the daemon works without it, and learns of cut cables by silence. */
struct netmon *netmon_start(struct ev_loop *loop, const struct netmon_callbacks *cb, void *arg,
			    int *err) __attribute__((warn_unused_result));
void netmon_free(struct netmon *m);

/* The interface that has this address; 0: none. */
int netmon_ifindex_of(const struct sockaddr_storage *addr);

/* Same family and address; ports do not count. */
int netmon_same_addr(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

#endif
