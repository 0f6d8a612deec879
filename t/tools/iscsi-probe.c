/* SPDX-License-Identifier: MIT */
/*
 * Logs in to a target through transport/iscsi.h and shows what is there; for scripts and people.
 *
 * Without a load it prints the LUNs and what identifies them. With --reads/--writes N it keeps
 * --depth commands in flight until N are done; WRITES OVERWRITE THE LUN. Exit: 0 done, 1 usage,
 * 2 lost before it was up, 3 lost later, 4 a command failed or bytes did not compare.
 */
#include <ev.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "transport/iscsi.h"

#define BLOCK 4096u
#define DEPTH_MAX 256

enum step { LUNS, INQUIRY, PAGES, SERIAL, DEVICE_ID, LIMITS, PROVISIONING, CAPACITY, MODE, LOAD };

struct probe {
	struct ev_loop *ev;
	struct iscsi_loop *loop;
	struct iscsi_session *s;
	struct iscsi_params p;
	int cycles, depth, lun, kill_ms;
	ev_timer killer;
	long reads, writes, left, done, in_flight;
	bool logout, was_up, hold;
	int exit_code, lost_calls;
	enum step step;
	uint16_t luns[64];
	int nluns;
	struct scsi_capacity cap;
	uint8_t answer[4096];
	struct iscsi_cmd cmd;          /* the identification's */
	struct iscsi_cmd io[DEPTH_MAX]; /* the load's */
	uint8_t *data;
	struct timespec began;
};

static void start(struct probe *t);
static void next_step(struct probe *t);

static void finish(struct probe *t, int code)
{
	t->exit_code = code;
	ev_timer_stop(t->ev, &t->killer);
	if (t->logout && code == 0)
		iscsi_session_logout(t->s);
	else
		iscsi_session_kill(t->s);
	t->s = NULL;
}

static const char *loss_name(enum iscsi_loss why)
{
	static const char *const names[] = { "connect", "login", "redirect", "closed", "logout" };

	return names[why];
}

static void on_lost(void *arg, enum iscsi_loss why, const char *text)
{
	struct probe *t = arg;

	t->lost_calls++;
	printf("lost %s: %s (in flight %ld)\n", loss_name(why), text, t->in_flight);
	finish(t, t->was_up ? 3 : 2);
}

static void fill(uint8_t *p, uint64_t lba)
{
	for (unsigned i = 0; i < BLOCK; i += 8)
		memcpy(p + i, &lba, 8);
}

static void submit_io(struct probe *t, struct iscsi_cmd *cmd)
{
	long i = cmd - t->io, n = t->reads + t->writes - t->left;
	uint32_t per = BLOCK / t->cap.block_size;
	uint64_t lba = (uint64_t)i * per;
	uint8_t *buf = t->data + i * BLOCK;

	/* Each slot writes and reads its own block, so that reads can be compared. */
	if (n < t->writes) {
		fill(buf, (uint64_t)i);
		cdb_write16(&cmd->scsi, lba, per, t->cap.block_size, false);
	} else {
		memset(buf, 0xee, BLOCK);
		cdb_read16(&cmd->scsi, lba, per, t->cap.block_size);
	}
	cmd->scsi.lun = t->luns[t->lun];
	cmd->scsi.niov = 2; /* split oddly on purpose */
	cmd->scsi.iov[0] = (struct iovec){ buf, 1000 };
	cmd->scsi.iov[1] = (struct iovec){ buf + 1000, BLOCK - 1000 };
	t->left--;
	if (iscsi_session_submit(t->s, cmd) == 0)
		t->in_flight++;
}

/* What a path that is given up does; the buffers go with it. */
static void on_kill(struct ev_loop *ev, ev_timer *w, int revents)
{
	struct probe *t = w->data;

	printf("killed with %ld in flight\n", t->in_flight);
	finish(t, 0);
	free(t->data);
	t->data = NULL;
}

static void start_load(struct probe *t)
{
	t->left = t->reads + t->writes;
	clock_gettime(CLOCK_MONOTONIC, &t->began);
	for (int i = 0; i < t->depth && t->left > 0; i++)
		submit_io(t, &t->io[i]);
	if (t->kill_ms) {
		ev_timer_init(&t->killer, on_kill, t->kill_ms / 1000.0, 0);
		t->killer.data = t;
		ev_timer_start(t->ev, &t->killer);
	}
	if (t->left == 0 && t->in_flight == 0)
		finish(t, 0);
}

