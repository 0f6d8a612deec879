/* SPDX-License-Identifier: MIT */
/* A client's connection, and the calls of nbdkit that are requests to the engine. */
#ifndef PLUGIN_REQUESTS_H
#define PLUGIN_REQUESTS_H

#include "plugin.h"
#include "../transport/scsi.h"

/* What a connection was told when it opened the export, which holds as long as it lasts. */
struct handle {
	struct lun *lun; /* held by its users; the loop's, but for its address */
	char name[SCSI_ID_MAX], id[SCSI_ID_MAX];
	uint64_t size;
	uint32_t block_size;
	bool read_only, can_trim;
};

int requests_read(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags);
int requests_write(void *handle, const void *buf, uint32_t count, uint64_t offset, uint32_t flags);
int requests_flush(void *handle, uint32_t flags);
int requests_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags);
int requests_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags);
int requests_cache(void *handle, uint32_t count, uint64_t offset, uint32_t flags);
struct nbdkit_extents;
int requests_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
		     struct nbdkit_extents *to);

#endif
