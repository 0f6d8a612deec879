/* SPDX-License-Identifier: MIT */
/* The table of keys of mpiod.conf, and look-ups in it. */
#include "keys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define MS 1000ULL
#define SEC 1000000ULL
#define DAY (86400 * SEC)
#define MIB (1ULL << 20)
#define GIB (1ULL << 30)

#define AT(type, member) .offset = offsetof(struct type, member)
#define LIST(type, member) AT(type, member), .count = offsetof(struct type, n##member)

static const struct conf_word log_levels[] = {
	{"error", LOG_ERR}, {"warning", LOG_WARNING}, {"info", LOG_INFO}, {"debug", LOG_DEBUG},
	{NULL, 0},
};
static const struct conf_word digests[] = {{"none", 0}, {"crc32c", 1}, {NULL, 0}};
static const struct conf_word policies[] = {
	{"failover-only", 0},	   {"round-robin", 0},
	{"round-robin-subset", 0}, {"least-queue-depth", 0},
	{"weighted-paths", 0},	   {"least-blocks", 0},
	{"least-latency", 0},	   {NULL, 0},
};
/* The modules of policy/, which conf/ does not know: dsm_all there has the same names. */
static const struct conf_word dsms[] = {
	{"lio", 0}, {"tgt", 0}, {"alua", 0}, {"generic", 0}, {NULL, 0},
};
static const struct conf_word fences[] = {
	{"auto", CONF_FENCE_AUTO},
	{"reservation", CONF_FENCE_RESERVATION},
	{"reinstate", CONF_FENCE_REINSTATE},
	{"hold", CONF_FENCE_HOLD},
	{"solicited", CONF_FENCE_SOLICITED},
	{"off", CONF_FENCE_OFF},
	{NULL, 0},
};
static const struct conf_word failbacks[] = {
	{"immediate", 0},
	{"manual", CONF_QUEUE},
	{NULL, 0},
};
static const struct conf_word no_paths[] = {{"queue", CONF_QUEUE}, {"fail", 0}, {NULL, 0}};
static const struct conf_word probations[] = {{"off", 0}, {NULL, 0}};

const struct conf_section conf_sections[CONF_NKINDS] = {
	[CONF_MPIOD] = {"mpiod", "mpiod", "mpiod", "The daemon itself."},
	[CONF_TARGET] =
		{"target", "target NAME", "target san",
		 "An iSCSI target and the portals that lead to it; one section for each target."},
	[CONF_DEFAULTS] = {"defaults", "defaults", "defaults",
			   "What holds for every LUN where neither its own section nor one of its "
			   "hardware says otherwise."},
	[CONF_HARDWARE] =
		{"hardware", "hardware NAME", "hardware acme",
		 "What holds for storage of one kind, known by what it says it is (INQUIRY, as "
		 "mpioctl show tells it). The first section that fits is used, and storage that is "
		 "listed in one is used even where it is older than SPC-3. Every key of "
		 "[defaults] may be given here too."},
	[CONF_LUN] = {"lun", "lun NAME", "lun disk1",
		      "One LUN, and NAME its export. A LUN without a section is exported under its "
		      "identifier. Every key of [defaults] may be given here too."},
};

