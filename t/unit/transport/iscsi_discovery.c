/* SPDX-License-Identifier: MIT */
/* SendTargets: what of an answer becomes the list, and how it ends. */
#include "fake_target.h"

static struct ini I;
static struct fake F;
static int calls, count;
static char got[8][400], failure[256];
static bool free_inside;
static struct iscsi_discovery *D;

static void on_list(void *arg, const struct iscsi_portal_list *list, const char *text)
{
	calls++;
	if (list) {
		count = list->n;
		for (int i = 0; i < list->n && i < 8; i++)
			snprintf(got[i], sizeof(got[i]), "%s %s", list->e[i].target,
				 list->e[i].portal);
	} else {
		count = -1;
		snprintf(failure, sizeof(failure), "%s", text);
	}
	if (free_inside) {
		iscsi_discovery_free(D);
		D = NULL;
	}
	ev_break(I.ev, EVBREAK_ALL);
}

static void play_targets(struct fake *f)
{
	uint8_t h[48] = { 0x24, 0x80 };

	if (!read_pdu(f))
		return;
	reply_login(f, 0x87, 0, "HeaderDigest=None\0", 18);
	if (!read_pdu(f))
		return;
	memcpy(h + 16, f->in.h + 16, 4);
	be32(h + 20, 0xffffffff);
	send_pdu(f, h, f->with, f->with_n);
	drain(f);
}

static void discover(void (*script)(struct fake *f), const char *with, size_t n)
{
	int err;

	memset(&F, 0, sizeof(F));
	F.with = with;
	F.with_n = n;
	calls = 0;
	fake_start(&F, script);
	ini_new(&I, F.portal);
	I.p.login_timeout_ms = 300;
	D = iscsi_discovery_start(I.loop, &I.p, on_list, NULL, &err);
	ck_assert_ptr_nonnull(D);
	ini_run(&I);
	ini_idle(&I, 0.05);
	iscsi_discovery_free(D);
	ini_free(&I);
	fake_stop(&F);
	ck_assert_int_eq(calls, 1);
}

START_TEST(a_list)
{
	static const char text[] = "TargetName=iqn.2026-01.a:one\0"
				   "TargetAddress=10.0.0.1:3260,1\0"
				   "TargetAddress=[fe80::2]:3261,2\0"
				   "TargetAddress=san.example.org:3260,1\0"
				   "TargetName=iqn.2026-01.a:two\0"
				   "TargetAddress=10.0.0.2,1\0"
				   "TargetAddress=10.0.0.3:99999,1\0"
				   "TargetAddress=[::1],1\0"
				   "TargetAddress=10.0.0.4:3260\0";

	discover(play_targets, text, sizeof(text) - 1);
	ck_assert_int_eq(count, 5);
	ck_assert_str_eq(got[0], "iqn.2026-01.a:one 10.0.0.1:3260");
	ck_assert_str_eq(got[1], "iqn.2026-01.a:one [fe80::2]:3261");
	ck_assert_str_eq(got[2], "iqn.2026-01.a:two 10.0.0.2:3260");
	ck_assert_str_eq(got[3], "iqn.2026-01.a:two [::1]:3260");
	ck_assert_str_eq(got[4], "iqn.2026-01.a:two 10.0.0.4:3260");
	free_inside = true;
	discover(play_targets, text, sizeof(text) - 1);
	ck_assert_int_eq(count, 5);
	free_inside = false;
}
END_TEST

START_TEST(hostile_names)
{
	static char text[1200];
	size_t n = 0;

	n += (size_t)sprintf(text + n, "TargetName=%0900d", 7) + 1;
	n += (size_t)sprintf(text + n, "TargetAddress=10.0.0.1:3260,1") + 1;
	n += (size_t)sprintf(text + n, "TargetName=a\nb") + 1;
	n += (size_t)sprintf(text + n, "TargetAddress=10.0.0.1:3260,1") + 1;
	discover(play_targets, text, n);
	ck_assert_int_eq(count, 0);
	discover(play_targets, "", 0);
	ck_assert_int_eq(count, 0);
}
END_TEST

static void play_stall(struct fake *f)
{
	read_pdu(f);
	reply_login(f, 0x87, 0, NULL, 0);
	drain(f);
}

static void play_close(struct fake *f)
{
	read_pdu(f);
	reply_login(f, 0x87, 0, NULL, 0);
	read_pdu(f);
}

START_TEST(failures)
{
	discover(play_stall, NULL, 0);
	ck_assert_int_eq(count, -1);
	ck_assert_str_eq(failure, "no answer within 300 ms");
	discover(play_close, NULL, 0);
	ck_assert_int_eq(count, -1);
	discover(play_targets, "TargetAddress=10.0.0.1:3260,1\0", 30);
	ck_assert_int_eq(count, -1);
	discover(play_targets, "unterminated text!!!", 20);
	ck_assert_int_eq(count, -1);
	free_inside = true;
	discover(play_close, NULL, 0);
	ck_assert_int_eq(count, -1);
	free_inside = false;
}
END_TEST

START_TEST(freed_before_the_end)
{
	int err;

	memset(&F, 0, sizeof(F));
	fake_start(&F, play_stall);
	ini_new(&I, F.portal);
	D = iscsi_discovery_start(I.loop, &I.p, on_list, NULL, &err);
	ini_idle(&I, 0.05);
	iscsi_discovery_free(D);
	ini_idle(&I, 0.05);
	ck_assert_int_eq(calls, 0);
	ini_free(&I);
	fake_stop(&F);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("iscsi_discovery");
	TCase *t = tcase_create("iscsi_discovery");
	SRunner *sr;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_list);
	tcase_add_test(t, hostile_names);
	tcase_add_test(t, failures);
	tcase_add_test(t, freed_before_the_end);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