static void end_load(struct probe *t)
{
	struct timespec now;
	double s;

	clock_gettime(CLOCK_MONOTONIC, &now);
	s = (double)(now.tv_sec - t->began.tv_sec) + (double)(now.tv_nsec - t->began.tv_nsec) / 1e9;
	printf("load %ld commands, %.0f a second\n", t->done, (double)t->done / s);
	finish(t, 0);
}

static void io_done(struct probe *t, struct iscsi_cmd *cmd)
{
	struct scsi_cmd *c = &cmd->scsi;
	long i = cmd - t->io;
	uint8_t want[BLOCK];

	t->in_flight--;
	t->done++;
	if (c->outcome != SCSI_OUT_STATUS || c->status != SCSI_ST_GOOD || c->got != c->len) {
		if (c->sense.valid && c->sense.key == SCSI_KEY_UNIT_ATTENTION) {
			t->left++;
		} else {
			printf("%s: %s, key %s %02x/%02x, got %u\n", scsi_opcode_name(c->cdb[0]),
			       scsi_status_name(c->status), scsi_key_name(c->sense.key),
			       c->sense.asc, c->sense.ascq, c->got);
			finish(t, 4);
			return;
		}
	} else if (c->dir == SCSI_DIR_IN && t->writes >= t->depth) {
		fill(want, (uint64_t)i);
		if (memcmp(want, t->data + i * BLOCK, BLOCK) != 0) {
			printf("slot %ld does not compare\n", i);
			finish(t, 4);
			return;
		}
	}
	if (t->left > 0)
		submit_io(t, cmd);
	else if (t->in_flight == 0)
		end_load(t);
}

static void show(struct probe *t)
{
	const uint8_t *p = t->answer;
	size_t n = t->cmd.scsi.got;
	struct scsi_inquiry inq;
	struct scsi_vpd_pages pages;
	struct scsi_device_id id;
	struct scsi_block_limits lim;
	struct scsi_provisioning prov;
	struct scsi_mode mode;
	char serial[256];

	switch (t->step) {
	case LUNS:
		t->nluns = scsi_parse_report_luns(p, n, t->luns, 64);
		printf("luns %d\n", t->nluns);
		for (int i = 0; i < t->nluns; i++)
			printf("lun %04x\n", t->luns[i]);
		if (t->lun >= t->nluns)
			t->lun = t->nluns - 1;
		break;
	case INQUIRY:
		if (scsi_parse_inquiry(p, n, &inq) == 0)
			printf("inquiry type %u vendor '%s' product '%s' revision '%s' tpgs %u\n",
			       inq.type, inq.vendor, inq.product, inq.revision, inq.tpgs);
		break;
	case PAGES:
		if (scsi_parse_vpd_pages(p, n, &pages) == 0)
			printf("pages 80:%d 83:%d b0:%d b2:%d\n", scsi_vpd_has(&pages, 0x80),
			       scsi_vpd_has(&pages, 0x83), scsi_vpd_has(&pages, 0xb0),
			       scsi_vpd_has(&pages, 0xb2));
		break;
	case SERIAL:
		if (scsi_parse_vpd_serial(p, n, serial, sizeof(serial)) == 0)
			printf("serial '%s'\n", serial);
		break;
	case DEVICE_ID:
		if (scsi_parse_vpd_device_id(p, n, &id) == 0)
			printf("id %s port %d group %d\n", id.id, id.relative_port, id.port_group);
		break;
	case LIMITS:
		if (scsi_parse_vpd_block_limits(p, n, &lim) == 0)
			printf("limits transfer %u unmap %u same %llu\n", lim.max_transfer,
			       lim.max_unmap_blocks, (unsigned long long)lim.max_write_same);
		break;
	case PROVISIONING:
		if (scsi_parse_vpd_provisioning(p, n, &prov) == 0)
			printf("provisioning unmap %d same %d\n", prov.unmap, prov.ws16_unmap);
		break;
	case CAPACITY:
		if (scsi_parse_capacity16(p, n, &t->cap) == 0)
			printf("capacity %llu x %u\n", (unsigned long long)t->cap.blocks,
			       t->cap.block_size);
		break;
	case MODE:
		if (scsi_parse_mode_sense6(p, n, &mode) == 0)
			printf("mode wp %d dpofua %d wce %d\n", mode.write_protect, mode.dpofua,
			       mode.write_cache);
		break;
	case LOAD:
		break;
	}
	if (getenv("PROBE_HEX"))
		for (size_t i = 0; i < n; i++)
			printf("%02x%s", p[i], i % 16 == 15 || i + 1 == n ? "\n" : " ");
}

