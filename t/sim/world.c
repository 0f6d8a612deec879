/* SPDX-License-Identifier: MIT */
/* One run: a random world, faults for a while, then peace, in which everything has to come to its end. */
#include "sim.h"
#include "../../daemon/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORM (4 * SEC)       /* of virtual time with faults */
#define PEACE (400 * SEC)     /* for all to end after it */
#define STALL_MAX (25 * SEC)  /* while one path was healthy all the time; command_timeout is 30 s */
#define STEPS_MAX 2000000

uint32_t sim_random(struct sim *s)
{
	s->rng ^= s->rng >> 12;
	s->rng ^= s->rng << 25;
	s->rng ^= s->rng >> 27;
	return (s->rng * 0x2545f4914f6cdd1dULL) >> 32;
}

void sim_trace(struct sim *s, const char *fmt, ...)
{
	char *line = s->trace[s->trace_at++ % 64];
	int n = snprintf(line, 160, "%10.3f ms  ", s->now / 1000.);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line + n, 160 - n, fmt, ap);
	va_end(ap);
	if (s->verbose)
		puts(line);
}

void sim_fail(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (s->failed)
		return;
	s->failed = true;
	va_start(ap, fmt);
	vsnprintf(s->why, sizeof(s->why), fmt, ap);
	va_end(ap);
	sim_trace(s, "CHECK FAILED: %s", s->why);
}

/* ---- the queue of what will happen: a binary heap by (time, order of creation) ---- */

