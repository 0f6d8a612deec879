/* SPDX-License-Identifier: MIT */
/* The security stage of a login: CHAP with MD5, one way or mutual (RFC 1994, RFC 7143 12.1.3). */
#include "target.h"

#include <gcrypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define AUTH_FAILED 0x0201 /* login status */
#define CHALLENGE_MAX 256

static void hex(char *out, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sprintf(out + 2 * i, "%02x", p[i]);
}

/* 0x...: how many bytes, 0 where it is anything else */
static size_t unhex(uint8_t out[CHALLENGE_MAX], const char *s)
{
	size_t n = 0;

	if (strncasecmp(s, "0x", 2) != 0)
		return 0;
	for (s += 2; *s; s += 2) {
		int byte = hex_byte(s);

		if (n == CHALLENGE_MAX || byte < 0)
			return 0;
		out[n++] = (uint8_t)byte;
	}
	return n;
}

/* "0x" and the 32 digits of the response to a challenge; false: out of memory */
static bool digest(char out[40], uint8_t id, const char *secret, const uint8_t *challenge, size_t n)
{
	gcry_md_hd_t md;

	if (gcry_md_open(&md, GCRY_MD_MD5, 0))
		return false;
	gcry_md_putc(md, id);
	gcry_md_write(md, secret, strlen(secret));
	gcry_md_write(md, challenge, n);
	strcpy(out, "0x");
	hex(out + 2, gcry_md_read(md, GCRY_MD_MD5), 16);
	gcry_md_close(md);
	return true;
}

static bool right(const struct conn *c, const char *name, const char *response)
{
	char want[40];

	return name && response && !strcmp(name, T.user) &&
	       digest(want, c->chap_id, T.secret, c->challenge, sizeof(c->challenge)) &&
	       !strcasecmp(want, response);
}

/* The initiator wants a proof as well. */
static bool prove(struct text *t, const char *id, const char *challenge)
{
	uint8_t bytes[CHALLENGE_MAX];
	size_t n = unhex(bytes, challenge);
	char response[40];

	if (!n || !T.own_user[0] || !digest(response, (uint8_t)atoi(id), T.own_secret, bytes, n))
		return false;
	text_add(t, "CHAP_N=%s", T.own_user);
	text_add(t, "CHAP_R=%s", response);
	return true;
}

static void challenge(struct conn *c, struct text *t)
{
	char text[40] = "";

	gcry_create_nonce(c->challenge, sizeof(c->challenge));
	c->chap_id = (uint8_t)c->id;
	c->chap_asked = true;
	hex(text, c->challenge, sizeof(c->challenge));
	text_add(t, "CHAP_A=5");
	text_add(t, "CHAP_I=%u", c->chap_id);
	text_add(t, "CHAP_C=0x%s", text);
}

bool chap_step(struct conn *c, struct text *t, const char *text, uint32_t len, uint16_t *status)
{
	const char *method = text_find(text, len, "AuthMethod"),
		   *theirs = text_find(text, len, "CHAP_C");
	const char *id = text_find(text, len, "CHAP_I");

	if (!T.user[0]) {
		if (method)
			text_add(t, "AuthMethod=None");
		return true;
	}
	if (method && !strstr(method, "CHAP")) {
		*status = AUTH_FAILED;
		return false;
	}
	if (method)
		text_add(t, "AuthMethod=CHAP");
	if (text_find(text, len, "CHAP_A")) {
		challenge(c, t);
	} else if (text_find(text, len, "CHAP_R")) {
		c->chap_done =
			c->chap_asked &&
			right(c, text_find(text, len, "CHAP_N"), text_find(text, len, "CHAP_R")) &&
			(!theirs || !id || prove(t, id, theirs));
		if (!c->chap_done)
			*status = AUTH_FAILED;
	}
	return c->chap_done;
}
