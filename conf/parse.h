/* SPDX-License-Identifier: MIT */
/*
 * What lies between the text and struct conf: the sections and entries with their lines, and the
 * report of what is wrong. Private to conf/. conf.c runs the steps in order: conf_doc_read() (text
 * to doc), conf_doc_fill() (doc to struct conf, each value by its type), conf_check() (what values
 * mean together). Each step adds to the report and goes on, so that one pass finds every error.
 */
#ifndef CONF_PARSE_H
#define CONF_PARSE_H

#include "keys.h"

struct conf_note {
	int line; /* 0: of the file as a whole */
	bool warning;
	char *text;
};

struct conf_report {
	const char *file;
	struct conf_note *notes;
	int n;
	int nerrors;
	bool no_memory;
};

struct conf_entry {
	int line;
	const struct conf_key *key;
	char *value;
	int items; /* values taken from it; 0: it was refused */
};

struct conf_part {
	enum conf_kind kind; /* CONF_NKINDS: an unknown section, its keys are passed over */
	char *title;	     /* "[target san]" */
	char *name;	     /* "san" */
	int line;
	bool refused; /* a second one of the name, say: checked alone, not with the others */
	int index;    /* in conf.targets, conf.hardware or conf.luns */
	struct conf_entry *entries;
	int n;
	int first[CONF_MAX_KEYS]; /* line that gave key i, 0: none did */
};

struct conf_doc {
	struct conf_part *parts;
	int n;
	struct conf_report report;
};

/* report.c. part and key may be NULL. The text must not hold a secret. */
#define CONF_MAX_NOTES 200 /* the rest is only counted */
void conf_error(struct conf_report *r, int line, const struct conf_part *part, const char *key,
		const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void conf_warn(struct conf_report *r, int line, const struct conf_part *part, const char *key,
	       const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Sorted by line, each ended by a newline; NULL if there is nothing to say or no memory to say it.
 */
char *conf_report_text(struct conf_report *r);
void conf_report_free(struct conf_report *r);
/* In quotes, cut after 60 bytes, control characters as \xNN. Returns buf. */
#define CONF_QUOTED 300
const char *conf_quote(const char *text, char buf[CONF_QUOTED]);

/* parse.c */
void conf_doc_read(struct conf_doc *d, const char *text, size_t len);
void conf_doc_free(struct conf_doc *d);
/* The line of the nth value (from 0) of a repeatable key. */
int conf_doc_line(const struct conf_part *p, const char *key, int nth);

/* fill.c */
void conf_doc_fill(struct conf_doc *d, struct conf *c);

/* secret.c. A new string without the newline at the end, or -errno and the reason in why. */
#define CONF_WHY 160
struct conf_secret {
	char *text;    /* free with conf_secret_free() */
	unsigned mode; /* permissions that others have and should not; 0: fine */
};
int conf_secret_read(const char *conf_file, const char *name, struct conf_secret *s,
		     char why[CONF_WHY]) __attribute__((warn_unused_result));
void conf_secret_free(char *secret); /* wipes it */

/* check.c. Reads the secret files too. */
void conf_check(struct conf_doc *d, struct conf *c);

#endif
