/* SPDX-License-Identifier: MIT */
/*
 * Commands and probes: into libiscsi's task and out of it. The task is embedded in the command, so
 * an I/O costs no allocation of ours and no copy.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "iscsi_internal.h"

/* libiscsi is shown GOOD whatever the target said (iscsi_vet.h): the outcome is in cmd->vet. */
static void on_command(struct iscsi_context *ctx, int status, void *data, void *priv)
{
	struct iscsi_cmd *cmd = priv;
	struct iscsi_session *s = cmd->session;
	const struct iscsi_vet_cmd *v = &cmd->vet;
	struct scsi_task *t = &cmd->task;

	if (s->killed)
		return;
	free(t->datain.data);
	t->datain.data = NULL;
	/*
	 * Cancelled: what the target made of the command can't be known. An answer that the vet did
	 * not see: libiscsi is linked in a way that goes round it. The command stays with its owner
	 * until the kill.
	 */
	if (status != SCSI_STATUS_GOOD || !v->answered) {
		s->broken = true;
		return;
	}
	cmd->scsi.outcome = v->outcome;
	cmd->scsi.status = v->status;
	cmd->scsi.response = v->response;
	cmd->scsi.sense = v->sense;
	cmd->scsi.got = v->got;

	s->in_flight--;
	if (cmd->scsi.dir == SCSI_DIR_OUT)
		s->writes--;
	list_add_tail(&cmd->done, &s->done);
}

static bool sane(const struct scsi_cmd *c)
{
	uint64_t sum = 0;

	if (c->cdb_len == 0 || c->cdb_len > sizeof(c->cdb) || c->niov > 2 || c->len > INT_MAX)
		return false;
	if (c->dir == SCSI_DIR_NONE)
		return c->len == 0;
	for (int i = 0; i < c->niov; i++)
		sum += c->iov[i].iov_len;
	return sum == c->len && c->len > 0;
}

/*
 * A command without data from the target gets an empty input vector all the same: libiscsi would
 * otherwise collect Data-In that nobody asked for in memory, as much as the target cares to send;
 * so it ends the session.
 */
static void fill_task(struct iscsi_cmd *cmd)
{
	struct scsi_cmd *c = &cmd->scsi;
	struct scsi_task *t = &cmd->task;

	memset(t, 0, sizeof(*t));
	memcpy(t->cdb, c->cdb, c->cdb_len);
	t->cdb_size = c->cdb_len;
	t->expxferlen = (int)c->len;
	for (int i = 0; i < c->niov; i++) {
		cmd->iov[i].iov_base = c->iov[i].iov_base;
		cmd->iov[i].iov_len = c->iov[i].iov_len;
	}
	scsi_task_set_iov_in(t, cmd->iov, c->dir == SCSI_DIR_IN ? c->niov : 0);
	switch (c->dir) {
	case SCSI_DIR_IN:
		t->xfer_dir = SCSI_XFER_READ;
		break;
	case SCSI_DIR_OUT:
		t->xfer_dir = SCSI_XFER_WRITE;
		scsi_task_set_iov_out(t, cmd->iov, c->niov);
		break;
	default:
		t->xfer_dir = SCSI_XFER_NONE;
		break;
	}
}

int iscsi_session_submit(struct iscsi_session *s, struct iscsi_cmd *cmd)
{
	if (s->state != ISCSI_UP || s->detached)
		return -ENOTCONN;
	if (!sane(&cmd->scsi))
		return -EINVAL;
	cmd->session = s;
	list_init(&cmd->done);
	fill_task(cmd);
	if (iscsi_scsi_command_async(s->ctx, cmd->scsi.lun, &cmd->task, on_command, NULL, cmd) != 0)
		return -ENOMEM;
	iscsi_vet_add(&s->vet, &cmd->vet, &cmd->scsi, cmd->task.itt);
	/* In a solicited session none of it leaves before the vet has seen an R2T for it. */
	cmd->scsi.data_out = !s->solicited || cmd->scsi.dir != SCSI_DIR_OUT;
	s->in_flight++;
	if (cmd->scsi.dir == SCSI_DIR_OUT)
		s->writes++;
	iscsi_mark_dirty(s);
	return 0;
}

static void on_nop(struct iscsi_context *ctx, int status, void *data, void *priv)
{
	struct iscsi_session *s = priv;

	if (s->killed)
		return;
	if (status == SCSI_STATUS_GOOD)
		s->pongs++;
	else
		s->broken = true;
}

int iscsi_session_probe(struct iscsi_session *s)
{
	if (s->state != ISCSI_UP || s->detached)
		return -ENOTCONN;
	if (iscsi_nop_out_async(s->ctx, on_nop, NULL, 0, s) != 0)
		return -ENOMEM;
	iscsi_mark_dirty(s);
	return 0;
}
