/* SPDX-License-Identifier: MIT */
/* PDUs that come, one after the other, against what is outstanding. */
#include "iscsi_vet_internal.h"

#include <stdio.h>
#include <string.h>
#include "scsi_internal.h"

#define broken(v, ...) vet_end(v, ISCSI_VET_ERROR, "protocol error: " __VA_ARGS__)

static const char *opcode_name(uint8_t opcode)
{
	switch (opcode) {
	case OP_NOP_IN:
		return "NOP-In";
	case OP_RESPONSE:
		return "SCSI Response";
	case 0x22:
		return "Task Management Function Response";
	case 0x23:
		return "Login Response";
	case OP_TEXT_RESPONSE:
		return "Text Response";
	case OP_DATA_IN:
		return "Data-In";
	case OP_LOGOUT_RESPONSE:
		return "Logout Response";
	case OP_R2T:
		return "R2T";
	}
	return "PDU";
}

/*
 * RFC 7143 11.4.10: a MaxCmdSN below ExpCmdSN - 1 makes both invalid.
 *
 * libiscsi uses ExpCmdSN for one thing only: it refuses to send what has a smaller CmdSN. It gives
 * the answer to a target's ping the CmdSN of what it queues it in front of, which may be a
 * Data-Out of an old command, and so would break off when a ping and an R2T come together. So it
 * is shown one that lies far back.
 */
#define BACK 0x40000000u

static void serials(struct iscsi_vet *v, uint8_t *p)
{
	uint32_t exp = get_be32(p + 28), max = get_be32(p + 32);

	if ((int32_t)(max - (exp - 1)) >= 0) {
		if ((int32_t)(exp - v->exp_cmdsn) > 0)
			v->exp_cmdsn = exp;
		if ((int32_t)(max - v->max_cmdsn) > 0)
			v->max_cmdsn = max;
	}
	put_be32(p + 28, v->exp_cmdsn - BACK);
	put_be32(p + 32, v->max_cmdsn);
}

/* libiscsi gets the header only. */
static void strip(const struct iscsi_vet *v, uint8_t *p, struct iscsi_vet_pdu *out)
{
	out->skip = out->pass - v->header;
	out->pass = v->header;
	put_be32(p + 4, 0);
}

static enum iscsi_vet_step not_outstanding(struct iscsi_vet *v, const uint8_t *p)
{
	uint32_t itt = get_be32(p + 16);
	const struct iscsi_vet_cmd *c = *vet_slot(v, itt);
	bool wrong = vet_other(v, itt) >= 0 || (c && !(c->sending & VET_QUEUED));

	return broken(v, "%s for a task that %s (%08x)", opcode_name(p[0] & OPCODE_MASK),
		      wrong ? "is of another kind" : "is not outstanding", itt);
}

/* Takes the command's length for all there is to move: READ(6), (10), (12), (16), and all writes. */
static bool exact(const struct scsi_cmd *c)
{
	switch (c->cdb[0]) {
	case 0x08:
	case 0x28:
	case 0xa8:
	case 0x88:
		return true;
	default:
		return c->dir == SCSI_DIR_OUT;
	}
}

/*
 * The end of a command, p being a SCSI Response or a Data-In with status. How much was moved is
 * what was seen to move, less what the target says it did not use (RFC 7143 11.4.5).
 */
static enum iscsi_vet_step finish(struct iscsi_vet *v, struct iscsi_vet_cmd **at, const uint8_t *p)
{
	struct iscsi_vet_cmd *c = *at;
	const struct scsi_cmd *s = c->scsi;
	uint32_t residual = get_be32(p + 44);
	uint32_t got = s->dir == SCSI_DIR_IN ? c->in : c->out;
	uint8_t flags = p[1] & (FLAG_OVERFLOW | FLAG_UNDERFLOW);

