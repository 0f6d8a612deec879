/* SPDX-License-Identifier: MIT */
/*
 * Keeps a connected device connected: replaces connections that die, with those to the same disk only, and
 * follows its size. Runs a loop until a signal or until somebody else disconnects the device.
 */
#ifndef ATTACH_WATCH_H
#define ATTACH_WATCH_H

#include <ev.h>
#include "keep.h"
#include "netlink.h"
#include "state.h"

struct watch {
	const struct attach_options *o;
	struct netlink *nl;
	struct state *s;     /* index, id, export and socket are set */
	uint64_t size;       /* bytes of the device */
	int connections;
	bool lost;           /* some connection is dead, or may be */
	bool adopted;        /* connected by another process, perhaps with other time-outs */
	int lock;            /* of the state file, see state.h */
	int gate;            /* closed once the device is connected; -1: none */
	long pid;            /* who connected the device, see device_pid() */

	/* private */
	struct ev_loop *loop;
	ev_signal term, intr, hup;
	ev_io news;
	ev_timer retry, look, stop;
	double delay, since; /* seconds */
	bool offered;        /* once since the loss */
	bool stopping;
	double stop_until;   /* a device in use is waited for */
	char told[512];      /* the last complaint */
	enum attach_exit status;
};

/* Signals wait for watch_run() from here on. */
void watch_signals(struct watch *w);
enum attach_exit watch_run(struct watch *w);

#endif
