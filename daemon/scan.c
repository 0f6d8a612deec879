/* SPDX-License-Identifier: MIT */
/*
 * REPORT LUNS on a session (SPC-4 6.33): which LUNs are behind it, compared with the paths it has.
 * A new number becomes a path and is identified; one that is gone fails its path.
 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>

#define MAX_LUNS 255
#define ANSWER_BYTES (8 + 8 * MAX_LUNS)
#define SCAN_TRIES 12

static void send_report_luns(struct engine *e, struct session *s);

static struct path *find_path(struct session *s, uint16_t number)
{
	struct list *pos;

	list_for_each(pos, &s->paths) {
		struct path *p = list_entry(pos, struct path, in_session);

		if (p->lun_number == number)
			return p;
	}
	return NULL;
}

static bool wanted(const struct conf_target *t, uint16_t number)
{
	if (t->all_luns)
		return true;
	for (int i = 0; i < t->nluns; i++)
		if (t->luns[i] == (number & 0x3fff))
			return true;
	return false;
}

static bool reported(const uint16_t *luns, int n, uint16_t number)
{
	for (int i = 0; i < n; i++)
		if (luns[i] == number)
			return true;
	return false;
}

/* The list of the target against the paths we have. */
static void compare(struct engine *e, struct session *s, const uint16_t *luns, int n)
{
	struct list *pos;
	int found = 0;

	list_for_each(pos, &s->paths) {
		struct path *p = list_entry(pos, struct path, in_session);

		if (reported(luns, n, p->lun_number) && wanted(s->target->conf, p->lun_number)) {
			p->gone_since = 0;
			continue;
		}
		if (!p->gone_since)
			p->gone_since = e->now;
		path_fail(e, p, PATH_FAILED, "path-failed", "the target does not report this LUN any more");
	}
	for (int i = 0; i < n; i++) {
		struct path *p = find_path(s, luns[i]);

		if (!wanted(s->target->conf, luns[i]))
			continue;
		found++;
		if (!p)
			p = path_new(e, s, luns[i]);
		if (!p)
			continue;
		if (p->state == PATH_DOWN || p->state == PATH_FAILED) {
			path_set_state(e, p, PATH_IDENTIFYING, p->reason);
			identify_start(e, p);
		}
	}
	if (!found && !s->identified) {
		session_drop(e, s, "no-lun", "the target reports no LUN that is wanted here");
		return;
	}
	session_scanned(e, s);
}

/* Some targets answer REPORT LUNS with an error: the configured numbers, or LUN 0, then. */
static void compare_configured(struct engine *e, struct session *s)
{
	static const uint16_t zero;
	const struct conf_target *t = s->target->conf;

	if (t->all_luns)
		compare(e, s, &zero, 1);
	else
		compare(e, s, t->luns, t->nluns);
}

static void report_luns_done(struct engine *e, struct attempt *a)
{
	struct session *s = a->session;
	const struct scsi_cmd *c = a->cmd;
	uint16_t luns[MAX_LUNS];
	int n;

	s->scanning = false;
	if (s->removing)
		return;
	if (c->outcome == SCSI_OUT_STATUS && c->status == SCSI_ST_GOOD) {
		n = scsi_parse_report_luns(a->buf->data, c->got, luns, MAX_LUNS);
		if (n >= 0)
			compare(e, s, luns, n);
		else
			session_drop(e, s, "no-lun", "malformed answer to REPORT LUNS");
	} else if (c->outcome == SCSI_OUT_STATUS && c->sense.valid &&
		   c->sense.key == SCSI_KEY_ILLEGAL_REQUEST) {
		compare_configured(e, s);
	} else if (s->scan_tries++ < SCAN_TRIES) {
		send_report_luns(e, s); /* a unit attention, most likely: each try takes one away */
		return;
	} else {
		session_drop(e, s, "no-lun", "no usable answer to REPORT LUNS");
	}
	if (s->rescan && session_connected(s)) {
		s->rescan = false;
		session_scan(e, s);
	}
}

static void send_report_luns(struct engine *e, struct session *s)
{
	struct buf *b = buf_get(e->pool, ANSWER_BYTES);
	struct attempt *a = b ? attempt_new(e, s, NULL, b) : NULL;

	buf_put(b);
	if (!a) {
		session_drop(e, s, "no-memory", "out of memory");
		return;
	}
	cdb_report_luns(a->cmd, ANSWER_BYTES);
	attempt_set_data(a, a->buf->data, ANSWER_BYTES);
	a->done = report_luns_done;
	s->scanning = true;
	if (attempt_send(e, a)) {
		s->scanning = false;
		session_drop(e, s, "session-lost", "REPORT LUNS could not be sent");
	}
}

void session_scan(struct engine *e, struct session *s)
{
	if (s->scanning) {
		s->rescan = true;
		return;
	}
	s->scan_tries = 0;
	send_report_luns(e, s);
}
