/* SPDX-License-Identifier: MIT */
/*
 * mpiod.conf as a struct. One table of keys (conf/keys.c) gives parsing, checking, messages, the
 * man page and mpiod.conf.example. Pure but for reading the file and the secret files it names.
 *
 * A struct conf owns all its strings; conf_free() frees them. Times are microseconds.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONF_QUEUE UINT64_MAX /* no_path_timeout = queue; failback = manual */

/* How a write whose fate is unknown is known not to run late (mpiod.conf(5), FENCES). */
enum conf_fence {
	CONF_FENCE_AUTO,
	CONF_FENCE_RESERVATION,
	CONF_FENCE_REINSTATE,
	CONF_FENCE_HOLD,
	CONF_FENCE_SOLICITED,
	CONF_FENCE_OFF,
};

/*
 * The keys of [defaults], [hardware] and [lun]. Those of conf.defaults are all filled in; in the
 * other two only what the section gave, by the bits of `set`: see conf_opts_resolve().
 */
struct conf_opts {
	char *policy;              /* a name, or NULL: by what the storage reports (round-robin) */
	uint64_t failback_us;      /* 0: immediate, CONF_QUEUE: manual */
	uint64_t probe_interval_us, probe_timeout_us, suspect_after_us, command_timeout_us;
	uint64_t no_path_timeout_us; /* 0: fail, CONF_QUEUE: queue */
	uint64_t no_path_max_bytes;
	unsigned queue_depth;
	bool hedge, read_only;
	uint64_t probation_us;     /* 0: off */
	uint64_t verify_interval_us;
	enum conf_fence fence;     /* CONF_FENCE_RESERVATION only with a reservation_key */
	uint64_t fence_timeout_us;
	uint64_t reservation_key;  /* at most 48 bits, 0: none; the daemon puts 16 bits of the path below */
	uint64_t set;              /* bit i: key i of the opts table was given here */
};

struct conf_portal {
	char *addr;                /* "ADDR:PORT" / "[ADDR6]:PORT", port filled in; a host name is allowed */
	char *interface;           /* "via IFACE", or NULL */
};

struct conf_target {
	char *name;                /* of the section */
	int line;
	char *iqn;
	struct conf_portal *portals;
	int nportals;
	bool discovery;            /* SendTargets finds more portals */
	uint64_t discovery_interval_us;
	bool all_luns;
	uint16_t *luns;            /* the LIST, when not all */
	int nluns;
	char *chap_user, *chap_secret, *mutual_chap_user, *mutual_chap_secret;
	char *chap_secret_file, *mutual_chap_secret_file;
	bool header_digest;
	uint64_t login_timeout_us;
};

struct conf_net {
	uint8_t addr[16];          /* IPv6; an IPv4 one as ::ffff:A.B.C.D. Zero behind its bits. */
	uint8_t bits;
};

struct conf_weight {
	char *portal;
	uint32_t weight;
};

struct conf_lun {
	char *name;                /* of the section: the export's name unless alias is set */
	int line;
	char *id;                  /* naa.… as status shows it; never NULL */
	char *alias;               /* or NULL */
	struct conf_opts opt;
	char *preferred;           /* portal, or NULL */
	char **active;             /* portals of the active subset; nactive 0: all */
	int nactive;
	struct conf_weight *weights;
	int nweights;
};

struct conf_hardware {
	char *name;                /* of the section */
	int line;
	char *vendor, *product;    /* fnmatch(3) patterns for the INQUIRY strings; NULL: any */
	char *dsm;                 /* the module to use, or NULL */
	struct conf_opts opt;
};

struct conf {
	char *file;
	char *initiator_name;
	char **listen;             /* "unix:PATH" or "tcp:ADDR:PORT", at least one */
	int nlisten;
	unsigned listen_mode;      /* of the unix sockets */
	char *listen_group;        /* theirs, or NULL: that of the process */
	struct conf_net *allow;    /* who may connect by TCP; none: see conf_allows() */
	int nallow;
	char *control;             /* path of the control socket */
	int log_level;             /* syslog(3) number */
	uint64_t max_inflight_bytes;
	unsigned max_connections;
	bool listen_insecure;
	char *metrics;             /* "tcp:ADDR:PORT", or NULL: off */
	struct conf_target *targets;
	int ntargets;
	struct conf_opts defaults;
	struct conf_hardware *hardware; /* in the order of the file */
	int nhardware;
	struct conf_lun *luns;
	int nluns;
};

/*
 * Reads FILE. Returns the configuration, or NULL with every error in *errors (one a line,
 * "FILE:LINE: [section] key: what is wrong, what is expected"; the caller frees it). Warnings
 * (such as a secret file others may read) go to *errors too while the result is not NULL; *errors is NULL
 * when there is nothing to say.
 */
struct conf *conf_load(const char *file, char **errors) __attribute__((warn_unused_result));

/* The same from memory, for tests and fuzzing. */
struct conf *conf_parse(const char *file, const char *text, size_t len, char **errors)
	__attribute__((warn_unused_result));

void conf_free(struct conf *c);

/*
 * The options that hold for a LUN: its section's, then those of the first hardware section that fits,
 * then the defaults. vendor and product are the trimmed INQUIRY strings, both NULL while they are not
 * known. *out is a flat copy whose strings belong to c; out->set has the keys that were given
 * anywhere. *lun and *hw get the sections or NULL; each pointer may be NULL.
 */
void conf_opts_resolve(const struct conf *c, const char *id, const char *vendor,
		       const char *product, struct conf_opts *out, const struct conf_lun **lun,
		       const struct conf_hardware **hw);

/* Does a session of the one do for the other? (Portals, discovery and time-outs do not count.) */
bool conf_target_equal(const struct conf_target *a, const struct conf_target *b);
bool conf_portal_equal(const struct conf_portal *a, const struct conf_portal *b);
bool conf_opts_equal(const struct conf_opts *a, const struct conf_opts *b);

/*
 * May a peer with this address connect to a TCP socket? By `allow`, and without it only this machine may, unless
 * listen_insecure. Anything but IPv4 and IPv6 may.
 */
struct sockaddr;
bool conf_allows(const struct conf *c, const struct sockaddr *peer);

/* For the man page and mpiod.conf.example, made from the table of keys. */
void conf_print_example(FILE *out);
void conf_print_man_keys(FILE *out); /* mdoc(7) list items, section by section */

#endif
