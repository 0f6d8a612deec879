/* SPDX-License-Identifier: MIT */
/* mpio-attach --detach */
#include "device.h"
#include "keep.h"
#include "log.h"
#include "netlink.h"
#include "state.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#define GONE_MS 10000
#define UNMOUNT_MS 5000
#define KEEPER_MS 15000 /* it may be in the middle of a handshake */

/* The device that is meant, by its name, its export's or its identifier; -1 where there is none of ours. */
static int find(const char *what, struct state *s)
{
	char id[HELLO_ID_MAX];
	int index = device_index(what);

	if (index < 0 && state_find(what, NULL, s))
		return s->index;
	if (index < 0)
		index = device_with_backend(what);
	if (index < 0 || !device_connected(index))
		return -1;
	device_backend(index, id);
	if (!state_read(index, s) || strcmp(s->id, id) != 0) /* of an earlier connection */
		*s = (struct state){ .index = index };
	/* one without either is somebody else's */
	return s->id[0] || id[0] ? index : -1;
}

/* The keeper forgets the device, now or when it finds it gone. It ends also where the device is still mounted (--force). */
static void end_keeper(int index, const struct state *s)
{
	static const struct timespec step = { .tv_nsec = 20000000 };
	struct state now;

	state_remove(index);
	if (s->pid <= 0)
		return;
	kill(s->pid, SIGTERM);
	/* The next to attach may get the same device. */
	for (int ms = KEEPER_MS; ms > 0 && !kill(s->pid, 0); ms -= 20) {
		if (state_read(index, &now) && now.pid != s->pid)
			break;
		nanosleep(&step, NULL);
	}
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
	if (!o->force && device_busy(index, UNMOUNT_MS, why, sizeof(why))) {
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
	end_keeper(index, &s);
	ret = device_wait_gone(index, GONE_MS);
	device_changed(index);
	if (!ret) {
		attach_log(LOG_ERR, "/dev/nbd%d: disconnected, but somebody has it still open", index);
		return ATTACH_REFUSED;
	}
	return ATTACH_DONE;
}
