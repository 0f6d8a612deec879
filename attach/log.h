/* SPDX-License-Identifier: MIT */
/* Lines on standard error; for the journal with their level in front (sd-daemon(3)). */
#ifndef ATTACH_LOG_H
#define ATTACH_LOG_H

#include <syslog.h>

/* level as in syslog(3). */
void attach_log(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
