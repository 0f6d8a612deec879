/* SPDX-License-Identifier: MIT */
/* Unit attentions, for each session and LUN in the order they came up (SAM-5 5.14). */
#include "target.h"

#include <string.h>

void ua_add(struct conn *c, uint16_t lun, uint8_t asc, uint8_t ascq)
{
	for (int i = 0; i < c->nua; i++)
		if (c->ua[i].lun == lun && c->ua[i].asc == asc && c->ua[i].ascq == ascq)
			return;
	if (c->nua < MAX_UAS)
		c->ua[c->nua++] = (struct ua){ lun, asc, ascq };
}

void ua_all(int lun, uint8_t asc, uint8_t ascq, const struct conn *but)
{
	struct list *pos;

	if (!T.uas)
		return;
	list_for_each(pos, &T.conns) {
		struct conn *c = list_entry(pos, struct conn, link);

		if (!c->full || c->discovery || c == but)
			continue;
		for (int i = 0; i < MAX_LUNS; i++)
			if (T.disk[i].used && T.disk[i].portals >> c->portal & 1 &&
			    (lun < 0 || T.disk[i].lun == lun))
				ua_add(c, T.disk[i].lun, asc, ascq);
	}
}

void ua_nexus(const struct nexus *n, uint16_t lun, uint8_t asc, uint8_t ascq)
{
	struct list *pos;

	list_for_each(pos, &T.conns) {
		struct conn *c = list_entry(pos, struct conn, link);

		if (T.uas && c->full && !c->discovery && nexus_same(&c->nexus, n))
			ua_add(c, lun, asc, ascq);
	}
}

bool ua_take(struct task *t)
{
	struct conn *c = t->conn;

	for (int i = 0; c && i < c->nua; i++) {
		if (c->ua[i].lun != t->lun)
			continue;
		check(t, 0x06, c->ua[i].asc, c->ua[i].ascq);
		memmove(&c->ua[i], &c->ua[i + 1], sizeof(c->ua[0]) * (size_t)(c->nua - i - 1));
		c->nua--;
		return true;
	}
	return false;
}