static void on_done(void *arg, struct iscsi_cmd *cmd)
{
	struct probe *t = arg;
	struct scsi_cmd *c = &cmd->scsi;

	if (cmd != &t->cmd) {
		io_done(t, cmd);
		return;
	}
	if (c->status == SCSI_ST_CHECK_CONDITION && c->sense.key == SCSI_KEY_UNIT_ATTENTION) {
		next_step(t); /* the same one again */
		return;
	}
	if (c->status != SCSI_ST_GOOD)
		printf("%s: %s %s %02x/%02x\n", scsi_opcode_name(c->cdb[0]),
		       scsi_status_name(c->status), scsi_key_name(c->sense.key), c->sense.asc,
		       c->sense.ascq);
	else
		show(t);
	t->step++;
	next_step(t);
}

static void next_step(struct probe *t)
{
	struct scsi_cmd *c = &t->cmd.scsi;
	static const uint8_t page[] = { [PAGES] = 0,         [SERIAL] = 0x80, [DEVICE_ID] = 0x83,
					[LIMITS] = 0xb0, [PROVISIONING] = 0xb2 };

	switch (t->step) {
	case LUNS:
		cdb_report_luns(c, sizeof(t->answer));
		break;
	case INQUIRY:
		cdb_inquiry(c, false, 0, 96);
		break;
	case CAPACITY:
		cdb_read_capacity16(c, 32);
		break;
	case MODE:
		cdb_mode_sense6(c, 0x08, 192);
		break;
	case LOAD:
		if (!t->cap.blocks) {
			printf("no usable LUN\n");
			finish(t, 4);
			return;
		}
		start_load(t);
		return;
	default:
		if ((size_t)t->step >= sizeof(page)) {
			finish(t, 4);
			return;
		}
		cdb_inquiry(c, true, page[t->step], 1024);
		break;
	}
	c->lun = t->nluns > 0 ? t->luns[t->lun] : 0;
	c->niov = 1;
	c->iov[0] = (struct iovec){ t->answer, c->len };
	if (iscsi_session_submit(t->s, &t->cmd) != 0)
		finish(t, 4);
}

static void on_pong(void *arg)
{
	printf("pong\n");
}

static void on_up(void *arg)
{
	struct probe *t = arg;

	t->was_up = true;
	if (t->cycles > 1) {
		t->cycles--;
		iscsi_session_kill(t->s);
		start(t);
		return;
	}
	printf("up, silent for %d ms\n", (int)(iscsi_session_silence_us(t->s) / 1000));
	if (t->hold)
		return;
	if (iscsi_session_probe(t->s) != 0)
		printf("no probe\n");
	next_step(t);
}

static void start(struct probe *t)
{
	static const struct iscsi_callbacks cb = { .up = on_up, .lost = on_lost, .done = on_done,
						   .pong = on_pong };
	int err;

	t->s = iscsi_session_start(t->loop, &t->p, &cb, t, &err);
	if (!t->s) {
		printf("start: %s\n", strerror(-err));
		t->exit_code = 1;
	}
}

static void on_list(void *arg, const struct iscsi_portal_list *list, const char *text)
{
	struct probe *t = arg;

	if (!list) {
		printf("discovery failed: %s\n", text);
		t->exit_code = 2;
		return;
	}
	for (int i = 0; i < list->n; i++)
		printf("target %s at %s\n", list->e[i].target, list->e[i].portal);
}

static char *read_secret(const char *path)
{
	char buf[256] = "";
	FILE *f = fopen(path, "r");

	if (!f || !fgets(buf, sizeof(buf), f)) {
		perror(path);
		exit(1);
	}
	fclose(f);
	buf[strcspn(buf, "\n")] = '\0';
	return strdup(buf);
}

static void usage(void)
{
	fprintf(stderr,
		"usage: iscsi-probe --portal A:P [--iqn NAME | --discover] [--initiator NAME]\n"
		"  [--user U --secret-file F] [--mutual-user U --mutual-secret-file F] [--digest]\n"
		"  [--interface I] [--timeout MS] [--lun INDEX] [--reads N] [--writes N]\n"
		"  [--depth N] [--cycles N] [--kill-ms MS] [--hold] [--logout]\n");
	exit(1);
}

