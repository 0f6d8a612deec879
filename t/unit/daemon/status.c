/* SPDX-License-Identifier: MIT */
/* The keys that scripts rely on, and what odd names and counters become. */
#include "daemon/status.h"
#include "model.h"

static struct model m;

static void start(void)
{
	model_start(&m);
}

static void stop(void)
{
	model_stop(&m);
}

static const char *string_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	ck_assert_msg(s != NULL, "no string %s", key);
	return s;
}

static json_int_t number_of(const json_t *o, const char *key)
{
	ck_assert_msg(json_is_integer(json_object_get(o, key)), "no number %s", key);
	return json_integer_value(json_object_get(o, key));
}

START_TEST(documented_keys)
{
	static const char *const lun_keys[] = { "name", "id", "size", "block_size", "policy", "dsm",
						"state", "queued", "fences", "paths", NULL };
	static const char *const path_keys[] = { "name", "target", "portal", "lun", "state", "alua",
						 "inflight", "reads", "writes", "read_bytes",
						 "write_bytes", "errors", "retries", "failures",
						 NULL };
	json_t *o = status_json(m.engine), *lun, *path;

	ck_assert_ptr_nonnull(o);
	ck_assert_str_eq(string_of(o, "version"), MPIOD_VERSION);
	ck_assert_uint_eq(json_array_size(json_object_get(o, "luns")), 2);
	lun = json_array_get(json_object_get(o, "luns"), 0);
	for (int i = 0; lun_keys[i]; i++)
		ck_assert_msg(json_object_get(lun, lun_keys[i]) != NULL, "%s", lun_keys[i]);
	path = json_array_get(json_object_get(lun, "paths"), 0);
	for (int i = 0; path_keys[i]; i++)
		ck_assert_msg(json_object_get(path, path_keys[i]) != NULL, "%s", path_keys[i]);
	json_decref(o);
}
END_TEST

START_TEST(lun_values)
{
	json_t *o = status_json(m.engine), *lun = json_array_get(json_object_get(o, "luns"), 0);

	ck_assert_str_eq(string_of(lun, "name"), "db");
	ck_assert_str_eq(string_of(lun, "id"), MODEL_DB);
	ck_assert_str_eq(string_of(lun, "state"), "degraded");
	ck_assert_str_eq(string_of(lun, "policy"), "round-robin");
	ck_assert_str_eq(string_of(lun, "dsm"), "generic");
	ck_assert_int_eq(number_of(lun, "size"), 64 << 20);
	ck_assert_int_eq(number_of(lun, "block_size"), 512);
	ck_assert_int_eq(number_of(lun, "fences"), 0);
	ck_assert_int_eq(number_of(lun, "state_age_ms"), 3500);
	json_decref(o);
}
END_TEST

START_TEST(path_values)
{
	bool found;
	json_t *o, *p;

	m.p1->n = (struct counters){ 1, 2, 3, 4, 5, 6, 7 };
	m.p1->inflight = 9;
	o = status_paths_json(m.engine, "db", &found);
	ck_assert(found);
	p = json_array_get(json_object_get(o, "paths"), 0);
	ck_assert_str_eq(string_of(p, "name"), MODEL_PATH1);
	ck_assert_str_eq(string_of(p, "target"), "san");
	ck_assert_str_eq(string_of(p, "portal"), "192.0.2.1:3260");
	ck_assert_str_eq(string_of(p, "export"), "db");
	ck_assert_str_eq(string_of(p, "state"), "failed");
	ck_assert_str_eq(string_of(p, "alua"), "none");
	ck_assert(json_is_false(json_object_get(p, "usable")));
	ck_assert_int_eq(number_of(p, "lun"), 1);
	ck_assert_int_eq(number_of(p, "inflight"), 9);
	ck_assert_int_eq(number_of(p, "reads"), 1);
	ck_assert_int_eq(number_of(p, "writes"), 2);
	ck_assert_int_eq(number_of(p, "read_bytes"), 3);
	ck_assert_int_eq(number_of(p, "write_bytes"), 4);
	ck_assert_int_eq(number_of(p, "errors"), 5);
	ck_assert_int_eq(number_of(p, "retries"), 6);
	ck_assert_int_eq(number_of(p, "failures"), 7);
	json_decref(o);
}
END_TEST

START_TEST(control_characters_never_get_out)
{
	bool found;
	json_t *o = status_paths_json(m.engine, "db", &found);
	json_t *p = json_array_get(json_object_get(o, "paths"), 0);

	ck_assert_str_eq(string_of(p, "reason"), "it says 02/04/03: \"repair\"\\x1b[31m");
	json_decref(o);
	strcpy(m.other->name, "bad\xff\xc0\x80name\n");
	o = status_json(m.engine);
	ck_assert_ptr_nonnull(o);
	p = json_array_get(json_object_get(o, "luns"), 1);
	ck_assert_str_eq(string_of(p, "name"), "bad\\xff\\xc0\\x80name\\n");
	json_decref(o);
	/* and what was shown can be asked for */
	o = status_lun_json(m.engine, "bad\\xff\\xc0\\x80name\\n", &found);
	ck_assert(found);
	json_decref(o);
}
END_TEST

