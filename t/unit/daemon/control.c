/* SPDX-License-Identifier: MIT */
/* The control socket: its commands, and clients and files that mean it no good. */
#include "daemon/control.h"
#include "daemon/control_cmd.h"
#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct model m;
static struct ev_loop *loop;
static struct control *control;
static char dir[64], path[96], why[256];
static int touched, settled, reload_result;
static const char *reload_message;

static void touch(void *arg)
{
	ck_assert_ptr_eq(arg, &m);
	touched++;
}

static void settle(void *arg)
{
	settled++;
}

static int reload(void *arg, char **message)
{
	*message = reload_message ? strdup(reload_message) : NULL;
	return reload_result;
}

static const struct control_ops ops = { .touch = touch, .settle = settle, .reload = reload };

static int start_control(struct control **c)
{
	return control_start(c, loop, path, &ops, &m, m.engine, m.events, why, sizeof(why));
}

static void start(void)
{
	model_start(&m);
	loop = ev_loop_new(0);
	strcpy(dir, "/tmp/mpiod-control-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/control.sock", dir);
	ck_assert_msg(start_control(&control) == 0, "%s", why);
	touched = settled = reload_result = 0;
	reload_message = NULL;
}

static void stop(void)
{
	control_stop(control);
	ck_assert_int_lt(access(path, F_OK), 0);
	unlink(path);
	rmdir(dir);
	ev_loop_destroy(loop);
	model_stop(&m);
}

static int dial(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(addr.sun_path, path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void pump(void)
{
	for (int i = 0; i < 20; i++)
		ev_run(loop, EVRUN_NOWAIT);
}

static void put(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* The next line; NULL: the connection was closed. */
static json_t *next(int fd)
{
	static char line[1 << 20];
	size_t n = 0;

	for (int turns = 0; turns < 2000; turns++) {
		ssize_t got = recv(fd, line + n, 1, 0);

		if (got == 0 || (got < 0 && errno == ECONNRESET))
			return NULL;
		if (got < 0) {
			ev_run(loop, EVRUN_NOWAIT);
			continue;
		}
		turns = 0;
		if (line[n] == '\n') {
			json_t *o = json_loadb(line, n, 0, NULL);

			ck_assert_msg(o != NULL, "%.*s", (int)n, line);
			return o;
		}
		n++;
	}
	ck_abort_msg("no answer, only %.*s", (int)n, line);
	return NULL;
}

static bool silent(int fd)
{
	char c;

	pump();
	return recv(fd, &c, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

static json_t *ask(int fd, const char *request)
{
	put(fd, request);
	put(fd, "\n");
	return next(fd);
}

static void check_error(json_t *o, const char *code)
{
	ck_assert_ptr_nonnull(o);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "version")), 1);
	ck_assert(json_is_false(json_object_get(o, "ok")));
	ck_assert_str_eq(json_string_value(json_object_get(o, "code")), code);
	ck_assert_ptr_nonnull(json_string_value(json_object_get(o, "error")));
	json_decref(o);
}

/* Asks on a connection of its own; returns "data". */
static json_t *ask_ok(const char *request)
{
	int fd = dial();
	json_t *o = ask(fd, request), *data = json_incref(json_object_get(o, "data"));

	ck_assert_ptr_nonnull(o);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "version")), 1);
	ck_assert(json_is_true(json_object_get(o, "ok")));
	ck_assert_ptr_nonnull(data);
	json_decref(o);
	close(fd);
	pump();
	return data;
}

static void ask_error(const char *request, const char *code)
{
	int fd = dial();

	check_error(ask(fd, request), code);
	close(fd);
	pump();
}

static const char STATUS[] = "{\"version\":1,\"cmd\":\"status\"}";

static void still_works(void)
{
	json_decref(ask_ok(STATUS));
}

START_TEST(status)
{
	json_t *data = ask_ok(STATUS);

	ck_assert_uint_eq(json_array_size(json_object_get(data, "luns")), 2);
	ck_assert_int_gt(touched, 0);
	json_decref(data);
}
END_TEST

