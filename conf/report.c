/* SPDX-License-Identifier: MIT */
/* What is wrong with a file: collected in any order, told by line. */
#include "parse.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void add(struct conf_report *r, int line, bool warning, const struct conf_part *part,
		const char *key, const char *fmt, va_list ap)
{
	struct conf_note *notes;
	char *what = NULL, *text = NULL;

	if (r->n == CONF_MAX_NOTES)
		return;
	notes = reallocarray(r->notes, (size_t)r->n + 1, sizeof(*notes));
	if (!notes)
		goto err;
	r->notes = notes;
	if (vasprintf(&what, fmt, ap) < 0) {
		what = NULL;
		goto err;
	}
	if (asprintf(&text, "%s%s%s%s%s%s", warning ? "warning: " : "", part ? part->title : "",
		     part && key ? " " : "", key ? key : "", part || key ? ": " : "", what) < 0)
		goto err;
	free(what);
	notes[r->n++] = (struct conf_note){.line = line, .warning = warning, .text = text};
	return;
err:
	free(what);
	r->no_memory = true;
}

void conf_error(struct conf_report *r, int line, const struct conf_part *part, const char *key,
		const char *fmt, ...)
{
	va_list ap;

	r->nerrors++;
	va_start(ap, fmt);
	add(r, line, false, part, key, fmt, ap);
	va_end(ap);
}

void conf_warn(struct conf_report *r, int line, const struct conf_part *part, const char *key,
	       const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(r, line, true, part, key, fmt, ap);
	va_end(ap);
}

/* An insertion sort: stable, quick on what is nearly in order, and the list is short. */
static void sort(struct conf_note *notes, int n)
{
	for (int i = 1; i < n; i++) {
		struct conf_note note = notes[i];
		int at = i;

		for (; at > 0 && notes[at - 1].line > note.line; at--)
			notes[at] = notes[at - 1];
		notes[at] = note;
	}
}

char *conf_report_text(struct conf_report *r)
{
	int more = r->nerrors;
	char *text = NULL;
	size_t size;
	FILE *out;

	if (r->no_memory)
		return strdup("out of memory\n");
	if (!r->n)
		return NULL;
	sort(r->notes, r->n);
	out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	for (int i = 0; i < r->n; i++) {
		more -= !r->notes[i].warning;
		if (r->notes[i].line)
			fprintf(out, "%s:%d: %s\n", r->file, r->notes[i].line, r->notes[i].text);
		else
			fprintf(out, "%s: %s\n", r->file, r->notes[i].text);
	}
	if (more > 0)
		fprintf(out, "%s: %d more errors\n", r->file, more);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

void conf_report_free(struct conf_report *r)
{
	for (int i = 0; i < r->n; i++)
		free(r->notes[i].text);
	free(r->notes);
}

const char *conf_quote(const char *text, char buf[CONF_QUOTED])
{
	size_t len = strlen(text), out = 0;
	bool cut = len > 60;

	if (cut)
		for (len = 60; len && ((unsigned char)text[len] & 0xc0) == 0x80;)
			len--;
	buf[out++] = '"';
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c == 0x7f)
			out += (size_t)snprintf(buf + out, CONF_QUOTED - out, "\\x%02x", c);
		else
			buf[out++] = (char)c;
	}
	snprintf(buf + out, CONF_QUOTED - out, "%s\"", cut ? "..." : "");
	return buf;
}
