/* SPDX-License-Identifier: MIT */
/* Numbers and names as people read them. */
#include "mpioctl.h"

#include <string.h>

/* n / unit with one decimal below 100, none from there on. */
static char *scaled(char *buf, double n, const char *unit)
{
	/* 99.95 would print as 100.0 */
	snprintf(buf, FORMAT_MAX, n < 99.95 ? "%.1f%s" : "%.0f%s", n, unit);
	return buf;
}

char *format_bytes(char *buf, json_int_t n)
{
	static const char *const units[] = { " KiB", " MiB", " GiB", " TiB", " PiB", " EiB" };
	double v = (double)n / 1024;
	int i = 0;

	if (n < 1024) {
		snprintf(buf, FORMAT_MAX, "%" JSON_INTEGER_FORMAT " B", n);
		return buf;
	}
	for (; v >= 1023.5 && i < 5; i++)
		v /= 1024;
	if (v >= 1 && v == (double)(json_int_t)v) { /* sizes of disks: "100 GiB" */
		snprintf(buf, FORMAT_MAX, "%.0f%s", v, units[i]);
		return buf;
	}
	return scaled(buf, v, units[i]);
}

char *format_count(char *buf, json_int_t n)
{
	static const char *const units[] = { "k", "M", "G", "T", "P" };
	double v = (double)n / 1000;
	int i = 0;

	if (n < 10000) {
		snprintf(buf, FORMAT_MAX, "%" JSON_INTEGER_FORMAT, n);
		return buf;
	}
	for (; v >= 999.5 && i < 4; i++)
		v /= 1000;
	return scaled(buf, v, units[i]);
}

char *format_age(char *buf, json_int_t ms)
{
	json_int_t s = ms / 1000;

	if (s < 120)
		snprintf(buf, FORMAT_MAX, "%" JSON_INTEGER_FORMAT " s", s);
	else if (s < 120 * 60)
		snprintf(buf, FORMAT_MAX, "%" JSON_INTEGER_FORMAT " min", s / 60);
	else if (s < 48 * 3600)
		snprintf(buf, FORMAT_MAX, "%" JSON_INTEGER_FORMAT " h", s / 3600);
	else
		snprintf(buf, FORMAT_MAX, "%" JSON_INTEGER_FORMAT " d", s / 86400);
	return buf;
}

char *format_latency(char *buf, json_int_t us)
{
	if (us <= 0)
		return strcpy(buf, "-");
	if (us < 1000) {
		snprintf(buf, FORMAT_MAX, "%" JSON_INTEGER_FORMAT " us", us);
		return buf;
	}
	if (us < 1000000)
		return scaled(buf, (double)us / 1e3, " ms");
	return scaled(buf, (double)us / 1e6, " s");
}

static bool begins_char(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

int format_width(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += begins_char(*s);
	return n;
}

/* Where character n of s begins. */
static const char *nth_char(const char *s, int n)
{
	for (; *s; s++)
		if (begins_char(*s) && n-- == 0)
			break;
	return s;
}

char *format_middle(char *buf, size_t room, const char *s, int width, bool utf8)
{
	const char *mark = utf8 ? "\xe2\x80\xa6" : "~"; /* U+2026 */
	int have = format_width(s), head, tail;

	if (have <= width) {
		snprintf(buf, room, "%s", s);
		return buf;
	}
	/* the end tells more: portals and LUNs differ there, names begin alike */
	head = (width - 1) * 2 / 5;
	tail = width - 1 - head;
	snprintf(buf, room, "%.*s%s%s", (int)(nth_char(s, head) - s), s, mark,
		 nth_char(s, have - tail));
	return buf;
}