static bool before(const struct pending *a, const struct pending *b)
{
	return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

void sim_at(struct sim *s, uint64_t delay, int kind, uint64_t a, uint64_t b)
{
	size_t i;

	if (s->nq == s->capq) {
		s->capq = s->capq ? 2 * s->capq : 256;
		s->q = realloc(s->q, s->capq * sizeof(*s->q));
	}
	i = s->nq++;
	s->q[i] = (struct pending){ s->now + delay, ++s->seq, a, b, kind };
	while (i && before(&s->q[i], &s->q[(i - 1) / 2])) {
		struct pending t = s->q[i];

		s->q[i] = s->q[(i - 1) / 2];
		s->q[(i - 1) / 2] = t;
		i = (i - 1) / 2;
	}
}

static struct pending pop(struct sim *s)
{
	struct pending top = s->q[0];
	size_t i = 0;

	s->q[0] = s->q[--s->nq];
	for (;;) {
		size_t l = 2 * i + 1, m = i;
		struct pending t;

		if (l < s->nq && before(&s->q[l], &s->q[m]))
			m = l;
		if (l + 1 < s->nq && before(&s->q[l + 1], &s->q[m]))
			m = l + 1;
		if (m == i)
			return top;
		t = s->q[i];
		s->q[i] = s->q[m];
		s->q[m] = t;
		i = m;
	}
}

/* ---- the configuration ---- */

static void write_conf(struct sim *s, char *out, size_t cap, int skip_port)
{
	static const char *const policies[] = { "round-robin", "failover-only", "round-robin-subset",
						"least-queue-depth", "weighted-paths",
						"least-blocks", "least-latency" };
	static const char *const failback[] = { "immediate", "manual", "2" };
	const char *listed = s->ports[skip_port == 0].addr; /* one that is there */
	const char *key = s->reservations ? "reservation_key = 0x1234abcd\n" : "";
	int n;

	n = snprintf(out, cap,
		     "[mpiod]\ninitiator_name = iqn.2026-01.sim:i\nmax_inflight_bytes = 64M\n"
		     "[defaults]\npolicy = %s\nqueue_depth = %u\nhedge = %s\nfailback = %s\n"
		     "no_path_timeout = %s\nprobation = %s\n%s[target t]\niqn = iqn.2026-01.sim:t\n",
		     policies[sim_below(s, 7)], 1 + sim_below(s, 12), sim_chance(s, 80) ? "yes" : "no",
		     failback[sim_below(s, 3)],
		     !s->may_fail ? "queue" : sim_chance(s, 50) ? "fail" : "3",
		     sim_chance(s, 50) ? "off" : "5", key);
	for (int i = 0; i < s->nports; i++)
		if (i != skip_port)
			n += snprintf(out + n, cap - n, "portal = %s\n", s->ports[i].addr);
	if (sim_chance(s, 50))
		snprintf(out + n, cap - n,
			 "[lun d1]\nid = naa.5001405000000001\npreferred = %s\nactive = %s\n"
			 "weight = %s 3\n",
			 listed, listed, listed);
}

static struct conf *make_conf(struct sim *s, int skip_port)
{
	char text[2048], *errors = NULL;
	struct conf *c;

	write_conf(s, text, sizeof(text), skip_port);
	c = conf_parse("sim.conf", text, strlen(text), &errors);
	if (!c)
		sim_fail(s, "the simulator's own configuration is refused: %s", errors);
	free(errors);
	return c;
}

void sim_reload(struct sim *s)
{
	int skip = s->nports > 1 && sim_chance(s, 40) ? (int)sim_below(s, s->nports) : -1;
	struct conf *old = s->conf, *c;

	if (skip >= 0 && s->ports[skip].anchor)
		skip = -1;
	c = make_conf(s, skip);
	if (!c)
		return;
	sim_trace(s, "reload, without port %d", skip);
	s->conf = c;
	engine_configure(s->engine, c);
	conf_free(old);
}

/* ---- the run ---- */

static void dispatch(struct sim *s, const struct pending *ev)
{
	switch (ev->kind) {
	case EV_FAULT:
		fault_inject(s);
		break;
	case EV_HEAL:
		fault_heal(s, &s->ports[ev->a]);
		break;
	case EV_CLIENT:
		client_event(s, ev->a);
		break;
	case EV_LATE:
		late_event(s, ev->a);
		break;
	case EV_ALUA:
		alua_settle(s, ev->a, ev->b);
		break;
	default:
		link_event(s, ev->kind, ev->a, ev->b);
	}
}

/* What waits is waited for: an answer that will come, or a path. Else nobody will ever wake it. */
static void check_wakeups(struct sim *s)
{
	struct list *pos, *q;

	if (!s->engine->nwaiting)
		return;
	list_for_each(pos, &s->engine->luns) {
		struct lun *l = list_entry(pos, struct lun, in_engine);
		bool usable = false, busy = false;

		list_for_each(q, &l->paths) {
			struct path *p = list_entry(q, struct path, in_lun);

			/* a group that is unavailable or in transition is asked again and again */
			usable |= p->state == PATH_USABLE && session_connected(p->session) &&
				  !p->session->removing && p->view.alua < 3;
			busy |= p->session->load.ios > 0;
		}
		if (l->nwaiting && (l->no_path_failed || (usable && !busy)))
			sim_fail(s, "%s: %llu ios wait and nothing will wake them", l->name,
				 (unsigned long long)l->nwaiting);
	}
}

/* Until `until`, or until done() says so. */
static void run(struct sim *s, uint64_t until, bool (*done)(const struct sim *s))
{
	while (!s->failed && s->now < until && !(done && done(s))) {
		uint64_t deadline = engine_deadline(s->engine);
		bool ours = s->nq && s->q[0].at <= deadline;
		uint64_t at = ours ? s->q[0].at : deadline;

		if (++s->steps > STEPS_MAX) {
			sim_fail(s, "no end in sight: %d steps", STEPS_MAX);
			return;
		}
		if (at > until) {
			s->now = until;
			return;
		}
		if (at > s->now)
			s->now = at;
		engine_set_time(s->engine, s->now);
		if (ours) {
			struct pending ev = pop(s);

			dispatch(s, &ev);
		} else {
			engine_tick(s->engine);
			if (engine_deadline(s->engine) <= s->now)
				sim_fail(s, "a deadline in the past after engine_tick()");
		}
		check_wakeups(s);
	}
}

/* Breaks the engine on purpose, if that is what s->mutate names. */
static void mutate_engine(struct sim *s)
{
	static const struct {
		const char *name;
		enum engine_mutation is;
	} known[] = {
		{ "skip-fence", ENGINE_SKIP_FENCE },
		{ "drop-retry", ENGINE_DROP_RETRY },
		{ "complete-twice", ENGINE_COMPLETE_TWICE },
		{ "flush-early", ENGINE_FLUSH_EARLY },
	};

	for (size_t i = 0; s->mutate && i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(s->mutate, known[i].name))
			s->engine->mutate = known[i].is;
}

static void setup(struct sim *s)
{
	unsigned groups;

	list_init(&s->conns);
	list_init(&s->slots);
	list_init(&s->ghosts);
	s->now = 1000 * SEC;
	s->rng = s->seed * 0x9e3779b97f4a7c15ULL + 1;
	/* Of its own, so that a run without late commands is the same until the first of them. */
	s->late_rng = s->rng ^ 0xd1b54a32d192ed03ULL;
	for (int i = 0; i < 5; i++)
		sim_random(s);
	s->ndisks = 1 + sim_below(s, MAX_DISKS);
	s->nports = 1 + sim_below(s, MAX_PORTS);
	s->may_fail = sim_chance(s, 20);
	s->anchored = sim_chance(s, 30);
	s->reinstates = sim_chance(s, 70);
#ifdef SIM_RESERVATIONS
	s->reservations = sim_chance(s, 40);
#endif
	groups = s->nports > 1 && sim_chance(s, 50) ? MAX_TPGS : 1;
	for (int i = 0; i < s->ndisks; i++)
		disk_init(s, &s->disks[i], i);
	for (int i = 0; i < s->nports; i++) {
		struct port *p = &s->ports[i];

		p->index = i;
		p->tpgt = 1 + sim_below(s, groups);
		snprintf(p->addr, sizeof(p->addr), "10.0.0.%d:3260", i + 1);
		for (int k = 0; k < MAX_DISKS; k++)
			p->map[k] = k < s->ndisks ? k : -1;
	}
	s->ports[0].anchor = s->anchored;
	s->pool = buf_pool_new(0); /* nothing is kept, so that a late access is a use after free */
	s->engine = engine_new(&sim_ops, s, s->pool, s->seed + 7);
	mutate_engine(s);
}

static void teardown(struct sim *s)
{
	if (s->engine) {
		engine_shutdown(s->engine);
		engine_free(s->engine);
	}
	client_free(s);
	late_free(s);
	conf_free(s->conf);
	if (!s->failed && buf_pool_used(s->pool))
		sim_fail(s, "%zu bytes of buffers were not given back", buf_pool_used(s->pool));
	if (!buf_pool_used(s->pool))
		buf_pool_free(s->pool);
	for (int i = 0; i < s->ndisks; i++) {
		struct disk *d = &s->disks[i];

		for (uint64_t k = 0; k < d->ngranules; k++)
			free(d->g[k].v);
		free(d->g);
		free(d->data);
		free(d->stable);
	}
	free(s->q);
}

/* What the engine still has, for a person who wonders why. */
static void dump(struct sim *s)
{
	struct list *pos, *q;

	list_for_each(pos, &s->engine->luns) {
		struct lun *l = list_entry(pos, struct lun, in_engine);

		sim_trace(s, "lun %s: %s, %llu waiting", l->name, lun_state_name(l->state),
			  (unsigned long long)l->nwaiting);
		list_for_each(q, &l->requests) {
			struct request *r = list_entry(q, struct request, link);

			sim_trace(s, " request op %u phase %u ios out %u%s%s lba %llu+%llu cursor %llu of %llu",
				  r->op, r->phase, r->ios_out, r->blockers ? " blocked" : "",
				  r->exclusive ? " exclusive" : "", (unsigned long long)r->lba,
				  (unsigned long long)r->blocks, (unsigned long long)r->cursor,
				  (unsigned long long)r->body_end);
		}
		list_for_each(q, &l->paths) {
			struct path *p = list_entry(q, struct path, in_lun);

			sim_trace(s, " path %s: %s, session %s, %u ios, window %u", p->name,
				  path_state_name(p), session_state_name(p->session->state),
				  p->session->load.ios, p->session->window);
		}
	}
}

static bool quiet(const struct sim *s)
{
	return client_quiet(s);
}

bool sim_run(struct sim *s)
{
	setup(s);
	s->conf = make_conf(s, -1);
	if (s->conf) {
		engine_set_time(s->engine, s->now);
		engine_configure(s->engine, s->conf);
		s->faults_on = true;
		sim_at(s, sim_below(s, 500 * MS), EV_FAULT, 0, 0);
		run(s, s->now + STORM, NULL);
		if (!s->failed)
			fault_peace(s);
		run(s, s->now + 45 * SEC, NULL);
		fault_enable_all(s); /* a path first seen while the LUNs were swapped is refused until then */
		run(s, s->now + PEACE, quiet);
		if (!s->failed && !client_quiet(s))
			dump(s), sim_fail(s, "requests did not come back though all is well again");
		/* Some paths may still be on their way back: give them time, then read everything. */
		run(s, s->now + 60 * SEC, NULL);
		if (!s->failed)
			client_read_all(s);
		run(s, s->now + PEACE, quiet);
		if (!s->failed && !client_quiet(s))
			sim_fail(s, "the last reads did not come back");
		if (!s->failed && s->anchored && s->stall_us > STALL_MAX)
			sim_fail(s, "a request took %llu ms though one path was healthy all the time",
				 (unsigned long long)(s->stall_us / MS));
		if (!s->failed && !engine_idle(s->engine))
			sim_fail(s, "the engine is not idle at the end");
	}
	teardown(s);
	return !s->failed;
}
