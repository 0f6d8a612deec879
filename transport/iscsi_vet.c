/* SPDX-License-Identifier: MIT */
#include "iscsi_vet.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "scsi_internal.h"

enum {
	OP_NOP_OUT = 0x00,
	OP_COMMAND = 0x01,
	OP_TEXT = 0x04,
	OP_DATA_OUT = 0x05,
	OP_LOGOUT = 0x06,
	OP_NOP_IN = 0x20,
	OP_RESPONSE = 0x21,
	OP_TEXT_RESPONSE = 0x24,
	OP_DATA_IN = 0x25,
	OP_LOGOUT_RESPONSE = 0x26,
	OP_R2T = 0x31,
	OP_ASYNC = 0x32,
	OP_REJECT = 0x3f,
};

#define OPCODE_MASK 0x3f
#define NO_TAG 0xffffffffu
#define FLAG_FINAL 0x80
#define FLAG_ACK 0x40
#define FLAG_OVERFLOW 0x04
#define FLAG_UNDERFLOW 0x02
#define FLAG_STATUS 0x01

#define REJECT_WAITING_FOR_LOGOUT 0x0c

/* What of a command is still to be sent. Until nothing is, libiscsi must not free it. */
#define VET_QUEUED 0x01      /* all of it: the target can't know its tag */
#define VET_COMMAND 0x02     /* the rest of the command's own PDU */
#define VET_UNSOLICITED 0x04 /* Data-Outs that need no R2T */
#define VET_R2T 0x08         /* Data-Outs that an R2T asked for */

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

static enum iscsi_vet_step end(struct iscsi_vet *v, enum iscsi_vet_end why, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static enum iscsi_vet_step end(struct iscsi_vet *v, enum iscsi_vet_end why, const char *fmt, ...)
{
	va_list ap;

	if (v->failed)
		return ISCSI_VET_FAIL;
	v->failed = true;
	v->end = why;
	va_start(ap, fmt);
	vsnprintf(v->text, sizeof(v->text), fmt, ap);
	va_end(ap);
	return ISCSI_VET_FAIL;
}

#define broken(v, ...) end(v, ISCSI_VET_ERROR, "protocol error: " __VA_ARGS__)

/* ---- header digest (RFC 7143 13.1, CRC32C), four bytes a step ---- */

static void crc_init(struct iscsi_vet *v)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c >> 1 ^ (c & 1 ? 0x82f63b78 : 0);
		v->crc[0][i] = c;
	}
	for (int k = 1; k < 4; k++)
		for (int i = 0; i < 256; i++)
			v->crc[k][i] = v->crc[k - 1][i] >> 8 ^ v->crc[0][v->crc[k - 1][i] & 0xff];
}

static uint32_t get_le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t digest(const struct iscsi_vet *v, const uint8_t *p)
{
	uint32_t c = ~0u;

	for (int i = 0; i < ISCSI_VET_BHS; i += 4) {
		c ^= get_le32(p + i);
		c = v->crc[3][c & 0xff] ^ v->crc[2][c >> 8 & 0xff] ^ v->crc[1][c >> 16 & 0xff] ^
		    v->crc[0][c >> 24];
	}
	return ~c;
}

static void seal(const struct iscsi_vet *v, uint8_t *p)
{
	uint32_t c;

	if (v->header == ISCSI_VET_BHS)
		return;
	c = digest(v, p);
	for (int i = 0; i < 4; i++)
		p[ISCSI_VET_BHS + i] = (uint8_t)(c >> 8 * i);
}

/* ---- what is outstanding ---- */

void iscsi_vet_init(struct iscsi_vet *v, bool header_digest, uint32_t max_burst,
		    uint32_t exp_cmdsn, uint32_t max_cmdsn)
{
	v->header = ISCSI_VET_BHS;
	if (header_digest) {
		v->header += 4;
		crc_init(v);
	}
	/* The lesser of both sides' (13.13). */
	v->max_burst = max_burst && max_burst < ISCSI_VET_SEGMENT ? max_burst : ISCSI_VET_SEGMENT;
	v->exp_cmdsn = exp_cmdsn;
	v->max_cmdsn = max_cmdsn;
}

static struct iscsi_vet_cmd **slot(struct iscsi_vet *v, uint32_t itt)
{
	struct iscsi_vet_cmd **at = &v->bucket[itt % ISCSI_VET_BUCKETS];

	while (*at && (*at)->itt != itt)
		at = &(*at)->next;
	return at;
}

void iscsi_vet_add(struct iscsi_vet *v, struct iscsi_vet_cmd *c, struct scsi_cmd *scsi,
		   uint32_t itt)
{
	struct iscsi_vet_cmd **head = &v->bucket[itt % ISCSI_VET_BUCKETS];

	*c = (struct iscsi_vet_cmd){ .next = *head, .scsi = scsi, .itt = itt,
				     .sending = VET_QUEUED };
	*head = c;
}

