/* SPDX-License-Identifier: MIT */
/* nbdkit-mpio-plugin(1): what nbdkit calls. */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "requests.h"
#include "../conf/keys.h"
#include "../daemon/log.h"
#include "../daemon/model.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

#define MAX_BLOCK (32U << 20) /* largest payload, as nbd proto.md suggests */

/* From get_ready to after_fork: made before nbdkit changes its user and its directory. */
static struct conf *later;
static bool forked;
static int lock = -1;

/* nbdkit has two levels; -v shows the lower one. */
static void to_nbdkit(int level, const char *text)
{
	if (level <= LOG_WARNING && !front_starting())
		nbdkit_error("%s", text);
	else
		nbdkit_debug("%s", text);
}

static void load(void)
{
	log_to(to_nbdkit);
}

static void unload(void)
{
	front_stop();
	conf_free(later);
	params_free();
	if (lock >= 0)
		close(lock);
	log_to(NULL);
}

static int config(const char *key, const char *value)
{
	return params_add(key, value);
}

/* FNV-1a, 64 bits */
static uint64_t hash(uint64_t h, const char *text)
{
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3ULL;
	return (h ^ 0xff) * 0x100000001b3ULL;
}

/*
 * Two with the same parameters would have the same initiator name and ISIDs: each would end the other's sessions
 * (RFC 7143 6.3.5) for ever. The name of an abstract socket is given up when its last owner is gone, however
 * it went. With config=FILE the control socket is the lock, against mpiod too.
 */
static int only_one(const struct conf *c)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	uint64_t h = 0xcbf29ce484222325ULL;
	int n;

	if (params_file())
		return 0;
	h = hash(hash(hash(h, c->initiator_name), c->targets[0].iqn), c->targets[0].name);
	n = snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "nbdkit-mpio/%016" PRIx64, h);
	lock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (lock >= 0 && bind(lock, (struct sockaddr *)&addr,
			      offsetof(struct sockaddr_un, sun_path) + 1 + n) == 0)
		return 0;
	if (lock >= 0 && errno == EADDRINUSE)
		nbdkit_error("another nbdkit has this target%s open as %s: give this one another initiator_name",
			     params_lun() ? " and LUN" : "", c->initiator_name);
	else
		nbdkit_error("socket: %s", strerror(errno));
	return -1;
}

static int get_ready(void)
{
	struct conf *c = params_conf();

	if (!c)
		return -1;
	if (only_one(c)) {
		conf_free(c);
		return -1;
	}
	later = params_conf();
	if (!later) {
		conf_free(c);
		return -1;
	}
	signal(SIGPIPE, SIG_IGN); /* nbdkit does so a little later */
	return front_try(c);
}

static int after_fork(void)
{
	struct conf *c = later;

	later = NULL;
	forked = true;
	return front_start(c);
}

static void cleanup(void)
{
	front_stop();
}

/* ---- exports ---- */

struct opening {
	struct job job;
	const char *name;
	struct handle *h;
	bool found;
};

static void run_open(struct server *sv, struct job *job)
{
	struct opening *o = list_entry(job, struct opening, job);
	struct lun *l = luns_find(sv, o->name);

	o->found = l;
	if (l) {
		l->users++;
		o->h->lun = l;
		snprintf(o->h->name, sizeof(o->h->name), "%s", l->name);
		snprintf(o->h->id, sizeof(o->h->id), "%s", l->id);
		o->h->size = l->size;
		o->h->block_size = l->block_size;
		o->h->read_only = l->opt->read_only || l->write_protect;
		o->h->can_trim = !l->no_unmap;
	}
	job_done(job);
}

static void *open_export(int readonly)
{
	struct opening o = { .job.run = run_open, .name = nbdkit_export_name() };

	o.h = calloc(1, sizeof(*o.h));
	if (!o.h || !o.name) {
		free(o.h);
		nbdkit_error("out of memory");
		return NULL;
	}
	front_call(&o.job);
	if (!o.found) {
		free(o.h);
		nbdkit_error(*o.name ? "no export \"%s\"" : "%swhich export? there is none, or more than one", o.name);
		nbdkit_set_error(ENOENT);
		return NULL;
	}
	o.h->read_only |= readonly;
	return o.h;
}

static void run_close(struct server *sv, struct job *job)
{
	struct opening *o = list_entry(job, struct opening, job);

	sv->unused |= !--o->h->lun->users;
	job_done(job);
}

static void close_export(void *handle)
{
	struct opening o = { .job.run = run_close, .h = handle };

	front_call(&o.job);
	free(handle);
}

struct listing {
	struct job job;
	int i;
	bool only;           /* the default one is wanted */
	bool found;
	char name[SCSI_ID_MAX], id[SCSI_ID_MAX];
};

