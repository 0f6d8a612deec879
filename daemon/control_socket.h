/* SPDX-License-Identifier: MIT */
/* The listening unix socket of control.c: at most one daemon at a time on one path. */
#ifndef DAEMON_CONTROL_SOCKET_H
#define DAEMON_CONTROL_SOCKET_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/un.h>

struct control_socket {
	int fd;              /* non-blocking, close-on-exec */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	dev_t dev;           /* of the file, to see that it is still ours */
	ino_t ino;
};

/*
 * Binds and listens with mode 0660. A file that nobody listens on is replaced. On failure -errno
 * and a sentence in why: -EADDRINUSE somebody listens, -ENOTSOCK it is no socket.
 */
int control_socket_open(struct control_socket *s, const char *path, char *why, size_t whylen)
	__attribute__((warn_unused_result));

/* Closes it, and removes the file if it is still the one that was made. */
void control_socket_close(struct control_socket *s);

#endif
