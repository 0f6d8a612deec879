/* SPDX-License-Identifier: MIT */
/*
 * The gate in front of libiscsi during login (RFC 7143 clause 6, 11.13).
 *
 * libiscsi 1.19 must not be given just any answer to a login request: a Data-In with the login's
 * tag makes it follow a null pointer, MaxRecvDataSegmentLength=0 makes it allocate without end at
 * the first R2T, a CHAP_R of zeroes or a reply that claims to have left the security stage gets
 * past mutual CHAP, a header digest that was not agreed on is switched on, InitialR2T=No is taken
 * although Yes was asked for. It reads exactly one PDU a call until the login is over, so each one
 * is looked at here first, with MSG_PEEK, when all of it has arrived. That also gives the status
 * class, which the library only has as English, and what the vet needs.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "iscsi_internal.h"
#include "scsi_internal.h"

#define HEADER 48
#define OPCODE_LOGIN_RESPONSE 0x23
#define LOGIN_TEXT_MAX 65536
#define FLAG_TRANSIT 0x80
enum { STAGE_SECURITY = 0, STAGE_FULL_FEATURE = 3 };

/* RFC 7143 13.12, 13.13, 13.14: all three have this range. */
#define LENGTH_KEY_MIN 512
#define LENGTH_KEY_MAX 16777215

static const char *status_text(unsigned status)
{
	switch (status) { /* RFC 7143 11.13.5 */
	case 0x0200:
		return "initiator error";
	case 0x0201:
		return "authentication failed";
	case 0x0202:
		return "not authorized for this target";
	case 0x0203:
		return "target not found";
	case 0x0204:
		return "target removed";
	case 0x0205:
		return "protocol version not supported";
	case 0x0206:
		return "too many connections";
	case 0x0207:
		return "parameter missing";
	case 0x0208:
		return "target can't add this connection to the session";
	case 0x0209:
		return "session type not supported";
	case 0x020a:
		return "session does not exist";
	case 0x020b:
		return "request invalid during login";
	case 0x0300:
		return "target error";
	case 0x0301:
		return "service unavailable";
	case 0x0302:
		return "target out of resources";
	}
	return "login refused";
}

/* Later wake-ups only for n bytes or the end of the stream. */
static void set_lowat(struct iscsi_session *s, int n)
{
	if (s->lowat == n)
		return;
	if (setsockopt(iscsi_get_fd(s->ctx), SOL_SOCKET, SO_RCVLOWAT, &n, sizeof(n)) == 0)
		s->lowat = n;
}

