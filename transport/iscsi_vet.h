/* SPDX-License-Identifier: MIT */
/*
 * Looks at every PDU of the full feature phase before libiscsi gets its first byte.
 *
 * libiscsi 1.19 trusts the target: it reads sense data that is not there, queues Data-Outs of a
 * command that it has freed, as many as R2Ts ask for, takes "Target Failure" for success, and does
 * not count what arrived. So what a PDU says about a command is checked here against what is known
 * of the command (RFC 7143 clause 11), the outcome is recorded here, and libiscsi is shown a plain
 * GOOD without data, so that it only does the book-keeping. What can't be true ends the session.
 *
 * Pure: bytes in, verdict out; no allocation, no I/O, no clock. It sees what is sent, too, because
 * libiscsi tells nobody the tags of its NOPs, nor what of a command has left.
 */
#ifndef TRANSPORT_ISCSI_VET_H
#define TRANSPORT_ISCSI_VET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "scsi.h"

#define ISCSI_VET_BHS 48
/* MaxRecvDataSegmentLength (RFC 7143 13.12) and MaxBurstLength (13.13), as libiscsi declares them. */
#define ISCSI_VET_SEGMENT 262144
/* Header, its digest and the longest data segment. */
#define ISCSI_VET_PDU_MAX (ISCSI_VET_BHS + 4 + ISCSI_VET_SEGMENT)

/* A command's room. The outcome part is good once answered is set. */
struct iscsi_vet_cmd {
	struct iscsi_vet_cmd *next; /* in its bucket */
	struct scsi_cmd *scsi;
	uint32_t itt;
	uint32_t in;     /* bytes of Data-In so far; they come in order, without holes */
	uint32_t out;    /* bytes from the first on that have been sent, without holes */
	uint32_t asked;  /* end of what R2Ts have asked for */
	uint8_t sending; /* VET_ bits: what of it is still to be sent */
	bool answered;
	uint8_t outcome, status, response;
	uint32_t got;
	struct sense sense;
};

enum iscsi_vet_end {
	ISCSI_VET_ERROR,    /* a protocol error, or a Reject */
	ISCSI_VET_LOGOUT,   /* the target asks for a logout */
	ISCSI_VET_DROPPING, /* the target announces the end of the connection */
};

#define ISCSI_VET_BUCKETS 256 /* ITTs are consecutive: with fewer in flight every chain is one long */
#define ISCSI_VET_OTHERS 32
#define ISCSI_VET_PINGS 256

struct iscsi_vet {
	struct iscsi_vet_cmd *bucket[ISCSI_VET_BUCKETS];
	struct {
		uint32_t itt;
		uint8_t opcode; /* of the request */
	} other[ISCSI_VET_OTHERS]; /* NOP-Outs, logouts and text requests that were sent */
	unsigned others;
	unsigned pings;     /* of the target, that libiscsi has not answered yet */
	uint32_t max_burst; /* as negotiated */
	uint32_t exp_cmdsn, max_cmdsn; /* the newest of the target that were valid */
	unsigned header;    /* bytes of a header with its digest */
	uint32_t crc[4][256];

	/* The PDU that is being sent */
	size_t tx_left;
	struct iscsi_vet_cmd *tx_cmd;
	uint8_t tx_opcode, tx_flags;
	uint32_t tx_itt, tx_ttt;

	bool held; /* the last verdict was HOLD */
	bool failed;
	enum iscsi_vet_end end;
	char text[160]; /* why it failed */
};

/* v is zeroed. max_burst: MaxBurstLength as the target answered, 0: it did not. */
void iscsi_vet_init(struct iscsi_vet *v, bool header_digest, uint32_t max_burst,
		    uint32_t exp_cmdsn, uint32_t max_cmdsn);

/* libiscsi has queued scsi under itt; nothing of it has been sent. c stays linked until answered. */
void iscsi_vet_add(struct iscsi_vet *v, struct iscsi_vet_cmd *c, struct scsi_cmd *scsi,
		   uint32_t itt);

/*
 * libiscsi handed out k bytes. Where they begin a PDU, first is its start with all of the header
 * (n bytes are there, even if k is less).
 */
void iscsi_vet_sent(struct iscsi_vet *v, const uint8_t *first, size_t n, size_t k);

enum iscsi_vet_step {
	ISCSI_VET_MORE, /* need bytes must be there, then ask again */
	ISCSI_VET_PASS, /* of this PDU libiscsi gets pass bytes, from p + skip on */
	ISCSI_VET_HOLD, /* not before more has been sent, then ask again */
	ISCSI_VET_FAIL, /* the session is over, see failed, end and text */
};

struct iscsi_vet_pdu {
	size_t need, skip, pass;
};

/*
 * p is the start of a PDU of which n bytes are there; they may be changed. pass may reach beyond
 * them: only the payload of Data-In and text may still be to come.
 */
enum iscsi_vet_step iscsi_vet_pdu(struct iscsi_vet *v, uint8_t *p, size_t n,
				  struct iscsi_vet_pdu *out) __attribute__((warn_unused_result));

#endif
