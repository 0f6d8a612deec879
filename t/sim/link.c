/* SPDX-License-Identifier: MIT */
/*
 * The engine's ops: sessions over links. A command arrives, is executed, and its answer arrives, each
 * after a delay; while a link is cut both wait, and go on when it is back and the session still lives,
 * as TCP would have it. What has not been executed when a session is killed is late.c's.
 */
#include "sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct conn *find(struct sim *s, uint64_t id)
{
	struct list *pos;

	list_for_each(pos, &s->conns) {
		struct conn *c = list_entry(pos, struct conn, link);

		if (c->id == id)
			return c;
	}
	return NULL;
}

static struct cmd *find_cmd(struct conn *c, uint64_t token)
{
	struct list *pos;

	list_for_each(pos, &c->cmds) {
		struct cmd *k = list_entry(pos, struct cmd, link);

		if (k->token == token)
			return k;
	}
	return NULL;
}

static uint64_t delay(struct sim *s, const struct port *p)
{
	if (p->slow)
		return 20 * MS + sim_below(s, 200 * MS);
	return 50 + sim_below(s, 2000) + (!s->calm && sim_chance(s, 1) ? sim_below(s, 30 * MS) : 0);
}

static void op_start(void *arg, struct session *session)
{
	struct sim *s = arg;
	struct conn *c = calloc(1, sizeof(*c));

	c->id = ++s->next_id;
	c->session = session;
	c->last_rx = s->now;
	list_init(&c->cmds);
	for (int i = 0; i < s->nports; i++)
		if (!strcmp(s->ports[i].addr, session->portal))
			c->port = &s->ports[i];
	if (!c->port) {
		sim_fail(s, "login to a portal there is not: %s", session->portal);
		c->port = &s->ports[0];
	}
	c->nexus = (struct nexus){ c->port, session->isid, c->port->tpgt };
	list_add_tail(&c->link, &s->conns);
	session->io = c;
	sim_at(s, c->port->cut ? 5 * SEC : delay(s, c->port), EV_LOGIN, c->id, 0);
}

static void cmd_free(struct cmd *k)
{
	list_del(&k->link);
	free(k->a.data);
	free(k);
}

static void op_kill(void *arg, struct session *session)
{
	struct conn *c = session->io;

	if (!c)
		return;
	late_keep(arg, c);
	while (!list_empty(&c->cmds))
		cmd_free(list_entry(c->cmds.next, struct cmd, link));
	list_del(&c->link);
	session->io = NULL;
	free(c);
}

static void op_logout(void *arg, struct session *session)
{
	struct conn *c = session->io;

	if (c && !list_empty(&c->cmds))
		sim_fail(arg, "logout with commands in flight");
	op_kill(arg, session);
}

static int op_submit(void *arg, struct session *session, struct scsi_cmd *cmd)
{
	struct sim *s = arg;
	struct conn *c = session->io;
	struct cmd *k;

	if (!c || !c->up) {
		sim_fail(s, "submit on a session that is not up: %s", session->name);
		return -ENOTCONN;
	}
	if (!s->calm && sim_below(s, 500) == 0)
		return -ENOMEM;
	k = calloc(1, sizeof(*k));
	k->scsi = cmd;
	k->token = ++s->next_id;
	k->sent = s->now;
	cmd->data_out = cmd->dir == SCSI_DIR_OUT;
	list_add_tail(&k->link, &c->cmds);
	sim_at(s, delay(s, c->port), EV_ARRIVE, c->id, k->token);
	return 0;
}

static int op_probe(void *arg, struct session *session)
{
	struct sim *s = arg;
	struct conn *c = session->io;

	if (!c || !c->up)
		return -ENOTCONN;
	c->pong_due = true;
	sim_at(s, delay(s, c->port), EV_PONG, c->id, 0);
	return 0;
}

static uint64_t op_silence(void *arg, struct session *session)
{
	struct sim *s = arg;
	struct conn *c = session->io;

	return c ? s->now - c->last_rx : UINT64_MAX;
}

static void op_discover(void *arg, struct target *t)
{
	(void)arg;
	(void)t;
}

