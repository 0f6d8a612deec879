/* SPDX-License-Identifier: MIT */
/*
 * Which process keeps which device: a file for each under $RUNTIME_DIRECTORY (/run/mpio-attach), named
 * after the device, locked by its keeper for as long as that lives.
 */
#ifndef ATTACH_STATE_H
#define ATTACH_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "hello.h"

#define STATE_EXPORT_MAX 4097

struct state {
	int index;
	pid_t pid;                    /* of the keeper, 0 if it has gone (filled in when read) */
	char export[STATE_EXPORT_MAX];
	char id[HELLO_ID_MAX];        /* the backend */
	char socket[256];
};

/* From here until the descriptor is closed no other mpio-attach connects a device: two would do it to one disk. -errno: not to be had. */
int state_gate(void) __attribute__((warn_unused_result));

/* Writes s and locks it: a descriptor that holds the lock, or -errno (-EBUSY: another process has it). */
int state_keep(const struct state *s, char *why, size_t cap) __attribute__((warn_unused_result));

/* Forgets the device; for its keeper, where there is none, or to tell the keeper that it is to end (state_removed()). */
void state_remove(int index);
/* Has somebody removed the file that this descriptor locks? */
bool state_removed(int lock);

/* What is written about a device. false: nothing, or nothing sensible. */
bool state_read(int index, struct state *s);

/* The connected device that is written to be this export's of this socket (NULL: of any); false without one. */
bool state_find(const char *export, const char *socket, struct state *s);

#endif
