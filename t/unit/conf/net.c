/* SPDX-License-Identifier: MIT */
/* conf/net.c: networks as they are written, and who is in them. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "conf/value.h"
#include "helper.h"

START_TEST(networks)
{
	static const struct {
		const char *text;
		int bits; /* -1: not taken */
	} cases[] = {
		{"192.0.2.1", 128}, {"192.0.2.0/24", 120}, {"0.0.0.0/0", 96}, {"192.0.2.1/32", 128},
		{"::", 128}, {"::/0", 0}, {"2001:db8::/32", 32}, {"2001:db8::1", 128}, {"::ffff:192.0.2.1", 128},
		{"192.0.2.1/24", -1}, {"2001:db8::1/32", -1}, {"192.0.2.0/33", -1}, {"::/129", -1}, {"::/1000", -1},
		{"192.0.2.0/", -1}, {"192.0.2.0/-1", -1}, {"192.0.2.0/ 24", -1}, {"192.0.2.0/0x8", -1}, {"/24", -1},
		{"", -1}, {"host", -1}, {"192.0.2", -1}, {"10/8", -1}, {"192.0.2.0/24/24", -1}, {"[::1]", -1},
		{"fe80::1%eth0", -1}, {"192.0.2.01", -1}, {"255.255.255.255.255.255.255.255.255.255.255.255.255", -1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conf_net net;
		int err = conf_net_parse(cases[i].text, &net);

		ck_assert_msg(!err == (cases[i].bits >= 0), "%s: %d", cases[i].text, err);
		if (!err)
			ck_assert_int_eq(net.bits, cases[i].bits);
	}
}
END_TEST

static bool allows(const struct conf *c, const char *addr)
{
	struct sockaddr_storage ss = {0};

	ss.ss_family = strchr(addr, ':') ? AF_INET6 : AF_INET;
	ck_assert_int_eq(inet_pton(ss.ss_family, addr,
				   ss.ss_family == AF_INET ? (void *)&((struct sockaddr_in *)&ss)->sin_addr
							   : (void *)&((struct sockaddr_in6 *)&ss)->sin6_addr),
			 1);
	return conf_allows(c, (struct sockaddr *)&ss);
}

START_TEST(who_may_connect)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct conf_net nets[3];
	struct conf c = {.listen_insecure = false};

	ck_assert(allows(&c, "127.0.0.1") && allows(&c, "127.9.9.9") && allows(&c, "::1") &&
		  allows(&c, "::ffff:127.0.0.1"));
	ck_assert(!allows(&c, "126.255.255.255") && !allows(&c, "128.0.0.1") && !allows(&c, "::2") &&
		  !allows(&c, "192.0.2.1"));
	c.listen_insecure = true;
	ck_assert(allows(&c, "192.0.2.1") && allows(&c, "2001:db8::1"));
	ck_assert(!conf_net_parse("192.0.2.128/25", &nets[0]) && !conf_net_parse("2001:db8::/31", &nets[1]) &&
		  !conf_net_parse("127.0.0.2", &nets[2]));
	c.allow = nets;
	c.nallow = 3;
	for (int insecure = 0; insecure < 2; insecure++) {
		c.listen_insecure = insecure;
		ck_assert(allows(&c, "192.0.2.128") && allows(&c, "192.0.2.255") && allows(&c, "::ffff:192.0.2.200"));
		ck_assert(!allows(&c, "192.0.2.127") && !allows(&c, "192.0.3.128"));
		ck_assert(allows(&c, "2001:db9::1") && !allows(&c, "2001:dba::") && !allows(&c, "::1"));
		ck_assert(allows(&c, "127.0.0.2") && !allows(&c, "127.0.0.1"));
		ck_assert(conf_allows(&c, (struct sockaddr *)&un));
	}
}
END_TEST

RUN("conf/net", networks, who_may_connect)
