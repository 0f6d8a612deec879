/* SPDX-License-Identifier: MIT */
/*
 * Text of unknown origin (names and sense texts of targets, requests of clients) made fit for a
 * log, for JSON and for a terminal. Pure.
 */
#ifndef DAEMON_TEXT_H
#define DAEMON_TEXT_H

#include <stddef.h>

/*
 * Copies src into dst as valid UTF-8 without control characters: those, and bytes that are not
 * UTF-8, become \n, \t, \r or \xNN. Cut at room - 1 bytes, between characters, ending in "..." if
 * so. room >= 4. Returns dst.
 */
char *text_escape(char *dst, size_t room, const char *src);

/* Bytes of the UTF-8 character at s, 0 if it is not valid (RFC 3629) or is a control character. */
size_t text_utf8_len(const char *s);

#endif
