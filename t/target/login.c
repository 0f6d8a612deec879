/* SPDX-License-Identifier: MIT */
/* Login (RFC 7143 6.3, 11.12), SendTargets, session reinstatement (6.3.5). */
#include "target.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->len, sizeof(t->buf) - t->len, fmt, ap);
	va_end(ap);
	if (n >= 0 && t->len + (size_t)n + 1 <= sizeof(t->buf))
		t->len += (size_t)n + 1;
}

const char *text_find(const char *text, size_t len, const char *key)
{
	size_t k = strlen(key), at = 0;

	while (at < len) {
		size_t n = strnlen(text + at, len - at);

		if (at + n == len)
			return NULL; /* not terminated */
		if (n > k && text[at + k] == '=' && !memcmp(text + at, key, k))
			return text + at + k + 1;
		at += n + 1;
	}
	return NULL;
}

bool nexus_same(const struct nexus *a, const struct nexus *b)
{
	return a->group == b->group && !memcmp(a->isid, b->isid, 6) &&
	       !strcmp(a->initiator, b->initiator);
}

static void respond(struct conn *c, const uint8_t bhs[48], uint8_t flags, uint16_t status,
		    const struct text *t)
{
	uint8_t r[48] = { OP_LOGIN_RSP, flags };

	memcpy(r + 8, bhs + 8, 6);
	put16(r + 14, c->tsih);
	memcpy(r + 16, bhs + 16, 4);
	put16(r + 36, status);
	if (!c->full)
		c->expcmdsn = get32(bhs + 24);
	conn_send(c, r, t ? t->buf : NULL, t ? (uint32_t)t->len : 0, true);
	if (status)
		c->closing = true;
}

static void number(struct text *t, const char *text, uint32_t len, const char *key, uint32_t ours,
		   uint32_t *out)
{
	const char *v = text_find(text, len, key);
	unsigned long n = v ? strtoul(v, NULL, 0) : 0;

	if (!v)
		return;
	*out = n < 512 ? 512 : n < ours ? (uint32_t)n : ours; /* 512: RFC 7143 13.13, 13.14 */
	text_add(t, "%s=%u", key, *out);
}

static void operational(struct conn *c, struct text *t, const char *text, uint32_t len)
{
	static const char *const fixed[][2] = {
		{ "HeaderDigest", "None" },
		{ "DataDigest", "None" },
		{ "MaxConnections", "1" },
		{ "MaxOutstandingR2T", "1" },
		{ "DefaultTime2Wait", "2" },
		{ "DefaultTime2Retain", "0" },
		{ "ErrorRecoveryLevel", "0" },
		{ "DataPDUInOrder", "Yes" },
		{ "DataSequenceInOrder", "Yes" },
		{ "IFMarker", "No" },
		{ "OFMarker", "No" },
	};
	const char *v;

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (text_find(text, len, fixed[i][0]))
			text_add(t, "%s=%s", fixed[i][0], fixed[i][1]);
	v = text_find(text, len, "InitialR2T");
	if (v) {
		c->initial_r2t = !strcmp(v, "Yes");
		text_add(t, "InitialR2T=%s", c->initial_r2t ? "Yes" : "No");
	}
	v = text_find(text, len, "ImmediateData");
	if (v) {
		c->immediate = !strcmp(v, "Yes");
		text_add(t, "ImmediateData=%s", c->immediate ? "Yes" : "No");
	}
	number(t, text, len, "MaxBurstLength", MAX_BURST, &c->max_burst);
	number(t, text, len, "FirstBurstLength", FIRST_BURST, &c->first_burst);
	if (c->first_burst > c->max_burst)
		c->first_burst = c->max_burst;
	v = text_find(text, len, "MaxRecvDataSegmentLength");
	if (v) {
		unsigned long n = strtoul(v, NULL, 0);

		c->max_recv = n < 512 ? 512 : n > MAX_SEGMENT ? MAX_SEGMENT : (uint32_t)n;
		text_add(t, "MaxRecvDataSegmentLength=%d", MAX_SEGMENT);
	}
}