	if (flags == (FLAG_OVERFLOW | FLAG_UNDERFLOW))
		return broken(v, "residual overflow and underflow at once");
	if (got > s->len)
		got = s->len;
	if (flags == FLAG_UNDERFLOW) {
		if (residual > s->len)
			return broken(v, "residual of %u bytes, but the command moves %u", residual, s->len);
		if (got > s->len - residual)
			got = s->len - residual;
	}
	c->got = got;
	c->status = p[3];
	c->outcome = SCSI_OUT_STATUS;
	/* The target had more to move than we know of: its idea of the blocks is another. */
	if (flags == FLAG_OVERFLOW && exact(s) && (p[3] == SCSI_ST_GOOD || p[3] == SCSI_ST_CONDITION_MET))
		c->outcome = SCSI_OUT_ERROR;
	c->answered = true;
	*at = c->next;
	return ISCSI_VET_PASS;
}

/* RFC 7143 11.4.7: two bytes of length, then the sense data. What was not sent is not there. */
static void take_sense(struct iscsi_vet_cmd *c, const uint8_t *data, size_t n)
{
	size_t len;

	if (n <= 2)
		return;
	len = get_be16(data);
	scsi_parse_sense(data + 2, len < n - 2 ? len : n - 2, &c->sense);
}

/* RFC 7143 11.4 */
static enum iscsi_vet_step response(struct iscsi_vet *v, uint8_t *p, struct iscsi_vet_pdu *out)
{
	struct iscsi_vet_cmd **at = vet_slot(v, get_be32(p + 16)), *c = *at;
	enum iscsi_vet_step step = ISCSI_VET_PASS;

	if (!c || c->sending & VET_QUEUED)
		return not_outstanding(v, p);
	if (c->sending)
		return ISCSI_VET_HOLD; /* libiscsi would free what it still has to send */
	if (!(p[1] & FLAG_FINAL))
		return broken(v, "SCSI Response without the F bit");
	if (p[2]) { /* status and residual say nothing then (11.4.3) */
		c->outcome = SCSI_OUT_RESPONSE;
		c->response = p[2];
		c->answered = true;
		*at = c->next;
	} else {
		step = finish(v, at, p);
	}
	if (step != ISCSI_VET_PASS)
		return step;
	if (c->outcome == SCSI_OUT_STATUS && c->status == SCSI_ST_CHECK_CONDITION)
		take_sense(c, p + v->header, get_be32(p + 4));
	p[1] = FLAG_FINAL;
	p[2] = 0;
	p[3] = SCSI_ST_GOOD;
	strip(v, p, out);
	return step;
}

/* RFC 7143 11.7, with DataPDUInOrder and DataSequenceInOrder (13.18, 13.19) */
static enum iscsi_vet_step data_in(struct iscsi_vet *v, uint8_t *p)
{
	struct iscsi_vet_cmd **at = vet_slot(v, get_be32(p + 16)), *c = *at;
	uint32_t n = get_be32(p + 4), offset = get_be32(p + 40);

	if (!c || c->sending & VET_QUEUED)
		return not_outstanding(v, p);
	if (c->scsi->dir != SCSI_DIR_IN)
		return broken(v, "Data-In for %s, which reads nothing",
			      scsi_opcode_name(c->scsi->cdb[0]));
	if (c->sending)
		return ISCSI_VET_HOLD;
	if (offset != c->in)
		return broken(v, "Data-In at offset %u where %u is next", offset, c->in);
	if (n > c->scsi->len - c->in)
		return broken(v, "Data-In of %u bytes at %u, beyond the command's buffer of %u", n,
			      offset, c->scsi->len);
	if (p[1] & FLAG_ACK) /* not at ErrorRecoveryLevel 0 (11.7.2) */
		return broken(v, "Data-In that asks for a SNACK");
	if ((p[1] & (FLAG_STATUS | FLAG_FINAL)) == FLAG_STATUS)
		return broken(v, "Data-In with the S bit, but without the F bit");
	c->in += n;
	if (!(p[1] & FLAG_STATUS)) {
		p[1] &= FLAG_FINAL;
		return ISCSI_VET_PASS;
	}
	if (finish(v, at, p) != ISCSI_VET_PASS)
		return ISCSI_VET_FAIL;
	p[1] = FLAG_FINAL | FLAG_STATUS;
	p[3] = SCSI_ST_GOOD;
	return ISCSI_VET_PASS;
}

