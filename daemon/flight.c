/* SPDX-License-Identifier: MIT */
#include "flight.h"
#include "../transport/scsi.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC 0x3174676c66696d70ULL
#define NEXUSES 1024
#define LUNS 1024
#define RECORDS 16384
#define UNRECORDED UINT32_MAX

struct nexus_entry {
	uint32_t isid;
	int32_t tpgt;
	char target[256], session[160];
};

struct lun_entry {
	char id[SCSI_ID_MAX];
};

/* hi is stored last, and cleared first: 0 means free. */
struct record {
	uint64_t lo, hi;
	uint32_t nexus, lun;
};

/* Entry 0 of each table is never used, so that 0 can mean none. */
struct file {
	uint64_t magic;
	uint64_t overflow; /* writes under way that found no room */
	uint32_t nexuses, luns;
	struct nexus_entry nexus[NEXUSES];
	struct lun_entry lun[LUNS];
	struct record record[RECORDS];
};

struct flight {
	struct file *file;
	char path[4096];
	bool frozen, overflowed;
	uint64_t overflow; /* of this process */
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

/* Sorts the records into free ones and those of an earlier process; without any the names go, too. */
static void take_stock(struct flight *f)
{
	f->overflowed = f->file->overflow;
	f->file->overflow = 0;
	for (uint32_t i = RECORDS - 1; i; i--) {
		if (f->file->record[i].hi)
			f->old[f->nold++] = i;
		else
			f->free[f->nfree++] = i;
	}
	if (!f->nold)
		f->file->nexuses = f->file->luns = 0;
}

static struct file *map(const char *path, char *why, size_t cap)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct file *m = MAP_FAILED;
	struct stat st;
	bool fresh = false;

	if (fd >= 0 && !fstat(fd, &st)) {
		fresh = st.st_size == 0;
		if (!S_ISREG(st.st_mode))
			errno = EINVAL;
		else if (!posix_fallocate(fd, 0, sizeof(*m))) /* no SIGBUS later, for want of room */
			m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		else
			errno = ENOSPC;
	}
	if (m == MAP_FAILED) {
		snprintf(why, cap, "%s: %s", path, strerror(errno));
		m = NULL;
	} else if (!valid(m)) {
		if (!fresh)
			snprintf(why, cap, "%s is no record of writes under way: made anew", path);
		memset(m, 0, sizeof(*m));
		m->magic = MAGIC;
	}
	if (fd >= 0)
		close(fd);
	return m;
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
	f->file = map(path, why, cap);
	if (!f->file) {
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
	if (f->nfree == RECORDS - 1 && !f->file->overflow)
		unlink(f->path);
	munmap(f->file, sizeof(*f->file));
	free(f);
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

uint32_t flight_lun(struct flight *f, const char *id)
{
	uint32_t i;

	if (!f)
		return 0;
	for (i = 1; i <= f->file->luns; i++)
		if (!strcmp(f->file->lun[i].id, id))
			return i;
	if (i == LUNS || strlen(id) >= sizeof(f->file->lun[i].id))
		return 0;
	strcpy(f->file->lun[i].id, id);
	__atomic_store_n(&f->file->luns, i, __ATOMIC_RELEASE);
	return i;
}

uint32_t flight_put(struct flight *f, uint32_t nexus, uint32_t lun, uint64_t lo, uint64_t hi)
{
	struct record *r;
	uint32_t i;

	if (!f || f->frozen)
		return 0;
	if (!nexus || !lun || !f->nfree) {
		__atomic_store_n(&f->file->overflow, ++f->overflow, __ATOMIC_RELEASE);
		return UNRECORDED;
	}
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
	if (record == UNRECORDED) {
		__atomic_store_n(&f->file->overflow, --f->overflow, __ATOMIC_RELEASE);
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

bool flight_overflowed(const struct flight *f)
{
	return f && f->overflowed;
}
