/* SPDX-License-Identifier: MIT */
/* The exposition format, and that every number of the model gets to where it belongs. */
#include <stdio.h>
#include "daemon/metrics.h"
#include "model.h"

static struct model m;
static char *text;

static void start(void)
{
	model_start(&m);
	text = NULL;
}

static void stop(void)
{
	free(text);
	model_stop(&m);
}

static void render(void)
{
	size_t len;

	free(text);
	text = metrics_text(m.engine, &len);
	ck_assert_ptr_nonnull(text);
	ck_assert_uint_eq(len, strlen(text));
}

/* Is this one of the lines? */
static bool has(const char *line)
{
	size_t n = strlen(line);

	for (const char *at = text; (at = strstr(at, line)); at++)
		if ((at == text || at[-1] == '\n') && at[n] == '\n')
			return true;
	return false;
}

#define ck_assert_line(line) ck_assert_msg(has(line), "no line %s in:\n%s", line, text)

#define PATH1 "{path=\"" MODEL_PATH1 "\",export=\"db\",target=\"san\",portal=\"192.0.2.1:3260\""
#define SESSION2 "{session=\"san/192.0.2.2:3260\",target=\"san\",portal=\"192.0.2.2:3260\""

START_TEST(daemon_values)
{
	m.engine->inflight = 3;
	m.engine->inflight_bytes = 123456789012;
	render();
	m.engine->inflight = 0;
	m.engine->inflight_bytes = 0;
	ck_assert_line("mpiod_info{version=\"" MPIOD_VERSION "\"} 1");
	ck_assert_line("mpiod_inflight_commands 3");
	ck_assert_line("mpiod_inflight_bytes 123456789012");
	ck_assert_line("mpiod_stopping 0");
}
END_TEST

START_TEST(path_values)
{
	m.p1->n = (struct counters){ 1, 2, 1ULL << 45, 4, 5, 6, 7 };
	m.p1->inflight = 9;
	m.s1->load.latency_us = 1250;
	render();
	ck_assert_line("mpiod_path_reads_total" PATH1 "} 1");
	ck_assert_line("mpiod_path_writes_total" PATH1 "} 2");
	ck_assert_line("mpiod_path_read_bytes_total" PATH1 "} 35184372088832");
	ck_assert_line("mpiod_path_written_bytes_total" PATH1 "} 4");
	ck_assert_line("mpiod_path_errors_total" PATH1 "} 5");
	ck_assert_line("mpiod_path_retries_total" PATH1 "} 6");
	ck_assert_line("mpiod_path_failures_total" PATH1 "} 7");
	ck_assert_line("mpiod_path_inflight_commands" PATH1 "} 9");
	ck_assert_line("mpiod_path_latency_seconds" PATH1 "} 0.00125");
	ck_assert_line("mpiod_path_usable" PATH1 "} 0");
	ck_assert_line("mpiod_path_state" PATH1 ",state=\"failed\"} 1");
	ck_assert_line("mpiod_path_state" PATH1 ",state=\"usable\"} 0");
	ck_assert_line("# TYPE mpiod_path_reads_total counter");
	ck_assert_line("# TYPE mpiod_path_latency_seconds gauge");
}
END_TEST

