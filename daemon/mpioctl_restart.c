/* SPDX-License-Identifier: MIT */
/* A restart that keeps the daemon's clients: asked for, and waited for. */
#include "mpioctl.h"

#include <err.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define POLL_US 50000

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* How often the daemon that answers now has been restarted; -1: none answers. */
static json_int_t restarts(const char *path)
{
	struct client c = CLIENT_INIT(path);
	json_t *data;
	char *why = NULL;
	json_int_t n = -1;

	if (client_open(&c) == 0 && client_ask(&c, json_pack("{s:s}", "cmd", "status"), &data, &why) == MPIOCTL_DONE) {
		n = get_number(data, "restarts");
		json_decref(data);
	}
	free(why);
	client_close(&c);
	return n;
}

enum mpioctl_exit restart_run(struct client *c, const struct output *o, double timeout_s)
{
	json_t *data;
	enum mpioctl_exit code = client_ask(c, json_pack("{s:s}", "cmd", "restart"), &data, NULL);
	double end = now() + timeout_s;
	json_int_t before;

	if (code)
		return code;
	before = get_number(data, "restarts");
	json_decref(data);
	client_close(c);
	while (restarts(c->path) <= before) {
		if (now() >= end) {
			warnx("the daemon has not restarted within %g s: see its log", timeout_s);
			return MPIOCTL_REFUSED;
		}
		usleep(POLL_US);
	}
	if (o->json)
		fprintf(o->to, "{\"restarts\": %" JSON_INTEGER_FORMAT "}\n", before + 1);
	else
		fprintf(o->to, "restarted\n");
	return MPIOCTL_DONE;
}