static void op_request_done(void *arg, struct request *r)
{
	client_done(arg, r);
}

static void op_lun_ready(void *arg, struct lun *l)
{
	client_start(arg, l);
}

static void op_lun_gone(void *arg, struct lun *l)
{
	client_gone(arg, l);
}

static void op_room(void *arg)
{
	struct sim *s = arg;

	sim_at(s, 1, EV_CLIENT, 0, 0);
}

static void op_event(void *arg, const struct event *ev)
{
	sim_trace(arg, "event %s: %s%s%s: %s", ev->kind, ev->lun ? ev->lun : "", ev->path ? " " : "",
		  ev->path ? ev->path : "", ev->text);
}

const struct engine_ops sim_ops = {
	.attempt_room = 64,
	.session_start = op_start,
	.session_kill = op_kill,
	.session_logout = op_logout,
	.submit = op_submit,
	.probe = op_probe,
	.silence = op_silence,
	.discover = op_discover,
	.request_done = op_request_done,
	.lun_ready = op_lun_ready,
	.lun_gone = op_lun_gone,
	.room = op_room,
	.event = op_event,
};

static void arrive(struct sim *s, struct conn *c, struct cmd *k)
{
	if (k->executed || c->dropped || c->port->cut)
		return; /* link_uncut() sends it again */
	k->executed = true;
	if (k->aborted)
		k->a.status = SCSI_ST_TASK_ABORTED;
	else
		disk_execute(s, c, k->scsi, &k->a);
	sim_at(s, delay(s, c->port), EV_ANSWER, c->id, k->token);
}

static void deliver(struct sim *s, struct conn *c, struct cmd *k)
{
	struct scsi_cmd *cmd = k->scsi;
	uint32_t n = k->a.len < cmd->len ? k->a.len : cmd->len;

	if (c->port->cut)
		return;
	c->last_rx = s->now;
	cmd->outcome = SCSI_OUT_STATUS;
	cmd->status = k->a.status;
	cmd->sense = (struct sense){ .valid = k->a.status == SCSI_ST_CHECK_CONDITION && k->a.key != 0xff,
				     .key = k->a.key, .asc = k->a.asc, .ascq = k->a.ascq };
	cmd->got = cmd->dir == SCSI_DIR_IN ? n : cmd->len;
	if (cmd->dir == SCSI_DIR_IN && k->a.data) {
		/* A target that answers short: what did come is there, the rest is not. */
		if (!s->calm && cmd->cdb[0] == 0x88 && sim_chance(s, 1))
			cmd->got = n = n / 2;
		memcpy(cmd->iov[0].iov_base, k->a.data, n);
	}
	/* What comes with an error, or is missing, is anything. */
	if (cmd->cdb[0] == 0x88 && (k->a.status != SCSI_ST_GOOD || cmd->got < cmd->len)) {
		n = k->a.status == SCSI_ST_GOOD ? cmd->got : 0;
		memset((uint8_t *)cmd->iov[0].iov_base + n, 0xee, cmd->len - n);
	}
	cmd_free(k);
	engine_cmd_done(s->engine, cmd);
}

/* The target accepts c: it ends the older session of that ISID in the same portal group. */
static void reinstate(struct sim *s, const struct conn *c)
{
	struct list *pos;

	list_for_each(pos, &s->conns) {
		struct conn *o = list_entry(pos, struct conn, link);

		if (o == c || !o->up || o->dropped || o->nexus.isid != c->nexus.isid ||
		    o->nexus.tpgt != c->nexus.tpgt)
			continue;
		o->dropped = true;
		sim_at(s, sim_below(s, 100), EV_LOSE, o->id, SESSION_LOSS_CLOSED);
	}
}

static void login(struct sim *s, struct conn *c)
{
	if (c->up)
		return;
	if (c->port->cut || c->port->down) {
		engine_session_lost(s->engine, c->session, SESSION_LOSS_CONNECT, "no connection");
		return;
	}
	if (c->port->refuse) {
		engine_session_lost(s->engine, c->session, SESSION_LOSS_LOGIN, "login refused");
		return;
	}
	late_login(s, &c->nexus);
	if (s->reinstates)
		reinstate(s, c);
	c->up = true;
	c->session->tpgt = 1;
	c->last_rx = s->now;
	c->session->tpgt = c->port->tpgt;
	for (int i = 0; i < MAX_DISKS; i++) {
		c->ua[i] = sim_chance(s, 70) ? 0x29 : 0;
		c->ua_q[i] = 0;
	}
	engine_session_up(s->engine, c->session);
}