static bool at_eof(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	return poll(&p, 1, 0) == 1 && p.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

/* True when n bytes are there, copied to buf. False: not yet, or dead. */
static bool peek(struct iscsi_session *s, uint8_t *buf, size_t n)
{
	int fd = iscsi_get_fd(s->ctx);
	ssize_t got = recv(fd, buf, n, MSG_PEEK | MSG_DONTWAIT);

	if (got == (ssize_t)n)
		return true;
	if (got < 0 && errno != EAGAIN && errno != EINTR)
		iscsi_die(s, ISCSI_LOSS_LOGIN, "login: %s", strerror(errno));
	else if (got == 0 || at_eof(fd))
		iscsi_die(s, ISCSI_LOSS_LOGIN, "connection closed during login");
	else
		set_lowat(s, (int)n);
	return false;
}

static const char *value_of(const char *pair, const char *key)
{
	size_t n = strlen(key);

	return strncmp(pair, key, n) == 0 && pair[n] == '=' ? pair + n + 1 : NULL;
}

/* *out, if there is one, gets the length; it is left alone where the key is not there. */
static bool check_length(struct iscsi_session *s, const char *pair, const char *key, uint32_t *out)
{
	const char *v = value_of(pair, key);
	char *end;
	long n;

	/* RFC 7143 6.2: a key that has no meaning in a discovery session may be answered so. */
	if (!v || (s->discovery && !strcmp(v, "Irrelevant")))
		return true;
	n = strtol(v, &end, 10); /* as libiscsi reads it */
	if (end != v && *end == '\0' && n >= LENGTH_KEY_MIN && n <= LENGTH_KEY_MAX) {
		if (out)
			*out = (uint32_t)n;
		return true;
	}
	iscsi_die(s, ISCSI_LOSS_LOGIN, "login: the target sent %s out of range", key);
	return false;
}

static bool check_chap(struct iscsi_session *s, const char *pair)
{
	const char *v;

	if (value_of(pair, "CHAP_N"))
		s->saw_chap_n = true;
	/* libiscsi compares with zeroes until it has sent a challenge, so zeroes prove nothing. */
	v = value_of(pair, "CHAP_R");
	if (v && strncmp(v, "0x", 2) == 0 && v[2 + strspn(v + 2, "0")] != '\0')
		s->saw_chap_r = true;
	/* It walks the challenge two digits at a time, past the end if there is an odd one. */
	v = value_of(pair, "CHAP_C");
	if (v && (strncmp(v, "0x", 2) != 0 || strlen(v) % 2 != 0 ||
		  v[2 + strspn(v + 2, "0123456789abcdefABCDEF")] != '\0')) {
		iscsi_die(s, ISCSI_LOSS_LOGIN, "login: the target's CHAP challenge is no hex number");
		return false;
	}
	return true;
}

/*
 * RFC 7143 13.10: the result is Yes when one side says Yes, but libiscsi goes by the answer alone.
 * (ImmediateData, 13.11, it gets right: our No is enough.)
 */
static bool check_r2t(struct iscsi_session *s, const char *pair)
{
	const char *v = value_of(pair, "InitialR2T");

	if (!s->solicited || !v || strcmp(v, "No") != 0)
		return true;
	iscsi_die(s, ISCSI_LOSS_LOGIN, "login: the target answers InitialR2T=Yes with No");
	return false;
}

/* RFC 7143 13.9 */
static void take_tpgt(struct iscsi_session *s, const char *pair)
{
	const char *v = value_of(pair, "TargetPortalGroupTag");
	char *end;
	long n;

	if (!v)
		return;
	n = strtol(v, &end, 0);
	if (end != v && *end == '\0' && n >= 0 && n <= 65535)
		s->tpgt = (int)n;
}

static bool check_digest(struct iscsi_session *s, const char *pair)
{
	const char *v = value_of(pair, "HeaderDigest");

	if (!v)
		return true;
	s->saw_digest = true;
	if (strcmp(v, s->want_digest ? "CRC32C" : "None") == 0)
		return true;
	iscsi_die(s, ISCSI_LOSS_LOGIN, "login: the target does not agree to HeaderDigest=%s",
		  s->want_digest ? "CRC32C" : "None");
	return false;
}

static bool check_pair(struct iscsi_session *s, const char *pair)
{
	take_tpgt(s, pair);
	/* The middle two are iSER's (RFC 7145 6.2): not for us, but libiscsi obeys them. */
	return check_length(s, pair, "MaxRecvDataSegmentLength", NULL) &&
	       check_length(s, pair, "TargetRecvDataSegmentLength", NULL) &&
	       check_length(s, pair, "InitiatorRecvDataSegmentLength", NULL) &&
	       check_length(s, pair, "FirstBurstLength", NULL) &&
	       check_length(s, pair, "MaxBurstLength", &s->max_burst) && check_chap(s, pair) &&
	       check_digest(s, pair) && check_r2t(s, pair);
}

static bool check_stage(struct iscsi_session *s, uint8_t flags)
{
	int current = flags >> 2 & 3, next = flags & FLAG_TRANSIT ? flags & 3 : current;

	if (s->mutual && (current != STAGE_SECURITY || next != STAGE_SECURITY) &&
	    !(s->saw_chap_n && s->saw_chap_r)) {
		iscsi_die(s, ISCSI_LOSS_LOGIN,
			  "authentication failed: the target did not prove its identity");
		return false;
	}
	if (s->want_digest && next == STAGE_FULL_FEATURE && !s->saw_digest) {
		iscsi_die(s, ISCSI_LOSS_LOGIN, "login: the target ignored HeaderDigest=CRC32C");
		return false;
	}
	return true;
}

/* Status class 1: the session is over, and the address goes to the owner. */
static void redirect(struct iscsi_session *s, unsigned status, const char *text, size_t n)
{
	for (size_t at = 0; at < n; at += strlen(text + at) + 1) {
		const char *v = value_of(text + at, "TargetAddress");

		if (!v || !*v || *v == ',')
			continue;
		iscsi_die(s, ISCSI_LOSS_REDIRECT, "%.*s", (int)strcspn(v, ","), v);
		return;
	}
	iscsi_die(s, ISCSI_LOSS_LOGIN, "target moved, but it does not say where (%04x)", status);
}

/* text is NUL-terminated behind its n bytes. */
static bool check(struct iscsi_session *s, const uint8_t *header, const char *text, size_t n)
{
	unsigned status = get_be16(header + 36);

	if (status >> 8 == 1) {
		redirect(s, status, text, n);
		return false;
	}
	if (status != 0) {
		iscsi_die(s, ISCSI_LOSS_LOGIN, "%s (%04x)", status_text(status), status);
		return false;
	}
	s->exp_cmdsn = get_be32(header + 28);
	s->max_cmdsn = get_be32(header + 32);
	for (size_t at = 0; at < n; at += strlen(text + at) + 1)
		if (!check_pair(s, text + at))
			return false;
	return check_stage(s, header[1]);
}

bool iscsi_login_gate(struct iscsi_session *s)
{
	uint8_t header[HEADER], *pdu;
	size_t text, total;
	bool ok;

	if (!peek(s, header, HEADER))
		return false;
	text = get_be32(header + 4) & 0xffffff;
	if ((header[0] & 0x3f) != OPCODE_LOGIN_RESPONSE || header[4] != 0 || text > LOGIN_TEXT_MAX) {
		iscsi_die(s, ISCSI_LOSS_LOGIN, "login: the target does not talk iSCSI");
		return false;
	}
	total = HEADER + ((text + 3) & ~(size_t)3);
	pdu = malloc(total + 1);
	if (!pdu) {
		iscsi_die(s, ISCSI_LOSS_LOGIN, "login: out of memory");
		return false;
	}
	ok = peek(s, pdu, total);
	if (ok) {
		pdu[total] = '\0';
		/* With the padding, as libiscsi does: it could turn a "N" into a "No". */
		ok = check(s, pdu, (const char *)pdu + HEADER, total - HEADER);
		set_lowat(s, pdu[1] & FLAG_TRANSIT && (pdu[1] & 3) == STAGE_FULL_FEATURE ? 1 : HEADER);
	}
	free(pdu);
	return ok;
}
