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
#include "scsi_internal.h"

/*
 * libiscsi parses sense data itself, and reads past its end when there is little of it; that can't
 * be kept from here, but nothing it got that way is used. Raw bytes: two of length, then the sense
 * data (RFC 7143 11.4.7).
 */
static void take_sense(const struct scsi_task *t, struct sense *out)
{
	const uint8_t *p = t->datain.data;
	size_t n, have = p && t->datain.size > 2 ? (size_t)t->datain.size - 2 : 0;

	if (have == 0) {
		memset(out, 0, sizeof(*out));
		return;
	}
	n = get_be16(p);
	scsi_parse_sense(p + 2, n < have ? n : have, out);
}

static void on_command(struct iscsi_context *ctx, int status, void *data, void *priv)
{
	struct iscsi_cmd *cmd = priv;
	struct iscsi_session *s = cmd->session;
	struct scsi_task *t = &cmd->task;

	if (s->killed)
		return;
	switch (status) {
	case SCSI_STATUS_GOOD:
	case SCSI_STATUS_CHECK_CONDITION:
	case SCSI_STATUS_CONDITION_MET:
	case SCSI_STATUS_BUSY:
	case SCSI_STATUS_RESERVATION_CONFLICT:
	case SCSI_STATUS_TASK_SET_FULL:
	case SCSI_STATUS_ACA_ACTIVE:
	case SCSI_STATUS_TASK_ABORTED:
		break;
	default:
		/*
		 * Cancelled, a Reject, or a status there is not. What the target made of the command
		 * can't be known, and which other PDUs it missed neither: the session is not to be
		 * trusted, and the command stays with its owner until the kill.
		 */
		s->broken = true;
		return;
	}
	cmd->scsi.outcome = SCSI_OUT_STATUS;
	cmd->scsi.status = (uint8_t)status;
	memset(&cmd->scsi.sense, 0, sizeof(cmd->scsi.sense));
	if (status == SCSI_STATUS_CHECK_CONDITION)
		take_sense(t, &cmd->scsi.sense);
	cmd->scsi.got = cmd->scsi.len;
	if (t->residual_status == SCSI_RESIDUAL_UNDERFLOW)
		cmd->scsi.got -= t->residual < cmd->scsi.len ? (uint32_t)t->residual : cmd->scsi.len;
	free(t->datain.data);
	t->datain.data = NULL;

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
