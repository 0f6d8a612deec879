/* SPDX-License-Identifier: MIT */
/* Typed values: one parser a type, chosen by the table of keys. Locale plays no part. */
#include "value.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_print(const char *s, bool blanks)
{
	for (; *s; s++)
		if ((unsigned char)*s < (blanks ? 0x20 : 0x21) || *s == 0x7f)
			return false;
	return true;
}

static bool is_hex(const char *s)
{
	return *s && s[strspn(s, "0123456789abcdefABCDEF")] == '\0';
}

bool conf_value_is_export(const char *text)
{
	size_t len = strlen(text);

	return len >= 1 && len <= 200 && is_print(text, false);
}

/* RFC 7143 4.2.7.2: at most 223 bytes. Laxer than its stringprep, as storage in the field is. */
static bool is_iscsi_name(const char *s)
{
	size_t len = strlen(s);

	if (len > 223 || !is_print(s, false))
		return false;
	if (!strncmp(s, "iqn.", 4)) {
		static const char pattern[] = "dddd-dd.";

		for (int i = 0; pattern[i]; i++)
			if (pattern[i] == 'd' ? !isdigit((unsigned char)s[4 + i])
					      : s[4 + i] != pattern[i])
				return false;
		return len > 12;
	}
	if (!strncmp(s, "eui.", 4))
		return len == 4 + 16 && is_hex(s + 4);
	if (!strncmp(s, "naa.", 4))
		return (len == 4 + 16 || len == 4 + 32) && is_hex(s + 4);
	return false;
}

bool conf_value_is_id(const char *s)
{
	if (!strncmp(s, "naa.", 4) || !strncmp(s, "eui.", 4))
		return is_hex(s + 4) && strlen(s) <= 4 + 32;
	if (!strncmp(s, "t10.", 4))
		return s[4] && is_print(s, true);
	if (!strncmp(s, "name.", 5))
		return s[5] && is_print(s, true);
	if (!strncmp(s, "vendor.", 7))
		return s[7] && is_print(s, true);
	return false;
}

