/* SPDX-License-Identifier: MIT */
/*
 * The one table of keys: what parsing, checking, messages, the manual and the example are made
 * from. Private to conf/ and its tests. All of it is constant.
 */
#ifndef CONF_KEYS_H
#define CONF_KEYS_H

#include "conf.h"

enum conf_kind {
	CONF_MPIOD,
	CONF_TARGET,
	CONF_DEFAULTS,
	CONF_HARDWARE,
	CONF_LUN,
	CONF_NKINDS,
};

enum conf_type {
	/* one value: the C type of the field */
	CONF_BOOL,   /* bool; words, if any, name its two values */
	CONF_COUNT,  /* unsigned */
	CONF_SIZE,   /* uint64_t, bytes */
	CONF_TIME,   /* uint64_t, microseconds; words stand for special values */
	CONF_HEX,    /* uint64_t: 48 bits in hex digits, not 0 */
	CONF_MODE,   /* unsigned: file mode, octal */
	CONF_ENUM,   /* int: the value of a word */
	CONF_CHOICE, /* char *: a word */
	CONF_NAME,   /* char *: an iSCSI name, RFC 7143 4.2.7 */
	CONF_ID,     /* char *: a device identifier as scsi_parse_vpd_device_id() writes it */
	CONF_EXPORT, /* char *: an NBD export name */
	CONF_GROUP,  /* char *: a group of this machine */
	CONF_USER,   /* char *: a CHAP name */
	CONF_SOCKET, /* char *: path of a unix socket */
	CONF_FILE,   /* char *: a file, relative or not */
	CONF_PORTAL, /* char *: "ADDR:PORT" */
	CONF_GLOB,   /* char *: an fnmatch(3) pattern for a text of at most `max` characters */
	CONF_METRICS, /* char *: "tcp:ADDR:PORT", NULL for "off" */
	/* a list: the field is the pointer, `count` the offset of its int */
	CONF_LISTEN,  /* char **: "unix:PATH", "tcp:ADDR:PORT" */
	CONF_ALLOW,   /* struct conf_net * */
	CONF_PORTALS, /* struct conf_portal * */
	CONF_LUNS,    /* uint16_t *, and `flag` the offset of the bool for "all" */
	CONF_ACTIVE,  /* char **: "ADDR:PORT" */
	CONF_WEIGHTS, /* struct conf_weight * */
};

struct conf_word {
	const char *word;
	uint64_t value;
};

struct conf_key {
	const char *name;
	enum conf_type type;
	size_t offset, count, flag; /* in the struct of the section, or conf_opts */
	const char *def;	    /* as a user would write it; NULL: none */
	const char *example;	    /* shown where def is NULL */
	uint64_t min, max; /* of CONF_COUNT, CONF_SIZE, CONF_TIME in the field's unit; CONF_GLOB */
	const struct conf_word *words; /* ends with a NULL word */
	bool repeat, required;
	const char *help; /* one sentence */
	const char *doc;  /* more for the manual, or NULL */
};

struct conf_section {
	const char *name;    /* the first word of the heading */
	const char *heading; /* "target NAME" */
	const char *example; /* the heading in the example */
	const char *help;
};

#define CONF_MAX_KEYS 32 /* of a section; also bounds the bits of conf_opts.set */

extern const struct conf_section conf_sections[CONF_NKINDS];

/* Key number i of a section, those of struct conf_opts last; NULL past the end. */
const struct conf_key *conf_key_at(enum conf_kind kind, int i);

/* The number of a key by name, or -ENOENT. */
int conf_key_find(enum conf_kind kind, const char *name);

/* Bit number of a key in conf_opts.set, or -1 where it is no member of struct conf_opts. */
int conf_key_opt(const struct conf_key *k);

/* What a value must look like, as the end of "expected ..."; always fits 400 bytes. */
void conf_key_expect(const struct conf_key *k, char *buf, size_t size);

/*
 * The name of the table nearest to a mistyped one, or NULL if none is near enough to suggest.
 * next() gives the i-th candidate or NULL at the end.
 */
const char *conf_key_nearest(const char *typed, const char *(*next)(void *arg, int i), void *arg);

#endif
