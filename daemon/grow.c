/* SPDX-License-Identifier: MIT */
/*
 * A LUN whose capacity changes under us (06/2A/09, SBC-3 4.7): every path is asked again. When all of
 * them agree that it has grown, the new size is the export's; one that has shrunk, or has other
 * blocks, is not the disk that clients know: refused, loudly.
 */
#include "internal.h"

#define ANSWER_BYTES 32

static void judge(struct engine *e, struct lun *l)
{
	struct list *pos, *tmp;
	uint64_t size = 0;
	bool agree = true;

	list_for_each_safe(pos, tmp, &l->paths) {
		struct path *p = list_entry(pos, struct path, in_lun);

		if (p->state != PATH_USABLE || !p->measured)
			continue;
		if (p->measured < l->size || p->measured_block != l->block_size) {
			path_fail(e, p, PATH_REFUSED, "path-refused",
				  "the LUN has shrunk: %llu bytes in blocks of %u, expected %llu in blocks of %u",
				  (unsigned long long)p->measured, p->measured_block,
				  (unsigned long long)l->size, l->block_size);
			continue;
		}
		agree &= !size || size == p->measured;
		size = p->measured;
	}
	if (!agree) {
		engine_emit(e, EVENT_WARNING, "capacity-changed", l, NULL,
			    "the paths do not agree on the new capacity yet: clients keep the old one");
		return;
	}
	if (size <= l->size)
		return;
	engine_emit(e, EVENT_WARNING, "capacity-grown", l, NULL,
		    "has grown from %llu to %llu bytes; clients of mpio-attach see it soon, others when they connect again",
		    (unsigned long long)l->size, (unsigned long long)size);
	l->size = l->reported = size;
	e->ops->lun_ready(e->arg, l);
}

static void measure(struct engine *e, struct path *p);

static void measured(struct engine *e, struct attempt *a)
{
	struct path *p = a->path;
	struct lun *l = p->lun;
	struct scsi_capacity c;

	p->measure = NULL;
	l->measuring--;
	p->measured = 0;
	if (a->cmd->outcome == SCSI_OUT_STATUS && a->cmd->status == SCSI_ST_GOOD &&
	    scsi_parse_capacity16(a->buf->data, a->cmd->got, &c) == 0) {
		p->measured = c.blocks * c.block_size;
		p->measured_block = c.block_size;
	} else if (p->state == PATH_USABLE && a->cmd->sense.key == SCSI_KEY_UNIT_ATTENTION) {
		measure(e, p); /* the same news for this path: once more */
	}
	if (!l->measuring)
		judge(e, l);
}

static void measure_lost(struct engine *e, struct attempt *a)
{
	struct lun *l = a->path->lun;

	a->path->measure = NULL;
	a->path->measured = 0;
	if (!--l->measuring)
		judge(e, l);
}

static void measure(struct engine *e, struct path *p)
{
	struct buf *b = buf_get(e->pool, ANSWER_BYTES);
	struct attempt *a = b ? attempt_new(e, p->session, p, b) : NULL;

	buf_put(b);
	if (!a)
		return;
	cdb_read_capacity16(a->cmd, ANSWER_BYTES);
	attempt_set_data(a, a->buf->data, ANSWER_BYTES);
	a->done = measured;
	a->lost = measure_lost;
	if (attempt_send(e, a))
		return;
	p->measure = a;
	p->lun->measuring++;
}

void grow_look(struct engine *e, struct lun *l)
{
	struct list *pos;

	list_for_each(pos, &l->paths) {
		struct path *p = list_entry(pos, struct path, in_lun);

		if (p->state == PATH_USABLE && session_connected(p->session) && !p->measure)
			measure(e, p);
	}
}
