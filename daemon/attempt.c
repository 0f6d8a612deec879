/* SPDX-License-Identifier: MIT */
/*
 * Attempts: one SCSI command on one session, from a free list, with the initiator's private room
 * behind it. An attempt holds a reference on the bytes it moves until the initiator is done with them.
 */
#include "flight.h"
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The command sits at this fixed distance behind its attempt, so that one gives the other. */
#define CMD_OFFSET ((sizeof(struct attempt) + 63) & ~(size_t)63)

static struct attempt *attempt_of(struct scsi_cmd *cmd)
{
	return (struct attempt *)(void *)((char *)cmd - CMD_OFFSET);
}

struct attempt *attempt_new(struct engine *e, struct session *s, struct path *p, struct buf *buf)
{
	struct list *l = list_pop(&e->free_attempts);
	struct attempt *a;

	if (l) {
		a = list_entry(l, struct attempt, link);
	} else {
		size_t size = CMD_OFFSET + sizeof(struct scsi_cmd) + e->ops->attempt_room;

		a = aligned_alloc(64, (size + 63) & ~(size_t)63);
		if (!a)
			return NULL;
		memset(a, 0, size);
	}
	memset(a, 0, sizeof(*a));
	list_init(&a->link);
	list_init(&a->sibling);
	a->session = s;
	a->path = p;
	a->buf = buf ? buf_ref(buf) : NULL;
	a->cmd = (struct scsi_cmd *)(void *)((char *)a + CMD_OFFSET);
	memset(a->cmd, 0, sizeof(*a->cmd));
	a->cmd->data_out = true; /* unless the initiator knows better */
	if (p)
		a->cmd->lun = p->lun_number;
	return a;
}

void attempt_set_data(struct attempt *a, void *data, uint32_t len)
{
	a->cmd->iov[0].iov_base = data;
	a->cmd->iov[0].iov_len = len;
	a->cmd->niov = len ? 1 : 0;
	a->cmd->len = len;
}

int attempt_send(struct engine *e, struct attempt *a)
{
	struct session *s = a->session;
	/* after engine_shutdown() the timers of its LUNs may still fire */
	int ret = session_connected(s) ? e->ops->submit(e->arg, s, a->cmd) : -ENOTCONN;

	if (ret) {
		attempt_free(e, a);
		return ret;
	}
	a->started = e->now;
	a->load_bytes = a->cmd->len;
	list_add_tail(&a->link, &s->inflight);
	s->load.ios++;
	e->inflight++;
	s->load.bytes += a->load_bytes;
	if (a->path)
		a->path->inflight++;
	if (s->load.ios == 1)
		session_watch(e, s);
	return 0;
}

void attempt_detach(struct engine *e, struct attempt *a)
{
	struct session *s = a->session;

	assert(list_linked(&a->link) && s->load.ios);
	e->inflight--;
	list_del(&a->link);
	s->load.ios--;
	s->load.bytes -= a->load_bytes;
	if (a->path)
		a->path->inflight--;
}

void attempt_free(struct engine *e, struct attempt *a)
{
	flight_end(e->flight, a->record);
	assert(!list_linked(&a->link));
	list_del(&a->sibling);
	buf_put(a->buf);
	a->buf = NULL;
	list_add_head(&a->link, &e->free_attempts);
}

/* A word in the statistics of the path for what came back. */
static void count_outcome(struct attempt *a)
{
	struct counters *n = &a->path->n;

	if (a->cmd->outcome != SCSI_OUT_STATUS || a->cmd->status != SCSI_ST_GOOD) {
		n->errors++;
	} else if (a->io->op == IO_READ) {
		n->reads++;
		n->read_bytes += a->cmd->got;
	} else if (a->io->op == IO_WRITE || a->io->op == IO_WRITE_SAME) {
		n->writes++;
		n->write_bytes += a->cmd->got;
	}
}

void engine_cmd_done(struct engine *e, struct scsi_cmd *cmd)
{
	struct attempt *a = attempt_of(cmd);
	struct session *s = a->session;
	struct path *p = a->path;

	attempt_detach(e, a);
	session_alive(e, s);
	if (a->io) {
		count_outcome(a);
		health_sample(&s->health, e->now - a->started);
		s->load.latency_us = s->health.srtt_us;
		a->done(e, a);
	} else if (a->done) {
		a->done(e, a);
	}
	attempt_free(e, a);
	session_run(e, s);
	/* The path and the session are still there: both are freed only when nothing is in flight,
	 * which the next two find out. */
	if (p && !p->inflight)
		path_drained(e, p);
	if (!s->load.ios)
		session_idle(e, s);
}
