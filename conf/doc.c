/* SPDX-License-Identifier: MIT */
/* The table of keys as words: in messages, in mpiod.conf.example and in mpiod.conf(5). */
#include "keys.h"

#include <inttypes.h>
#include <string.h>

struct words {
	char *buf;
	size_t size, len;
};

static void put(struct words *w, const char *text)
{
	int n = snprintf(w->buf + w->len, w->size - w->len, "%s", text);

	w->len += (size_t)n;
	if (w->len >= w->size)
		w->len = w->size - 1;
}

/* "a, b or c"; with `before`, words come after something else. */
static void put_words(struct words *w, const struct conf_word *word, bool before)
{
	for (; word && word->word; word++) {
		if (before)
			put(w, word[1].word ? ", " : " or ");
		put(w, word->word);
		before = true;
	}
}

static void put_seconds(struct words *w, uint64_t us)
{
	char text[40];
	int len =
		snprintf(text, sizeof(text), "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);

	while (text[len - 1] == '0')
		text[--len] = '\0';
	if (text[len - 1] == '.')
		text[--len] = '\0';
	put(w, text);
}

static void put_size(struct words *w, uint64_t bytes)
{
	char text[40], unit = 'K';

	bytes >>= 10;
	if (bytes % 1024 == 0) {
		bytes >>= 10;
		unit = 'M';
	}
	if (unit == 'M' && bytes % 1024 == 0) {
		bytes >>= 10;
		unit = 'G';
	}
	snprintf(text, sizeof(text), "%" PRIu64 "%c", bytes, unit);
	put(w, text);
}

static void put_range(struct words *w, const struct conf_key *k,
		      void (*number)(struct words *w, uint64_t value))
{
	number(w, k->min);
	put(w, " to ");
	number(w, k->max);
}

static void put_count(struct words *w, uint64_t value)
{
	char text[40];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	put(w, text);
}

static const char *const fixed[] = {
	[CONF_NAME] = "an iSCSI name such as iqn.2001-05.com.example:array1 (or eui. or naa. and "
		      "hex digits)",
	[CONF_ID] = "an identifier with naa., eui., t10., name. or vendor. in front",
	[CONF_EXPORT] = "a name of 1 to 200 bytes without blanks",
	[CONF_MODE] = "an octal file mode from 0 to 0777",
	[CONF_GROUP] = "the name or number of a group",
	[CONF_ALLOW] = "ADDR or ADDR/LEN, numeric, IPv4 or IPv6",
	[CONF_USER] = "a name of 1 to 255 bytes",
	[CONF_SOCKET] = "an absolute path of at most 107 bytes",
	[CONF_FILE] = "the name of a file",
	[CONF_PORTAL] = "ADDR, ADDR:PORT or [ADDR6]:PORT",
	[CONF_HEX] = "1 to 12 hex digits, with or without 0x, not 0",
	[CONF_METRICS] = "off, or tcp:ADDR:PORT with a numeric address",
	[CONF_LISTEN] =
		"unix:PATH with an absolute path of at most 107 bytes, or tcp:ADDR:PORT with a "
		"numeric address",
	[CONF_PORTALS] = "ADDR, ADDR:PORT or [ADDR6]:PORT, and via IFACE if wanted",
	[CONF_LUNS] = "all, or numbers from 0 to 16383 with commas between them",
	[CONF_ACTIVE] = "portals (ADDR:PORT) with commas between them",
	[CONF_WEIGHTS] = "a portal and a number from 0 to 4294967295",
};

void conf_key_expect(const struct conf_key *k, char *buf, size_t size)
{
	struct words w = {buf, size, 0};

	*buf = '\0';
	switch (k->type) {
	case CONF_BOOL:
		if (!k->words)
			put(&w, "yes or no");
		put_words(&w, k->words, false);
		break;
	case CONF_COUNT:
		put(&w, "a number from ");
		put_range(&w, k, put_count);
		break;
	case CONF_SIZE:
		put(&w, "bytes (K, M and G may follow) from ");
		put_range(&w, k, put_size);
		break;
	case CONF_TIME:
		put(&w, "seconds (ms, s or m may follow) from ");
		put_range(&w, k, put_seconds);
		put_words(&w, k->words, true);
		break;
	case CONF_GLOB:
		put(&w, "a pattern (* and ? are wildcards) for a text of at most ");
		put_count(&w, k->max);
		put(&w, " characters");
		break;
	case CONF_ENUM:
	case CONF_CHOICE:
		put_words(&w, k->words, false);
		break;
	default:
		put(&w, fixed[k->type]);
	}
}

/* Comment lines of at most 80 columns. */
static void print_wrapped(FILE *out, const char *text)
{
	enum { WIDTH = 80 };
	size_t column = 0;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (column && column + 1 + len > WIDTH) {
			fputc('\n', out);
			column = 0;
		}
		column += (size_t)fprintf(out, "%s%.*s", column ? " " : "# ", (int)len, text);
		text += len + strspn(text + len, " ");
	}
	fputc('\n', out);
}