void link_event(struct sim *s, int kind, uint64_t conn, uint64_t token)
{
	struct conn *c = find(s, conn);
	struct cmd *k;

	if (!c)
		return;
	switch (kind) {
	case EV_LOGIN:
		login(s, c);
		return;
	case EV_LOSE:
		c->dropped |= token == SESSION_LOSS_CLOSED || token == SESSION_LOSS_LOGOUT;
		engine_session_lost(s->engine, c->session, (enum session_loss)token, "the link says so");
		return;
	case EV_PONG:
		if (c->port->cut || !c->pong_due)
			return;
		c->pong_due = false;
		c->last_rx = s->now;
		engine_session_pong(s->engine, c->session);
		return;
	}
	k = find_cmd(c, token);
	if (!k)
		return;
	if (kind == EV_ARRIVE)
		arrive(s, c, k);
	else
		deliver(s, c, k);
}

void link_lose(struct sim *s, struct port *p, enum session_loss why)
{
	struct list *pos;

	list_for_each(pos, &s->conns) {
		struct conn *c = list_entry(pos, struct conn, link);

		if (c->port == p)
			sim_at(s, sim_below(s, 100), EV_LOSE, c->id, why);
	}
}

void link_close(struct sim *s, const struct port *p, const char *text)
{
	uint64_t last = s->next_id;
	struct list *pos;

	/* To be told of one may end others, too: begin anew after each. */
	for (pos = s->conns.next; pos != &s->conns; pos = pos->next) {
		struct conn *c = list_entry(pos, struct conn, link);

		if (c->dropped || c->id > last || (p && c->port != p))
			continue;
		c->dropped = true;
		engine_session_lost(s->engine, c->session, SESSION_LOSS_CLOSED, text);
		pos = &s->conns;
	}
}

static bool reaches(const struct conn *c, unsigned lun, const struct disk *d)
{
	return lun < MAX_DISKS && c->port->map[lun] == d->index;
}

void link_attention(struct sim *s, const struct disk *d, const struct nexus *only,
		    const struct nexus *except, uint8_t asc, uint8_t ascq)
{
	struct list *pos;

	list_for_each(pos, &s->conns) {
		struct conn *c = list_entry(pos, struct conn, link);

		if (!c->up || (only && !nexus_same(only, &c->nexus)) ||
		    (except && nexus_same(except, &c->nexus)))
			continue;
		for (unsigned i = 0; i < MAX_DISKS; i++) {
			if (!reaches(c, i, d))
				continue;
			c->ua[i] = asc;
			c->ua_q[i] = ascq;
		}
	}
}

void link_abort(struct sim *s, const struct disk *d, const struct nexus *x)
{
	struct list *pos, *q;

	list_for_each(pos, &s->conns) {
		struct conn *c = list_entry(pos, struct conn, link);

		if (!nexus_same(&c->nexus, x))
			continue;
		list_for_each(q, &c->cmds) {
			struct cmd *k = list_entry(q, struct cmd, link);

			k->aborted |= reaches(c, k->scsi->lun, d);
		}
	}
}

void link_uncut(struct sim *s, struct port *p)
{
	struct list *pos, *q;

	p->cut = false;
	late_uncut(s, p);
	list_for_each(pos, &s->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		uint64_t rto = sim_below(s, 400 * MS);

		if (c->port != p)
			continue;
		if (c->pong_due)
			sim_at(s, rto, EV_PONG, c->id, 0);
		list_for_each(q, &c->cmds) {
			struct cmd *k = list_entry(q, struct cmd, link);

			sim_at(s, rto + delay(s, p), k->executed ? EV_ANSWER : EV_ARRIVE, c->id,
			       k->token);
		}
	}
}