static int other(const struct iscsi_vet *v, uint32_t itt)
{
	for (unsigned i = 0; i < v->others; i++)
		if (v->other[i].itt == itt)
			return (int)i;
	return -1;
}

/* ---- out ---- */

static void begin_sending(struct iscsi_vet *v, const uint8_t *p)
{
	uint32_t n = get_be32(p + 4) & 0xffffff, offset;
	struct iscsi_vet_cmd *c = NULL;

	v->tx_opcode = p[0] & OPCODE_MASK;
	v->tx_flags = p[1];
	v->tx_itt = get_be32(p + 16);
	v->tx_ttt = get_be32(p + 20); /* of a command it is the expected length, and not looked at */
	v->tx_left = v->header + ((n + 3) & ~3u);
	if (v->tx_opcode == OP_COMMAND || v->tx_opcode == OP_DATA_OUT)
		c = *slot(v, v->tx_itt);
	v->tx_cmd = c;
	if (!c)
		return;
	if (v->tx_opcode == OP_COMMAND) {
		c->sending = VET_COMMAND | (v->tx_flags & FLAG_FINAL ? 0 : VET_UNSOLICITED);
		c->out = n;
	} else {
		offset = get_be32(p + 40);
		if (offset <= c->out && offset + n > c->out)
			c->out = offset + n;
	}
	if (n)
		c->scsi->data_out = true;
}

static void end_sending(struct iscsi_vet *v)
{
	struct iscsi_vet_cmd *c = v->tx_cmd;

	switch (v->tx_opcode) {
	case OP_COMMAND:
		if (c)
			c->sending &= (uint8_t)~VET_COMMAND;
		break;
	case OP_DATA_OUT:
		if (c && v->tx_flags & FLAG_FINAL)
			c->sending &= (uint8_t) ~(v->tx_ttt == NO_TAG ? VET_UNSOLICITED : VET_R2T);
		break;
	case OP_NOP_OUT:
		if (v->tx_itt == NO_TAG) {
			v->pings -= v->pings > 0;
			break;
		}
		/* fall through */
	case OP_LOGOUT:
	case OP_TEXT:
		if (v->others == ISCSI_VET_OTHERS) {
			end(v, ISCSI_VET_ERROR, "the target leaves %d requests unanswered",
			    ISCSI_VET_OTHERS);
			break;
		}
		v->other[v->others].itt = v->tx_itt;
		v->other[v->others++].opcode = v->tx_opcode;
		break;
	}
	v->tx_cmd = NULL;
}

void iscsi_vet_sent(struct iscsi_vet *v, const uint8_t *first, size_t n, size_t k)
{
	if (k == 0)
		return;
	if (v->tx_left == 0) {
		if (n < ISCSI_VET_BHS) {
			end(v, ISCSI_VET_ERROR, "libiscsi sends a PDU in pieces");
			return;
		}
		begin_sending(v, first);
	}
	v->tx_left -= k < v->tx_left ? k : v->tx_left;
	if (v->tx_left == 0)
		end_sending(v);
}

/* ---- in ---- */

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
	const struct iscsi_vet_cmd *c = *slot(v, itt);
	bool wrong = other(v, itt) >= 0 || (c && !(c->sending & VET_QUEUED));

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
	struct iscsi_vet_cmd **at = slot(v, get_be32(p + 16)), *c = *at;
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
	struct iscsi_vet_cmd **at = slot(v, get_be32(p + 16)), *c = *at;
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
	struct iscsi_vet_cmd *c = *slot(v, get_be32(p + 16));
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
	int i = other(v, get_be32(p + 16));

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
		return end(v, ISCSI_VET_LOGOUT, "the target asked for a logout");
	case 2:
	case 3:
		return end(v, ISCSI_VET_DROPPING, "the target is dropping the connection");
	case 4: /* negotiated is at login only */
		return end(v, ISCSI_VET_LOGOUT, "the target asked for a logout to negotiate anew");
	}
	return end(v, ISCSI_VET_ERROR, "the target sent the unknown async event %u", p[36]);
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
		return end(v, ISCSI_VET_LOGOUT, "the target asked for a logout");
	if (get_be32(p + 4) >= ISCSI_VET_BHS) {
		if ((rejected[0] & OPCODE_MASK) == OP_COMMAND)
			snprintf(what, sizeof(what), "%s", scsi_opcode_name(rejected[32]));
		else
			snprintf(what, sizeof(what), "a PDU with opcode %02xh",
				 rejected[0] & OPCODE_MASK);
	}
	return end(v, ISCSI_VET_ERROR, "the target rejected %s: %s (%02xh)", what,
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
	if (v->header > ISCSI_VET_BHS && digest(v, p) != get_le32(p + ISCSI_VET_BHS))
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
	seal(v, p);
	if (out->skip)
		memmove(p + out->skip, p, v->header);
	return step;
}
