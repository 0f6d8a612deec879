/* SPDX-License-Identifier: MIT */
/*
 * The engine with a target that may answer anything. The input begins with the configuration's choices; then
 * each step is a byte for what happens, one for whom, and what that takes. Every request comes back exactly
 * once, every buffer is given back, and whatever a target says can be shown.
 */
#include "engine_world.h"

/* ---- what happens ---- */

static uint32_t fill(struct scsi_cmd *cmd, const struct answer *a, bool whole)
{
	uint32_t done = 0;

	for (int i = 0; i < cmd->niov; i++) {
		uint8_t *to = cmd->iov[i].iov_base;

		for (size_t k = 0; k < cmd->iov[i].iov_len && (whole || done < a->n); k++, done++) {
			to[k] = a->n ? a->b[done % a->n] : 0;
			if (to[k] == POISON && cmd->cdb[0] == 0x88)
				to[k] = 0;
		}
	}
	return done;
}

/* A READ that was not good in full: its buffer holds nothing that anybody may see. */
static void poison(struct scsi_cmd *cmd)
{
	bool good = cmd->status == SCSI_ST_GOOD ||
		    (cmd->status == SCSI_ST_CHECK_CONDITION && cmd->sense.valid && cmd->sense.key <= 1);

	if (cmd->cdb[0] != 0x88 || (cmd->outcome == SCSI_OUT_STATUS && good && cmd->got == cmd->len))
		return;
	for (int i = 0; i < cmd->niov; i++)
		memset(cmd->iov[i].iov_base, POISON, cmd->iov[i].iov_len);
}

/* Command i has its answer; with bits of how: 1 data is cut, 2 bytes are changed, 4 a status, 8 an outcome. */
static void answer(unsigned i, uint8_t how, struct feed *f)
{
	struct scsi_cmd *cmd = w.flights[i].cmd;
	struct answer a;

	w.flights[i] = w.flights[--w.nflights];
	sane(cmd, &a);
	if (how & 1)
		a.n = feed_u16(f) % sizeof(a.b);
	if (how & 2)
		for (int k = feed_u8(f) % 8; k >= 0; k--) {
			uint16_t at = feed_u16(f) % 512;

			a.b[at] = feed_u8(f);
			if (at >= a.n && a.n < 512)
				a.n = at + 1;
		}
	cmd->outcome = SCSI_OUT_STATUS;
	cmd->status = SCSI_ST_GOOD;
	cmd->sense = (struct sense){ 0 };
	cmd->got = cmd->len;
	if (cmd->dir == SCSI_DIR_IN)
		cmd->got = fill(cmd, &a, cmd->cdb[0] == 0x88 && !(how & 1));
	else if (how & 1)
		cmd->got = cmd->len ? a.n % (cmd->len + 1) : 0;
	if (how & 4) {
		cmd->status = feed_u8(f);
		cmd->sense.key = feed_u8(f);
		cmd->sense.valid = !(cmd->sense.key & 0x80);
		cmd->sense.deferred = cmd->sense.key & 0x40;
		cmd->sense.key &= 15;
		cmd->sense.asc = feed_u8(f);
		cmd->sense.ascq = feed_u8(f);
	}
	if (how & 8) {
		cmd->outcome = feed_u8(f) % (SCSI_OUT_RESPONSE + 1);
		cmd->response = feed_u8(f);
	}
	poison(cmd);
	engine_cmd_done(w.e, cmd);
}

static void request(struct feed *f, uint8_t which)
{
	struct job *j = &w.jobs[which % JOBS];
	struct lun *l = w.luns[(which / JOBS) % LUNS];
	uint8_t op = feed_u8(f);
	uint64_t offset = (uint64_t)feed_u16(f) << (op >> 4);
	uint32_t len = 1 + feed_u16(f) % 20000;

	if (j->busy || !l || (op % 5 != REQUEST_READ && op % 5 != REQUEST_FLUSH && l->write_protect))
		return;
	memset(j, 0, sizeof(*j));
	j->r.lun = l;
	j->r.op = op % 5;
	j->r.fua = op & 8 && j->r.op != REQUEST_READ;
	j->r.no_hole = op & 4 && j->r.op == REQUEST_ZERO;
	if (j->r.op != REQUEST_FLUSH) {
		if (j->r.op == REQUEST_TRIM || j->r.op == REQUEST_ZERO)
			len = len << (op & 7) | len >> 10;
		if (offset >= l->size)
			offset = l->size - 1;
		j->r.offset = offset;
		j->r.len = len > l->size - offset ? (uint32_t)(l->size - offset) : len;
	}
	if (!engine_admit(w.e, l, j->r.len))
		return;
	if (j->r.op == REQUEST_READ || j->r.op == REQUEST_WRITE) {
		j->r.buf = buf_get(w.pool, j->r.len);
		j->r.data = j->r.buf->data;
		if (j->r.op == REQUEST_WRITE)
			memset(j->r.data, 7, j->r.len);
	}
	j->busy = true;
	engine_submit(w.e, &j->r);
}

