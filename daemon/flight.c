/* SPDX-License-Identifier: MIT */
#include "flight.h"
#include "../transport/scsi.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAGIC 0x3274676c66696d70ULL
#define NEXUSES 1024
#define LUNS 1024
#define RECORDS 16384
/* Numbers of records that have no room of their own; the low bits are the LUN's. */
#define ALL (1U << 31)
#define NAMELESS (1U << 30) /* stands for what was left without the LUN's name, too */
#define LUN_OF(record) ((record) & 0xffff)
#define LOCK_TRIES 100
#define LOCK_NS 20000000 /* an mpiod that is about to be gone */

struct nexus_entry {
	uint32_t isid;
	int32_t tpgt;
	char target[256], session[160];
};

struct lun_entry {
	uint32_t all;  /* writes under way that found no room, or whose blocks are not known */
	uint32_t lost; /* the next flush is to fail */
	char id[SCSI_ID_MAX];
};

/* hi is stored last, and cleared first: 0 means free. */
struct record {
	uint64_t lo, hi;
	uint32_t nexus, lun;
};

/* Entry 0 of each table has no name, so that 0 can mean none. */
struct file {
	uint64_t magic;
	uint32_t nexuses, luns;
	struct nexus_entry nexus[NEXUSES];
	struct lun_entry lun[LUNS];
	struct record record[RECORDS];
};

struct flight {
	struct file *file;
	char path[4096];
	int fd;                /* locked for as long as we live; -1: it is no file, nobody will find it */
	bool frozen;
	bool nameless;         /* writes of an earlier process may be on any block of any LUN */
	bool nameless_stored;  /* and the file still says so */
	bool old_all[LUNS];
	uint32_t nfree, nold;
	uint32_t free[RECORDS], old[RECORDS];
};

static bool text_ends(const char *s, size_t cap)
{
	return memchr(s, '\0', cap) != NULL;
}

/* Whoever wrote it, no index and no text of it leads out of it. */
static bool valid(const struct file *m)
{
	if (m->magic != MAGIC || m->nexuses >= NEXUSES || m->luns >= LUNS)
		return false;
	for (uint32_t i = 1; i <= m->nexuses; i++)
		if (!text_ends(m->nexus[i].target, sizeof(m->nexus[i].target)) ||
		    !text_ends(m->nexus[i].session, sizeof(m->nexus[i].session)))
			return false;
	for (uint32_t i = 1; i <= m->luns; i++)
		if (!text_ends(m->lun[i].id, sizeof(m->lun[i].id)))
			return false;
	for (uint32_t i = 1; i < RECORDS; i++) {
		const struct record *r = &m->record[i];

		if (r->hi && (r->lo >= r->hi || !r->nexus || r->nexus > m->nexuses || !r->lun ||
			      r->lun > m->luns))
			return false;
	}
	return true;
}

static bool nothing_in(const struct file *m)
{
	for (uint32_t i = 1; i < RECORDS; i++)
		if (m->record[i].hi)
			return false;
	for (uint32_t i = 0; i <= m->luns; i++)
		if (m->lun[i].all || m->lun[i].lost)
			return false;
	return true;
}

/* Sorts the records into free ones and those of an earlier process; without any the names go, too. */
static void take_stock(struct flight *f)
{
	struct file *m = f->file;

	if (nothing_in(m))
		m->nexuses = m->luns = 0;
	for (uint32_t i = RECORDS - 1; i; i--) {
		if (m->record[i].hi)
			f->old[f->nold++] = i;
		else
			f->free[f->nfree++] = i;
	}
	for (uint32_t i = 0; i <= m->luns; i++) {
		f->old_all[i] = m->lun[i].all != 0;
		m->lun[i].all = f->old_all[i]; /* one that stands for them all */
	}
	f->nameless = f->nameless_stored = f->old_all[0];
}

