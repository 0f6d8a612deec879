/* SPDX-License-Identifier: MIT */
#include "netlink.h"

#include <errno.h>
#include <limits.h>
#include <linux/nbd-netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

struct netlink {
	struct nl_sock *ask, *news;
	int family;
	/* of the answer that is being read, or the news */
	int index, err, dead;
	bool done;
};

/* The kernel's own helper would not run in a unit that may not load modules: this may fail, then the family stays away. */
static void load_module(void)
{
	static char *argv[] = { "modprobe", "nbd", NULL };
	pid_t pid;
	int status;

	if (!posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ))
		waitpid(pid, &status, 0);
}

static int on_answer(struct nl_msg *msg, void *arg)
{
	struct nlattr *tb[NBD_ATTR_MAX + 1];
	struct netlink *n = arg;

	if (!genlmsg_parse(nlmsg_hdr(msg), 0, tb, NBD_ATTR_MAX, NULL) && tb[NBD_ATTR_INDEX])
		n->index = (int)nla_get_u32(tb[NBD_ATTR_INDEX]);
	return NL_OK;
}

static int on_end(struct nl_msg *msg, void *arg)
{
	struct netlink *n = arg;

	n->done = true;
	return NL_STOP;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *arg)
{
	struct netlink *n = arg;

	n->err = e->error ? e->error : -EIO;
	return NL_STOP;
}

static int on_news(struct nl_msg *msg, void *arg)
{
	struct genlmsghdr *h = nlmsg_data(nlmsg_hdr(msg));
	struct nlattr *tb[NBD_ATTR_MAX + 1];
	struct netlink *n = arg;

	if (h->cmd == NBD_CMD_LINK_DEAD &&
	    !genlmsg_parse(nlmsg_hdr(msg), 0, tb, NBD_ATTR_MAX, NULL) && tb[NBD_ATTR_INDEX] &&
	    (int)nla_get_u32(tb[NBD_ATTR_INDEX]) == n->index)
		n->dead++;
	return NL_OK;
}

static int open_news(struct netlink *n)
{
	int group = genl_ctrl_resolve_grp(n->ask, NBD_GENL_FAMILY_NAME, NBD_GENL_MCAST_GROUP_NAME);

	if (group < 0)
		return group;
	n->news = nl_socket_alloc();
	if (!n->news)
		return -NLE_NOMEM;
	nl_socket_disable_seq_check(n->news);
	if (nl_socket_modify_cb(n->news, NL_CB_VALID, NL_CB_CUSTOM, on_news, n) ||
	    genl_connect(n->news) || nl_socket_set_nonblocking(n->news))
		return -NLE_FAILURE;
	return nl_socket_add_membership(n->news, group);
}

int netlink_open(struct netlink **out, char *why, size_t cap)
{
	struct netlink *n = calloc(1, sizeof(*n));
	int ret;

	if (!n || !(n->ask = nl_socket_alloc()) || genl_connect(n->ask)) {
		snprintf(why, cap, "netlink can't be used");
		netlink_close(n);
		return -ENOMEM;
	}
	n->family = genl_ctrl_resolve(n->ask, NBD_GENL_FAMILY_NAME);
	if (n->family < 0) {
		load_module();
		n->family = genl_ctrl_resolve(n->ask, NBD_GENL_FAMILY_NAME);
	}
	if (n->family < 0) {
		snprintf(why, cap, "this kernel has no NBD client (modprobe nbd)");
		netlink_close(n);
		return -ENODEV;
	}
	ret = open_news(n);
	if (ret) {
		snprintf(why, cap, "netlink: %s", nl_geterror(ret));
		netlink_close(n);
		return -EIO;
	}
	*out = n;
	return 0;
}

void netlink_close(struct netlink *n)
{
	if (!n)
		return;
	nl_socket_free(n->ask);
	nl_socket_free(n->news);
	free(n);
}

/* Sends msg, which is gone afterwards, and reads until the kernel has acknowledged or refused. */
static int transact(struct netlink *n, struct nl_msg *msg, const char *verb, char *why, size_t cap)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int ret = -ENOMEM;

	n->err = 0;
	n->done = false;
	n->index = -1;
	if (!cb || !msg)
		goto out;
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_answer, n);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_end, n);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, n);
	ret = nl_send_auto(n->ask, msg) < 0 ? -EIO : 0;
	while (!ret && !n->done && !n->err)
		if (nl_recvmsgs(n->ask, cb) < 0 && !n->err)
			ret = -EIO;
	if (n->err)
		ret = n->err;
