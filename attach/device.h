/* SPDX-License-Identifier: MIT */
/* What sysfs and the mount table say about /dev/nbdN. index is N everywhere. */
#ifndef ATTACH_DEVICE_H
#define ATTACH_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "hello.h"
#include "options.h"

/* N of "/dev/nbdN" or "nbdN", -1 if it is neither. */
int device_index(const char *name);

bool device_connected(int index);

/*
 * The process that connected it, also when that has gone; 0 unless it is connected. Together with the backend it tells this
 * connection of the device from a later one.
 */
long device_pid(int index);

/* Does it refuse writes? */
bool device_read_only(int index);

/* Has udev look at it anew: the kernel tells of a connected device before its identifier is there, and of its end before it has gone. */
void device_changed(int index);

/* Bytes; 0 unless it is there. */
uint64_t device_size(int index);

/*
 * One for each connection it was given at first, but no more than there are processors; 0 unless it is there. At
 * most ATTACH_CONNECTIONS_MAX.
 */
int device_queues(int index);

/* The identifier it was connected under, "" without one. Returns id. */
const char *device_backend(int index, char id[HELLO_ID_MAX]);

/* The highest N that exists, -1 for none. */
int device_last(void);

/* A connected device with that backend, -1 for none. */
int device_with_backend(const char *id);

/*
 * Mounted, swapped to, part of another block device, or opened by one who wants it alone: by[] says which. The end of a file
 * system comes a little after its unmounting: ms says how long to wait for that.
 */
bool device_busy(int index, int ms, char *by, size_t cap);

/* Waits until the kernel has let go of it. false: not within ms. */
bool device_wait_gone(int index, int ms);

#endif
