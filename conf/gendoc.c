/* SPDX-License-Identifier: MIT */
/* Prints what is made from the table of keys: `gendoc example` and `gendoc man`. */
#include "conf.h"

#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "example")) {
		conf_print_example(stdout);
	} else if (argc == 2 && !strcmp(argv[1], "man")) {
		conf_print_man_keys(stdout);
	} else {
		fprintf(stderr, "usage: gendoc example|man\n");
		return 2;
	}
	return fclose(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
