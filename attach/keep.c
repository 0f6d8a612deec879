/* SPDX-License-Identifier: MIT */
/* From the command line to a connected device. */
#include "keep.h"
#include "device.h"
#include "log.h"
#include "watch.h"
#include "../transport/nbd_proto.h"

#include <errno.h>
#include <linux/prctl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#define HELLO_MS 5000
#define STEP_NS 250000000L /* between attempts while --wait */
#define PROBED_MS 5000     /* how long others may look at a device that is about to be connected */
#define FREED_MS 15000     /* how long a keeper may need to notice that its device has gone */

static enum attach_exit refuse(const char *what, const char *why)
{
	attach_log(LOG_ERR, "%s: %s", what, why);
	return ATTACH_REFUSED;
}

static bool is_absence(int err)
{
	return err == -ENOENT || err == -ECONNREFUSED || err == -EHOSTUNREACH || err == -ENETUNREACH ||
	       err == -ETIMEDOUT || err == -EPIPE || err == -ECONNRESET || err == -EAGAIN;
}

/* hello_open(), for --wait seconds while mpiod or the export is not there yet. */
static int open_patiently(const struct attach_options *o, int *fds, struct hello_info *info, char *why,
			  size_t cap)
{
	static const struct timespec step = { .tv_nsec = STEP_NS };
	time_t until = time(NULL) + (time_t)o->wait;
	int n;

	for (;;) {
		n = hello_open(o->socket, o->export, o->connections, HELLO_MS, fds, info, why, cap);
		if (n > 0 || (!is_absence(n) && n != -ENODEV) || time(NULL) >= until)
			return n;
		sd_notifyf(0, "STATUS=waiting: %s", why);
		nanosleep(&step, NULL);
	}
}

/* What is being written back to the device must not wait for memory of the process that reconnects it. */
static void be_ready_without_memory(void)
{
	(void)mlockall(MCL_CURRENT | MCL_FUTURE);
	(void)prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
}

/* The device is connected and written down: from here on it is kept. */
static enum attach_exit keep(struct watch *w)
{
	enum attach_exit status;

	attach_log(LOG_NOTICE, "/dev/nbd%d: export %s, %s, %llu bytes", w->s->index, w->s->export, w->s->id,
		   (unsigned long long)w->size);
	if (w->gate >= 0)
		close(w->gate);
	printf("/dev/nbd%d\n", w->s->index);
	fflush(stdout);
	sd_notify(0, "READY=1");
	be_ready_without_memory();
	status = watch_run(w);
	close(w->lock);
	return status;
}

/* A device that is connected already: nobody can tell which of its connections are alive. */
static enum attach_exit adopt(struct watch *w, int index)
{
	char why[400];

	if (w->o->index >= 0 && w->o->index != index) {
		snprintf(why, sizeof(why), "is attached already, as /dev/nbd%d", index);
		return refuse(w->o->export, why);
	}
	if (w->o->read_only && !device_read_only(index)) {
		snprintf(why, sizeof(why), "is attached already, as /dev/nbd%d, and not read-only: --detach first", index);
		return refuse(w->o->export, why);
	}
	w->s->index = index;
	w->size = device_size(index);
	if (device_queues(index) > w->connections)
		w->connections = device_queues(index);
	w->pid = device_pid(index);
	w->lock = state_keep(w->s, why, sizeof(why));
	if (w->lock < 0)
		return refuse(w->o->export, why);
	attach_log(LOG_NOTICE, "/dev/nbd%d is connected already, and taken over", index);
	watch_signals(w);
	w->lost = w->adopted = true;
	return keep(w);
}

static void nap(int *ms)
{
	static const struct timespec step = { .tv_nsec = 100000000 };

	*ms -= 100;
	nanosleep(&step, NULL);
}

