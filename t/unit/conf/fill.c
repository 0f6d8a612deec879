/* SPDX-License-Identifier: MIT */
#include "helper.h"
#include "conf/keys.h"

#include <syslog.h>

START_TEST(built_in_values)
{
	struct conf *c = check_accepted(TARGET);
	const struct conf_opts *o = &c->defaults;

	ck_assert(!strncmp(c->initiator_name, "iqn.2026-01.org.mpiod:", 22));
	ck_assert_uint_gt(strlen(c->initiator_name), 22);
	ck_assert_int_eq(c->nlisten, 1);
	ck_assert_str_eq(c->listen[0], "unix:/run/mpiod/nbd.sock");
	ck_assert_str_eq(c->control, "/run/mpiod/control.sock");
	ck_assert_int_eq(c->log_level, LOG_INFO);
	ck_assert_uint_eq(c->max_inflight_bytes, 256 << 20);
	ck_assert_uint_eq(c->max_connections, 128);
	ck_assert(!c->listen_insecure);
	ck_assert_uint_eq(c->listen_mode, 0660);
	ck_assert(!c->listen_group && !c->nallow);
	ck_assert(c->targets[0].all_luns && !c->targets[0].discovery &&
		  !c->targets[0].header_digest);
	ck_assert_uint_eq(c->targets[0].discovery_interval_us, 60000000);
	ck_assert_ptr_null(c->metrics);
	ck_assert_int_eq(c->nhardware, 0);
	ck_assert_uint_eq(c->targets[0].login_timeout_us, 5000000);
	ck_assert_ptr_null(o->policy);
	ck_assert_uint_eq(o->failback_us, 0);
	ck_assert_uint_eq(o->probe_interval_us, 1000000);
	ck_assert_uint_eq(o->probe_timeout_us, 500000);
	ck_assert_uint_eq(o->suspect_after_us, 50000);
	ck_assert_uint_eq(o->command_timeout_us, 30000000);
	ck_assert_uint_eq(o->no_path_timeout_us, 120000000);
	ck_assert_uint_eq(o->no_path_max_bytes, 64 << 20);
	ck_assert_uint_eq(o->queue_depth, 64);
	ck_assert(o->hedge && !o->read_only);
	ck_assert_uint_eq(o->probation_us, 60000000);
	ck_assert_uint_eq(o->verify_interval_us, 10000000);
	ck_assert_int_eq(o->fence, CONF_FENCE_AUTO);
	ck_assert_uint_eq(o->fence_timeout_us, 15000000);
	ck_assert_uint_eq(o->reservation_key, 0);
	ck_assert_uint_eq(o->set, 0);
	conf_free(c);
}
END_TEST

START_TEST(given_values)
{
	struct conf *c = check_accepted(
		"[mpiod]\ninitiator_name = iqn.2020-01.x:me\nlisten = tcp:127.0.0.1:10809\n"
		"listen = unix:/a\ncontrol = /b\nlog_level = debug\nmax_inflight_bytes = 1G\n"
		"listen_mode = 600\nlisten_group = disk\nallow = 192.0.2.0/24\nallow = ::1\n"
		"max_connections = 7\nlisten_insecure = on\nmetrics = tcp:[::]:9100\n" TARGET
		"portal = [2001:db8::1]:3261 via eth1\ndiscovery = 1\nluns = 4,2\n"
		"discovery_interval = 2m\n"
		"header_digest = crc32c\nlogin_timeout = 2500ms\n");
	const struct conf_target *t = &c->targets[0];

	ck_assert_str_eq(c->file, "f");
	ck_assert_str_eq(c->initiator_name, "iqn.2020-01.x:me");
	ck_assert_int_eq(c->nlisten, 2);
	ck_assert_str_eq(c->listen[0], "tcp:127.0.0.1:10809");
	ck_assert_str_eq(c->listen[1], "unix:/a");
	ck_assert_str_eq(c->control, "/b");
	ck_assert_int_eq(c->log_level, LOG_DEBUG);
	ck_assert_uint_eq(c->max_inflight_bytes, 1 << 30);
	ck_assert_uint_eq(c->max_connections, 7);
	ck_assert(c->listen_insecure);
	ck_assert_uint_eq(c->listen_mode, 0600);
	ck_assert_str_eq(c->listen_group, "disk");
	ck_assert_int_eq(c->nallow, 2);
	ck_assert_uint_eq(c->allow[0].bits, 96 + 24);
	ck_assert_uint_eq(c->allow[1].bits, 128);
	ck_assert_str_eq(t->name, "a");
	ck_assert_str_eq(c->metrics, "tcp:[::]:9100");
	ck_assert_uint_eq(t->discovery_interval_us, 120000000);
	ck_assert_int_eq(t->line, 15);
	ck_assert_int_eq(t->nportals, 2);
	ck_assert_ptr_null(t->portals[0].interface);
	ck_assert_str_eq(t->portals[1].addr, "[2001:db8::1]:3261");
	ck_assert_str_eq(t->portals[1].interface, "eth1");
	ck_assert(t->discovery && t->header_digest && !t->all_luns);
	ck_assert_int_eq(t->nluns, 2);
	ck_assert(t->luns[0] == 2 && t->luns[1] == 4);
	ck_assert_uint_eq(t->login_timeout_us, 2500000);
	conf_free(c);
}
END_TEST

