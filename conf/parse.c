/* SPDX-License-Identifier: MIT */
/*
 * Text to sections and entries. inih splits key, value and comment; the reader it calls hands it
 * one line at a time and sees to what inih would pass over in silence: line numbers, lines cut at
 * its limit, section names cut at 50 bytes, text after a heading, headings without keys, indented
 * lines taken for the rest of the value before. So it does not matter with which options inih was
 * built.
 */
#include "parse.h"
#include "value.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	struct conf_doc *doc;
	const char *text, *end;
	int line;
	bool pending; /* a key = value line went to inih and nothing has come back yet */
	bool in_section;
};

#define SECTIONS "[mpiod], [target NAME], [defaults], [hardware NAME] or [lun NAME]"

static bool is_utf8(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s, *end = p + len;

	while (p < end) {
		int n = *p < 0x80		  ? 0
			: *p >= 0xc2 && *p < 0xe0 ? 1
			: *p >= 0xe0 && *p < 0xf0 ? 2
			: *p >= 0xf0 && *p < 0xf5 ? 3
						  : -1;

		if (n < 0 || end - p <= n)
			return false;
		/* overlong forms, surrogates, past U+10FFFF: Unicode 15, table 3-7 */
		if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
		    (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
			return false;
		for (p++; n > 0; n--, p++)
			if ((*p & 0xc0) != 0x80)
				return false;
	}
	return true;
}

static const char *section_name(void *arg, int i)
{
	return i < CONF_NKINDS ? conf_sections[i].name : NULL;
}

static struct conf_part *add_part(struct reader *r, const char *heading)
{
	struct conf_doc *d = r->doc;
	struct conf_part *parts, *p;

	parts = reallocarray(d->parts, (size_t)d->n + 1, sizeof(*parts));
	if (!parts)
		goto err;
	d->parts = parts;
	p = &parts[d->n];
	memset(p, 0, sizeof(*p));
	p->line = r->line;
	p->kind = CONF_NKINDS;
	if (asprintf(&p->title, "[%s]", heading) < 0)
		goto err;
	d->n++;
	r->in_section = true;
	return p;
err:
	d->report.no_memory = true;
	return NULL;
}

static void find_kind(struct reader *r, struct conf_part *p, const char *word)
{
	const char *near;

	for (int i = 0; i < CONF_NKINDS; i++)
		if (!strcmp(conf_sections[i].name, word))
			p->kind = (enum conf_kind)i;
	if (p->kind != CONF_NKINDS)
		return;
	p->refused = true;
	near = conf_key_nearest(word, section_name, NULL);
	for (int i = 0; near && i < CONF_NKINDS; i++) {
		if (conf_sections[i].name != near)
			continue;
		conf_error(&r->doc->report, r->line, p, NULL, "unknown section, did you mean [%s]?",
			   conf_sections[i].heading);
		return;
	}
	conf_error(&r->doc->report, r->line, p, NULL, "unknown section, expected " SECTIONS);
}

static void check_name(struct reader *r, struct conf_part *p)
{
	const struct conf_section *s = &conf_sections[p->kind];
	struct conf_report *report = &r->doc->report;

	p->refused = true;
	if (!strcmp(s->name, s->heading)) {
		if (*p->name) {
			conf_error(report, r->line, p, NULL, "a name is given, expected [%s]",
				   s->heading);
			return;
		}
	} else if (!conf_value_is_export(p->name)) {
		conf_error(report, r->line, p, NULL,
			   "the name is %s, expected [%s] with a name of 1 to 200 bytes without "
			   "blanks",
			   *p->name ? "not valid" : "missing", s->heading);
		return;
	}
	for (const struct conf_part *o = r->doc->parts; o < p; o++) {
		if (o->kind != p->kind || o->refused || strcmp(o->name, p->name))
			continue;
		conf_error(report, r->line, p, NULL,
			   "this section is given twice, first in line %d", o->line);
		return;
	}
	p->refused = false;
}

/* "[WORD NAME]", blanks trimmed, no control characters inside. */
static void read_heading(struct reader *r, char *s)
{
	struct conf_report *report = &r->doc->report;
	char *end = strchr(s, ']'), *name;
	struct conf_part *p;

	for (char *c = s; *c; c++) {
		if (*c == '\t')
			*c = ' '; /* as it is shown */
		if ((unsigned char)*c < 0x20 || *c == 0x7f) {
			conf_error(report, r->line, NULL, NULL,
				   "a control character, expected " SECTIONS);
			goto err;
		}
	}
	if (!end) {
		conf_error(report, r->line, NULL, NULL, "\"]\" is missing, expected " SECTIONS);
		goto err;
	}
	*end++ = '\0';
	end += strspn(end, " \t");
	if (*end && !strchr(";#", *end)) {
		conf_error(report, r->line, NULL, NULL,
			   "text after \"]\", expected the end of the line");
		goto err;
	}
	s += 1 + strspn(s + 1, " \t");
	for (size_t len = strlen(s); len && strchr(" \t", s[len - 1]); len--)
		s[len - 1] = '\0';
	p = add_part(r, s);
	if (!p)
		return;
	name = s + strcspn(s, " \t");
	if (*name)
		*name++ = '\0';
	p->name = strdup(name + strspn(name, " \t"));
	if (!p->name) {
		report->no_memory = true;
		return;
	}
	find_kind(r, p, s);
	if (p->kind != CONF_NKINDS)
		check_name(r, p);
	return;
err:
	p = add_part(r, "");
	if (p)
		p->refused = true;
	r->in_section = false; /* its keys would only add to the noise */
}

static void no_pair(struct reader *r)
{
	/* the line is not shown: it may be a secret that went astray */
	conf_error(&r->doc->report, r->line, r->in_section ? &r->doc->parts[r->doc->n - 1] : NULL,
		   NULL, "not a key and its value, expected \"key = value\"");
}

/* Looks at one line without its end and leaves in buf what inih is to split, or an empty line. */
static void read_line(struct reader *r, const char *s, size_t len, char *buf, size_t size)
{
	struct conf_report *report = &r->doc->report;

	if (r->line == 1 && len >= 3 && !memcmp(s, "\xef\xbb\xbf", 3)) {
		s += 3;
		len -= 3;
	}
	while (len && isspace((unsigned char)*s)) {
		s++;
		len--;
	}
	while (len && isspace((unsigned char)s[len - 1]))
		len--;
	if (!len || *s == '#' || *s == ';')
		return;
	if (memchr(s, '\0', len)) {
		conf_error(report, r->line, NULL, NULL, "a zero byte, expected text");
	} else if (!is_utf8(s, len)) {
		conf_error(report, r->line, NULL, NULL, "not UTF-8, expected text");
	} else if (len + 2 > size) {
		conf_error(report, r->line, NULL, NULL, "a line of %zu bytes, expected at most %zu",
			   len, size - 2);
	} else {
		memcpy(buf, s, len);
		buf[len] = '\0';
		if (*s == '[') {
			read_heading(r, buf);
			strcpy(buf, "\n");
		} else if (!memchr(s, '=', len)) {
			no_pair(r);
			strcpy(buf, "\n");
		} else {
			strcpy(buf + len, "\n");
			r->pending = true;
		}
	}
}

/* The ini_reader: like fgets(), but never half a line. */
static char *next_line(char *buf, int size, void *arg)
{
	struct reader *r = arg;
	const char *s = r->text, *end;

	if (r->pending)
		no_pair(r);
	r->pending = false;
	if (s == r->end || r->doc->report.no_memory)
		return NULL;
	end = memchr(s, '\n', (size_t)(r->end - s));
	r->text = end ? end + 1 : r->end;
	r->line++;
	strcpy(buf, "\n");
	read_line(r, s, (size_t)((end ? end : r->end) - s), buf, (size_t)size);
	return buf;
}

struct names {
	enum conf_kind kind;
};

static const char *key_name(void *arg, int i)
{
	const struct conf_key *k = conf_key_at(((struct names *)arg)->kind, i);

	return k ? k->name : NULL;
}

static void unknown_key(struct reader *r, const struct conf_part *p, const char *name)
{
	struct names names = {p->kind};
	const char *near = conf_key_nearest(name, key_name, &names);
	struct conf_report *report = &r->doc->report;
	char list[600] = "", quoted[CONF_QUOTED];
	size_t len = 0;

	conf_quote(name, quoted);
	quoted[strlen(quoted) - 1] = '\0';
	name = quoted + 1;
	for (int i = 0; i < CONF_NKINDS; i++) {
		if (conf_key_find((enum conf_kind)i, name) < 0)
			continue;
		conf_error(report, r->line, p, name, "unknown key here, expected in [%s]",
			   conf_sections[i].heading);
		return;
	}
	if (near) {
		conf_error(report, r->line, p, name, "unknown key, did you mean \"%s\"?", near);
		return;
	}
	for (int i = 0; (near = key_name(&names, i)) && len < sizeof(list); i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", i ? ", " : "",
					near);
	conf_error(report, r->line, p, name, "unknown key, expected one of %s", list);
}

static void add_entry(struct reader *r, struct conf_part *p, int keyno, const char *value)
{
	struct conf_entry *e = reallocarray(p->entries, (size_t)p->n + 1, sizeof(*e));

	if (!e)
		goto err;
	p->entries = e;
	e += p->n;
	memset(e, 0, sizeof(*e));
	e->line = r->line;
	e->key = conf_key_at(p->kind, keyno);
	e->value = strdup(value);
	if (!e->value)
		goto err;
	p->n++;
	return;
err:
	r->doc->report.no_memory = true;
}

/* The ini_handler. Always content: errors are ours to count. */
static int take_pair(void *arg, const char *section, const char *name, const char *value)
{
	struct reader *r = arg;
	struct conf_report *report = &r->doc->report;
	struct conf_part *p;
	int keyno;

	if (!name || !*name || !value)
		return 1; /* pending: next_line() complains */
	r->pending = false;
	if (!r->in_section) {
		if (!r->doc->n)
			conf_error(report, r->line, NULL, NULL,
				   "a key before the first section, expected " SECTIONS);
		return 1;
	}
	p = &r->doc->parts[r->doc->n - 1];
	if (p->kind == CONF_NKINDS)
		return 1;
	keyno = conf_key_find(p->kind, name);
	if (keyno < 0) {
		unknown_key(r, p, name);
		return 1;
	}
	if (p->first[keyno] && !conf_key_at(p->kind, keyno)->repeat) {
		conf_error(report, r->line, p, name,
			   "is given twice, first in line %d, expected once", p->first[keyno]);
		return 1;
	}
	if (!p->first[keyno])
		p->first[keyno] = r->line;
	if (strstr(value, " #") || strstr(value, "\t#"))
		conf_error(report, r->line, p, name,
			   "a \"#\" after the value, expected a comment on a line of its own or "
			   "after \" ;\"");
	else
		add_entry(r, p, keyno, value);
	return 1;
}

void conf_doc_read(struct conf_doc *d, const char *text, size_t len)
{
	struct reader r = {.doc = d, .text = text, .end = text + len};

	if (ini_parse_stream(next_line, &r, take_pair, &r) < 0)
		d->report.no_memory = true;
}

void conf_doc_free(struct conf_doc *d)
{
	for (int i = 0; i < d->n; i++) {
		struct conf_part *p = &d->parts[i];

		for (int j = 0; j < p->n; j++)
			free(p->entries[j].value);
		free(p->entries);
		free(p->title);
		free(p->name);
	}
	free(d->parts);
	conf_report_free(&d->report);
}

int conf_doc_line(const struct conf_part *p, const char *key, int nth)
{
	for (int i = 0; i < p->n; i++) {
		if (strcmp(p->entries[i].key->name, key))
			continue;
		if (nth < p->entries[i].items)
			return p->entries[i].line;
		nth -= p->entries[i].items;
	}
	return p->line;
}
