/* SPDX-License-Identifier: MIT */
/* The disks: memory that costs nothing until it is written, and a name. */
#include "target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SIZE_LIMIT (1ULL << 44)

struct disk *disk_find(int portal, uint16_t lun)
{
	for (int i = 0; i < MAX_LUNS; i++)
		if (T.disk[i].used && T.disk[i].lun == lun &&
		    (portal < 0 || T.disk[i].portals >> portal & 1))
			return &T.disk[i];
	return NULL;
}

bool disk_resize(struct disk *d, uint64_t blocks, uint32_t block_size)
{
	size_t cap;
	void *p, *map;

	if (block_size < 512 || block_size > 65536 || block_size & (block_size - 1) || !blocks ||
	    blocks > SIZE_LIMIT / block_size)
		return false;
	cap = blocks * block_size;
	if (cap > d->cap) {
		if (d->data)
			p = mremap(d->data, d->cap, cap, MREMAP_MAYMOVE);
		else
			p = mmap(NULL, cap, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p == MAP_FAILED)
			return false;
		d->data = p;
		if (d->map)
			map = mremap(d->map, d->cap / 512, cap / 512, MREMAP_MAYMOVE);
		else
			map = mmap(NULL, cap / 512, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (map == MAP_FAILED)
			abort();
		d->map = map;
		d->cap = cap;
	}
	d->blocks = blocks;
	d->block_size = block_size;
	return true;
}

bool disk_name(struct disk *d, const char *naa)
{
	size_t n = strlen(naa);

	if ((n != 16 && n != 32) || strspn(naa, "0123456789abcdefABCDEF") != n)
		return false;
	strcpy(d->naa, naa);
	return true;
}

struct disk *disk_new(uint16_t lun, uint64_t blocks)
{
	struct disk *d = T.disk;

	while (d < T.disk + MAX_LUNS && d->used)
		d++;
	if (d == T.disk + MAX_LUNS)
		return NULL;
	*d = (struct disk){ .lun = lun,
			    .portals = UINT64_MAX,
			    .version = 6,
			    .tpgs = T.tpgs,
			    .thin = true,
			    .lbprz = true,
			    .extents = 64,
			    .vendor = "MPIOD",
			    .product = "TEST" };
	memset(d->state, STATE_SHARED, sizeof(d->state));
	snprintf(d->naa, sizeof(d->naa), "6001405%025x", (unsigned)lun);
	snprintf(d->serial, sizeof(d->serial), "T%u", lun);
	d->used = disk_resize(d, blocks, 512);
	return d->used ? d : NULL;
}

void disk_remove(struct disk *d)
{
	task_abort_nexus(NULL, d);
	if (d->data)
		munmap(d->data, d->cap);
	if (d->map)
		munmap(d->map, d->cap / 512);
	*d = (struct disk){ 0 };
}
