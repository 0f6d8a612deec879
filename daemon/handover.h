/* SPDX-License-Identifier: MIT */
/*
 * mpioctl restart: the daemon executes its program again, which may be a newer one, with the sockets of its clients open.
 * They notice a pause. In this order: the new program reads the configuration (a bad one: nothing happens); no write is in
 * doubt any more; no new requests are read, those that were are answered; exec. Sessions end with it and begin
 * anew.
 *
 * systemctl restart: the same through the service manager's descriptor store (FileDescriptorStoreMax=).
 */
#ifndef DAEMON_HANDOVER_H
#define DAEMON_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>

struct server;

/* Notes how the program was called, for the next one. Before options are parsed. */
void handover_begin(int argc, char **argv);

/* What the process before left: listening sockets before the front listens, connections after it. */
void handover_listeners(struct server *sv);
void handover_connections(struct server *sv);

/*
 * The other way: an end that may be a restart by the service manager. What is still is given to it to keep, and the next
 * process finds it there. Without a service manager nothing happens.
 */
void handover_store(struct server *sv);

/* How often it happened since the first start. */
unsigned handover_count(void);

/* Begins. 0, or -errno with a reason in why: nothing happens. What goes wrong later is logged, and it goes on as before. */
int handover_start(struct server *sv, char *why, size_t cap) __attribute__((warn_unused_result));

#endif