/* 0 and the file, locked, which nobody else can change; or -1, and why. The lock ends with the process, whatever ends it. */
static int open_locked(const char *path, struct stat *st, char *why, size_t cap)
{
	const struct timespec moment = { .tv_nsec = LOCK_NS };
	const char *text = "another process uses it";
	int fd = -1;

	for (int i = 0; i < LOCK_TRIES; i++) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
		if (fd < 0 || fstat(fd, st)) {
			text = strerror(errno);
			break;
		}
		if (!S_ISREG(st->st_mode) || st->st_uid != geteuid() || st->st_mode & 022 || st->st_nlink > 1) {
			text = "it is no file that only mpiod can change";
			break;
		}
		if (!flock(fd, LOCK_EX | LOCK_NB) && !fstat(fd, st) && st->st_nlink)
			return fd;
		close(fd); /* or it was removed under us */
		fd = -1;
		nanosleep(&moment, NULL);
	}
	snprintf(why, cap, "%s: %s", path, text);
	if (fd >= 0)
		close(fd);
	return -1;
}

static void *map(int fd)
{
	void *m = mmap(NULL, sizeof(struct file), PROT_READ | PROT_WRITE, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED,
		       fd, 0);

	return m == MAP_FAILED ? NULL : m;
}

/* The file as it is. */
static struct file *map_file(struct flight *f, bool *there, char *why, size_t cap)
{
	struct file *m = NULL;
	struct stat st;

	*there = lstat(f->path, &st) == 0 || errno != ENOENT;
	f->fd = open_locked(f->path, &st, why, cap);
	if (f->fd < 0)
		return NULL;
	*there = st.st_size != 0;
	errno = posix_fallocate(f->fd, 0, sizeof(*m)); /* no SIGBUS later, for want of room */
	if (!errno)
		m = map(f->fd);
	if (m)
		return m;
	snprintf(why, cap, "%s: %s", f->path, strerror(errno));
	if (!*there)
		unlink(f->path);
	close(f->fd);
	f->fd = -1;
	return NULL;
}

/* What was there and can't be read may have told of any write. */
static int open_file(struct flight *f, char *why, size_t cap)
{
	bool there;

	f->file = map_file(f, &there, why, cap);
	if (!f->file)
		f->file = map(-1);
	else if (valid(f->file))
		return 0;
	else if (there)
		snprintf(why, cap, "%s is no record of writes under way: made anew", f->path);
	if (!f->file)
		return -1;
	memset(f->file, 0, sizeof(*f->file));
	f->file->lun[0].all = there;
	f->file->magic = MAGIC;
	return 0;
}

struct flight *flight_open(const char *path, char *why, size_t cap)
{
	struct flight *f = calloc(1, sizeof(*f));

	why[0] = '\0';
	if (!f || strlen(path) >= sizeof(f->path)) {
		snprintf(why, cap, "%s: %s", path, strerror(f ? ENAMETOOLONG : ENOMEM));
		free(f);
		return NULL;
	}
	strcpy(f->path, path);
	if (open_file(f, why, cap)) {
		if (f->fd >= 0)
			close(f->fd);
		free(f);
		return NULL;
	}
	take_stock(f);
	return f;
}

void flight_close(struct flight *f)
{
	if (!f)
		return;
	if (f->fd >= 0 && nothing_in(f->file))
		unlink(f->path);
	munmap(f->file, sizeof(*f->file));
	if (f->fd >= 0)
		close(f->fd); /* and with it the lock: whoever waits for it sees the file, or none */
	free(f);
}

bool flight_kept(const struct flight *f)
{
	return f && f->fd >= 0;
}

uint32_t flight_nexus(struct flight *f, const struct flight_nexus *n)
{
	struct nexus_entry *e;
	uint32_t i;

	if (!f)
		return 0;
	for (i = 1; i <= f->file->nexuses; i++) {
		e = &f->file->nexus[i];
		if (e->isid == n->isid && e->tpgt == n->tpgt && !strcmp(e->target, n->target) &&
		    !strcmp(e->session, n->session))
			return i;
	}
	if (i == NEXUSES || strlen(n->target) >= sizeof(e->target) || strlen(n->session) >= sizeof(e->session))
		return 0;
	e = &f->file->nexus[i];
	e->isid = n->isid;
	e->tpgt = n->tpgt;
	strcpy(e->target, n->target);
	strcpy(e->session, n->session);
	__atomic_store_n(&f->file->nexuses, i, __ATOMIC_RELEASE);
	return i;
}