static struct conf *make_conf(uint8_t a, uint8_t b)
{
	static const char *const policies[] = { "round-robin", "failover-only", "round-robin-subset",
						"least-queue-depth", "weighted-paths", "least-blocks",
						"least-latency", "round-robin" };
	static const char *const fences[] = { "auto", "reservation", "reinstate", "hold", "solicited", "off",
					      "auto", "auto" };
	static const char *const no_path[] = { "queue", "fail", "3", "60" };
	char text[1024], *errors = NULL;
	struct conf *c;

	snprintf(text, sizeof(text),
		 "[mpiod]\ninitiator_name = iqn.2026-01.fuzz:i\nmax_inflight_bytes = 64M\n[defaults]\npolicy = %s\n"
		 "fence = %s\nno_path_timeout = %s\nhedge = %s\nfailback = %s\nprobation = %s\nqueue_depth = %d\n%s"
		 "[target t]\niqn = iqn.2026-01.fuzz:t\nportal = 10.0.0.1\n%s%s[lun d]\nid = naa.5001405000000001\n%s",
		 policies[a & 7], fences[a >> 3 & 7], no_path[a >> 6], b & 1 ? "yes" : "no",
		 b & 2 ? "immediate" : "2", b & 4 ? "5" : "off", b & 8 ? 2 : 32,
		 b & 16 || (a >> 3 & 7) == 1 ? "reservation_key = 1234abcd\n" : "",
		 b & 32 ? "" : "portal = 10.0.0.2\n", b & 64 ? "luns = 0\n" : "", b & 128 ? "alias = x\n" : "");
	c = conf_parse("fuzz.conf", text, strlen(text), &errors);
	free(errors);
	return c;
}

static void reload(uint8_t a, uint8_t b)
{
	struct conf *old = w.conf, *c = make_conf(a, b);

	if (!c)
		return;
	w.conf = c;
	engine_configure(w.e, c);
	conf_free(old);
}

static void pass(uint64_t us)
{
	w.now += us;
	engine_set_time(w.e, w.now);
	for (int i = 0; i < 50 && engine_deadline(w.e) <= w.now; i++)
		engine_tick(w.e);
}

/* All log in and are answered as they wish, for n rounds. */
static void peace(int n)
{
	struct feed none = { NULL, 0 };

	while (n-- > 0) {
		uint64_t next = engine_deadline(w.e);

		for (int i = 0; i < CONNS; i++) {
			if (!w.conns[i].s || w.conns[i].up)
				continue;
			w.conns[i].up = true;
			w.conns[i].s->tpgt = 1;
			engine_session_up(w.e, w.conns[i].s);
		}
		for (unsigned k = w.nflights; k && w.nflights; k--)
			answer(0, 0, &none);
		pass(w.nflights || next <= w.now || next == UINT64_MAX ? 1000 : next - w.now);
	}
}

static void administer(uint8_t which)
{
	static const char *const names[] = { "t/10.0.0.1:3260/0", "t/10.0.0.2:3260/1", "t/10.0.0.1:3260", "x" };
	static const char *const policies[] = { "least-latency", "failover-only", "nosuch", "round-robin" };
	const char *name = names[which & 3];

	switch (which >> 2 & 7) {
	case 0:
		(void)!engine_path_disable(w.e, name);
		break;
	case 1:
		(void)!engine_path_enable(w.e, name);
		break;
	case 2:
		(void)!engine_path_drain(w.e, name);
		break;
	case 3:
		engine_rescan(w.e);
		break;
	case 4:
		(void)!engine_lun_policy(w.e, "d", policies[which & 3]);
		break;
	case 5:
		engine_link_up(w.e, NULL);
		break;
	case 6:
		engine_lun_unused(w.e);
		break;
	case 7:
		(void)!engine_release(w.e);
		break;
	}
}

