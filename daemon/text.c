/* SPDX-License-Identifier: MIT */
/* Text of unknown origin, made harmless. */
#include "text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static bool follows(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/*
 * Characters that a terminal acts on or hides: C0 and C1 controls, and those that turn the
 * direction of what follows (a name could show as another one).
 */
static bool acts(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x202a && cp <= 0x202e) ||
	       (cp >= 0x2066 && cp <= 0x2069) || cp == 0x2028 || cp == 0x2029 || cp == 0x200e ||
	       cp == 0x200f || cp == 0xfeff;
}

size_t text_utf8_len(const char *s)
{
	/* RFC 3629: the smallest code point of each length; overlong forms are not valid. */
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *u = (const unsigned char *)s;
	uint32_t cp;
	size_t n;

	if (u[0] < 0x80)
		return u[0] && !acts(u[0]);
	if ((u[0] & 0xe0) == 0xc0) {
		n = 2;
		cp = u[0] & 0x1f;
	} else if ((u[0] & 0xf0) == 0xe0) {
		n = 3;
		cp = u[0] & 0x0f;
	} else if ((u[0] & 0xf8) == 0xf0) {
		n = 4;
		cp = u[0] & 0x07;
	} else {
		return 0;
	}
	for (size_t i = 1; i < n; i++) {
		if (!follows(u[i]))
			return 0;
		cp = cp << 6 | (u[i] & 0x3f);
	}
	if (cp < least[n] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff) || acts(cp))
		return 0;
	return n;
}

/* One character of src in out (NUL-terminated); returns how many bytes of src it took. */
static size_t piece(char out[8], const char *src)
{
	size_t n = text_utf8_len(src);

	if (n) {
		memcpy(out, src, n);
		out[n] = '\0';
		return n;
	}
	if (*src == '\n')
		strcpy(out, "\\n");
	else if (*src == '\t')
		strcpy(out, "\\t");
	else if (*src == '\r')
		strcpy(out, "\\r");
	else
		snprintf(out, 8, "\\x%02x", (unsigned char)*src);
	return 1;
}

char *text_escape(char *dst, size_t room, const char *src)
{
	size_t len = 0, fits = 0; /* fits: the longest prefix that leaves room for "..." */
	char out[8];

	while (*src) {
		size_t took = piece(out, src), n = strlen(out);

		if (len + n >= room) {
			strcpy(dst + fits, "...");
			return dst;
		}
		memcpy(dst + len, out, n);
		len += n;
		src += took;
		if (len + 4 <= room)
			fits = len;
	}
	dst[len] = '\0';
	return dst;
}
