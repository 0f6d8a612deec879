/* SPDX-License-Identifier: MIT */
/*
 * Listens to libiscsi's log while it services a session.
 *
 * Only its log tells why a call failed: the error string is overwritten by "can not reconnect", and
 * is a stale one after a plain EOF. The
 * log function gets no context, so the session being serviced is kept in a variable of the thread,
 * set during the call only. libiscsi 1.19 formats into one static buffer for all threads: with
 * several threads a text may come out garbled, but it is always terminated.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "iscsi_internal.h"

static _Thread_local struct iscsi_session *servicing;

static bool starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Not a complaint about the session: one command's status, or what follows from the real error. */
static bool noise(const char *msg)
{
	static const char *const prefixes[] = {
		"SENSE KEY:", "RESERVATION CONFLICT", "TASK_SET_FULL", "ACA_ACTIVE",
		"TASK_ABORTED", "BUSY", "NOP", "iscsi_service_reconnect_if_loggedin", "reconnect",
	};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (starts(msg, prefixes[i]))
			return true;
	return false;
}

/* libiscsi gives a number where a person wants a word. */
static bool socket_error(struct iscsi_session *s, const char *msg, const char *prefix,
			 const char *what)
{
	int err;

	if (!starts(msg, prefix))
		return false;
	err = atoi(msg + strlen(prefix));
	/* EINVAL is how its iovec code says that the target's data does not fit the command. */
	if (err == EINVAL)
		snprintf(s->err, sizeof(s->err), "%s: data outside the command's buffer", what);
	else
		snprintf(s->err, sizeof(s->err), "%s: %s", what, strerror(err));
	return true;
}

static void complaint(struct iscsi_session *s, const char *msg)
{
	const char *end = strrchr(msg, '['); /* " [target name]" */
	size_t n = end && end > msg && end[-1] == ' ' ? (size_t)(end - 1 - msg) : strlen(msg);

	if (s->err[0] || noise(msg) ||
	    socket_error(s, msg, "read from socket failed, errno:", "receive") ||
	    socket_error(s, msg, "Error when writing to socket :", "send"))
		return;
	while (n > 0 && (msg[n - 1] == '\n' || msg[n - 1] == ' ' || msg[n - 1] == '.'))
		n--;
	snprintf(s->err, sizeof(s->err), "%.*s", (int)n, msg);
	for (char *c = s->err; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
}

static void on_log(int level, const char *msg)
{
	struct iscsi_session *s = servicing;

	if (s && level == 1)
		complaint(s, msg);
}

void iscsi_log_attach(struct iscsi_context *ctx)
{
	iscsi_set_log_fn(ctx, on_log);
	iscsi_set_log_level(ctx, 2);
}

int iscsi_log_service(struct iscsi_session *s, int revents)
{
	int rc;

	s->err[0] = '\0';
	servicing = s;
	/* The gate of the login reads the socket itself. */
	iscsi_batch_enter(s->state == ISCSI_UP ? s->batch : NULL);
	rc = iscsi_service(s->ctx, revents);
	iscsi_batch_leave();
	servicing = NULL;
	return rc;
}

bool iscsi_log_inside(void)
{
	return servicing != NULL;
}
