/* SPDX-License-Identifier: MIT */
/*
 * A real engine with a model that was put together by hand: target san with two portals, export
 * "db" with a path through each, of which the first has failed, and a LUN without a section on the
 * second. Nothing is connected to anything.
 */
#ifndef T_UNIT_DAEMON_MODEL_H
#define T_UNIT_DAEMON_MODEL_H

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/events.h"
#include "daemon/internal.h"

#define MODEL_DB "naa.60014050000000000000000000000001"
#define MODEL_OTHER "t10.IET     00010002"
#define MODEL_PATH1 "san/192.0.2.1:3260/1"
#define MODEL_PATH2 "san/192.0.2.2:3260/1"

struct model {
	struct engine *engine;
	struct buf_pool *pool;
	struct conf *conf;
	struct events *events;
	struct session *s1, *s2;
	struct lun *db, *other;
	struct path *p1, *p2, *p3;
};

static inline void model_on_event(void *arg, const struct event *ev)
{
	events_add(((struct model *)arg)->events, ev, 1700000000000000);
}

static inline void model_session(void *arg, struct session *s) {}
static inline void model_lun(void *arg, struct lun *l) {}
static inline void model_room(void *arg) {}
static inline void model_discover(void *arg, struct target *t) {}
static inline void model_done(void *arg, struct request *r) {}

static inline int model_submit(void *arg, struct session *s, struct scsi_cmd *cmd)
{
	return -ENOTCONN;
}

static inline int model_probe(void *arg, struct session *s)
{
	return -ENOTCONN;
}

static inline uint64_t model_silence(void *arg, struct session *s)
{
	return 0;
}

static const struct engine_ops model_ops = {
	.session_start = model_session,
	.session_kill = model_session,
	.session_logout = model_session,
	.submit = model_submit,
	.probe = model_probe,
	.silence = model_silence,
	.discover = model_discover,
	.request_done = model_done,
	.lun_ready = model_lun,
	.lun_gone = model_lun,
	.room = model_room,
	.event = model_on_event,
};

static inline struct lun *model_new_lun(struct model *m, const char *id, uint64_t size)
{
	struct lun *l = lun_new(m->engine, id);

	ck_assert_ptr_nonnull(l);
	l->size = size;
	l->block_size = 512;
	l->announced = true;
	strcpy(l->inquiry.vendor, "IET");
	strcpy(l->inquiry.product, "VIRTUAL-DISK");
	strcpy(l->inquiry.revision, "0001");
	strcpy(l->serial, "beaf11");
	return l;
}

static inline struct path *model_new_path(struct model *m, struct session *s, struct lun *l,
					  uint16_t number)
{
	struct path *p = path_new(m->engine, s, number);

	ck_assert_ptr_nonnull(p);
	lun_attach_path(m->engine, l, p);
	path_set_state(m->engine, p, PATH_USABLE, "");
	return p;
}

static inline void model_start(struct model *m)
{
	static const char text[] = "[target san]\niqn = iqn.2026-01.t:d1\n"
				   "portal = 192.0.2.1\nportal = 192.0.2.2\n"
				   "[lun db]\nid = " MODEL_DB "\n";
	char *errors = NULL;
	struct target *t;

	memset(m, 0, sizeof(*m));
	m->conf = conf_parse("test.conf", text, strlen(text), &errors);
	ck_assert_msg(m->conf != NULL, "%s", errors);
	m->pool = buf_pool_new(0);
	m->events = events_new(EVENTS_KEPT);
	m->engine = engine_new(&model_ops, m, m->pool, 1);
	engine_set_time(m->engine, 1000000);
	engine_configure(m->engine, m->conf);
	engine_tick(m->engine);
	t = list_entry(m->engine->targets.next, struct target, in_engine);
	m->s1 = list_entry(t->sessions.next, struct session, in_target);
	m->s2 = list_entry(t->sessions.prev, struct session, in_target);
	m->s1->state = m->s2->state = SESSION_UP;
	m->db = model_new_lun(m, MODEL_DB, 64 << 20);
	m->other = model_new_lun(m, MODEL_OTHER, 1 << 20);
	m->p1 = model_new_path(m, m->s1, m->db, 1);
	m->p2 = model_new_path(m, m->s2, m->db, 1);
	m->p3 = model_new_path(m, m->s2, m->other, 0x4002); /* flat addressing: LUN 2 */
	engine_set_time(m->engine, 5000000);
	path_fail(m->engine, m->p1, PATH_FAILED, "path-failed",
		  "it says 02/04/03: \"repair\"\x1b[31m");
	engine_set_time(m->engine, 8500000);
}

static inline void model_stop(struct model *m)
{
	m->p1->inflight = m->p2->inflight = m->p3->inflight = 0;
	engine_free(m->engine);
	events_free(m->events);
	buf_pool_free(m->pool);
	conf_free(m->conf);
}

#endif