/* RFC 7143 11.8; MaxOutstandingR2T is 1 (13.17), which also bounds what libiscsi queues. */
static enum iscsi_vet_step r2t(struct iscsi_vet *v, const uint8_t *p)
{
	struct iscsi_vet_cmd *c = *vet_slot(v, get_be32(p + 16));
	uint32_t offset = get_be32(p + 40), n = get_be32(p + 44);

	if (!c || c->sending & VET_QUEUED)
		return not_outstanding(v, p);
	if (c->scsi->dir != SCSI_DIR_OUT)
		return broken(v, "R2T for %s, which has no data to send",
			      scsi_opcode_name(c->scsi->cdb[0]));
	if (get_be32(p + 4))
		return broken(v, "R2T with data");
	if (get_be32(p + 20) == NO_TAG)
		return broken(v, "R2T without a target transfer tag");
	if (n == 0 || n > v->max_burst)
		return broken(v, "R2T for %u bytes, MaxBurstLength is %u", n, v->max_burst);
	if (offset > c->scsi->len || n > c->scsi->len - offset)
		return broken(v, "R2T for %u bytes at %u, beyond the command's %u", n, offset,
			      c->scsi->len);
	if (c->sending & VET_R2T)
		return broken(v, "a second R2T before the first was answered");
	if (offset < c->asked)
		return broken(v, "R2T for %u bytes at %u, all up to %u was asked for before", n,
			      offset, c->asked);
	c->asked = offset + n;
	c->sending |= VET_R2T;
	c->scsi->data_out = true;
	return ISCSI_VET_PASS;
}

/* An answer to a request of ours that is no command. */
static enum iscsi_vet_step answer(struct iscsi_vet *v, const uint8_t *p, uint8_t request)
{
	int i = vet_other(v, get_be32(p + 16));

	if (i < 0 || v->other[i].opcode != request)
		return not_outstanding(v, p);
	v->other[i] = v->other[--v->others];
	return ISCSI_VET_PASS;
}

/* RFC 7143 11.19. A target that pings without taking the answers would make libiscsi's queue long. */
static enum iscsi_vet_step nop_in(struct iscsi_vet *v, const uint8_t *p)
{
	if (get_be32(p + 16) != NO_TAG)
		return answer(v, p, OP_NOP_OUT);
	if (get_be32(p + 20) == NO_TAG)
		return ISCSI_VET_PASS;
	if (v->pings == ISCSI_VET_PINGS)
		return broken(v, "%d pings, and the target does not take the answers", ISCSI_VET_PINGS);
	v->pings++;
	return ISCSI_VET_PASS;
}

/* RFC 7143 11.9.1 */
static enum iscsi_vet_step async(struct iscsi_vet *v, const uint8_t *p)
{
	switch (p[36]) {
	case 0: /* a SCSI event; a unit attention tells of it as well */
		return ISCSI_VET_PASS;
	case 1:
		return vet_end(v, ISCSI_VET_LOGOUT, "the target asked for a logout");
	case 2:
	case 3:
		return vet_end(v, ISCSI_VET_DROPPING, "the target is dropping the connection");
	case 4: /* negotiated is at login only */
		return vet_end(v, ISCSI_VET_LOGOUT, "the target asked for a logout to negotiate anew");
	}
	return vet_end(v, ISCSI_VET_ERROR, "the target sent the unknown async event %u", p[36]);
}