/* A device that somebody looks at, udev for one, counts as busy for the kernel. */
static int connect_patiently(struct watch *w, const struct netlink_device *d, char *why, size_t cap)
{
	int index, ms = PROBED_MS;

	while ((index = netlink_connect(w->nl, d, why, cap)) == -EBUSY && d->index >= 0 && !device_connected(d->index) && ms > 0)
		nap(&ms);
	return index;
}

/* It is connected: is it what it should be, and ours? */
static int settle(struct watch *w, char *why, size_t cap)
{
	char id[HELLO_ID_MAX];
	int ms = FREED_MS;

	if (strcmp(device_backend(w->s->index, id), w->s->id) != 0) {
		snprintf(why, cap, "this kernel does not keep the identifier of a device (Linux 5.14 is the first that does): nobody "
				   "could tell whose it is after a crash");
		return -EOPNOTSUPP;
	}
	while ((w->lock = state_keep(w->s, why, cap)) == -EBUSY && ms > 0)
		nap(&ms);
	return w->lock < 0 ? w->lock : 0;
}

static enum attach_exit connect_device(struct watch *w, const struct hello_info *info, const int *fds, int n)
{
	struct netlink_device d = {
		.index = w->o->index, .size = info->size, .block = info->logical_block,
		.flags = info->flags, .timeout = attach_options_timeout(w->o, n),
		.dead_timeout = w->o->dead_timeout, .backend = info->id, .fds = fds, .nfds = n,
	};
	char why[400];
	int index;

	if (w->o->read_only)
		d.flags |= NBD_FLAG_READ_ONLY;
	watch_signals(w);
	index = connect_patiently(w, &d, why, sizeof(why));
	if (index < 0)
		return refuse(w->o->export, why);
	w->s->index = index;
	w->size = info->size;
	w->pid = device_pid(index);
	if (settle(w, why, sizeof(why))) {
		char ignored[64];

		(void)!netlink_disconnect(w->nl, index, ignored, sizeof(ignored));
		return refuse(w->o->export, why);
	}
	/* the kernel has its own references */
	for (int i = 0; i < n; i++)
		close(fds[i]);
	device_changed(index);
	return keep(w);
}

static enum attach_exit start(struct watch *w)
{
	const struct attach_options *o = w->o;
	int fds[ATTACH_CONNECTIONS_MAX], n, index;
	struct hello_info info;
	char why[400];

	if (state_find(o->export, o->socket, w->s))
		return adopt(w, w->s->index);
	n = open_patiently(o, fds, &info, why, sizeof(why));
	if (n < 0) {
		refuse(o->export, why);
		return is_absence(n) ? ATTACH_NO_MPIOD : n == -EINVAL ? ATTACH_USAGE : ATTACH_REFUSED;
	}
	w->gate = state_gate();
	*w->s = (struct state){ .index = -1 };
	snprintf(w->s->export, sizeof(w->s->export), "%s", o->export);
	strcpy(w->s->socket, o->socket);
	strcpy(w->s->id, info.id);
	index = device_with_backend(info.id);
	if (index >= 0) {
		for (int i = 0; i < n; i++)
			close(fds[i]);
		return adopt(w, index);
	}
	if (n < o->connections && info.flags & NBD_FLAG_CAN_MULTI_CONN)
		attach_log(LOG_WARNING, "%d connections instead of %d: %s", n, o->connections, why);
	w->connections = n;
	return connect_device(w, &info, fds, n);
}

enum attach_exit attach_keep(const struct attach_options *o)
{
	static struct state s;
	struct watch w = { .o = o, .s = &s, .connections = o->connections, .gate = -1 };
	enum attach_exit status;
	char why[256];

	if (strlen(o->socket) >= sizeof(s.socket)) {
		attach_log(LOG_ERR, "%s: too long", o->socket);
		return ATTACH_USAGE;
	}
	signal(SIGPIPE, SIG_IGN);
	if (netlink_open(&w.nl, why, sizeof(why)))
		return refuse(o->export, why);
	status = start(&w);
	netlink_close(w.nl);
	return status;
}