START_TEST(lun_and_session_values)
{
	m.db->queued = 4;
	m.db->queued_bytes = 4096;
	m.db->nwaiting = 2;
	m.db->users = 3;
	m.s2->logins = 11;
	m.s2->losses = 10;
	render();
	m.db->queued = m.db->queued_bytes = m.db->nwaiting = 0;
	ck_assert_line("mpiod_lun_info{export=\"db\",id=\"" MODEL_DB "\",policy=\"round-robin\","
		       "dsm=\"generic\",vendor=\"IET\",product=\"VIRTUAL-DISK\",serial=\"beaf11\"} 1");
	ck_assert_line("mpiod_lun_size_bytes{export=\"db\"} 67108864");
	ck_assert_line("mpiod_lun_queued_requests{export=\"db\"} 4");
	ck_assert_line("mpiod_lun_queued_bytes{export=\"db\"} 4096");
	ck_assert_line("mpiod_lun_waiting_commands{export=\"db\"} 2");
	ck_assert_line("mpiod_lun_fences{export=\"db\"} 0");
	ck_assert_line("mpiod_lun_clients{export=\"db\"} 3");
	ck_assert_line("mpiod_lun_state{export=\"db\",state=\"degraded\"} 1");
	ck_assert_line("mpiod_lun_state{export=\"db\",state=\"ok\"} 0");
	ck_assert_line("mpiod_session_logins_total" SESSION2 "} 11");
	ck_assert_line("mpiod_session_losses_total" SESSION2 "} 10");
	ck_assert_line("mpiod_session_state" SESSION2 ",state=\"up\"} 1");
}
END_TEST

/* Each state that the model can be in is one that the others are told apart from. */
START_TEST(no_state_is_missing)
{
	render();
	for (int i = PATH_DOWN; i <= PATH_DRAINING; i++) {
		char line[256];

		m.p1->state = i;
		snprintf(line, sizeof(line), "mpiod_path_state" PATH1 ",state=\"%s\"} %d",
			 path_state_name(m.p1), i == PATH_FAILED);
		ck_assert_line(line);
	}
	m.p1->state = PATH_FAILED;
	for (int i = SESSION_DOWN; i <= SESSION_DISABLED; i++) {
		char line[256];

		snprintf(line, sizeof(line), "mpiod_session_state" SESSION2 ",state=\"%s\"} %d",
			 session_state_name(i), i == SESSION_UP);
		ck_assert_line(line);
	}
}
END_TEST

START_TEST(odd_names_are_escaped)
{
	strcpy(m.other->name, "a \"b\" \\ \n\xff{}");
	render();
	ck_assert_line("mpiod_lun_size_bytes{export=\"a \\\"b\\\" \\\\ \\\\n\\\\xff{}\"} 1048576");
}
END_TEST

/* A family is announced once, and all its samples follow at once; no sample comes twice. */
START_TEST(families_are_whole)
{
	char family[128] = "", name[128], whole[1024], *seen = NULL, *line, *rest, *copy;
	size_t n = 0;
	FILE *all = open_memstream(&seen, &n);

	render();
	copy = rest = strdup(text);
	while ((line = strsep(&rest, "\n")) && *line) {
		char *end;

		snprintf(whole, sizeof(whole), "\n%.*s\n",
			 *line == '#' ? (int)strlen(line) : (int)(strrchr(line, ' ') - line), line);
		fflush(all);
		ck_assert_msg(!strstr(seen, whole), "twice: %s", line);
		fputs(whole, all);
		if (sscanf(line, "# HELP %127s", name) == 1) {
			ck_assert_int_eq(strncmp(name, "mpiod_", 6), 0);
			strcpy(family, name);
		} else if (sscanf(line, "# TYPE %127s", name) == 1) {
			ck_assert_str_eq(name, family);
		} else {
			ck_assert_int_eq(sscanf(line, "%127[a-z_]", name), 1);
			ck_assert_str_eq(name, family);
			end = strrchr(line, ' ');
			ck_assert_ptr_nonnull(end);
			strtod(end + 1, &end);
			ck_assert_int_eq(*end, 0);
		}
	}
	ck_assert_ptr_null(rest ? strchr(rest, '\n') : NULL);
	fclose(all);
	free(seen);
	free(copy);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("metrics");
	TCase *t = tcase_create("metrics");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, start, stop);
	tcase_add_test(t, daemon_values);
	tcase_add_test(t, path_values);
	tcase_add_test(t, lun_and_session_values);
	tcase_add_test(t, no_state_is_missing);
	tcase_add_test(t, odd_names_are_escaped);
	tcase_add_test(t, families_are_whole);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
