/* SPDX-License-Identifier: MIT */
/*
 * Parameters to a configuration. Those that are keys of mpiod.conf become the text of one and are read by conf/, so
 * that a value means here what it means there, and is refused in the same words.
 */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "plugin.h"
#include "../conf/keys.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMED "parameters" /* what conf/ takes for the file's name */

static struct {
	char *file, *lun;
	char *text[CONF_NKINDS]; /* lines of [mpiod], [target] and [defaults] */
	bool target, portal, luns, control;
	const char *first;       /* some key of the configuration that was given */
} given;

static const enum conf_kind kinds[] = { CONF_MPIOD, CONF_TARGET, CONF_DEFAULTS };
#define NKINDS (int)(sizeof(kinds) / sizeof(kinds[0]))

/* Keys of mpiod.conf that mean nothing where clients come to nbdkit, or that have another name. */
static bool taken(const char *key)
{
	static const char *const no[] = { "listen", "listen_mode", "listen_group", "allow", "max_connections", "iqn" };

	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (!strcmp(key, no[i]))
			return true;
	return false;
}

static const struct conf_key *find(const char *key, enum conf_kind *kind)
{
	for (int i = 0; i < NKINDS && !taken(key); i++) {
		int n = conf_key_find(kinds[i], key);

		if (n >= 0) {
			*kind = kinds[i];
			return conf_key_at(*kind, n);
		}
	}
	return NULL;
}

/* All names there are, for the one that was meant. */
static const char *name_at(void *arg, int i)
{
	static const char *const own[] = { "config", "target", "lun" };
	const int nown = sizeof(own) / sizeof(own[0]);

	(void)arg;
	if (i < nown)
		return own[i];
	i -= nown;
	for (int k = 0; k < NKINDS; k++) {
		const struct conf_key *key;

		for (int j = 0; (key = conf_key_at(kinds[k], j)); j++)
			if (!taken(key->name) && i-- == 0)
				return key->name;
	}
	return NULL;
}

static int append(enum conf_kind kind, const char *key, const char *value)
{
	char *old = given.text[kind];

	if (asprintf(&given.text[kind], "%s%s = %s\n", old ? old : "", key, value) < 0) {
		given.text[kind] = old;
		nbdkit_error("out of memory");
		return -1;
	}
	free(old);
	return 0;
}

static int once(char **at, const char *key, const char *value)
{
	if (*at) {
		nbdkit_error("%s: given twice", key);
		return -1;
	}
	if (!*value) {
		nbdkit_error("%s: is empty", key);
		return -1;
	}
	*at = strdup(value);
	if (!*at)
		nbdkit_error("out of memory");
	return *at ? 0 : -1;
}

static int add_target(const char *value)
{
	if (given.target) {
		nbdkit_error("target: given twice; config=FILE is for several targets");
		return -1;
	}
	given.target = true;
	return append(CONF_TARGET, "iqn", value);
}

int params_add(const char *key, const char *value)
{
	const struct conf_key *k;
	enum conf_kind kind;
	const char *near;

	if (strpbrk(value, "\r\n")) {
		nbdkit_error("%s: the value has a line break in it", key);
		return -1;
	}
	if (!strcmp(key, "config")) {
		if (once(&given.file, key, value))
			return -1;
		free(given.file);
		given.file = nbdkit_absolute_path(value); /* nbdkit goes to / when it forks */
		return given.file ? 0 : -1;
	}
	if (!strcmp(key, "lun"))
		return once(&given.lun, key, value);
	if (!strcmp(key, "target")) {
		given.first = "target";
		return add_target(value);
	}
	k = find(key, &kind);
	if (!k) {
		near = conf_key_nearest(key, name_at, NULL);
		nbdkit_error("%s: no such parameter%s%s%s", key, near ? "; did you mean " : "",
			     near ? near : "", near ? "?" : "");
		return -1;
	}
	given.first = k->name;
	given.portal |= !strcmp(key, "portal");
	given.luns |= !strcmp(key, "luns");
	given.control |= !strcmp(key, "control");
	return append(kind, key, value);
}

static bool is_number(const char *s)
{
	return s && *s && strspn(s, "0123456789") == strlen(s);
}

int params_complete(void)
{
	if (given.file && given.first) {
		nbdkit_error("%s: with config=FILE it belongs into the file", given.first);
		return -1;
	}
	if (given.file)
		return 0;
	if (!given.target || !given.portal) {
		nbdkit_error("%s is missing (or config=FILE)", given.target ? "portal=ADDR[:PORT]" : "target=IQN");
		return -1;
	}
	/* the others need not be looked at, then */
	return is_number(given.lun) && !given.luns ? append(CONF_TARGET, "luns", given.lun) : 0;
}

/* "parameters:7: [defaults] queue_depth: ..." is "queue_depth: ..." to somebody who gave no file. */
static void tell(const char *text)
{
	while (text && *text) {
		int n = strcspn(text, "\n");
		const char *from = text, *key = "";

		if (!strncmp(text, NAMED ":", sizeof(NAMED))) {
			const char *section = memmem(text, n, "] ", 2);

			if (section)
				from = section + 2;
			if (!strncmp(from, "iqn:", 4)) {
				key = "target:";
				from += 4;
			}
		}
		nbdkit_error("%s%.*s", key, n - (int)(from - text), from);
		text += n + (text[n] == '\n');
	}
}

/*
 * The same at each start, so that a login ends what a process that died has left (its ISID comes of this name, too),
 * and another for another LUN, so that two of these processes don't end each other's sessions.
 */
static void section_name(char *name, size_t cap)
{
	snprintf(name, cap, "nbdkit%s%s", given.lun ? "-" : "", given.lun ? given.lun : "");
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("-._", *name))
			*name = '_';
}

static struct conf *from_text(char **message)
{
	char name[80];
	char *text = NULL;
	struct conf *c = NULL;
	int n;

	*message = NULL;
	section_name(name, sizeof(name));
	n = asprintf(&text, "[mpiod]\n%s[target %s]\n%s[defaults]\n%s",
		     given.text[CONF_MPIOD] ? given.text[CONF_MPIOD] : "", name,
		     given.text[CONF_TARGET] ? given.text[CONF_TARGET] : "",
		     given.text[CONF_DEFAULTS] ? given.text[CONF_DEFAULTS] : "");
	if (n < 0)
		nbdkit_error("out of memory");
	else
		c = conf_parse(NAMED, text, n, message);
	free(n < 0 ? NULL : text);
	return c;
}

struct conf *params_conf(void)
{
	char *message = NULL;
	struct conf *c = given.file ? conf_load(given.file, &message) : from_text(&message);

	tell(message);
	free(message);
	return c;
}

const char *params_file(void)
{
	return given.file;
}

const char *params_lun(void)
{
	return given.lun;
}

bool params_control(void)
{
	return given.file || given.control;
}

void params_free(void)
{
	for (int i = 0; i < CONF_NKINDS; i++)
		free(given.text[i]);
	free(given.file);
	free(given.lun);
	memset(&given, 0, sizeof(given));
}