static void print_key(FILE *out, enum conf_kind kind, const struct conf_key *k)
{
	char expect[400], text[600];
	/* what one target needs is there to be filled in; all else is a comment */
	bool live = kind == CONF_TARGET && k->required;

	conf_key_expect(k, expect, sizeof(expect));
	fputc('\n', out);
	print_wrapped(out, k->help);
	if (k->doc)
		print_wrapped(out, k->doc);
	snprintf(text, sizeof(text), "Expected: %s.%s", expect,
		 k->repeat     ? " May be repeated."
		 : k->required ? " Required."
			       : "");
	print_wrapped(out, text);
	fprintf(out, "%s%s = %s\n", live ? "" : "#", k->name, k->def ? k->def : k->example);
	if (k->type == CONF_PORTALS)
		fprintf(out, "%s%s = 198.51.100.10:3260\n", live ? "" : "#", k->name);
}

/* Not the keys of [defaults] again in [hardware] and [lun]. */
static bool is_shown(enum conf_kind kind, const struct conf_key *k)
{
	return kind == CONF_DEFAULTS || conf_key_opt(k) < 0;
}

void conf_print_example(FILE *out)
{
	const struct conf_key *k;

	print_wrapped(out,
		      "mpiod.conf: every key with its meaning. A line \"#key = value\" shows the "
		      "default, or an example where there is none. See mpiod.conf(5).");
	print_wrapped(out, "Comments begin with # or ; on a line of their own. Test the file with "
			   "mpiod -t, put it in force with mpioctl reload or SIGHUP.");
	for (int kind = 0; kind < CONF_NKINDS; kind++) {
		const struct conf_section *s = &conf_sections[kind];

		fputc('\n', out);
		print_wrapped(out, s->help);
		fprintf(out, "%s[%s]\n", kind == CONF_LUN || kind == CONF_HARDWARE ? "#" : "",
			s->example);
		for (int i = 0; (k = conf_key_at((enum conf_kind)kind, i)); i++)
			if (is_shown((enum conf_kind)kind, k))
				print_key(out, (enum conf_kind)kind, k);
	}
}

/* A sentence begins a line, as mdoc wants it; a '.' or ''' there would be a request. */
static void print_mdoc(FILE *out, const char *text)
{
	enum { WIDTH = 78 };
	size_t column = 0;

	while (*text) {
		size_t len = strcspn(text, " ");
		const char *next = text + len + strspn(text + len, " ");

		if (column && column + 1 + len > WIDTH) {
			fputc('\n', out);
			column = 0;
		}
		column += (size_t)fprintf(out, "%s",
					  column		? " "
					  : strchr(".'", *text) ? "\\&"
								: "");
		for (size_t i = 0; i < len; i++)
			fputs(text[i] == '\\' ? "\\e" : (char[]){text[i], '\0'}, out);
		column += len;
		if (text[len - 1] == '.' && *next >= 'A' && *next <= 'Z') {
			fputc('\n', out);
			column = 0;
		}
		text = next;
	}
	fputc('\n', out);
}

static void print_man_key(FILE *out, const struct conf_key *k)
{
	char expect[400], text[450];

	conf_key_expect(k, expect, sizeof(expect));
	snprintf(text, sizeof(text), "Expected: %s.", expect);
	if (k->def)
		fprintf(out, ".It Ic \"%s\" = %s\n", k->name, k->def);
	else
		fprintf(out, ".It Ic \"%s\"\n", k->name);
	print_mdoc(out, k->help);
	if (k->doc)
		print_mdoc(out, k->doc);
	print_mdoc(out, text);
	if (k->repeat)
		fputs("May be repeated.\n", out);
	if (k->required)
		fputs("Required.\n", out);
}

void conf_print_man_keys(FILE *out)
{
	const struct conf_key *k;

	for (int kind = 0; kind < CONF_NKINDS; kind++) {
		fprintf(out, ".Ss [%s]\n", conf_sections[kind].heading);
		print_mdoc(out, conf_sections[kind].help);
		fputs(".Bl -tag -width Ds\n", out);
		for (int i = 0; (k = conf_key_at((enum conf_kind)kind, i)); i++)
			if (is_shown((enum conf_kind)kind, k))
				print_man_key(out, k);
		fputs(".El\n", out);
	}
}