static const struct conf_key mpiod_keys[] = {
	{.name = "initiator_name",
	 .type = CONF_NAME,
	 AT(conf, initiator_name),
	 .example = "iqn.2026-01.org.mpiod:HOSTNAME",
	 .help = "The iSCSI name of this machine.",
	 .doc = "Storage grants access by this name. The default ends in the name of the host."},
	{.name = "listen",
	 .type = CONF_LISTEN,
	 LIST(conf, listen),
	 .repeat = true,
	 .def = "unix:/run/mpiod/nbd.sock",
	 .help = "Where NBD clients connect.",
	 .doc = "A tcp address other than a loopback one needs listen_insecure."},
	{.name = "listen_mode",
	 .type = CONF_MODE,
	 AT(conf, listen_mode),
	 .def = "0660",
	 .help = "The file mode of the unix sockets of listen: who may write may connect.",
	 .doc = "It holds for sockets that are made from then on, and not for those that systemd made."},
	{.name = "listen_group",
	 .type = CONF_GROUP,
	 AT(conf, listen_group),
	 .example = "disk",
	 .help = "The group of the unix sockets of listen.",
	 .doc = "The group of the daemon unless given; the daemon has to be a member. The directory of the "
		"socket has permissions of its own."},
	{.name = "allow",
	 .type = CONF_ALLOW,
	 LIST(conf, allow),
	 .repeat = true,
	 .example = "192.0.2.0/24",
	 .help = "Who may connect to listen by TCP; all others are closed before a byte is read.",
	 .doc = "Repeat it for more. Without one, only this machine may connect, or everybody with "
		"listen_insecure. What a reload changes holds for new connections."},
	{.name = "control",
	 .type = CONF_SOCKET,
	 AT(conf, control),
	 .def = "/run/mpiod/control.sock",
	 .help = "The socket that mpioctl talks to."},
	{.name = "log_level",
	 .type = CONF_ENUM,
	 AT(conf, log_level),
	 .def = "info",
	 .words = log_levels,
	 .help = "The least important messages that are still logged."},
	{.name = "max_inflight_bytes",
	 .type = CONF_SIZE,
	 AT(conf, max_inflight_bytes),
	 .def = "256M",
	 .min = 64 * MIB,
	 .max = 64 * GIB,
	 .help = "Memory for requests in flight; beyond it the daemon stops reading from clients."},
	{.name = "max_connections",
	 .type = CONF_COUNT,
	 AT(conf, max_connections),
	 .def = "128",
	 .min = 1,
	 .max = 10000,
	 .help = "NBD connections at the same time; more are closed at once.",
	 .doc = "The unit lets the service manager keep 1100 of them over a restart (FileDescriptorStoreMax): raise that, too."},
	{.name = "listen_insecure",
	 .type = CONF_BOOL,
	 AT(conf, listen_insecure),
	 .def = "no",
	 .help = "Allow listen and metrics on a tcp address that other machines can reach.",
	 .doc = "NBD has no encryption and no password here: whoever connects reads and writes "
		"the disks. Use nbdkit with TLS for remote clients instead."},
	{.name = "metrics",
	 .type = CONF_METRICS,
	 AT(conf, metrics),
	 .def = "off",
	 .help = "Where Prometheus reads metrics (HTTP).",
	 .doc = "An address other than a loopback one needs listen_insecure."},
};