START_TEST(show_and_paths)
{
	json_t *data = ask_ok("{\"version\":1,\"cmd\":\"show\",\"lun\":\"db\"}");

	ck_assert_str_eq(json_string_value(json_object_get(data, "id")), MODEL_DB);
	json_decref(data);
	data = ask_ok("{\"version\":1,\"cmd\":\"paths\",\"lun\":\"" MODEL_DB "\"}");
	ck_assert_uint_eq(json_array_size(json_object_get(data, "paths")), 2);
	json_decref(data);
	data = ask_ok("{\"version\":1,\"cmd\":\"paths\"}");
	ck_assert_uint_eq(json_array_size(json_object_get(data, "paths")), 3);
	json_decref(data);
	data = ask_ok("{\"version\":1,\"cmd\":\"sessions\"}");
	ck_assert_uint_eq(json_array_size(json_object_get(data, "sessions")), 2);
	json_decref(data);
	ask_error("{\"version\":1,\"cmd\":\"show\",\"lun\":\"x\"}", "not-found");
	ask_error("{\"version\":1,\"cmd\":\"paths\",\"lun\":\"x\"}", "not-found");
}
END_TEST

START_TEST(metrics)
{
	json_t *data = ask_ok("{\"version\":1,\"cmd\":\"metrics\"}");
	const char *text = json_string_value(json_object_get(data, "text"));

	ck_assert_int_gt(touched, 0);
	ck_assert_ptr_nonnull(text);
	ck_assert_ptr_nonnull(strstr(text, "\nmpiod_lun_size_bytes{export=\"db\"} 67108864\n"));
	json_decref(data);
}
END_TEST

START_TEST(requests_that_make_no_sense)
{
	static const char *const bad[] = {
		"", "hello", "{", "[]", "7", "null", "{}", "\xff\xfe", "{\"version\":1}",
		"{\"version\":2,\"cmd\":\"status\"}", "{\"version\":\"1\",\"cmd\":\"status\"}",
		"{\"cmd\":\"status\"}", "{\"version\":1,\"cmd\":\"format-disk\"}",
		"{\"version\":1,\"cmd\":5}", "{\"version\":1,\"cmd\":\"show\"}",
		"{\"version\":1,\"cmd\":\"show\",\"lun\":7}",
		"{\"version\":1,\"cmd\":\"paths\",\"lun\":7}",
		"{\"version\":1,\"cmd\":\"path-disable\"}", "{\"version\":1,\"cmd\":\"policy\"}",
		"{\"version\":1,\"cmd\":\"policy\",\"lun\":\"db\"}",
		"{\"version\":1,\"cmd\":\"events\",\"limit\":-1}",
		"{\"version\":1,\"cmd\":\"events\",\"limit\":\"x\"}",
		"{\"version\":1,\"cmd\":\"status\",\"cmd\":\"reload\"}",
		"{\"version\":1,\"cmd\":\"sta\xfftus\"}",
		"{\"version\":1,\"cmd\":\"show\",\"lun\":\"a\\u0000b\"}",
	};
	int fd = dial();
	json_t *o;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_error(ask(fd, bad[i]), "invalid");
	o = ask(fd, STATUS); /* and the connection is still good */
	ck_assert(json_is_true(json_object_get(o, "ok")));
	json_decref(o);
	close(fd);
}
END_TEST

/* The half-made answer was kept for ever: only a leak check sees it. */
START_TEST(a_lun_there_is_not)
{
	static const char *const commands[] = { "show", "paths", "reservations", "explain" };
	char request[100];
	int fd = dial();

	for (int i = 0; i < 4; i++) {
		snprintf(request, sizeof(request), "{\"version\":1,\"cmd\":\"%s\",\"lun\":\"nosuch\"}",
			 commands[i]);
		check_error(ask(fd, request), "not-found");
	}
	close(fd);
}
END_TEST

START_TEST(deep_nesting)
{
	static char deep[60000];
	int fd = dial();

	memset(deep, '[', sizeof(deep) - 1);
	check_error(ask(fd, deep), "invalid");
	close(fd);
	still_works();
}
END_TEST

START_TEST(pieces_and_pipelines)
{
	int fd = dial();
	json_t *o;

	put(fd, "{\"version\":1,");
	ck_assert(silent(fd));
	put(fd, "\"cmd\":\"sessions\"}\n{\"version\":1,\"cmd\":\"no\"}\n"
		"{\"version\":1,\"cmd\":\"events\"}\n");
	o = next(fd);
	ck_assert_ptr_nonnull(json_object_get(json_object_get(o, "data"), "sessions"));
	json_decref(o);
	check_error(next(fd), "invalid");
	o = next(fd);
	ck_assert_ptr_nonnull(json_object_get(json_object_get(o, "data"), "events"));
	json_decref(o);
	ck_assert(silent(fd));
	close(fd);
}
END_TEST