START_TEST(each_fence)
{
	static const char *const words[] = {"auto",	"reservation", "reinstate",
					    "hold",	"solicited",   "off"};
	static const enum conf_fence fences[] = {CONF_FENCE_AUTO,      CONF_FENCE_RESERVATION,
						 CONF_FENCE_REINSTATE, CONF_FENCE_HOLD,
						 CONF_FENCE_SOLICITED, CONF_FENCE_OFF};

	for (int i = 0; i < 6; i++) {
		char text[200];
		struct conf *c;

		snprintf(text, sizeof(text), TARGET "[defaults]\nfence = %s\nreservation_key = 1\n",
			 words[i]);
		c = check_accepted(text);
		ck_assert_int_eq(c->defaults.fence, fences[i]);
		conf_free(c);
	}
}
END_TEST

START_TEST(hardware_sections)
{
	struct conf *c = check_accepted(
		TARGET "[hardware a]\nvendor = NET APP\nproduct = LUN*\ndsm = lio\nhedge = no\n"
		       "[hardware b]\nproduct = x\n");
	const struct conf_hardware *h = c->hardware;

	ck_assert_int_eq(c->nhardware, 2);
	ck_assert_str_eq(h[0].name, "a");
	ck_assert_int_eq(h[0].line, 4);
	ck_assert_str_eq(h[0].vendor, "NET APP");
	ck_assert_str_eq(h[0].product, "LUN*");
	ck_assert_str_eq(h[0].dsm, "lio");
	ck_assert(!h[0].opt.hedge);
	ck_assert_uint_eq(h[0].opt.set, 1ULL << conf_key_find(CONF_DEFAULTS, "hedge"));
	ck_assert(!h[1].vendor && !h[1].dsm && h[1].opt.set == 0);
	conf_free(c);
}
END_TEST

/* What a section did not give is resolved later, when the storage is known. */
START_TEST(a_lun_has_what_was_given_there)
{
	struct conf *c =
		check_accepted("[lun x]\nid = naa.6001\nqueue_depth = 8\npolicy = least-blocks\n"
			       "hedge = yes\n[lun y]\nid = naa.6002\n" TARGET
			       "[defaults]\nqueue_depth = 16\npolicy = weighted-paths\nhedge = no\n"
			       "no_path_timeout = queue\nfailback = manual\nprobation = off\n");
	const struct conf_opts *x = &c->luns[0].opt, *y = &c->luns[1].opt;
	uint64_t bits = 1ULL << conf_key_find(CONF_DEFAULTS, "queue_depth") |
			1ULL << conf_key_find(CONF_DEFAULTS, "policy") |
			1ULL << conf_key_find(CONF_DEFAULTS, "hedge");

	ck_assert_uint_eq(x->queue_depth, 8);
	ck_assert_str_eq(x->policy, "least-blocks");
	ck_assert(x->hedge);
	ck_assert_uint_eq(x->set, bits);
	ck_assert_uint_eq(y->set, 0);
	ck_assert_ptr_null(y->policy);
	ck_assert_int_eq(__builtin_popcountll(c->defaults.set), 6);
	ck_assert_uint_eq(c->defaults.no_path_timeout_us, CONF_QUEUE);
	ck_assert_uint_eq(c->defaults.failback_us, CONF_QUEUE);
	ck_assert_uint_eq(c->defaults.probation_us, 0);
	conf_free(c);
}
END_TEST

RUN("conf/fill", built_in_values, given_values, each_fence, hardware_sections,
    a_lun_has_what_was_given_there)