static const struct conf_key target_keys[] = {
	{.name = "iqn",
	 .type = CONF_NAME,
	 AT(conf_target, iqn),
	 .required = true,
	 .example = "iqn.2001-05.com.example:storage.array1",
	 .help = "The iSCSI name of the target."},
	{.name = "portal",
	 .type = CONF_PORTALS,
	 LIST(conf_target, portals),
	 .repeat = true,
	 .required = true,
	 .example = "192.0.2.10:3260",
	 .help = "An address of the target; one session, and so one path to each LUN, for each.",
	 .doc = "Repeat it for every portal. The port is 3260 unless given. A host name is "
		"allowed. "
		"With via IFACE the session leaves through that network interface."},
	{.name = "discovery",
	 .type = CONF_BOOL,
	 AT(conf_target, discovery),
	 .def = "no",
	 .help = "Ask the target for more portals (SendTargets) and use those too."},
	{.name = "discovery_interval",
	 .type = CONF_TIME,
	 AT(conf_target, discovery_interval_us),
	 .def = "60",
	 .min = 5 * SEC,
	 .max = DAY,
	 .help = "How often the target is asked for portals, where discovery is on.",
	 .doc = "mpioctl rescan asks at once."},
	{.name = "luns",
	 .type = CONF_LUNS,
	 LIST(conf_target, luns),
	 .flag = offsetof(struct conf_target, all_luns),
	 .def = "all",
	 .help = "Which logical unit numbers to use."},
	{.name = "chap_user",
	 .type = CONF_USER,
	 AT(conf_target, chap_user),
	 .example = "mpiod",
	 .help = "The name to log in with (CHAP)."},
	{.name = "chap_secret_file",
	 .type = CONF_FILE,
	 AT(conf_target, chap_secret_file),
	 .example = "/etc/mpiod/san.secret",
	 .help = "The file that holds the secret of chap_user, 1 to 255 bytes.",
	 .doc = "One newline at the end is not part of the secret. The file should be readable by "
		"its "
		"owner only. A relative name is looked up in $CREDENTIALS_DIRECTORY where the "
		"service "
		"manager sets it, else beside the configuration file."},
	{.name = "mutual_chap_user",
	 .type = CONF_USER,
	 AT(conf_target, mutual_chap_user),
	 .example = "array1",
	 .help = "The name the target has to prove itself with (mutual CHAP)."},
	{.name = "mutual_chap_secret_file",
	 .type = CONF_FILE,
	 AT(conf_target, mutual_chap_secret_file),
	 .example = "/etc/mpiod/san-mutual.secret",
	 .help = "The file that holds the secret of mutual_chap_user.",
	 .doc = "It must not be the secret of chap_user."},
	{.name = "header_digest",
	 .type = CONF_BOOL,
	 AT(conf_target, header_digest),
	 .def = "none",
	 .words = digests,
	 .help = "Checksums over the headers of iSCSI PDUs."},
	{.name = "login_timeout",
	 .type = CONF_TIME,
	 AT(conf_target, login_timeout_us),
	 .def = "5",
	 .min = SEC,
	 .max = 120 * SEC,
	 .help = "How long connecting and logging in may take before it is tried again."},
};