START_TEST(a_line_without_end)
{
	static char text[CONTROL_LINE_MAX];
	int fd = dial();
	size_t sent = 0;

	memset(text, 'x', sizeof(text));
	while (sent < sizeof(text)) {
		ssize_t n = send(fd, text + sent, sizeof(text) - sent, MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		ev_run(loop, EVRUN_NOWAIT);
	}
	check_error(next(fd), "invalid");
	ck_assert_ptr_null(next(fd));
	close(fd);
	still_works();
}
END_TEST

START_TEST(who_does_not_read_is_not_read)
{
	char request[256];
	int fd = dial(), n = 0;
	json_t *o;

	snprintf(request, sizeof(request), "%s\n", STATUS);
	for (int i = 0; i < 100000; i++) { /* 2.9 MB of requests, 300 MB of answers */
		if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
			break;
		ev_run(loop, EVRUN_NOWAIT);
		n++;
	}
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_lt(n, 50000);
	ck_assert_int_lt(touched, 1000); /* nor is what it sent before run to no end */
	still_works();
	o = next(fd); /* it reads at last, and all goes on */
	ck_assert(json_is_true(json_object_get(o, "ok")));
	json_decref(o);
	close(fd);
}
END_TEST

START_TEST(too_many_connections)
{
	int fd[CONTROL_CLIENTS_MAX], extra;

	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		fd[i] = dial();
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		ev_run(loop, EVRUN_NOWAIT);
	extra = dial();
	check_error(next(extra), "refused");
	ck_assert_ptr_null(next(extra));
	close(extra);
	close(fd[3]);
	pump();
	still_works(); /* there is room again */
	for (int i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (i != 3)
			close(fd[i]);
}
END_TEST

static void turn_for(double seconds)
{
	double end = ev_time() + seconds;

	while (ev_time() < end) {
		ev_run(loop, EVRUN_NOWAIT);
		usleep(2000);
	}
}

START_TEST(idle_connections_are_closed)
{
	int idle, dribbling, follower, busy;
	json_t *o;
	char c;

	control_set_idle(control, 0.2);
	idle = dial();
	dribbling = dial();
	follower = dial();
	busy = dial();
	o = ask(follower, "{\"version\":1,\"cmd\":\"events\",\"follow\":true}");
	json_decref(o);
	for (int i = 0; i < 30; i++) { /* a byte now and then is no sign of life */
		if (send(dribbling, " ", 1, MSG_NOSIGNAL) < 0)
			break;
		json_decref(ask(busy, STATUS)); /* but a request is: it lives on */
		turn_for(0.02);
	}
	ck_assert_int_eq(recv(idle, &c, 1, 0), 0);
	ck_assert_int_lt(send(dribbling, " ", 1, MSG_NOSIGNAL), 0);
	engine_path_enable(m.engine, MODEL_PATH1);
	engine_lun_policy(m.engine, "db", "least-blocks");
	o = next(follower); /* whoever follows may be silent */
	ck_assert_ptr_nonnull(o);
	json_decref(o);
	json_decref(ask(busy, STATUS));
	close(idle);
	close(busy);
	close(dribbling);
	close(follower);
	control_set_idle(control, 60);
	still_works();
}
END_TEST

START_TEST(events_history)
{
	json_t *data = ask_ok("{\"version\":1,\"cmd\":\"events\"}"), *list, *last;
	uint64_t n = events_newest(m.events);

	list = json_object_get(data, "events");
	ck_assert_uint_gt(n, 2);
	ck_assert_uint_eq(json_array_size(list), n);
	last = json_array_get(list, n - 1);
	ck_assert_str_eq(json_string_value(json_object_get(last, "kind")), "path-failed");
	json_decref(data);
	data = ask_ok("{\"version\":1,\"cmd\":\"events\",\"limit\":1}");
	list = json_object_get(data, "events");
	ck_assert_uint_eq(json_array_size(list), 1);
	ck_assert_uint_eq(json_integer_value(json_object_get(json_array_get(list, 0), "seq")), n);
	json_decref(data);
	data = ask_ok("{\"version\":1,\"cmd\":\"events\",\"limit\":0}");
	ck_assert_uint_eq(json_array_size(json_object_get(data, "events")), 0);
	json_decref(data);
	data = ask_ok("{\"version\":1,\"cmd\":\"events\",\"limit\":100000}");
	ck_assert_uint_eq(json_array_size(json_object_get(data, "events")), n);
	json_decref(data);
}
END_TEST

START_TEST(events_follow)
{
	int fd = dial(), other = dial();
	json_t *o = ask(fd, "{\"version\":1,\"cmd\":\"events\",\"follow\":true,\"limit\":0}"), *ev;

	json_decref(o);
	ck_assert(silent(fd));
	json_decref(ask(other, "{\"version\":1,\"cmd\":\"policy\",\"lun\":\"db\","
			       "\"policy\":\"least-blocks\"}"));
	o = next(fd);
	ev = json_array_get(json_object_get(json_object_get(o, "data"), "events"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(ev, "kind")), "policy");
	ck_assert_str_eq(json_string_value(json_object_get(ev, "lun")), "db");
	json_decref(o);
	put(fd, "whatever it says now\n"); /* is not listened to */
	ck_assert(silent(fd));
	ck_assert(silent(other));
	close(fd);
	close(other);
}
END_TEST

START_TEST(slow_follower_is_dropped)
{
	static char text[2000], drain[2000];
	struct event ev = { .kind = "noise", .text = text };
	int slow = dial(), quick = dial(), n = 0;
	json_t *o;

	json_decref(ask(slow, "{\"version\":1,\"cmd\":\"events\",\"follow\":true,\"limit\":0}"));
	json_decref(ask(quick, "{\"version\":1,\"cmd\":\"events\",\"follow\":true,\"limit\":0}"));
	memset(text, 'n', sizeof(text) - 1);
	for (int i = 0; i < 3000; i++) { /* 3 MB: text of an event is cut at 1 KB */
		events_add(m.events, &ev, 0);
		json_decref(next(quick));
	}
	for (;;) {
		ssize_t got = recv(slow, drain, sizeof(drain), 0);

		if (got <= 0) {
			ck_assert_msg(got == 0, "still open after %d bytes", n);
			break;
		}
		n += (int)got;
		pump();
	}
	ck_assert_int_gt(n, 10000);
	events_add(m.events, &ev, 0);
	o = next(quick); /* the other one is not hurt */
	ck_assert_ptr_nonnull(o);
	json_decref(o);
	close(slow);
	close(quick);
}
END_TEST

START_TEST(follower_that_hangs_up)
{
	struct event ev = { .kind = "noise", .text = "x" };
	int fd = dial();

	json_decref(ask(fd, "{\"version\":1,\"cmd\":\"events\",\"follow\":true}"));
	close(fd);
	events_add(m.events, &ev, 0);
	events_add(m.events, &ev, 0);
	pump();
	still_works();
}
END_TEST

START_TEST(path_commands)
{
	json_t *data = ask_ok("{\"version\":1,\"cmd\":\"path-disable\","
			      "\"path\":\"" MODEL_PATH2 "\"}");
	json_t *p = json_array_get(json_object_get(data, "paths"), 0);

	ck_assert_uint_eq(json_array_size(json_object_get(data, "paths")), 1);
	ck_assert_str_eq(json_string_value(json_object_get(p, "state")), "disabled");
	ck_assert_int_eq(m.p2->state, PATH_DISABLED);
	ck_assert_int_eq(m.db->state, LUN_NO_PATH);
	ck_assert_int_eq(touched, 1);
	ck_assert_int_eq(settled, 1);
	json_decref(data);
	m.p3->inflight = 1;
	data = ask_ok("{\"version\":1,\"cmd\":\"path-drain\",\"path\":\"san/192.0.2.2:3260\"}");
	ck_assert_int_eq(m.p3->state, PATH_DRAINING);
	json_decref(data);
	data = ask_ok("{\"version\":1,\"cmd\":\"path-enable\",\"path\":\"san/192.0.2.2:3260\"}");
	ck_assert(!m.p2->admin_disabled);
	ck_assert(!m.p3->admin_disabled);
	json_decref(data);
	ask_error("{\"version\":1,\"cmd\":\"path-disable\",\"path\":\"san/none/1\"}", "not-found");
	ask_error("{\"version\":1,\"cmd\":\"path-drain\",\"path\":\"\"}", "not-found");
}
END_TEST

START_TEST(policy_command)
{
	json_t *data = ask_ok("{\"version\":1,\"cmd\":\"policy\",\"lun\":\"db\","
			      "\"policy\":\"least-queue-depth\"}");

	ck_assert_str_eq(m.db->policy->name, "least-queue-depth");
	json_decref(data);
	ask_error("{\"version\":1,\"cmd\":\"policy\",\"lun\":\"db\",\"policy\":\"x\"}", "invalid");
	ask_error("{\"version\":1,\"cmd\":\"policy\",\"lun\":\"x\",\"policy\":\"least-blocks\"}",
		  "not-found");
	ck_assert_str_eq(m.db->policy->name, "least-queue-depth");
}
END_TEST

START_TEST(reload_command)
{
	int fd = dial();
	json_t *o = ask(fd, "{\"version\":1,\"cmd\":\"reload\"}");

	ck_assert(json_is_true(json_object_get(o, "ok")));
	json_decref(o);
	reload_message = "a.conf:1: one\na.conf:2: two \x1b[0m\n";
	reload_result = -EINVAL;
	o = ask(fd, "{\"version\":1,\"cmd\":\"reload\"}");
	ck_assert_str_eq(json_string_value(json_object_get(o, "error")),
			 "a.conf:1: one\na.conf:2: two \\x1b[0m");
	check_error(o, "refused");
	reload_result = 0;
	o = ask(fd, "{\"version\":1,\"cmd\":\"reload\"}");
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(o, "data"), "message")),
			 "a.conf:1: one\na.conf:2: two \\x1b[0m");
	json_decref(o);
	close(fd);
	ask_error("{\"version\":1,\"cmd\":\"rescan\"}", "refused"); /* no such op here */
}
END_TEST

