/* SPDX-License-Identifier: MIT */
/*
 * Bytes of a dead connection that our own kernel still holds.
 *
 * SO_LINGER {1,0} empties the socket, but not the queue of segments that wait for the next hop's
 * link-layer address: they survive the socket, and when a cable is plugged in again within about three
 * seconds they leave before the RST does. The target then runs a WRITE that was long retried
 * elsewhere. (Reproduced: a link that goes down under load and comes back.)
 */
#ifndef TRANSPORT_ISCSI_PURGE_H
#define TRANSPORT_ISCSI_PURGE_H

#include <stdbool.h>
#include <sys/socket.h>

struct iscsi_purge {
	bool wanted; /* something was sent and not acknowledged */
	struct sockaddr_storage local, peer;
	socklen_t len;
};

/* Before the close of the connected TCP socket fd: remembers where its segments were going. */
void iscsi_purge_prepare(struct iscsi_purge *p, int fd);

/*
 * After the close: if datagrams to the same next hop get stuck too, sends so many that the
 * kernel drops everything older (neighbour queues drop from the head, unres_qlen_bytes, arp(7)). They
 * carry nothing, go to the discard port (RFC 863), and no further than the next hop. Where datagrams
 * leave at once there is no such queue, and one is all that is sent. Takes a few milliseconds at most.
 */
void iscsi_purge_run(const struct iscsi_purge *p);

#endif
