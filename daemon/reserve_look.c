/* SPDX-License-Identifier: MIT */
/* Who has registered and reserved what, for those who ask (SPC-4 6.15). */
#include "fence.h"
#include "reserve.h"

static void look_lost(struct engine *e, struct attempt *a)
{
	(void)e;
	a->path->lun->reservation.out = NULL;
}

static void look_send(struct engine *e, struct path *p, enum scsi_pr_in what,
		      void (*done)(struct engine *e, struct attempt *a))
{
	struct attempt *a = reserve_command(e, p, done);

	if (!a)
		return;
	a->lost = look_lost;
	cdb_pr_in(a->cmd, what, RESERVE_ANSWER_BYTES);
	attempt_set_data(a, a->buf->data, a->cmd->len);
	if (attempt_send(e, a) == 0)
		p->lun->reservation.out = a;
}

static bool look_good(struct attempt *a)
{
	struct reserve_view *v = &a->path->lun->reservation;

	v->out = NULL;
	if (a->cmd->outcome == SCSI_OUT_STATUS && reserve_unsupported(a->cmd))
		v->unsupported = true;
	return a->cmd->outcome == SCSI_OUT_STATUS && a->cmd->status == SCSI_ST_GOOD;
}

static void held_read(struct engine *e, struct attempt *a)
{
	struct reserve_view *v = &a->path->lun->reservation;
	struct scsi_reservation r;

	if (look_good(a) && scsi_parse_pr_reservation(a->buf->data, a->cmd->got, &r) == 0) {
		v->held = r;
		v->read_at = e->now;
	}
}

static void view_keys(struct engine *e, struct attempt *a)
{
	struct path *p = a->path;
	struct reserve_view *v = &p->lun->reservation;
	uint32_t generation;
	int n;

	if (!look_good(a))
		return;
	n = scsi_parse_pr_keys(a->buf->data, a->cmd->got, &generation, v->keys, RESERVE_KEYS);
	v->nkeys = n < 0 ? 0 : n < RESERVE_KEYS ? n : RESERVE_KEYS;
	if (p->state == PATH_USABLE)
		look_send(e, p, SCSI_PR_READ_RESERVATION, held_read);
}

void reserve_look(struct engine *e, struct lun *l)
{
	struct list *pos;

	if (l->reservation.out || l->reservation.unsupported)
		return;
	list_for_each(pos, &l->paths) {
		struct path *p = list_entry(pos, struct path, in_lun);

		if (path_takes_io(p) && p->session->state == SESSION_UP) {
			look_send(e, p, SCSI_PR_READ_KEYS, view_keys);
			return;
		}
	}
}
