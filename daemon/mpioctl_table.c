/* SPDX-License-Identifier: MIT */
/* Aligned columns that fit the terminal. */
#include "mpioctl.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>

#define GAP 2
#define CELL_MAX 1024

struct row {
	char *text[TABLE_COLUMNS];
	const char *color[TABLE_COLUMNS];
	char *note;
};

struct table {
	const struct table_column *cols;
	int ncols, next; /* next: the column of the next cell */
	struct row *rows;
	size_t nrows;
};

static void *need(void *p)
{
	if (!p)
		err(MPIOCTL_REFUSED, "mpioctl");
	return p;
}

struct table *table_new(const struct table_column *cols)
{
	struct table *t = need(calloc(1, sizeof(*t)));

	t->cols = cols;
	while (t->ncols < TABLE_COLUMNS && cols[t->ncols].title)
		t->ncols++;
	return t;
}

void table_free(struct table *t)
{
	for (size_t i = 0; i < t->nrows; i++) {
		for (int j = 0; j < t->ncols; j++)
			free(t->rows[i].text[j]);
		free(t->rows[i].note);
	}
	free(t->rows);
	free(t);
}

void table_cell(struct table *t, const char *text, const char *color)
{
	struct row *r;

	if (t->next == 0) {
		t->rows = need(reallocarray(t->rows, t->nrows + 1, sizeof(*t->rows)));
		memset(&t->rows[t->nrows++], 0, sizeof(*t->rows));
	}
	r = &t->rows[t->nrows - 1];
	r->text[t->next] = need(strdup(text));
	r->color[t->next] = color;
	t->next = (t->next + 1) % t->ncols;
}

void table_note(struct table *t, const char *text)
{
	if (t->nrows && *text && !t->rows[t->nrows - 1].note)
		t->rows[t->nrows - 1].note = need(strdup(text));
}

/* Columns that text needs, in all rows and the title. */
static int natural_width(const struct table *t, int col)
{
	int width = format_width(t->cols[col].title);

	for (size_t i = 0; i < t->nrows; i++) {
		int w = t->rows[i].text[col] ? format_width(t->rows[i].text[col]) : 0;

		if (w > width)
			width = w;
	}
	return width;
}

static int total(const struct table *t, const int *width)
{
	int sum = 0;

	for (int i = 0; i < t->ncols; i++)
		if (width[i])
			sum += width[i] + (sum ? GAP : 0);
	return sum;
}

/* Takes away from the columns that may shrink, always from the widest. */
static void shrink(const struct table *t, int *width, int room)
{
	while (total(t, width) > room) {
		int widest = -1;

		for (int i = 0; i < t->ncols; i++)
			if ((t->cols[i].flags & TABLE_SHRINK) && width[i] > t->cols[i].min &&
			    (widest < 0 || width[i] > width[widest]))
				widest = i;
		if (widest < 0)
			return;
		width[widest]--;
	}
}

/* The width of each column, 0 for those left out. */
static void fit(const struct table *t, int *width, int room)
{
	int natural[TABLE_COLUMNS] = { 0 };

	for (int i = 0; i < t->ncols; i++)
		natural[i] = natural_width(t, i);
	memcpy(width, natural, sizeof(natural));
	for (int drop = t->ncols - 1; room > 0; drop--) {
		for (int i = 0; i <= drop; i++)
			width[i] = natural[i]; /* room that was freed is shared out again */
		shrink(t, width, room);
		if (total(t, width) <= room)
			return;
		while (drop > 0 && !(t->cols[drop].flags & TABLE_OPTIONAL))
			drop--;
		if (drop <= 0)
			return;
		natural[drop] = width[drop] = 0;
	}
}

static void print_cell(const struct table *t, const struct output *o, int col, int width,
		       const char *text, const char *color, bool last)
{
	char cut[CELL_MAX];
	int pad;

	if ((size_t)width * 4 + 4 <= sizeof(cut))
		text = format_middle(cut, sizeof(cut), text, width, o->utf8);
	pad = width - format_width(text);
	if (t->cols[col].flags & TABLE_RIGHT)
		fprintf(o->to, "%*s", pad, "");
	if (color && o->color && *text)
		fprintf(o->to, "%s%s%s", color, text, COLOR_OFF);
	else
		fputs(text, o->to);
	if (last)
		putc('\n', o->to); /* and no blanks before it */
	else
		fprintf(o->to, "%*s", GAP + (t->cols[col].flags & TABLE_RIGHT ? 0 : pad), "");
}

void table_wrap_on(const struct output *o, int at, int indent, const char *text)
{
	bool fresh = at > 0; /* no word on this line yet, and the blanks before it are there */
	size_t n;

	for (text += strspn(text, " "); *text; text += n) {
		/* blanks stay as they are: identifiers may hold several in a row */
		int gap = (int)strspn(text, " ");
		char word[CELL_MAX];
		int w;

		text += gap;
		n = strcspn(text, " ");
		if (!n)
			break;
		snprintf(word, sizeof(word), "%.*s", (int)n, text);
		w = format_width(word);
		if (at > indent && !fresh && o->width && at + gap + w > o->width) {
			putc('\n', o->to);
			at = 0;
		}
		if (at == 0)
			gap = indent;
		at += fprintf(o->to, "%*s", fresh ? 0 : gap, "") + w;
		fputs(word, o->to);
		fresh = false;
	}
	if (at)
		putc('\n', o->to);
}

void table_wrap(const struct output *o, int indent, const char *text)
{
	table_wrap_on(o, 0, indent, text);
}

void table_print(const struct table *t, const struct output *o, int indent)
{
	int width[TABLE_COLUMNS], last = 0, room = o->width ? o->width - indent : 0;

	fit(t, width, room);
	for (int i = 0; i < t->ncols; i++)
		if (width[i])
			last = i;
	fprintf(o->to, "%*s", indent, "");
	for (int i = 0; i <= last; i++)
		if (width[i])
			print_cell(t, o, i, width[i], t->cols[i].title, COLOR_BOLD, i == last);
	for (size_t r = 0; r < t->nrows; r++) {
		const struct row *row = &t->rows[r];

		fprintf(o->to, "%*s", indent, "");
		for (int i = 0; i <= last; i++)
			if (width[i])
				print_cell(t, o, i, width[i], row->text[i] ? row->text[i] : "",
					   row->color[i], i == last);
		if (row->note)
			table_wrap(o, indent + 4, row->note);
	}
}
