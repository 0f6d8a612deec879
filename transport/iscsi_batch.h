/* SPDX-License-Identifier: MIT */
/*
 * Fewer system calls for libiscsi. It makes one send() for each PDU it sends and a recv() and a
 * readv() for each PDU it gets, three system calls an I/O, which are most of what an I/O costs. The
 * Makefile links its static library with these four calls renamed, so that they come here: while a
 * session with a batch is being serviced they move bytes between libiscsi and two buffers, and the
 * kernel sees one recv() for all that has arrived and one send() for all that is to go. Long
 * payloads still go straight between the kernel and their own memory.
 *
 * It is also where each PDU is looked at before libiscsi sees it (iscsi_vet.h). Linked without the
 * renaming, libiscsi would talk to the kernel itself: such a session ends with its first command.
 *
 * What the kernel has not taken yet when a session is killed is simply gone, which is what a kill wants.
 */
#ifndef TRANSPORT_ISCSI_BATCH_H
#define TRANSPORT_ISCSI_BATCH_H

#include <stdbool.h>
#include <stddef.h>

struct iscsi_batch;
struct iscsi_vet;

/* vet is the caller's; NULL: the bytes are no PDUs, and pass as they are. NULL: out of memory. */
struct iscsi_batch *iscsi_batch_new(struct iscsi_vet *vet) __attribute__((warn_unused_result));
void iscsi_batch_free(struct iscsi_batch *b);

/* Between these two, libiscsi's calls on this thread go through b (NULL: straight to the kernel). */
void iscsi_batch_enter(struct iscsi_batch *b);
void iscsi_batch_leave(void);

/* The socket may have bytes again: ask the kernel once more. Before each service for POLLIN. */
void iscsi_batch_readable(struct iscsi_batch *b);

/* The other side has closed or reset the connection (nothing that this side gave up counts). */
bool iscsi_batch_closed(const struct iscsi_batch *b);

/* Bytes that arrived and that libiscsi has not taken. */
size_t iscsi_batch_unread(const struct iscsi_batch *b);

/* Sends what libiscsi has handed in. 0: all is sent; 1: the socket is full; -errno. */
int iscsi_batch_flush(struct iscsi_batch *b, int fd) __attribute__((warn_unused_result));

#endif