static void show(json_t *o)
{
	char *text;

	ck_assert_ptr_nonnull(o);
	text = json_dumps(o, 0); /* fails for what is no UTF-8 */
	ck_assert_ptr_nonnull(text);
	free(text);
	json_decref(o);
}

/* Each line of the metrics is a comment, or ends in a number. */
static void show_metrics(void)
{
	size_t len;
	char *text = metrics_text(w.e, &len), *rest = text, *line;

	ck_assert_ptr_nonnull(text);
	ck_assert_uint_eq(strlen(text), len);
	while ((line = strsep(&rest, "\n")) && rest) {
		const char *value = strrchr(line, ' ');

		ck_assert_msg(*line == '#' || (value && value[1 + strspn(value + 1, "0123456789.e+-")] == '\0'),
			      "no sample: %s", line);
	}
	free(text);
}

static void show_all(void)
{
	bool found;

	show_metrics();
	show(status_json(w.e));
	show(status_paths_json(w.e, NULL, &found));
	show(status_reservations_json(w.e, NULL, &found));
	for (int i = 0; i < LUNS; i++) {
		if (!w.luns[i])
			continue;
		show(status_lun_json(w.e, w.luns[i]->name, &found));
		show(status_explain_json(w.e, w.luns[i]->name, &found));
	}
}

static void discovered(uint8_t which)
{
	char a[] = "10.0.0.3:3260", b[] = "10.0.0.1:3260", c[] = "[2001:db8::1]:3260";
	char *portals[] = { a, b, c };

	engine_discovered(w.e, which & 4 ? "t" : "nobody", portals, (which & 3) - 1 + (which >> 3 & 1), "no");
}

static void step(struct feed *f)
{
	uint8_t what = feed_u8(f), which = feed_u8(f);
	struct conn *c = &w.conns[which % CONNS];

	switch (what % 16) {
	case 0:
		pass((1ULL + which) << (what >> 4));
		break;
	case 1:
		pass(which * SEC);
		break;
	case 2:
		if (!c->s || c->up)
			break;
		c->up = true;
		c->s->tpgt = which >> 5;
		engine_session_up(w.e, c->s);
		break;
	case 3:
		if (c->s)
			engine_session_lost(w.e, c->s, (enum session_loss)((what >> 4) % 6), "fuzz");
		break;
	case 4:
		if (c->s && c->up)
			engine_session_pong(w.e, c->s);
		break;
	case 5:
	case 6:
	case 7:
	case 8:
		if (w.nflights)
			answer(which % w.nflights, what >> 4, f);
		break;
	case 9:
	case 10:
		request(f, which);
		break;
	case 11:
		peace(which % 32);
		break;
	case 12:
		administer(which);
		break;
	case 13:
		reload(which, feed_u8(f));
		break;
	case 14:
		discovered(which);
		break;
	case 15:
		w.refuse = which & 1;
		w.silence_ms = (uint16_t)(which << 6);
		if (which & 2)
			show_all();
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = { data, size };
	uint8_t a = feed_u8(&f), b = feed_u8(&f);

	memset(&w, 0, sizeof(w));
	w.now = 1000 * SEC;
	w.conf = make_conf(a, b);
	if (!w.conf)
		return 0;
	w.pool = buf_pool_new(0);
	w.e = engine_new(&ops, NULL, w.pool, 1);
	engine_set_time(w.e, w.now);
	engine_configure(w.e, w.conf);
	peace(b & 1 ? 20 : 0);
	for (int i = 0; f.n && i < STEPS_MAX; i++)
		step(&f);
	w.refuse = false;
	w.silence_ms = 0;
	peace(30);
	if (a & 1) {
		show_all();
		engine_shutdown(w.e);
		peace(5);
	}
	engine_free(w.e);
	for (int i = 0; i < JOBS; i++)
		ck_assert(!w.jobs[i].busy);
	ck_assert_uint_eq(buf_pool_used(w.pool), 0);
	buf_pool_free(w.pool);
	conf_free(w.conf);
	return 0;
}