/* Ends the older session of the same nexus and its commands, before this login is answered. */
static void reinstate(struct conn *c)
{
	struct list *pos;

	if (!T.reinstate)
		return;
	list_for_each(pos, &T.conns) {
		struct conn *o = list_entry(pos, struct conn, link);

		if (o == c || o->dead || !o->full || o->discovery ||
		    !nexus_same(&o->nexus, &c->nexus))
			continue;
		conn_close(o, false);
		T.reinstated++;
	}
	task_abort_nexus(&c->nexus, NULL);
}

static void complete(struct conn *c)
{
	c->full = true;
	T.logins++;
	if (c->discovery)
		return;
	reinstate(c);
	for (int i = 0; T.uas && i < MAX_LUNS; i++)
		if (T.disk[i].used && T.disk[i].portals >> c->portal & 1)
			ua_add(c, T.disk[i].lun, 0x29, 0x00);
}

/* Who it is and what it wants: in the first PDU. 0, or a login status. */
static uint16_t introduce(struct conn *c, const uint8_t bhs[48], const char *text, uint32_t len)
{
	const struct portal *p = &T.portal[c->portal];
	const char *who = text_find(text, len, "InitiatorName"),
		   *target = text_find(text, len, "TargetName");
	const char *type = text_find(text, len, "SessionType");

	if (c->nexus.initiator[0])
		return 0;
	if (!who || strlen(who) >= sizeof(c->nexus.initiator))
		return 0x0207;
	strcpy(c->nexus.initiator, who);
	memcpy(c->nexus.isid, bhs + 8, 6);
	c->nexus.group = p->group;
	c->tsih = ++T.next_tsih ? T.next_tsih : ++T.next_tsih;
	c->discovery = type && !strcmp(type, "Discovery");
	if (!c->discovery && (!target || strcmp(target, T.iqn)))
		return 0x0203;
	if (!c->discovery && p->redirect[0])
		return 0x0101;
	return (uint16_t)p->refuse;
}

void login_pdu(struct conn *c, const uint8_t bhs[48], char *text, uint32_t len)
{
	uint8_t csg = bhs[1] >> 2 & 3, nsg = bhs[1] & 3;
	bool transit = bhs[1] & 0x80;
	struct text t = { .len = 0 };
	uint16_t status;

	if (c->full) {
		conn_reject(c, bhs, 0x04);
		return;
	}
	status = introduce(c, bhs, text, len);
	if (status == 0x0101)
		text_add(&t, "TargetAddress=%s", T.portal[c->portal].redirect);
	if (!status && (csg > 1 || (transit && (nsg <= csg || nsg == 2))))
		status = 0x020b; /* not a stage that can be */
	if (!status && csg == 0 && !chap_step(c, &t, text, len, &status))
		transit = false;
	if (!status && csg == 1 && T.user[0] && !c->chap_done)
		status = 0x0201;
	if (status) {
		respond(c, bhs, 0, status, &t);
		return;
	}
	if (csg == 1)
		operational(c, &t, text, len);
	if (!c->discovery && text_find(text, len, "TargetName"))
		text_add(&t, "TargetPortalGroupTag=%u", T.portal[c->portal].group);
	if (transit && nsg == 3) {
		c->expcmdsn = get32(bhs + 24);
		complete(c);
	}
	respond(c, bhs, (uint8_t)((transit ? 0x80 | nsg : 0) | csg << 2), 0, &t);
}

void text_pdu(struct conn *c, const uint8_t bhs[48], char *text, uint32_t len)
{
	const char *v = text_find(text, len, "SendTargets");
	uint8_t r[48] = { OP_TEXT_RSP, 0x80 };
	struct text t = { .len = 0 };

	if (v) {
		text_add(&t, "TargetName=%s", T.iqn);
		for (int i = 0; i < T.nportals; i++)
			if (T.portal[i].told)
				text_add(&t, "TargetAddress=%s,%u", T.portal[i].addr,
					 T.portal[i].group);
	}
	memcpy(r + 16, bhs + 16, 4);
	put32(r + 20, 0xffffffff);
	conn_send(c, r, t.buf, (uint32_t)t.len, true);
}
