/* SPDX-License-Identifier: MIT */
/* The command line of mpio-attach(8). */
#ifndef ATTACH_OPTIONS_H
#define ATTACH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#define ATTACH_CONNECTIONS_MAX 64

enum attach_exit { ATTACH_DONE, ATTACH_REFUSED, ATTACH_USAGE, ATTACH_NO_MPIOD };

enum attach_verb { ATTACH_KEEP, ATTACH_DETACH, ATTACH_LIST, ATTACH_HELP, ATTACH_VERSION };

struct attach_options {
	enum attach_verb verb;
	const char *export;     /* detach: may be a device */
	const char *socket;
	int index;              /* of /dev/nbdN; -1: not named */
	int connections;
	bool read_only, json, force;
	bool have_timeout;
	unsigned timeout, dead_timeout, wait, stop_wait; /* seconds */
};

/* 0, or -EINVAL with what is wrong in why[]. Texts are argv's own. */
int attach_options_parse(struct attach_options *o, int argc, char **argv, char *why, size_t cap)
	__attribute__((warn_unused_result));

/* Seconds a request may take, once the number of connections is known. */
unsigned attach_options_timeout(const struct attach_options *o, int connections);

extern const char attach_options_usage[];

#endif
