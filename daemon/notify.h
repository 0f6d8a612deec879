/* SPDX-License-Identifier: MIT */
/*
 * What the service manager is told: sd_notify(3). Process-wide, as $NOTIFY_SOCKET is. Without one
 * all of it does nothing.
 */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <ev.h>

/* Begins to feed the watchdog, when the service manager wants one, from a timer on loop. */
void notify_start(struct ev_loop *loop);

/* Stops the watchdog's timer. */
void notify_stop(void);

/* Ready, the first time and after each notify_reloading(). */
void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);

/* One line for systemctl status. Sent only when it differs from the last. */
void notify_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