/* RFC 7143 11.17.1 */
static enum iscsi_vet_step reject(struct iscsi_vet *v, const uint8_t *p)
{
	static const char *const reasons[] = {
		[0x02] = "Data Digest Error",      [0x03] = "SNACK Reject",
		[0x04] = "Protocol Error",         [0x05] = "Command Not Supported",
		[0x06] = "Immediate Command Reject", [0x07] = "Task In Process",
		[0x08] = "Invalid Data ACK",       [0x09] = "Invalid PDU Field",
		[0x0a] = "Long Operation Reject",  [0x0b] = "Negotiation Reset",
	};
	const uint8_t *rejected = p + v->header;
	const char *name = p[2] < sizeof(reasons) / sizeof(reasons[0]) ? reasons[p[2]] : NULL;
	char what[48] = "a request";

	if (p[2] == REJECT_WAITING_FOR_LOGOUT)
		return vet_end(v, ISCSI_VET_LOGOUT, "the target asked for a logout");
	if (get_be32(p + 4) >= ISCSI_VET_BHS) {
		if ((rejected[0] & OPCODE_MASK) == OP_COMMAND)
			snprintf(what, sizeof(what), "%s", scsi_opcode_name(rejected[32]));
		else
			snprintf(what, sizeof(what), "a PDU with opcode %02xh",
				 rejected[0] & OPCODE_MASK);
	}
	return vet_end(v, ISCSI_VET_ERROR, "the target rejected %s: %s (%02xh)", what,
		   name ? name : "unknown reason", p[2]);
}

static enum iscsi_vet_step judge(struct iscsi_vet *v, uint8_t *p, struct iscsi_vet_pdu *out)
{
	enum iscsi_vet_step step;

	switch (p[0] & OPCODE_MASK) {
	case OP_DATA_IN:
		return data_in(v, p);
	case OP_RESPONSE:
		return response(v, p, out);
	case OP_R2T:
		return r2t(v, p);
	case OP_TEXT_RESPONSE:
		return answer(v, p, OP_TEXT);
	case OP_NOP_IN:
		step = nop_in(v, p);
		break;
	case OP_LOGOUT_RESPONSE:
		step = answer(v, p, OP_LOGOUT);
		break;
	case OP_ASYNC:
		step = async(v, p);
		break;
	case OP_REJECT:
		step = reject(v, p);
		break;
	case 0x22: /* none was asked for */
	case 0x23:
		return not_outstanding(v, p);
	default:
		return broken(v, "opcode %02xh", p[0] & OPCODE_MASK);
	}
	if (step == ISCSI_VET_PASS)
		strip(v, p, out);
	return step;
}

enum iscsi_vet_step iscsi_vet_pdu(struct iscsi_vet *v, uint8_t *p, size_t n,
				  struct iscsi_vet_pdu *out)
{
	enum iscsi_vet_step step;
	uint32_t data;
	uint8_t opcode;

	v->held = false;
	if (v->failed)
		return ISCSI_VET_FAIL;
	out->need = v->header;
	if (n < v->header)
		return ISCSI_VET_MORE;
	if (v->header > ISCSI_VET_BHS && vet_digest(v, p) != vet_get_le32(p + ISCSI_VET_BHS))
		return broken(v, "header digest");
	if (p[4])
		return broken(v, "additional header segments");
	opcode = p[0] & OPCODE_MASK;
	data = get_be32(p + 4);
	if (data > ISCSI_VET_SEGMENT)
		return broken(v, "data size %u, MaxRecvDataSegmentLength is %u", data, ISCSI_VET_SEGMENT);
	out->skip = 0;
	out->pass = v->header + ((data + 3) & ~3u);
	out->need = out->pass;
	if (n < out->need && opcode != OP_DATA_IN && opcode != OP_TEXT_RESPONSE)
		return ISCSI_VET_MORE;
	step = judge(v, p, out);
	v->held = step == ISCSI_VET_HOLD;
	if (step != ISCSI_VET_PASS)
		return step;
	serials(v, p);
	vet_seal(v, p);
	if (out->skip)
		memmove(p + out->skip, p, v->header);
	return step;
}