START_TEST(found_by_name_or_id)
{
	bool found;
	json_t *o = status_lun_json(m.engine, "db", &found);

	ck_assert(found);
	json_decref(o);
	o = status_lun_json(m.engine, MODEL_DB, &found);
	ck_assert(found);
	ck_assert_str_eq(string_of(o, "name"), "db");
	ck_assert_str_eq(string_of(o, "section"), "db");
	json_decref(o);
	o = status_lun_json(m.engine, MODEL_OTHER, &found);
	ck_assert(found);
	ck_assert(json_is_null(json_object_get(o, "section")));
	json_decref(o);
	ck_assert_ptr_null(status_lun_json(m.engine, "d", &found));
	ck_assert(!found);
	o = status_paths_json(m.engine, "nobody", &found);
	ck_assert(!found);
	json_decref(o);
}
END_TEST

START_TEST(flat_lun_number_as_in_the_name)
{
	bool found;
	json_t *o = status_paths_json(m.engine, MODEL_OTHER, &found);
	json_t *p = json_array_get(json_object_get(o, "paths"), 0);

	ck_assert_str_eq(string_of(p, "name"), "san/192.0.2.2:3260/2");
	ck_assert_int_eq(number_of(p, "lun"), 2);
	json_decref(o);
}
END_TEST

START_TEST(all_paths_with_those_of_no_lun)
{
	struct path *p = path_new(m.engine, m.s1, 7);
	bool found;
	json_t *o = status_paths_json(m.engine, NULL, &found), *last;

	ck_assert_ptr_nonnull(p);
	ck_assert(found);
	ck_assert_uint_eq(json_array_size(json_object_get(o, "paths")), 4);
	last = json_array_get(json_object_get(o, "paths"), 3);
	ck_assert_str_eq(string_of(last, "name"), "san/192.0.2.1:3260/7");
	ck_assert(json_is_null(json_object_get(last, "export")));
	json_decref(o);
}
END_TEST

START_TEST(named_by_path_or_session)
{
	json_t *o = status_named_paths_json(m.engine, "san/192.0.2.2:3260");

	ck_assert_uint_eq(json_array_size(json_object_get(o, "paths")), 2);
	json_decref(o);
	o = status_named_paths_json(m.engine, MODEL_PATH2);
	ck_assert_uint_eq(json_array_size(json_object_get(o, "paths")), 1);
	json_decref(o);
	o = status_named_paths_json(m.engine, "san");
	ck_assert_uint_eq(json_array_size(json_object_get(o, "paths")), 0);
	json_decref(o);
}
END_TEST

START_TEST(sessions)
{
	json_t *o = status_sessions_json(m.engine), *s;

	ck_assert_uint_eq(json_array_size(json_object_get(o, "sessions")), 2);
	s = json_array_get(json_object_get(o, "sessions"), 1);
	ck_assert_str_eq(string_of(s, "name"), "san/192.0.2.2:3260");
	ck_assert_str_eq(string_of(s, "iqn"), "iqn.2026-01.t:d1");
	ck_assert_str_eq(string_of(s, "state"), "up");
	ck_assert_uint_eq(json_array_size(json_object_get(s, "paths")), 2);
	json_decref(o);
}
END_TEST

START_TEST(event)
{
	const struct events_entry ev = { .seq = 7, .wall_us = 1700000000123456,
					 .level = EVENT_WARNING, .kind = "path-failed",
					 .path = MODEL_PATH1, .text = "gone\n" };
	json_t *o = status_event_json(&ev);

	ck_assert_int_eq(number_of(o, "seq"), 7);
	ck_assert_int_eq(number_of(o, "time_us"), 1700000000123456);
	ck_assert_str_eq(string_of(o, "level"), "warning");
	ck_assert(json_is_null(json_object_get(o, "lun")));
	ck_assert_str_eq(string_of(o, "path"), MODEL_PATH1);
	ck_assert_str_eq(string_of(o, "text"), "gone\\n");
	json_decref(o);
}
END_TEST

START_TEST(huge_counters_stay_positive)
{
	bool found;
	json_t *o;

	m.p1->n.reads = UINT64_MAX;
	o = status_paths_json(m.engine, "db", &found);
	ck_assert_int_eq(number_of(json_array_get(json_object_get(o, "paths"), 0), "reads"),
			 INT64_MAX);
	json_decref(o);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("status");
	TCase *t = tcase_create("status");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, start, stop);
	tcase_add_test(t, documented_keys);
	tcase_add_test(t, lun_values);
	tcase_add_test(t, path_values);
	tcase_add_test(t, control_characters_never_get_out);
	tcase_add_test(t, found_by_name_or_id);
	tcase_add_test(t, flat_lun_number_as_in_the_name);
	tcase_add_test(t, all_paths_with_those_of_no_lun);
	tcase_add_test(t, named_by_path_or_session);
	tcase_add_test(t, sessions);
	tcase_add_test(t, event);
	tcase_add_test(t, huge_counters_stay_positive);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
