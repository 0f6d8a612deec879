/* SPDX-License-Identifier: MIT */
/* What the service manager is told. */
#include "notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>

static struct {
	struct ev_loop *loop; /* of the watchdog's timer; NULL: none runs */
	ev_timer watchdog;
	char status[256];
} notify;

/* Runs on the loop that does the work: a loop that is stuck gets the service restarted. */
static void feed(struct ev_loop *loop, ev_timer *w, int revents)
{
	sd_notify(0, "WATCHDOG=1");
}

void notify_start(struct ev_loop *loop)
{
	uint64_t usec;

	if (notify.loop || sd_watchdog_enabled(0, &usec) <= 0)
		return;
	/* sd_watchdog_enabled(3) recommends half the time; a third survives one late turn */
	ev_timer_init(&notify.watchdog, feed, 0., (double)usec / 3e6);
	ev_timer_start(loop, &notify.watchdog);
	ev_unref(loop); /* it alone doesn't keep the loop running */
	notify.loop = loop;
}

void notify_stop(void)
{
	if (!notify.loop)
		return;
	ev_ref(notify.loop);
	ev_timer_stop(notify.loop, &notify.watchdog);
	notify.loop = NULL;
}

void notify_alive(void)
{
	sd_notify(0, "WATCHDOG=1\nEXTEND_TIMEOUT_USEC=10000000");
}

void notify_ready(void)
{
	sd_notify(0, "READY=1");
}

void notify_reloading(void)
{
	struct timespec ts;

	/* systemd 253 and later wants the time it began, for Type=notify-reload */
	clock_gettime(CLOCK_MONOTONIC, &ts);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		   (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000);
}

void notify_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}

bool notify_store(int fd, const char *name)
{
	char text[128];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", name);
	return sd_pid_notify_with_fds(0, 0, text, &fd, 1) > 0;
}

void notify_drop(const char *name)
{
	sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

void notify_heard(void)
{
	sd_notify_barrier(0, 1000000);
}

void notify_status(const char *fmt, ...)
{
	char text[sizeof(notify.status)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text[strcspn(text, "\n")] = '\0'; /* a second line would be another assignment */
	if (!strcmp(text, notify.status))
		return;
	strcpy(notify.status, text);
	sd_notifyf(0, "STATUS=%s", text);
}