static const struct conf_key opts_keys[] = {
	{.name = "policy",
	 .type = CONF_CHOICE,
	 AT(conf_opts, policy),
	 .words = policies,
	 .example = "round-robin",
	 .help = "How the path for the next I/O is chosen; unset, by what the storage reports "
		 "(round-robin)."},
	{.name = "failback",
	 .type = CONF_TIME,
	 AT(conf_opts, failback_us),
	 .def = "immediate",
	 .max = DAY,
	 .words = failbacks,
	 .help = "How long a path that came back must be healthy before I/O returns to it."},
	{.name = "probe_interval",
	 .type = CONF_TIME,
	 AT(conf_opts, probe_interval_us),
	 .def = "1",
	 .min = 100 * MS,
	 .max = 60 * SEC,
	 .help = "How often an idle session is probed."},
	{.name = "probe_timeout",
	 .type = CONF_TIME,
	 AT(conf_opts, probe_timeout_us),
	 .def = "0.5",
	 .min = 50 * MS,
	 .max = 30 * SEC,
	 .help = "How long a probe may stay unanswered before the path has failed."},
	{.name = "suspect_after",
	 .type = CONF_TIME,
	 AT(conf_opts, suspect_after_us),
	 .def = "0.05",
	 .min = 10 * MS,
	 .max = 10 * SEC,
	 .help = "How long a path must be silent, with I/O outstanding, before it is suspected.",
	 .doc = "The daemon learns how fast each session is; this is the least it will wait."},
	{.name = "command_timeout",
	 .type = CONF_TIME,
	 AT(conf_opts, command_timeout_us),
	 .def = "30",
	 .min = SEC,
	 .max = 600 * SEC,
	 .help = "How long one command may take when every path is slow at the same time."},
	{.name = "no_path_timeout",
	 .type = CONF_TIME,
	 AT(conf_opts, no_path_timeout_us),
	 .def = "120",
	 .max = DAY,
	 .words = no_paths,
	 .help = "How long I/O waits while no path works before it fails.",
	 .doc = "queue waits for ever, fail does not wait at all."},
	{.name = "no_path_max_bytes",
	 .type = CONF_SIZE,
	 AT(conf_opts, no_path_max_bytes),
	 .def = "64M",
	 .min = MIB,
	 .max = 64 * GIB,
	 .help = "How much I/O may wait while no path works."},
	{.name = "queue_depth",
	 .type = CONF_COUNT,
	 AT(conf_opts, queue_depth),
	 .def = "64",
	 .min = 1,
	 .max = 256,
	 .help = "Commands outstanding on one path."},
	{.name = "hedge",
	 .type = CONF_BOOL,
	 AT(conf_opts, hedge),
	 .def = "yes",
	 .help = "Send the reads of a suspect path on another one too, and take the first answer."},
	{.name = "read_only",
	 .type = CONF_BOOL,
	 AT(conf_opts, read_only),
	 .def = "no",
	 .help = "Refuse writes."},
	{.name = "probation",
	 .type = CONF_TIME,
	 AT(conf_opts, probation_us),
	 .def = "60",
	 .max = DAY,
	 .words = probations,
	 .help = "How long a path that flapped must stay healthy before it carries I/O again while "
		 "others are healthy."},
	{.name = "verify_interval",
	 .type = CONF_TIME,
	 AT(conf_opts, verify_interval_us),
	 .def = "10",
	 .min = SEC,
	 .max = 3600 * SEC,
	 .help = "How often the LUN behind an idle path is verified.",
	 .doc = "With TEST UNIT READY, or by its target port groups where access is asymmetric. "
		"probe_interval is about the session, this is about each LUN."},
	{.name = "fence",
	 .type = CONF_ENUM,
	 AT(conf_opts, fence),
	 .def = "auto",
	 .words = fences,
	 .help = "How a write that was under way on a path that failed is kept from running late.",
	 .doc = "auto is reservation where there is a reservation_key, else reinstate where the "
		"target proved that it does what that needs, else hold. mpiod.conf(5), FENCES, "
		"says what each needs and costs."},
	{.name = "fence_timeout",
	 .type = CONF_TIME,
	 AT(conf_opts, fence_timeout_us),
	 .def = "15",
	 .min = SEC,
	 .max = 3600 * SEC,
	 .help = "How long a write waits for a fence on its blocks at most.",
	 .doc = "After that it is sent though the older write may still run late, and an error in "
		"the log names the range."},
	{.name = "reservation_key",
	 .type = CONF_HEX,
	 AT(conf_opts, reservation_key),
	 .example = "0x6d70696f64",
	 .help = "Register every path for persistent reservations, under this key and 16 bits of "
		 "its own.",
	 .doc = "It must be another one on each host; hosts without a key can only read then. "
		"mpiod.conf(5), RESERVATIONS, says more."},
};

static const struct conf_key hardware_keys[] = {
	{.name = "vendor",
	 .type = CONF_GLOB,
	 AT(conf_hardware, vendor),
	 .max = 8,
	 .example = "ACME",
	 .help = "The vendor that the storage reports.",
	 .doc = "vendor or product has to be given; where both are, both have to fit."},
	{.name = "product",
	 .type = CONF_GLOB,
	 AT(conf_hardware, product),
	 .max = 16,
	 .example = "FastDisk*",
	 .help = "The product that the storage reports."},
	{.name = "dsm",
	 .type = CONF_CHOICE,
	 AT(conf_hardware, dsm),
	 .words = dsms,
	 .example = "alua",
	 .help = "The device-specific module that handles it; unset, the first that claims it."},
};