/* Decimal digits only: no sign, no blanks, no octal. */
static int parse_number(const char *s, const char **end, uint64_t *out)
{
	uint64_t v = 0;

	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	for (; isdigit((unsigned char)*s); s++) {
		if (v > (UINT64_MAX - 9) / 10)
			return -ERANGE;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	*end = s;
	*out = v;
	return 0;
}

static int parse_size(const char *s, uint64_t *out)
{
	static const char units[] = "KMG";
	const char *end, *unit;
	uint64_t v;
	int err = parse_number(s, &end, &v);

	if (err)
		return err;
	if (*end) {
		int shift;

		unit = strchr(units, toupper((unsigned char)*end));
		if (!unit || end[1])
			return -EINVAL;
		shift = 10 * (int)(unit - units + 1);
		if (v > UINT64_MAX >> shift)
			return -ERANGE;
		v <<= shift;
	}
	*out = v;
	return 0;
}

/* "2", "0.5", "500ms", "2s", "1.5m" to microseconds, rounded down. */
static int parse_time(const char *s, uint64_t *out)
{
	enum { DIGITS = 11 }; /* 10^11 minutes in microseconds still fit 64 bits */
	uint64_t v = 0, scale = 1, unit = 1000000;
	bool point = false;
	int digits = 0;

	for (; isdigit((unsigned char)*s) || (*s == '.' && !point); s++) {
		if (*s == '.') {
			if (!digits)
				return -EINVAL;
			point = true;
			continue;
		}
		if (++digits > DIGITS)
			return -ERANGE;
		v = v * 10 + (uint64_t)(*s - '0');
		if (point)
			scale *= 10;
	}
	if (!digits || (point && scale == 1))
		return -EINVAL;
	if (!strcmp(s, "ms"))
		unit = 1000;
	else if (!strcmp(s, "m"))
		unit = 60 * 1000000;
	else if (*s && strcmp(s, "s"))
		return -EINVAL;
	*out = v * unit / scale;
	return 0;
}

/* "6d70", "0x6d70": at most 48 bits, leading zeroes counted; 0 would mean no key (SPC-4 6.16.3). */
static int set_hex(const char *text, uint64_t *field)
{
	enum { DIGITS = 12 };
	uint64_t v = 0;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		text += 2;
	if (!is_hex(text))
		return -EINVAL;
	if (strlen(text) > DIGITS)
		return -ERANGE;
	for (; *text; text++)
		v = v << 4 | (uint64_t)(isdigit((unsigned char)*text)
						? *text - '0'
						: tolower((unsigned char)*text) - 'a' + 10);
	if (!v)
		return -ERANGE;
	*field = v;
	return 1;
}

/* One without wildcards that is longer than the text can be would never fit. */
static bool is_glob(const struct conf_key *k, const char *s)
{
	size_t len = strlen(s);

	return len >= 1 && len <= 100 && is_print(s, true) && s[len - 1] != '\\' &&
	       (strpbrk(s, "*?[\\") || len <= k->max);
}

static const struct conf_word *find_word(const struct conf_key *k, const char *text)
{
	static const struct conf_word bools[] = {
		{"yes", 1}, {"no", 0}, {"true", 1}, {"false", 0}, {"on", 1},
		{"off", 0}, {"1", 1},  {"0", 0},    {NULL, 0},
	};
	const struct conf_word *w = k->words;

	if (!w && k->type == CONF_BOOL)
		w = bools;
	for (; w && w->word; w++)
		if (!strcmp(w->word, text))
			return w;
	return NULL;
}

static int set_number(const struct conf_key *k, const char *text, void *field)
{
	const struct conf_word *w = find_word(k, text);
	const char *end;
	uint64_t v = 0;
	int err;

	if (k->type == CONF_COUNT) {
		err = parse_number(text, &end, &v);
		if (!err && *end)
			err = -EINVAL;
	} else if (k->type == CONF_SIZE) {
		err = parse_size(text, &v);
	} else {
		err = w ? 0 : parse_time(text, &v);
	}
	if (err)
		return err;
	if (w)
		v = w->value;
	else if (v < k->min || v > k->max)
		return -ERANGE;
	if (k->type == CONF_COUNT)
		*(unsigned *)field = (unsigned)v;
	else
		*(uint64_t *)field = v;
	return 1;
}

static int set_word(const struct conf_key *k, const char *text, void *field)
{
	const struct conf_word *w = find_word(k, text);

	if (!w)
		return -EINVAL;
	if (k->type == CONF_BOOL)
		*(bool *)field = w->value != 0;
	else
		*(int *)field = (int)w->value;
	return 1;
}

static bool is_valid(const struct conf_key *k, const char *text)
{
	switch (k->type) {
	case CONF_CHOICE:
		return find_word(k, text);
	case CONF_NAME:
		return is_iscsi_name(text);
	case CONF_ID:
		return conf_value_is_id(text);
	case CONF_EXPORT:
		return conf_value_is_export(text);
	case CONF_GROUP:
		return *text && strlen(text) <= 32 && is_print(text, false);
	case CONF_USER:
		return *text && strlen(text) <= 255 && is_print(text, true);
	case CONF_SOCKET:
		return conf_address_is_socket(text);
	case CONF_FILE:
		return *text && is_print(text, true);
	case CONF_GLOB:
		return is_glob(k, text);
	default:
		return false;
	}
}

static int set_mode(const char *text, unsigned *field)
{
	size_t len = strlen(text);

	if (!len || len > 4 || text[strspn(text, "01234567")])
		return -EINVAL;
	if (strtoul(text, NULL, 8) > 0777)
		return -ERANGE;
	*field = (unsigned)strtoul(text, NULL, 8);
	return 1;
}

static int set_string(const struct conf_key *k, const char *text, char **field)
{
	char *s;

	if (k->type == CONF_PORTAL) {
		int err = conf_address_portal(text, &s);

		if (err)
			return err;
	} else {
		if (!is_valid(k, text))
			return -EINVAL;
		s = strdup(text);
		if (!s)
			return -ENOMEM;
	}
	if (k->type == CONF_ID && (!strncmp(s, "naa.", 4) || !strncmp(s, "eui.", 4)))
		for (char *c = s; *c; c++)
			*c = (char)tolower((unsigned char)*c);
	free(*field);
	*field = s;
	return 1;
}

static int set_metrics(const char *text, char **field)
{
	char *s = NULL;

	if (strcmp(text, "off")) {
		int err = strncmp(text, "tcp:", 4) ? -EINVAL : conf_address_listen(text, &s);

		if (err)
			return err;
	}
	free(*field);
	*field = s;
	return 1;
}

/* Room for one more of `size` bytes at the end of a list; NULL without memory. Zeroed, and not
 * counted yet. */
static void *grow(void *list, const int *count, size_t size)
{
	void *p = reallocarray(*(void **)list, (size_t)*count + 1, size);

	if (!p)
		return NULL;
	*(void **)list = p;
	return memset((char *)p + (size_t)*count * size, 0, size);
}

static int add_listen(const char *text, char ***list, int *count)
{
	char **slot = grow(list, count, sizeof(char *));
	int err = slot ? conf_address_listen(text, slot) : -ENOMEM;

	if (err)
		return err;
	(*count)++;
	return 1;
}

static int add_allow(const char *text, struct conf_net **list, int *count)
{
	struct conf_net *slot = grow(list, count, sizeof(*slot));
	int err = slot ? conf_net_parse(text, slot) : -ENOMEM;

	if (err)
		return err;
	for (int i = 0; i < *count; i++)
		if (!memcmp(&(*list)[i], slot, sizeof(*slot)))
			return -EEXIST;
	(*count)++;
	return 1;
}

static int add_portal(const char *text, struct conf_portal **list, int *count)
{
	struct conf_portal *slot = grow(list, count, sizeof(*slot));
	int err = slot ? conf_address_portal_via(text, &slot->addr, &slot->interface) : -ENOMEM;

	if (err)
		return err;
	(*count)++;
	return 1;
}

static int add_active(const char *text, char ***list, int *count)
{
	char **slot = grow(list, count, sizeof(char *));
	int err = slot ? conf_address_portal(text, slot) : -ENOMEM;

	if (err)
		return err;
	for (int i = 0; i < *count; i++) {
		if (strcmp((*list)[i], *slot))
			continue;
		free(*slot);
		*slot = NULL;
		return -EEXIST;
	}
	(*count)++;
	return 1;
}

static int add_weight(const char *text, struct conf_weight **list, int *count)
{
	char *portal = strdup(text), *p, *digits;
	struct conf_weight *slot = grow(list, count, sizeof(*slot));
	const char *end;
	uint64_t weight;
	int err = -ENOMEM;

	if (!slot || !portal)
		goto out;
	err = -EINVAL;
	p = strpbrk(portal, " \t");
	if (!p)
		goto out;
	digits = p + strspn(p, " \t");
	*p = '\0';
	err = parse_number(digits, &end, &weight);
	if (!err && *end)
		err = -EINVAL;
	if (!err && weight > UINT32_MAX)
		err = -ERANGE;
	if (!err)
		err = conf_address_portal(portal, &slot->portal);
	if (err)
		goto out;
	slot->weight = (uint32_t)weight;
	for (int i = 0; i < *count; i++) {
		if (strcmp((*list)[i].portal, slot->portal))
			continue;
		free(slot->portal);
		slot->portal = NULL;
		err = -EEXIST;
		goto out;
	}
	(*count)++;
	err = 1;
out:
	free(portal);
	return err;
}

static int add_lun(const char *text, uint16_t **list, int *count)
{
	uint16_t *slot = grow(list, count, sizeof(*slot));
	const char *end;
	uint64_t lun;
	int err = slot ? parse_number(text, &end, &lun) : -ENOMEM, at = *count;

	if (err)
		return err;
	if (*end)
		return -EINVAL;
	if (lun > 16383) /* 14 bits: flat space addressing, SAM-5 4.7.7.4 */
		return -ERANGE;
	for (int i = 0; i < *count; i++)
		if ((*list)[i] == lun)
			return -EEXIST;
	/* in order, so that equal sets are equal lists */
	for (; at > 0 && (*list)[at - 1] > lun; at--)
		(*list)[at] = (*list)[at - 1];
	(*list)[at] = (uint16_t)lun;
	(*count)++;
	return 1;
}

/* A list in one line, with commas. */
static int add_each(const struct conf_key *k, const char *text, void *field, int *count)
{
	char *copy = strdup(text), *rest = copy, *word;
	int n = 0, rc = copy ? 0 : -ENOMEM;

	while (rc >= 0 && (word = strsep(&rest, ","))) {
		word += strspn(word, " \t");
		for (size_t len = strlen(word); len && strchr(" \t", word[len - 1]); len--)
			word[len - 1] = '\0';
		rc = k->type == CONF_LUNS ? add_lun(word, field, count)
					  : add_active(word, field, count);
		n++;
	}
	free(copy);
	return rc < 0 ? rc : n;
}

static int set_luns(const struct conf_key *k, const char *text, void *base)
{
	bool *all = (bool *)((char *)base + k->flag);

	conf_value_clear(k, base);
	*all = !strcmp(text, "all");
	if (*all)
		return 1;
	return add_each(k, text, (char *)base + k->offset, (int *)((char *)base + k->count));
}

int conf_value_set(const struct conf_key *k, const char *text, void *base)
{
	void *field = (char *)base + k->offset;
	int *count = (int *)((char *)base + k->count);

	switch (k->type) {
	case CONF_COUNT:
	case CONF_SIZE:
	case CONF_TIME:
		return set_number(k, text, field);
	case CONF_BOOL:
	case CONF_ENUM:
		return set_word(k, text, field);
	case CONF_HEX:
		return set_hex(text, field);
	case CONF_MODE:
		return set_mode(text, field);
	case CONF_METRICS:
		return set_metrics(text, field);
	case CONF_LISTEN:
		return add_listen(text, field, count);
	case CONF_ALLOW:
		return add_allow(text, field, count);
	case CONF_PORTALS:
		return add_portal(text, field, count);
	case CONF_ACTIVE:
		return add_each(k, text, field, count);
	case CONF_WEIGHTS:
		return add_weight(text, field, count);
	case CONF_LUNS:
		return set_luns(k, text, base);
	default:
		return set_string(k, text, field);
	}
}

static void clear_items(enum conf_type type, void *list, int n)
{
	for (int i = 0; i < n; i++) {
		if (type == CONF_LISTEN || type == CONF_ACTIVE) {
			free(((char **)list)[i]);
		} else if (type == CONF_PORTALS) {
			free(((struct conf_portal *)list)[i].addr);
			free(((struct conf_portal *)list)[i].interface);
		} else if (type == CONF_WEIGHTS) {
			free(((struct conf_weight *)list)[i].portal);
		}
	}
	free(list);
}

void conf_value_clear(const struct conf_key *k, void *base)
{
	void *field = (char *)base + k->offset;

	if (k->type >= CONF_LISTEN) {
		int *count = (int *)((char *)base + k->count);

		clear_items(k->type, *(void **)field, *count);
		*(void **)field = NULL;
		*count = 0;
	} else if (k->type >= CONF_CHOICE) {
		free(*(char **)field);
		*(char **)field = NULL;
	}
}

void conf_value_share(const struct conf_key *k, void *to, const void *from)
{
	size_t size = sizeof(uint64_t);

	if (k->type >= CONF_CHOICE)
		size = sizeof(char *);
	else if (k->type == CONF_BOOL)
		size = sizeof(bool);
	else if (k->type == CONF_COUNT || k->type == CONF_ENUM)
		size = sizeof(int);
	memcpy((char *)to + k->offset, (const char *)from + k->offset, size);
}