out:
	if (ret)
		snprintf(why, cap, "%s: %s", verb, strerror(-ret));
	nl_cb_put(cb);
	nlmsg_free(msg);
	return ret;
}

static int put_sockets(struct nl_msg *msg, const struct netlink_device *d)
{
	struct nlattr *all, *item;

	if (!d->nfds)
		return 0;
	all = nla_nest_start(msg, NBD_ATTR_SOCKETS);
	if (!all)
		return -1;
	for (int i = 0; i < d->nfds; i++) {
		item = nla_nest_start(msg, NBD_SOCK_ITEM);
		if (!item || nla_put_u32(msg, NBD_SOCK_FD, (uint32_t)d->fds[i]))
			return -1;
		nla_nest_end(msg, item);
	}
	nla_nest_end(msg, all);
	return 0;
}

/* The attributes of every command, as far as they are set. NULL: no memory. */
static struct nl_msg *message(struct netlink *n, uint8_t cmd, const struct netlink_device *d)
{
	struct nl_msg *msg = nlmsg_alloc();

	if (!msg)
		return NULL;
	if (!genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, n->family, 0, 0, cmd, NBD_GENL_VERSION) ||
	    (d->index >= 0 && nla_put_u32(msg, NBD_ATTR_INDEX, (uint32_t)d->index)) ||
	    (d->size && nla_put_u64(msg, NBD_ATTR_SIZE_BYTES, d->size)) ||
	    (d->block && nla_put_u64(msg, NBD_ATTR_BLOCK_SIZE_BYTES, d->block)) ||
	    (d->backend && nla_put_string(msg, NBD_ATTR_BACKEND_IDENTIFIER, d->backend)) ||
	    put_sockets(msg, d)) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

/* NULL, and msg is gone: no memory. */
static struct nl_msg *put_times(struct nl_msg *msg, const struct netlink_device *d)
{
	if (msg && (nla_put_u64(msg, NBD_ATTR_TIMEOUT, d->timeout) ||
		    nla_put_u64(msg, NBD_ATTR_DEAD_CONN_TIMEOUT, d->dead_timeout))) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

int netlink_connect(struct netlink *n, const struct netlink_device *d, char *why, size_t cap)
{
	struct nl_msg *msg = put_times(message(n, NBD_CMD_CONNECT, d), d);
	int ret;

	/* The client flags are 0 and sent: they clear what an earlier user of the device may have set. */
	if (msg && (nla_put_u64(msg, NBD_ATTR_SERVER_FLAGS, d->flags) ||
		    nla_put_u64(msg, NBD_ATTR_CLIENT_FLAGS, 0))) {
		nlmsg_free(msg);
		msg = NULL;
	}
	ret = transact(n, msg, "connecting the device", why, cap);
	if (ret)
		return ret;
	if (n->index < 0)
		n->index = d->index;
	if (n->index < 0) {
		snprintf(why, cap, "the kernel does not say which device it took");
		return -EPROTO;
	}
	return n->index;
}

int netlink_reconfigure(struct netlink *n, const struct netlink_device *d, char *why, size_t cap)
{
	struct nl_msg *msg = message(n, NBD_CMD_RECONFIGURE, d);

	if (d->dead_timeout)
		msg = put_times(msg, d);
	return transact(n, msg, "reconfiguring the device", why, cap);
}

int netlink_disconnect(struct netlink *n, int index, char *why, size_t cap)
{
	const struct netlink_device d = { .index = index };

	return transact(n, message(n, NBD_CMD_DISCONNECT, &d), "disconnecting the device", why, cap);
}

int netlink_news_fd(const struct netlink *n)
{
	return nl_socket_get_fd(n->news);
}

int netlink_news(struct netlink *n, int index)
{
	int ret;

	n->dead = 0;
	n->index = index;
	do
		ret = nl_recvmsgs_default(n->news);
	while (ret >= 0);
	/* its queue ran over */
	return ret == -NLE_AGAIN ? n->dead : INT_MAX;
}
