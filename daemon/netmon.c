/* SPDX-License-Identifier: MIT */
#include "netmon.h"

#include <errno.h>
#include <ifaddrs.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef IFF_LOWER_UP /* <net/if.h> and <linux/if.h> can't both be included */
#define IFF_LOWER_UP 0x10000
#endif

struct netmon {
	struct ev_loop *loop;
	ev_io io;
	struct mnl_socket *nl;
	struct netmon_callbacks cb;
	void *arg;
};

int netmon_same_addr(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	if (a->ss_family != b->ss_family)
		return 0;
	if (a->ss_family == AF_INET)
		return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
		       ((const struct sockaddr_in *)b)->sin_addr.s_addr;
	if (a->ss_family == AF_INET6)
		return !memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
			       &((const struct sockaddr_in6 *)b)->sin6_addr, 16);
	return 0;
}

int netmon_ifindex_of(const struct sockaddr_storage *addr)
{
	struct ifaddrs *all, *i;
	int found = 0;

	if (getifaddrs(&all) < 0)
		return 0;
	for (i = all; i && !found; i = i->ifa_next) {
		struct sockaddr_storage ss = { 0 };

		if (!i->ifa_addr ||
		    (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
			continue;
		memcpy(&ss, i->ifa_addr,
		       i->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) :
							   sizeof(struct sockaddr_in6));
		if (netmon_same_addr(&ss, addr))
			found = if_nametoindex(i->ifa_name);
	}
	freeifaddrs(all);
	return found;
}

static void link_message(struct netmon *m, const struct nlmsghdr *nlh)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	const unsigned need = IFF_UP | IFF_RUNNING | IFF_LOWER_UP;
	char name[IF_NAMESIZE + 16];
	const struct nlattr *attr;

	snprintf(name, sizeof(name), "#%d", ifi->ifi_index);
	mnl_attr_for_each(attr, nlh, sizeof(*ifi))
		if (mnl_attr_get_type(attr) == IFLA_IFNAME &&
		    mnl_attr_validate(attr, MNL_TYPE_STRING) >= 0)
			snprintf(name, sizeof(name), "%s", mnl_attr_get_str(attr));
	if (nlh->nlmsg_type == RTM_DELLINK || (ifi->ifi_flags & need) != need)
		m->cb.link_down(m->arg, ifi->ifi_index, name);
	else
		m->cb.link_up(m->arg, ifi->ifi_index, name);
}

static void addr_message(struct netmon *m, const struct nlmsghdr *nlh)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct sockaddr_storage ss = { .ss_family = ifa->ifa_family };
	const struct nlattr *attr, *addr = NULL;
	char name[IF_NAMESIZE] = "";

	mnl_attr_for_each(attr, nlh, sizeof(*ifa)) {
		unsigned t = mnl_attr_get_type(attr);

		/* On point-to-point links IFA_LOCAL is ours and IFA_ADDRESS the peer's. */
		if (t == IFA_LOCAL || (t == IFA_ADDRESS && !addr))
			addr = attr;
	}
	if (!addr)
		return;
	if (ss.ss_family == AF_INET && mnl_attr_get_payload_len(addr) == 4)
		memcpy(&((struct sockaddr_in *)&ss)->sin_addr, mnl_attr_get_payload(addr), 4);
	else if (ss.ss_family == AF_INET6 && mnl_attr_get_payload_len(addr) == 16)
		memcpy(&((struct sockaddr_in6 *)&ss)->sin6_addr, mnl_attr_get_payload(addr), 16);
	else
		return;
	if (nlh->nlmsg_type == RTM_DELADDR)
		m->cb.addr_gone(m->arg, &ss);
	else if (if_indextoname(ifa->ifa_index, name))
		m->cb.link_up(m->arg, ifa->ifa_index, name);
}

static int message(const struct nlmsghdr *nlh, void *arg)
{
	struct netmon *m = arg;

	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		if (mnl_nlmsg_get_payload_len(nlh) >= sizeof(struct ifinfomsg))
			link_message(m, nlh);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		if (mnl_nlmsg_get_payload_len(nlh) >= sizeof(struct ifaddrmsg))
			addr_message(m, nlh);
		break;
	}
	return MNL_CB_OK;
}

static void readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct netmon *m = w->data;
	char buf[32768] __attribute__((aligned(8)));
	ssize_t n;

	(void)loop;
	(void)revents;
	/* ENOBUFS: messages were lost. Silence on the sessions tells us then, so it is no error. */
	while ((n = mnl_socket_recvfrom(m->nl, buf, sizeof(buf))) > 0 ||
	       (n < 0 && errno == ENOBUFS))
		if (n > 0)
			mnl_cb_run(buf, n, 0, 0, message, m);
}

struct netmon *netmon_start(struct ev_loop *loop, const struct netmon_callbacks *cb, void *arg,
			    int *err)
{
	struct netmon *m = calloc(1, sizeof(*m));

	if (!m) {
		*err = -ENOMEM;
		return NULL;
	}
	m->loop = loop;
	m->cb = *cb;
	m->arg = arg;
	m->nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (!m->nl ||
	    mnl_socket_bind(m->nl, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
			    MNL_SOCKET_AUTOPID) < 0) {
		*err = -errno;
		if (m->nl)
			mnl_socket_close(m->nl);
		free(m);
		return NULL;
	}
	ev_io_init(&m->io, readable, mnl_socket_get_fd(m->nl), EV_READ);
	m->io.data = m;
	/* Before the sessions' own sockets: a link that is down explains what they will say. */
	ev_set_priority(&m->io, 1);
	ev_io_start(loop, &m->io);
	return m;
}

void netmon_free(struct netmon *m)
{
	if (!m)
		return;
	ev_io_stop(m->loop, &m->io);
	mnl_socket_close(m->nl);
	free(m);
}
