/* SPDX-License-Identifier: MIT */
/* Waiting until a LUN has paths: for boot scripts and tests. */
#include "mpioctl.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define POLL_NS 100000000L

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static long count_usable(const json_t *lun)
{
	const json_t *paths = json_object_get(lun, "paths");
	json_t *p;
	size_t i;
	long n = 0;

	json_array_foreach(paths, i, p)
		n += get_bool(p, "usable");
	return n;
}

/* One look. *why: what it waits for, to say when the time is over; free it. */
static enum mpioctl_exit look(struct client *c, const char *name, long paths, json_t **lun,
			      char **why)
{
	enum mpioctl_exit code = client_ask(c, json_pack("{s:s, s:s}", "cmd", "show", "lun", name),
					    lun, why);
	long have = count_usable(*lun);
	int n;

	if (code)
		return code;
	if (!get_bool(*lun, "exported"))
		n = asprintf(why, "%s is not exported yet", name);
	else if (have < paths)
		n = asprintf(why, "%s has %ld of %ld usable paths", name, have, paths);
	else
		return MPIOCTL_DONE;
	if (n < 0)
		err(MPIOCTL_REFUSED, NULL);
	json_decref(*lun);
	*lun = NULL;
	return MPIOCTL_REFUSED;
}

/* Errors that do not pass by themselves: waiting is no use. */
static bool hopeless(struct client *c)
{
	int e = c->fd < 0 ? client_open(c) : 0;

	if (e != EACCES && e != EPERM && e != ENAMETOOLONG)
		return false;
	client_explain(c, e);
	return true;
}

enum mpioctl_exit wait_run(struct client *c, const struct output *o, const char *lun, long paths,
			   double timeout_s)
{
	const struct timespec pause = { .tv_nsec = POLL_NS };
	double end = now() + timeout_s;

	for (;;) {
		enum mpioctl_exit code;
		char *why = NULL;
		json_t *data;

		if (hopeless(c))
			return MPIOCTL_NO_DAEMON;
		code = look(c, lun, paths, &data, &why);
		if (code == MPIOCTL_DONE) {
			if (o->json) {
				json_dumpf(data, o->to, JSON_INDENT(2));
				putc('\n', o->to);
			}
			json_decref(data);
			return code;
		}
		if (now() >= end) {
			if (code == MPIOCTL_NO_DAEMON && c->fd < 0)
				client_explain(c, client_open(c));
			else
				warnx("%s, after %g s", why, timeout_s);
			free(why);
			return code;
		}
		free(why);
		nanosleep(&pause, NULL);
	}
}
