/* SPDX-License-Identifier: MIT */
#include "options.h"
#include "device.h"
#include "../transport/nbd_proto.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_SOCKET "/run/mpiod/nbd.sock"
#define DEFAULT_CONNECTIONS 4
#define DAY 86400U

/*
 * What mpiod may hold a request for by default: 120 s without a path, 15 s for a fence, 30 s for the command.
 * What the kernel repeats while mpiod still has it is written twice, one after the other, and no_path_timeout would begin anew.
 */
#define DEFAULT_TIMEOUT 180U

const char attach_options_usage[] =
	"usage: mpio-attach EXPORT [/dev/nbdN] [options]   attach and keep attached\n"
	"       mpio-attach --detach EXPORT|/dev/nbdN [--force]\n"
	"       mpio-attach --list [--json]\n"
	"\n"
	"  --socket ADDR       unix:PATH or tcp:HOST:PORT (unix:" DEFAULT_SOCKET ")\n"
	"  --connections N     to mpiod, each with a queue in the kernel (4)\n"
	"  --read-only         refuse writes\n"
	"  --timeout S         for one request, then it is sent again (180; 0, never, with one connection)\n"
	"  --dead-timeout S    how long requests wait while mpiod is away (86400)\n"
	"  --wait S            how long to wait for mpiod and the export at first (0)\n"
	"  --stop-wait S       how long SIGTERM waits for a device that is in use (0)\n"
	"  --foreground        stay in the foreground, as it does anyway\n"
	"  --force             detach what is mounted or in use\n"
	"  --json              for programs\n"
	"  --help, --version\n"
	"\n"
	"Exit status: 0 done, 1 refused or not found, 2 wrong usage, 3 no mpiod\n";

enum { O_SOCKET = 256, O_CONNECTIONS, O_READ_ONLY, O_TIMEOUT, O_DEAD, O_WAIT, O_STOP_WAIT, O_FOREGROUND, O_FORCE,
       O_JSON, O_DETACH, O_LIST, O_VERSION };

static const struct option long_options[] = {
	{ "socket", required_argument, NULL, O_SOCKET },
	{ "connections", required_argument, NULL, O_CONNECTIONS },
	{ "read-only", no_argument, NULL, O_READ_ONLY },
	{ "timeout", required_argument, NULL, O_TIMEOUT },
	{ "dead-timeout", required_argument, NULL, O_DEAD },
	{ "wait", required_argument, NULL, O_WAIT },
	{ "stop-wait", required_argument, NULL, O_STOP_WAIT },
	{ "foreground", no_argument, NULL, O_FOREGROUND },
	{ "force", no_argument, NULL, O_FORCE },
	{ "json", no_argument, NULL, O_JSON },
	{ "detach", no_argument, NULL, O_DETACH },
	{ "list", no_argument, NULL, O_LIST },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, O_VERSION },
	{ NULL, 0, NULL, 0 },
};

static int number(const char *text, unsigned min, unsigned max, unsigned *out)
{
	unsigned long n;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (*end || errno || n < min || n > max)
		return -EINVAL;
	*out = (unsigned)n;
	return 0;
}

static int take_number(struct attach_options *o, int opt, const char *text)
{
	unsigned n = 0;
	int ret;

	switch (opt) {
	case O_CONNECTIONS:
		ret = number(text, 1, ATTACH_CONNECTIONS_MAX, &n);
		o->connections = (int)n;
		return ret;
	case O_TIMEOUT:
		o->have_timeout = true;
		return number(text, 0, DAY, &o->timeout);
	case O_DEAD:
		/* 0 is the kernel's way to say: fail at once */
		return number(text, 1, 30 * DAY, &o->dead_timeout);
	case O_STOP_WAIT:
		return number(text, 0, DAY, &o->stop_wait);
	default:
		return number(text, 0, DAY, &o->wait);
	}
}

static void take_flag(struct attach_options *o, int opt)
{
	switch (opt) {
	case O_READ_ONLY:
		o->read_only = true;
		break;
	case O_FORCE:
		o->force = true;
		break;
	case O_JSON:
		o->json = true;
		break;
	case O_DETACH:
		o->verb = ATTACH_DETACH;
		break;
	case O_LIST:
		o->verb = ATTACH_LIST;
		break;
	case 'h':
		o->verb = ATTACH_HELP;
		break;
	case O_VERSION:
		o->verb = ATTACH_VERSION;
		break;
	}
}

static int check_words(struct attach_options *o, int n, char **words, char *why, size_t cap)
{
	int most = o->verb == ATTACH_KEEP ? 2 : o->verb == ATTACH_DETACH ? 1 : 0;

	if (o->verb == ATTACH_HELP || o->verb == ATTACH_VERSION)
		return 0;
	if (n > most) {
		snprintf(why, cap, "one argument too many: %s", words[most]);
		return -EINVAL;
	}
	if (most && !n) {
		snprintf(why, cap, "which export?");
		return -EINVAL;
	}
	o->export = n ? words[0] : NULL;
	if (n && (!words[0][0] || strlen(words[0]) > NBD_NAME_MAX || strchr(words[0], '\n'))) {
		snprintf(why, cap, "that is no name of an export");
		return -EINVAL;
	}
	if (n == 2) {
		o->index = device_index(words[1]);
		if (o->index < 0) {
			snprintf(why, cap, "%s: not /dev/nbdN", words[1]);
			return -EINVAL;
		}
	}
	return 0;
}

static int check_all(const struct attach_options *o, char *why, size_t cap)
{
	if (o->force && o->verb != ATTACH_DETACH) {
		snprintf(why, cap, "--force goes with --detach");
		return -EINVAL;
	}
	if (o->json && o->verb != ATTACH_LIST) {
		snprintf(why, cap, "--json goes with --list");
		return -EINVAL;
	}
	/* The kernel has a default of its own then, of 30 s: too short, and not what was asked for. */
	if (o->have_timeout && !o->timeout && o->connections > 1) {
		snprintf(why, cap, "--timeout 0 needs --connections 1");
		return -EINVAL;
	}
	return 0;
}

int attach_options_parse(struct attach_options *o, int argc, char **argv, char *why, size_t cap)
{
	int opt, ret;

	*o = (struct attach_options){
		.index = -1, .socket = "unix:" DEFAULT_SOCKET, .connections = DEFAULT_CONNECTIONS,
		.dead_timeout = DAY,
	};
	optind = 0; /* from the start, also a second time */
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (opt) {
		case '?':
			snprintf(why, cap, "%s: no such option, or one without its value", argv[optind - 1]);
			return -EINVAL;
		case O_SOCKET:
			o->socket = optarg;
			break;
		case O_CONNECTIONS:
		case O_TIMEOUT:
		case O_DEAD:
		case O_WAIT:
		case O_STOP_WAIT:
			if (take_number(o, opt, optarg)) {
				snprintf(why, cap, "%s: not a number that can be used there", optarg);
				return -EINVAL;
			}
			break;
		default:
			take_flag(o, opt);
			break;
		}
	}
	ret = check_words(o, argc - optind, argv + optind, why, cap);
	return ret ? ret : check_all(o, why, cap);
}

unsigned attach_options_timeout(const struct attach_options *o, int connections)
{
	if (o->have_timeout)
		return o->timeout;
	return connections > 1 ? DEFAULT_TIMEOUT : 0;
}