static uint32_t find_lun(const struct flight *f, const char *id)
{
	for (uint32_t i = 1; i <= f->file->luns; i++)
		if (!strcmp(f->file->lun[i].id, id))
			return i;
	return 0;
}

uint32_t flight_lun(struct flight *f, const char *id)
{
	uint32_t i = f ? find_lun(f, id) : 0;

	if (!f || i)
		return i;
	i = f->file->luns + 1;
	if (i == LUNS || strlen(id) >= sizeof(f->file->lun[i].id))
		return 0;
	f->file->lun[i].all = f->file->lun[i].lost = 0;
	strcpy(f->file->lun[i].id, id);
	__atomic_store_n(&f->file->luns, i, __ATOMIC_RELEASE);
	return i;
}

static void count_all(struct flight *f, uint32_t lun, int n)
{
	__atomic_add_fetch(&f->file->lun[lun].all, n, __ATOMIC_RELEASE);
}

uint32_t flight_put_all(struct flight *f, uint32_t lun)
{
	if (!f || f->frozen)
		return 0;
	count_all(f, lun, 1);
	return ALL | lun;
}

uint32_t flight_put(struct flight *f, uint32_t nexus, uint32_t lun, uint64_t lo, uint64_t hi)
{
	struct record *r;
	uint32_t i;

	if (!f || f->frozen)
		return 0;
	if (!nexus || !lun || !f->nfree)
		return flight_put_all(f, lun);
	i = f->free[--f->nfree];
	r = &f->file->record[i];
	r->lo = lo;
	r->nexus = nexus;
	r->lun = lun;
	__atomic_store_n(&r->hi, hi, __ATOMIC_RELEASE);
	return i;
}

void flight_end(struct flight *f, uint32_t record)
{
	if (!f || f->frozen || !record)
		return;
	if (record & ALL) {
		count_all(f, LUN_OF(record), -1);
		if (record & NAMELESS && f->nameless_stored) {
			f->nameless_stored = false;
			count_all(f, 0, -1);
		}
		return;
	}
	__atomic_store_n(&f->file->record[record].hi, 0, __ATOMIC_RELEASE);
	f->free[f->nfree++] = record;
}

void flight_freeze(struct flight *f)
{
	if (f)
		f->frozen = true;
}

uint32_t flight_take_old(struct flight *f, const char *lun, struct flight_write *out)
{
	for (uint32_t k = 0; f && k < f->nold; k++) {
		uint32_t i = f->old[k];
		const struct record *r = &f->file->record[i];
		const struct nexus_entry *e = &f->file->nexus[r->nexus];

		if (strcmp(f->file->lun[r->lun].id, lun) != 0)
			continue;
		f->old[k] = f->old[--f->nold];
		*out = (struct flight_write){
			.nexus = { .target = e->target, .session = e->session, .isid = e->isid, .tpgt = e->tpgt },
			.lo = r->lo,
			.hi = r->hi,
		};
		return i;
	}
	return 0;
}

/* What has no name is every LUN's, each of which gets an entry of its own, for a crash of this process. */
uint32_t flight_take_all(struct flight *f, const char *lun)
{
	uint32_t i = f ? find_lun(f, lun) : 0;

	if (i && f->old_all[i]) {
		f->old_all[i] = false;
		return ALL | i | (f->nameless ? NAMELESS : 0);
	}
	return f && f->nameless ? flight_put_all(f, flight_lun(f, lun)) | NAMELESS : 0;
}

void flight_set_lost(struct flight *f, uint32_t lun, bool lost)
{
	if (f && lun)
		__atomic_store_n(&f->file->lun[lun].lost, lost, __ATOMIC_RELEASE);
}

bool flight_lost(const struct flight *f, const char *lun)
{
	uint32_t i = f ? find_lun(f, lun) : 0;

	return i && f->file->lun[i].lost;
}
