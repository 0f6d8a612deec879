/* SPDX-License-Identifier: MIT */
/* What mpio-attach does: each returns its exit status. */
#ifndef ATTACH_KEEP_H
#define ATTACH_KEEP_H

#include "options.h"

/* Attaches the export, or takes over the device that has it already, and keeps it attached until a signal. */
enum attach_exit attach_keep(const struct attach_options *o);

enum attach_exit attach_detach(const struct attach_options *o);
enum attach_exit attach_list(const struct attach_options *o);

#endif