static void run_list(struct server *sv, struct job *job)
{
	struct listing *list = list_entry(job, struct listing, job);
	const struct lun *l = list->only ? luns_find(sv, "") : luns_nth(sv, list->i);

	list->found = l;
	if (l) {
		snprintf(list->name, sizeof(list->name), "%s", l->name);
		snprintf(list->id, sizeof(list->id), "%s", l->id);
	}
	job_done(job);
}

static int list_exports(int readonly, int is_tls, struct nbdkit_exports *exports)
{
	struct listing list = { .job.run = run_list };

	(void)readonly;
	(void)is_tls;
	for (;; list.i++) {
		list.found = false;
		front_call(&list.job);
		if (!list.found)
			return 0;
		if (nbdkit_add_export(exports, list.name, list.id) < 0)
			return -1;
	}
}

static const char *default_export(int readonly, int is_tls)
{
	struct listing list = { .job.run = run_list, .only = true };

	(void)readonly;
	(void)is_tls;
	if (!forked) /* nbdkit --dump-plugin and the like */
		return NULL;
	front_call(&list.job);
	return list.found ? nbdkit_strdup_intern(list.name) : NULL;
}

/* ---- what an export can ---- */

static const char *export_description(void *handle)
{
	const struct handle *h = handle;

	return nbdkit_strdup_intern(h->id);
}

static int64_t get_size(void *handle)
{
	return (int64_t)((struct handle *)handle)->size;
}

static int block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
	const struct handle *h = handle;

	*minimum = 1; /* partial blocks are read, modified and written */
	*preferred = h->block_size < 4096 ? 4096 : h->block_size;
	*maximum = MAX_BLOCK;
	return 0;
}

static int yes(void *handle)
{
	(void)handle;
	return 1;
}

static int can_write(void *handle)
{
	return !((struct handle *)handle)->read_only;
}

static int can_trim(void *handle)
{
	return ((struct handle *)handle)->can_trim;
}

static int can_cache(void *handle)
{
	(void)handle;
	return NBDKIT_CACHE_NATIVE;
}

static int can_fua(void *handle)
{
	(void)handle;
	return NBDKIT_FUA_NATIVE;
}

/* ---- what a person asks ---- */

static void print_words(const char *name, enum conf_kind kind, const char *key)
{
	const struct conf_key *k = conf_key_at(kind, conf_key_find(kind, key));

	printf("%s=", name);
	for (const struct conf_word *w = k->words; w && w->word; w++)
		printf("%s%s", w == k->words ? "" : " ", w->word);
	putchar('\n');
}

static void dump_plugin(void)
{
	printf("mpio_version=" MPIOD_VERSION "\n");
	print_words("mpio_policies", CONF_DEFAULTS, "policy");
	print_words("mpio_fences", CONF_DEFAULTS, "fence");
	print_words("mpio_modules", CONF_HARDWARE, "dsm");
}

static struct nbdkit_plugin plugin = {
	.name = "mpio",
	.longname = "nbdkit mpio plugin",
	.version = MPIOD_VERSION,
	.description = "LUNs of iSCSI targets, each over all of its paths",
	.magic_config_key = PARAM_BARE,
	.load = load,
	.unload = unload,
	.config = config,
	.config_complete = params_complete,
	.config_help = "target=IQN         (required, or config) The iSCSI name of the target.\n"
		       "portal=ADDR[:PORT] (required, or config) An address of it; once for each path.\n"
		       "lun=LUN            Export only this one: a name, an identifier or a number.\n"
		       "config=FILE        Take all but lun from an mpiod.conf.\n"
		       "KEY=VALUE          A key of [defaults], [target] or [mpiod] of mpiod.conf,\n"
		       "                   such as policy, chap_user, initiator_name.",
	.dump_plugin = dump_plugin,
	.get_ready = get_ready,
	.after_fork = after_fork,
	.cleanup = cleanup,
	.list_exports = list_exports,
	.default_export = default_export,
	.export_description = export_description,
	.open = open_export,
	.close = close_export,
	.get_size = get_size,
	.block_size = block_size,
	.can_write = can_write,
	.can_flush = yes,
	.can_trim = can_trim,
	.can_zero = yes,
	.can_fast_zero = yes,
	.can_extents = yes, /* of those that can't tell, all of it holds data */
	.can_cache = can_cache,
	.can_fua = can_fua,
	.can_multi_conn = yes, /* all connections are clients of one engine */
	.pread = requests_read,
	.pwrite = requests_write,
	.flush = requests_flush,
	.trim = requests_trim,
	.zero = requests_zero,
	.cache = requests_cache,
	.extents = requests_extents,
	.errno_is_preserved = 1,
};

NBDKIT_REGISTER_PLUGIN(plugin)
