/* SPDX-License-Identifier: MIT */
/*
 * mpioctl restart: the daemon executes its program again, which may be a newer one, with the sockets of its clients open.
 * They notice a pause. In this order: the new program reads the configuration (a bad one: nothing happens); no write is in
 * doubt any more; no new requests are read, those that were are answered; the configuration is read once more; exec. Sessions end with it and begin
 * anew.
 *
 * systemctl restart: the same through the service manager's descriptor store (FileDescriptorStoreMax=).
 */
#ifndef DAEMON_HANDOVER_H
#define DAEMON_HANDOVER_H

#include <signal.h>
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

/* There were clients to go on with: whatever can be done without must not be a reason to end, and to end them. */
bool handover_clients(void);
/* A start for them goes on without KEY, which can't be had because of why: logged, and true. Without clients false. */
bool handover_do_without(const char *key, const char *why);
/* By exec: whatever made this process end would end its clients. */
bool handover_executed(void);

/* The start has succeeded: the service manager may forget what it kept. Before, a start that fails can be repeated. */
void handover_done(void);

/* SIG_BLOCK or SIG_UNBLOCK: the signals that mpiod acts on. From before the exec until somebody looks at them. */
void handover_signals(int how);
void handover_signal_set(sigset_t *set);

/* A second, or less on SIGHUP; while clients wait and nothing serves them yet. True: told to stop. */
bool handover_wait(void);

/* mpiod -t: could what the process that asks writes down be read? */
bool handover_readable(void);

/* Begins. 0, or -errno with a reason in why: nothing happens. What goes wrong later is logged, and it goes on as before. */
int handover_start(struct server *sv, char *why, size_t cap) __attribute__((warn_unused_result));

#endif