START_TEST(second_daemon_is_refused)
{
	struct control *other = NULL;

	ck_assert_int_eq(start_control(&other), -EADDRINUSE);
	ck_assert_ptr_nonnull(strstr(why, "another daemon"));
	ck_assert_ptr_null(other);
	still_works();
}
END_TEST

START_TEST(mode_of_the_socket)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0660);
}
END_TEST

START_TEST(stale_socket_is_replaced)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	control_stop(control);
	strcpy(addr.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd); /* as a daemon that was killed leaves it */
	ck_assert_msg(start_control(&control) == 0, "%s", why);
	still_works();
}
END_TEST

START_TEST(what_is_no_socket_stays)
{
	struct control *other = NULL;
	int fd;

	control_stop(control);
	control = NULL;
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(start_control(&other), -ENOTSOCK);
	ck_assert_int_eq(access(path, F_OK), 0);
	unlink(path);
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
	ck_assert_int_eq(start_control(&other), -ENOTSOCK);
	unlink(path);
	ck_assert_msg(start_control(&control) == 0, "%s", why);
}
END_TEST

START_TEST(bad_paths)
{
	struct control *other = NULL;
	char good[sizeof(path)], longer[109];

	strcpy(good, path);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[0] = '/';
	longer[108] = '\0';
	strcpy(path, "/nonexistent-directory/control.sock");
	ck_assert_int_eq(start_control(&other), -ENOENT);
	ck_assert_ptr_nonnull(strstr(why, "nonexistent-directory"));
	ck_assert_int_eq(control_start(&other, loop, longer, &ops, &m, m.engine, m.events, why,
				       sizeof(why)), -ENAMETOOLONG);
	strcpy(path, good);
}
END_TEST

