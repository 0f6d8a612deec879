/* SPDX-License-Identifier: MIT */
/* What iscsi_vet.c (PDUs that come) and iscsi_vet_out.c (commands, PDUs that go, digests) share. */
#ifndef TRANSPORT_ISCSI_VET_INTERNAL_H
#define TRANSPORT_ISCSI_VET_INTERNAL_H

#include "iscsi_vet.h"

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

/* The session is over: the first reason stays. Always ISCSI_VET_FAIL. */
enum iscsi_vet_step vet_end(struct iscsi_vet *v, enum iscsi_vet_end why, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* RFC 7143 13.1, CRC32C of a header, and its four bytes behind p as a number. */
uint32_t vet_digest(const struct iscsi_vet *v, const uint8_t *p);
uint32_t vet_get_le32(const uint8_t *p);
/* A new digest for a header that was changed, where there are digests. */
void vet_seal(const struct iscsi_vet *v, uint8_t *p);

/* Where the command with this ITT is linked, or would be; the place in other[] of another request, or -1. */
struct iscsi_vet_cmd **vet_slot(struct iscsi_vet *v, uint32_t itt);
int vet_other(const struct iscsi_vet *v, uint32_t itt);

#endif
