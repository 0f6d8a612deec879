/* SPDX-License-Identifier: MIT */
/*
 * What the service manager is told: sd_notify(3). Process-wide, as $NOTIFY_SOCKET is. Without one
 * all of it does nothing.
 */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <ev.h>
#include <stdbool.h>

/* Begins to feed the watchdog, when the service manager wants one, from a timer on loop. */
void notify_start(struct ev_loop *loop);

/* Stops the watchdog's timer. */
void notify_stop(void);

/* The start takes longer, on purpose: ten seconds more. */
void notify_alive(void);

/* Ready, the first time and after each notify_reloading(). */
void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);

/*
 * Gives the service manager a descriptor to keep (sd_notify(3), FDSTORE=1) until notify_drop(name) or the
 * service is stopped; the next process gets it. False: there is nobody to give it to.
 */
bool notify_store(int fd, const char *name);
void notify_drop(const char *name);
/* Waits, at most a second, until all it was told has been heard. */
void notify_heard(void);

/* One line for systemctl status. Sent only when it differs from the last. */
void notify_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