static void options(struct probe *t, int argc, char **argv, bool *discover)
{
	enum { USER = 1, SECRET, MUSER, MSECRET, DIGEST, IFACE, TIMEOUT, LUN, READS, WRITES, DEPTH,
	       CYCLES, KILL, HOLD, LOGOUT, DISCOVER, PORTAL, IQN, INITIATOR };
	static const struct option opts[] = {
		{ "user", 1, NULL, USER },          { "secret-file", 1, NULL, SECRET },
		{ "mutual-user", 1, NULL, MUSER },  { "mutual-secret-file", 1, NULL, MSECRET },
		{ "digest", 0, NULL, DIGEST },      { "interface", 1, NULL, IFACE },
		{ "timeout", 1, NULL, TIMEOUT },    { "lun", 1, NULL, LUN },
		{ "reads", 1, NULL, READS },        { "writes", 1, NULL, WRITES },
		{ "depth", 1, NULL, DEPTH },        { "cycles", 1, NULL, CYCLES },
		{ "kill-ms", 1, NULL, KILL },    { "hold", 0, NULL, HOLD },
		{ "logout", 0, NULL, LOGOUT },      { "discover", 0, NULL, DISCOVER },
		{ "portal", 1, NULL, PORTAL },      { "iqn", 1, NULL, IQN },
		{ "initiator", 1, NULL, INITIATOR }, { 0 },
	};
	int o;

	while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		switch (o) {
		case USER: t->p.chap_user = optarg; break;
		case SECRET: t->p.chap_secret = read_secret(optarg); break;
		case MUSER: t->p.mutual_chap_user = optarg; break;
		case MSECRET: t->p.mutual_chap_secret = read_secret(optarg); break;
		case DIGEST: t->p.header_digest = true; break;
		case IFACE: t->p.interface = optarg; break;
		case TIMEOUT: t->p.login_timeout_ms = (unsigned)atoi(optarg); break;
		case LUN: t->lun = atoi(optarg); break;
		case READS: t->reads = atol(optarg); break;
		case WRITES: t->writes = atol(optarg); break;
		case DEPTH: t->depth = atoi(optarg); break;
		case CYCLES: t->cycles = atoi(optarg); break;
		case KILL: t->kill_ms = atoi(optarg); break;
		case HOLD: t->hold = true; break;
		case LOGOUT: t->logout = true; break;
		case DISCOVER: *discover = true; break;
		case PORTAL: t->p.portal = optarg; break;
		case IQN: t->p.target_name = optarg; break;
		case INITIATOR: t->p.initiator_name = optarg; break;
		default: usage();
		}
	}
	if (!t->p.portal || (!t->p.target_name && !*discover) || t->depth < 1 ||
	    t->depth > DEPTH_MAX)
		usage();
}

int main(int argc, char **argv)
{
	static struct probe t = { .depth = 32, .lun = 63, .p = {
		.initiator_name = "iqn.2026-01.test:probe", .isid = 0x123456,
		.login_timeout_ms = 5000, .user_timeout_ms = 5000 } };
	struct iscsi_discovery *d = NULL;
	bool discover = false;
	int err;

	signal(SIGPIPE, SIG_IGN); /* as mpiod does: a lost connection is an error of write() */
	setvbuf(stdout, NULL, _IOLBF, 0);
	options(&t, argc, argv, &discover);
	t.data = malloc((size_t)DEPTH_MAX * BLOCK);
	t.ev = ev_loop_new(EVFLAG_AUTO);
	t.loop = iscsi_loop_new(t.ev);
	if (!t.data || !t.loop)
		return 1;
	if (discover) {
		d = iscsi_discovery_start(t.loop, &t.p, on_list, &t, &err);
		if (!d) {
			printf("start: %s\n", strerror(-err));
			t.exit_code = 1;
		}
	} else {
		start(&t);
	}
	ev_run(t.ev, 0);
	iscsi_discovery_free(d);
	if (t.lost_calls > 1)
		t.exit_code = 4;
	iscsi_loop_free(t.loop);
	ev_loop_destroy(t.ev);
	free(t.data);
	free((char *)t.p.chap_secret);
	free((char *)t.p.mutual_chap_secret);
	return t.exit_code;
}
