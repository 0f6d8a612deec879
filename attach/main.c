/* SPDX-License-Identifier: MIT */
/* mpio-attach(8): an export of mpiod as a block device of this kernel. */
#include "keep.h"
#include "log.h"

#include <stdio.h>

int main(int argc, char **argv)
{
	struct attach_options o;
	char why[256];

	if (attach_options_parse(&o, argc, argv, why, sizeof(why))) {
		attach_log(LOG_ERR, "%s (mpio-attach --help)", why);
		return ATTACH_USAGE;
	}
	switch (o.verb) {
	case ATTACH_HELP:
		fputs(attach_options_usage, stdout);
		return ATTACH_DONE;
	case ATTACH_VERSION:
		puts("mpio-attach " MPIOD_VERSION);
		return ATTACH_DONE;
	case ATTACH_LIST:
		return attach_list(&o);
	case ATTACH_DETACH:
		return attach_detach(&o);
	case ATTACH_KEEP:
		break;
	}
	return attach_keep(&o);
}
