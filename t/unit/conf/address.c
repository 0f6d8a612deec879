/* SPDX-License-Identifier: MIT */
#include "helper.h"
#include "conf/value.h"

struct address_case {
	const char *text, *addr; /* NULL: refused */
	const char *interface;
};

START_TEST(portals_are_brought_to_one_form)
{
	static const struct address_case cases[] = {
		{"192.0.2.1", "192.0.2.1:3260", NULL},
		{"192.0.2.1:860", "192.0.2.1:860", NULL},
		{"192.0.2.1:65535", "192.0.2.1:65535", NULL},
		{"[2001:DB8:0::1]:3261", "[2001:db8::1]:3261", NULL},
		{"[2001:db8::1]", "[2001:db8::1]:3260", NULL},
		{"2001:db8::1", "[2001:db8::1]:3260", NULL},
		{"fe80::1%eth0", "[fe80::1%eth0]:3260", NULL},
		{"SAN-1.example.com", "san-1.example.com:3260", NULL},
		{"3par:3261", "3par:3261", NULL},
		{"192.0.2.1 via eth0", "192.0.2.1:3260", "eth0"},
		{"[::1]:1 \t via \t bond0.100", "[::1]:1", "bond0.100"},
		{"h via abcdefghijklmno", "h:3260", "abcdefghijklmno"},
		{"h via abcdefghijklmnop", NULL, NULL},
		{"h via", NULL, NULL},
		{"h viaeth0", NULL, NULL},
		{"h via eth0 eth1", NULL, NULL},
		{"h via a/b", NULL, NULL},
		{"h eth0", NULL, NULL},
		{"", NULL, NULL},
		{":3260", NULL, NULL},
		{"h:", NULL, NULL},
		{"h:0", NULL, NULL},
		{"h:65536", NULL, NULL},
		{"h:03260", NULL, NULL},
		{"h:+1", NULL, NULL},
		{"h:123456", NULL, NULL},
		{"192.0.2.256", NULL, NULL},
		{"10.1", NULL, NULL},
		{"0x7f.1", NULL, NULL},
		{"1.2.3.4.5", NULL, NULL},
		{"[192.0.2.1]:1", NULL, NULL},
		{"[::1", NULL, NULL},
		{"[::1]x", NULL, NULL},
		{"[::1]:", NULL, NULL},
		{"[]:1", NULL, NULL},
		{"2001:db8:::1", NULL, NULL},
		{"fe80::1%", NULL, NULL},
		{"fe80::1%e]0", NULL, NULL},
		{"a..b", NULL, NULL},
		{"a.", NULL, NULL},
		{"-a", NULL, NULL},
		{"a-", NULL, NULL},
		{"a/b", NULL, NULL},
		{"iqn,1", NULL, NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *addr, *interface;
		int err = conf_address_portal_via(cases[i].text, &addr, &interface);

		ck_assert_msg(!err == !!cases[i].addr, "%s: %d", cases[i].text, err);
		ck_assert_pstr_eq(addr, cases[i].addr);
		ck_assert_pstr_eq(interface, cases[i].interface);
		free(addr);
		free(interface);
	}
}
END_TEST

START_TEST(an_over_long_host_name_is_refused)
{
	char host[300], *addr;

	for (int i = 0; i < 299; i++)
		host[i] = i % 60 == 59 ? '.' : 'a';
	host[299] = '\0';
	ck_assert_int_ne(conf_address_portal(host, &addr), 0);
	host[253] = '\0';
	ck_assert_int_eq(conf_address_portal(host, &addr), 0);
	free(addr);
	memset(host, 'a', 64);
	host[64] = '\0';
	ck_assert_int_ne(conf_address_portal(host, &addr), 0);
	host[63] = '\0';
	ck_assert_int_eq(conf_address_portal(host, &addr), 0);
	free(addr);
}
END_TEST

START_TEST(listen_takes_numbers_and_paths)
{
	static const struct {
		const char *text, *listen;
		bool local;
	} cases[] = {
		{"unix:/run/x.sock", "unix:/run/x.sock", true},
		{"tcp:127.0.0.1:10809", "tcp:127.0.0.1:10809", true},
		{"tcp:127.9.9.9:1", "tcp:127.9.9.9:1", true},
		{"tcp:[0:0::1]:10809", "tcp:[::1]:10809", true},
		{"tcp:[::ffff:127.0.0.1]:1", "tcp:[::ffff:127.0.0.1]:1", true},
		{"tcp:[::ffff:192.0.2.1]:1", "tcp:[::ffff:192.0.2.1]:1", false},
		{"tcp:0.0.0.0:10809", "tcp:0.0.0.0:10809", false},
		{"tcp:192.0.2.1:10809", "tcp:192.0.2.1:10809", false},
		{"tcp:[::]:10809", "tcp:[::]:10809", false},
		{"tcp:[fe80::1%eth0]:1", NULL, false},
		{"tcp:127.0.0.1", NULL, false},
		{"tcp:127.0.0.1:0", NULL, false},
		{"tcp:localhost:10809", NULL, false},
		{"tcp:::1", NULL, false},
		{"tcp:", NULL, false},
		{"unix:", NULL, false},
		{"unix:run/x", NULL, false},
		{"unix:/run/", NULL, false},
		{"unix:/run/\a", NULL, false},
		{"/run/x", NULL, false},
		{"vsock:1:2", NULL, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *got;
		int err = conf_address_listen(cases[i].text, &got);

		ck_assert_msg(!err == !!cases[i].listen, "%s: %d", cases[i].text, err);
		ck_assert_pstr_eq(got, cases[i].listen);
		if (got)
			ck_assert_msg(conf_address_is_local(got) == cases[i].local, "%s", got);
		free(got);
	}
}
END_TEST

START_TEST(a_socket_path_fits_sockaddr_un)
{
	char path[120];

	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[107] = '\0';
	ck_assert(conf_address_is_socket(path));
	path[107] = 'x';
	path[108] = '\0';
	ck_assert(!conf_address_is_socket(path));
}
END_TEST

RUN("conf/address", portals_are_brought_to_one_form, an_over_long_host_name_is_refused,
    listen_takes_numbers_and_paths, a_socket_path_fits_sockaddr_un)