static const struct conf_key lun_keys[] = {
	{.name = "id",
	 .type = CONF_ID,
	 AT(conf_lun, id),
	 .required = true,
	 .example = "naa.600140512345678912345678abcdef00",
	 .help = "The identifier of the LUN, as mpioctl status shows it."},
	{.name = "alias",
	 .type = CONF_EXPORT,
	 AT(conf_lun, alias),
	 .example = "database",
	 .help = "The name of the export, if not that of the section."},
	{.name = "preferred",
	 .type = CONF_PORTAL,
	 AT(conf_lun, preferred),
	 .example = "192.0.2.10:3260",
	 .help = "The portal whose path failover-only prefers."},
	{.name = "active",
	 .type = CONF_ACTIVE,
	 LIST(conf_lun, active),
	 .repeat = true,
	 .example = "192.0.2.10:3260, 198.51.100.10:3260",
	 .help = "The portals whose paths round-robin-subset uses as long as one works."},
	{.name = "weight",
	 .type = CONF_WEIGHTS,
	 LIST(conf_lun, weights),
	 .repeat = true,
	 .example = "192.0.2.10:3260 10",
	 .help = "The weight of a portal's path for weighted-paths; the lowest takes all."},
};

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

_Static_assert(COUNT(lun_keys) + COUNT(opts_keys) <= CONF_MAX_KEYS, "CONF_MAX_KEYS");
_Static_assert(COUNT(hardware_keys) + COUNT(opts_keys) <= CONF_MAX_KEYS, "CONF_MAX_KEYS");

static const struct {
	const struct conf_key *keys;
	int n;
} tables[CONF_NKINDS] = {
	[CONF_MPIOD] = {mpiod_keys, COUNT(mpiod_keys)},
	[CONF_TARGET] = {target_keys, COUNT(target_keys)},
	[CONF_DEFAULTS] = {opts_keys, COUNT(opts_keys)},
	[CONF_HARDWARE] = {hardware_keys, COUNT(hardware_keys)},
	[CONF_LUN] = {lun_keys, COUNT(lun_keys)},
};

const struct conf_key *conf_key_at(enum conf_kind kind, int i)
{
	if (i < tables[kind].n)
		return &tables[kind].keys[i];
	i -= tables[kind].n;
	if ((kind == CONF_LUN || kind == CONF_HARDWARE) && i < COUNT(opts_keys))
		return &opts_keys[i];
	return NULL;
}

int conf_key_find(enum conf_kind kind, const char *name)
{
	const struct conf_key *k;

	for (int i = 0; (k = conf_key_at(kind, i)); i++)
		if (!strcmp(k->name, name))
			return i;
	return -ENOENT;
}

int conf_key_opt(const struct conf_key *k)
{
	/* by address, as a key of another table may bear the same name one day */
	for (int i = 0; i < COUNT(opts_keys); i++)
		if (k == &opts_keys[i])
			return i;
	return -1;
}

/* Optimal string alignment: a swap of neighbours counts as one slip, as it is one at a keyboard. */
static int distance(const char *a, const char *b)
{
	enum { MAX = 40 };
	int d[MAX + 1][MAX + 1], n = (int)strlen(a), m = (int)strlen(b);

	if (n > MAX || m > MAX)
		return MAX;
	for (int i = 0; i <= n; i++)
		d[i][0] = i;
	for (int j = 0; j <= m; j++)
		d[0][j] = j;
	for (int i = 1; i <= n; i++) {
		for (int j = 1; j <= m; j++) {
			int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			if (d[i - 1][j] + 1 < best)
				best = d[i - 1][j] + 1;
			if (d[i][j - 1] + 1 < best)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	}
	return d[n][m];
}

const char *conf_key_nearest(const char *typed, const char *(*next)(void *arg, int i), void *arg)
{
	const char *best = NULL, *name;
	int best_distance = 1000, len = (int)strlen(typed);

	for (int i = 0; (name = next(arg, i)); i++) {
		int d = distance(typed, name), n = (int)strlen(name), shorter = n < len ? n : len;

		/* chap_secret for chap_secret_file is far in letters, yet clear */
		if (shorter >= 4 && !strncmp(typed, name, shorter) && d > 2)
			d = 2;
		if (d <= (n < 6 ? 2 : n / 3) && d < n && d < best_distance) {
			best_distance = d;
			best = name;
		}
	}
	return best;
}
