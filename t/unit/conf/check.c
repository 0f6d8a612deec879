/* SPDX-License-Identifier: MIT */
#include "helper.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID "id = naa.6001\n"

START_TEST(what_does_not_fit_together)
{
	static const struct text_case cases[] = {
		{"[target a]\n", "f:1: [target a] iqn: missing, expected an iSCSI name such as "
				 "iqn.2001-05.com.example:array1 (or eui. or naa. and hex digits)\n"
				 "f:1: [target a] portal: missing, expected ADDR, ADDR:PORT or "
				 "[ADDR6]:PORT, and via IFACE "
				 "if wanted\n"},
		{TARGET "portal = 192.0.2.2\nportal = 192.0.2.1:3260\n",
		 "f:5: [target a] portal: \"192.0.2.1:3260\" of this iqn is given twice, first in "
		 "line 3, "
		 "expected once\n"},
		{TARGET "[target b]\niqn = iqn.2001-05.com.example:a\nportal = 192.0.2.2\n"
			"portal = 192.0.2.1\n",
		 "f:7: [target b] portal: \"192.0.2.1:3260\" of this iqn is given twice, first in "
		 "line 3, "
		 "expected once\n"},
		{TARGET "portal = c via eth0\nportal = C via eth0\n",
		 "f:5: [target a] portal: \"c:3260\" of this iqn is given twice, first in line 4, "
		 "expected "
		 "once\n"},
		{TARGET "chap_user = u\n", "f:4: [target a] chap_user: chap_secret_file is "
					   "missing, expected both or neither\n"},
		{TARGET "mutual_chap_user = u\n",
		 "f:4: [target a] mutual_chap_user: mutual_chap_secret_file is missing, expected "
		 "both or "
		 "neither\n"
		 "f:4: [target a] mutual_chap_user: chap_user is missing, expected CHAP wherever "
		 "mutual CHAP "
		 "is\n"},
		{TARGET "chap_user = u\nchap_secret_file = /nonexistent/s\n",
		 "f:5: [target a] chap_secret_file: \"/nonexistent/s\" cannot be read (No such "
		 "file or "
		 "directory), expected a file with a secret of 1 to 255 bytes\n"},
		{TARGET "[lun x]\n" ID "[lun y]\nid = naa.6002\nalias = z\n[lun z]\nid = NAA.1\n"
			"[lun w]\nid = naa.6001\n",
		 "f:9: [lun z]: \"z\" is the name of the export of [lun y] in line 6 too, expected "
		 "another "
		 "one\n"
		 "f:10: [lun z] id: \"NAA.1\" is not valid, expected an identifier with naa., "
		 "eui., t10., "
		 "name. or vendor. in front\n"
		 "f:12: [lun w] id: \"naa.6001\" is the id of [lun x] in line 5 too, expected one "
		 "section "
		 "for each LUN\n"},
		{TARGET "[lun x]\n" ID "[lun y]\nid = naa.6002\nalias = x\n",
		 "f:8: [lun y] alias: \"x\" is the name of the export of [lun x] in line 4 too, "
		 "expected "
		 "another one\n"},
		{TARGET "[lun x]\n" ID "alias = naa.6002\n",
		 "f:6: [lun x] alias: \"naa.6002\" looks like the identifier of another disk, expected a name, or "
		 "this one's id\n"},
		{TARGET "[lun x]\n" ID "preferred = 192.0.2.1:860\nactive = 192.0.2.1, 192.0.2.9\n"
			"active = 192.0.2.8\nweight = 192.0.2.1 1\nweight = 192.0.2.7 2\n",
		 "f:6: [lun x] preferred: \"192.0.2.1:860\" is no portal of any target, expected "
		 "one that is\n"
		 "f:7: [lun x] active: \"192.0.2.9:3260\" is no portal of any target, expected one "
		 "that is\n"
		 "f:8: [lun x] active: \"192.0.2.8:3260\" is no portal of any target, expected one "
		 "that is\n"
		 "f:10: [lun x] weight: \"192.0.2.7:3260\" is no portal of any target, expected "
		 "one that "
		 "is\n"},
		/* a portal that was refused could be the one meant: no second error */
		{TARGET "portal = 192.0.2.9:x\n[lun x]\n" ID "preferred = 192.0.2.9\n",
		 "f:4: [target a] portal: \"192.0.2.9:x\" is not valid, expected ADDR, ADDR:PORT "
		 "or "
		 "[ADDR6]:PORT, and via IFACE if wanted\n"},
		{TARGET "[mpiod]\nlisten = tcp:192.0.2.1:1\nlisten = tcp:127.0.0.1:1\nlisten = "
			"tcp:[::]:2\n",
		 "f:5: [mpiod] listen: \"tcp:192.0.2.1:1\" can be reached from other machines, "
		 "expected a "
		 "loopback address or listen_insecure = yes\n"
		 "f:7: [mpiod] listen: \"tcp:[::]:2\" can be reached from other machines, expected "
		 "a "
		 "loopback address or listen_insecure = yes\n"},
		{TARGET "[mpiod]\nlisten = unix:/x\nlisten = tcp:127.0.0.1:1\nlisten = unix:/x\n",
		 "f:7: [mpiod] listen: \"unix:/x\" is given twice, first in line 5, expected "
		 "once\n"},
		{TARGET "[mpiod]\nlisten = unix:/x\ncontrol = /x\n",
		 "f:5: [mpiod] listen: \"unix:/x\" is the control socket, expected another path\n"},
		{TARGET "[mpiod]\nmetrics = tcp:192.0.2.1:1\n",
		 "f:5: [mpiod] metrics: \"tcp:192.0.2.1:1\" can be reached from other machines, "
		 "expected a loopback address or listen_insecure = yes\n"},
		{TARGET "[mpiod]\nmetrics = tcp:127.0.0.1:1\nlisten = unix:/x\n"
			"listen = tcp:127.0.0.1:1\n",
		 "f:5: [mpiod] metrics: \"tcp:127.0.0.1:1\" is where NBD clients connect, by "
		 "listen in line 7, expected another address\n"},
		{TARGET "[hardware x]\ndsm = tgt\n[hardware y]\nproduct =\n[hardware z]\n"
			"vendor = NINECHARS\n",
		 "f:4: [hardware x]: vendor and product are missing, expected at least one of "
		 "them\n"
		 "f:7: [hardware y] product: no value, expected a pattern (* and ? are wildcards) "
		 "for a text of at most 16 characters\n"
		 "f:9: [hardware z] vendor: \"NINECHARS\" is not valid, expected a pattern (* and ? "
		 "are wildcards) for a text of at most 8 characters\n"},
		{TARGET "[hardware x]\nvendor = a\nproduct = b\n[hardware y]\nproduct = b\n"
			"vendor = a\n",
		 "f:7: [hardware y]: the vendor and product of [hardware x] in line 4, expected one "
		 "section for each kind of storage\n"},
		{TARGET "[defaults]\nfence = reservation\n",
		 "f:5: [defaults] fence: reservation needs a reservation_key, expected one in this "
		 "section\n"},
		/* which hardware section fits is not known yet, and one that does may have no key */
		{TARGET "[hardware x]\nvendor = a\nfence = reservation\n[hardware y]\nvendor = b\n"
			"reservation_key = 2\n[lun x]\n" ID "fence = reservation\n",
		 "f:6: [hardware x] fence: reservation needs a reservation_key, expected one in this "
		 "section or in [defaults]\n"
		 "f:12: [lun x] fence: reservation needs a reservation_key, expected one in this "
		 "section or in [defaults]\n"},
		/* a key that was refused is one error, not two */
		{TARGET "[defaults]\nfence = reservation\nreservation_key = 0\n",
		 "f:6: [defaults] reservation_key: \"0\" is out of range, expected 1 to 12 hex "
		 "digits, with or without 0x, not 0\n"},
		{TARGET "[default]\nreservation_key = 1\n[lun x]\n" ID "fence = reservation\n",
		 "f:4: [default]: unknown section, did you mean [defaults]?\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_refused(cases[i].text, strlen(cases[i].text), cases[i].errors);
}
END_TEST

START_TEST(what_does_fit_together)
{
	static const char *const texts[] = {
		/* two interfaces to one portal are two paths; two targets may share a portal */
		TARGET "portal = 192.0.2.1 via eth0\nportal = 192.0.2.1 via eth1\n",
		TARGET "[target b]\niqn = iqn.2001-05.com.example:b\nportal = 192.0.2.1\n",
		TARGET "[lun x]\n" ID
		       "preferred = 192.0.2.1\nactive = 192.0.2.1:3260\nweight = 192.0.2.1 0\n",
		TARGET "discovery = yes\n[lun x]\n" ID "preferred = 192.0.2.77\n",
		TARGET "[mpiod]\nlisten = tcp:192.0.2.1:1\nlisten_insecure = yes\n",
		"[lun x]\n" ID "preferred = 192.0.2.1\n" TARGET,
		"[lun x]\n" ID "fence = reservation\n" TARGET "[hardware x]\nvendor = a\n"
		"fence = reservation\n[defaults]\nreservation_key = 1\n",
		TARGET "[lun x]\n" ID "fence = reservation\nreservation_key = 1\n",
		TARGET "[defaults]\nfence = reservation\nreservation_key = 1\n[lun x]\n" ID,
		TARGET "[hardware x]\nvendor = a\n[hardware y]\nproduct = a\n"
		       "[hardware z]\nvendor = a\nproduct = a\n",
		TARGET "[mpiod]\nmetrics = tcp:127.0.0.1:1\nlisten = tcp:127.0.0.1:2\n",
		TARGET "[mpiod]\nmetrics = tcp:192.0.2.1:1\nlisten_insecure = yes\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		conf_free(check_accepted(texts[i]));
}
END_TEST

static char secret_path[2][40];

static void put_secret(int i, const char *text, mode_t mode)
{
	int fd;

	strcpy(secret_path[i], "/tmp/conf-check-XXXXXX");
	fd = mkstemp(secret_path[i]);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
}

/* With both secrets in force; *errors as conf_parse() leaves it. */
static struct conf *parse_chap(char **errors)
{
	char text[500];

	snprintf(text, sizeof(text),
		 TARGET "chap_user = u\nchap_secret_file = %s\nmutual_chap_user = v\n"
			"mutual_chap_secret_file = %s\n",
		 secret_path[0], secret_path[1]);
	return conf_parse("f", text, strlen(text), errors);
}

START_TEST(chap_from_files)
{
	struct conf *c;
	char *errors;

	put_secret(0, "first secret of many\n", 0600);
	put_secret(1, "second secret of many", 0600);
	c = parse_chap(&errors);
	ck_assert(c && !errors);
	ck_assert_str_eq(c->targets[0].chap_user, "u");
	ck_assert_str_eq(c->targets[0].chap_secret, "first secret of many");
	ck_assert_str_eq(c->targets[0].mutual_chap_user, "v");
	ck_assert_str_eq(c->targets[0].mutual_chap_secret, "second secret of many");
	conf_free(c);
	unlink(secret_path[0]);
	unlink(secret_path[1]);
}
END_TEST

START_TEST(one_secret_for_both_ways_is_refused)
{
	char *errors;

	put_secret(0, "hunter2hunter2\n", 0600);
	put_secret(1, "hunter2hunter2", 0600);
	ck_assert_ptr_null(parse_chap(&errors));
	ck_assert_str_eq(errors, "f:7: [target a] mutual_chap_secret_file: the same secret as in "
				 "chap_secret_file, expected another one\n");
	free(errors);
	unlink(secret_path[0]);
	unlink(secret_path[1]);
}
END_TEST

START_TEST(a_careless_secret_is_a_warning)
{
	char want[600], *errors;
	struct conf *c;

	put_secret(0, "hunter2\n", 0600);
	put_secret(1, "hunter2hunter2", 0644);
	c = parse_chap(&errors);
	ck_assert_ptr_nonnull(c);
	snprintf(want, sizeof(want),
		 "f:5: warning: [target a] chap_secret_file: the secret in \"%s\" is short, "
		 "expected at least "
		 "12 bytes\n"
		 "f:7: warning: [target a] mutual_chap_secret_file: \"%s\" is open to others than "
		 "its owner, "
		 "expected mode 0600\n",
		 secret_path[0], secret_path[1]);
	ck_assert_str_eq(errors, want);
	free(errors);
	conf_free(c);
	unlink(secret_path[0]);
	unlink(secret_path[1]);
}
END_TEST

RUN("conf/check", what_does_not_fit_together, what_does_fit_together, chap_from_files,
    one_secret_for_both_ways_is_refused, a_careless_secret_is_a_warning)