START_TEST(the_socket_of_a_successor_stays)
{
	struct control *other = NULL;

	unlink(path);
	ck_assert_msg(start_control(&other) == 0, "%s", why);
	control_stop(control);
	ck_assert_int_eq(access(path, F_OK), 0);
	control = other;
}
END_TEST

START_TEST(stop_with_clients)
{
	int fd = dial(), follower = dial();

	json_decref(ask(follower, "{\"version\":1,\"cmd\":\"events\",\"follow\":true}"));
	pump();
	control_stop(control);
	control = NULL;
	ck_assert_ptr_null(next(fd));
	ck_assert_ptr_null(next(follower));
	engine_lun_policy(m.engine, "db", "least-blocks"); /* nobody watches any more */
	close(fd);
	close(follower);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("control");
	TCase *t = tcase_create("control");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, start, stop);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, status);
	tcase_add_test(t, show_and_paths);
	tcase_add_test(t, metrics);
	tcase_add_test(t, requests_that_make_no_sense);
	tcase_add_test(t, a_lun_there_is_not);
	tcase_add_test(t, deep_nesting);
	tcase_add_test(t, pieces_and_pipelines);
	tcase_add_test(t, a_line_without_end);
	tcase_add_test(t, who_does_not_read_is_not_read);
	tcase_add_test(t, too_many_connections);
	tcase_add_test(t, idle_connections_are_closed);
	tcase_add_test(t, events_history);
	tcase_add_test(t, events_follow);
	tcase_add_test(t, slow_follower_is_dropped);
	tcase_add_test(t, follower_that_hangs_up);
	tcase_add_test(t, path_commands);
	tcase_add_test(t, policy_command);
	tcase_add_test(t, reload_command);
	tcase_add_test(t, second_daemon_is_refused);
	tcase_add_test(t, mode_of_the_socket);
	tcase_add_test(t, stale_socket_is_replaced);
	tcase_add_test(t, what_is_no_socket_stays);
	tcase_add_test(t, bad_paths);
	tcase_add_test(t, the_socket_of_a_successor_stays);
	tcase_add_test(t, stop_with_clients);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
