/* SPDX-License-Identifier: MIT */
/* mpio-attach --detach */
#include "device.h"
#include "keep.h"
#include "log.h"
#include "netlink.h"
#include "state.h"

#include <signal.h>
#include <string.h>

#define GONE_MS 10000

/* The device that is meant, by its name, its export's or its identifier; -1 where there is none of ours. */
static int find(const char *what, struct state *s)
{
	char id[HELLO_ID_MAX];
	int index = device_index(what);

	if (index < 0 && state_find(what, s))
		return s->index;
	if (index < 0)
		index = device_with_backend(what);
	if (index < 0 || !device_connected(index))
		return -1;
	/* one without either is somebody else's */
	return state_read(index, s) || device_backend(index, id)[0] ? index : -1;
}

enum attach_exit attach_detach(const struct attach_options *o)
{
	static struct state s;
	struct netlink *nl;
	char why[256];
	int index = find(o->export, &s), ret;

	if (index < 0) {
		attach_log(LOG_ERR, "%s: not attached", o->export);
		return ATTACH_REFUSED;
	}
	if (!o->force && device_busy(index, why, sizeof(why))) {
		attach_log(LOG_ERR, "/dev/nbd%d: %s", index, why);
		return ATTACH_REFUSED;
	}
	ret = netlink_open(&nl, why, sizeof(why));
	if (!ret) {
		ret = netlink_disconnect(nl, index, why, sizeof(why));
		netlink_close(nl);
	}
	if (ret) {
		attach_log(LOG_ERR, "/dev/nbd%d: %s", index, why);
		return ATTACH_REFUSED;
	}
	/* It forgets the device itself, now or when it finds it gone. */
	if (s.pid > 0)
		kill(s.pid, SIGTERM);
	else
		state_remove(index);
	if (!device_wait_gone(index, GONE_MS)) {
		attach_log(LOG_ERR, "/dev/nbd%d: disconnected, but somebody has it still open", index);
		return ATTACH_REFUSED;
	}
	return ATTACH_DONE;
}
