/* SPDX-License-Identifier: MIT */
#include "helper.h"

#define SECTIONS "[mpiod], [target NAME], [defaults], [hardware NAME] or [lun NAME]"
#define NO_TARGET "f:1: no target in the whole file, expected at least one section [target NAME]\n"
#define PAIR "not a key and its value, expected \"key = value\"\n"
#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

START_TEST(what_is_refused_and_how)
{
	static const struct text_case cases[] = {
		{"", NO_TARGET},
		{"# only\n\n; this\n", NO_TARGET},
		{"[mpiod]\n", NO_TARGET},
		{TARGET "[targets b]\nx = 1\n",
		 "f:4: [targets b]: unknown section, did you mean [target NAME]?\n"},
		{TARGET "[default]\n",
		 "f:4: [default]: unknown section, did you mean [defaults]?\n"},
		{TARGET "[storage x]\n",
		 "f:4: [storage x]: unknown section, expected " SECTIONS "\n"},
		{TARGET "[hardwares x]\n",
		 "f:4: [hardwares x]: unknown section, did you mean [hardware NAME]?\n"},
		{TARGET "[hardware]\nvendor = x\n",
		 "f:4: [hardware]: the name is missing, expected [hardware NAME] with a "
		 "name of 1 to 200 bytes without blanks\n"},
		{TARGET "[hardware x]\nvendor = x\n[hardware x]\nvendor = y\n",
		 "f:6: [hardware x]: this section is given twice, first in line 4\n"},
		{TARGET "[hardware x]\nvendor = x\nvendors = y\nreservation-key = 1\n",
		 "f:6: [hardware x] vendors: unknown key, did you mean \"vendor\"?\n"
		 "f:7: [hardware x] reservation-key: unknown key, did you mean "
		 "\"reservation_key\"?\n"},
		{TARGET "[defaults]\ndsm = lio\n",
		 "f:5: [defaults] dsm: unknown key here, expected in [hardware NAME]\n"},
		{TARGET "[hardware x]\nvendor = x\ndsm = emc\nfence = none\n",
		 "f:6: [hardware x] dsm: \"emc\" is not valid, expected lio, tgt, alua or generic\n"
		 "f:7: [hardware x] fence: \"none\" is not valid, expected auto, reservation, "
		 "reinstate, hold, solicited or off\n"},
		{TARGET "[]\n", "f:4: []: unknown section, expected " SECTIONS "\n"},
		{TARGET "[target]\n",
		 "f:4: [target]: the name is missing, expected [target NAME] with a "
		 "name of 1 to 200 bytes without blanks\n"},
		{TARGET "[lun a b]\n",
		 "f:4: [lun a b]: the name is not valid, expected [lun NAME] with a "
		 "name of 1 to 200 bytes without blanks\n"},
		{TARGET "[mpiod x]\n", "f:4: [mpiod x]: a name is given, expected [mpiod]\n"},
		{TARGET "[mpiod\nx = 1\n", "f:4: \"]\" is missing, expected " SECTIONS "\n"},
		{TARGET "[mpiod] x\n", "f:4: text after \"]\", expected the end of the line\n"},
		{TARGET "[mpiod\a]\n", "f:4: a control character, expected " SECTIONS "\n"},
		{TARGET TARGET, "f:4: [target a]: this section is given twice, first in line 1\n"},
		{TARGET "[mpiod]\n[mpiod]\n",
		 "f:5: [mpiod]: this section is given twice, first in line 4\n"},
		{TARGET "[target  a ]\nlogin_timeout = x\n",
		 "f:4: [target  a]: this section is given twice, first in line 1\n"
		 "f:5: [target  a] login_timeout: \"x\" is not valid, expected seconds (ms, s or m "
		 "may "
		 "follow) from 1 to 120\n"},
		{"iqn = x\n" TARGET,
		 "f:1: a key before the first section, expected " SECTIONS "\n"},
		{"hello\n" TARGET, "f:1: " PAIR},
		{TARGET "hello\n", "f:4: [target a]: " PAIR},
		{TARGET "discovery: yes\n", "f:4: [target a]: " PAIR},
		{TARGET "= yes\n", "f:4: [target a]: " PAIR},
		{TARGET "discovery ;= yes\n", "f:4: [target a]: " PAIR},
		{TARGET "discovery ;= yes", "f:4: [target a]: " PAIR},
		{TARGET "portals = x\n",
		 "f:4: [target a] portals: unknown key, did you mean \"portal\"?\n"},
		{TARGET "chap_secret = hunter2\n",
		 "f:4: [target a] chap_secret: unknown key, did you mean \"chap_secret_file\"?\n"},
		{TARGET "listen = unix:/x\n",
		 "f:4: [target a] listen: unknown key here, expected in "
		 "[mpiod]\n"},
		{TARGET "queue_depth = 1\n",
		 "f:4: [target a] queue_depth: unknown key here, expected in [defaults]\n"},
		{TARGET "[mpiod]\nworkers = 2\n",
		 "f:5: [mpiod] workers: unknown key, expected one of initiator_name, listen, "
		 "listen_mode, listen_group, allow, control, "
		 "log_level, max_inflight_bytes, max_connections, listen_insecure, metrics\n"},
		{TARGET "x\ay = 1\n",
		 "f:4: [target a] x\\x07y: unknown key, expected one of iqn, portal, "
		 "discovery, discovery_interval, luns, chap_user, chap_secret_file, mutual_chap_user, "
		 "mutual_chap_secret_file, header_digest, login_timeout\n"},
		{TARGET "discovery = yes\n\ndiscovery = no\n",
		 "f:6: [target a] discovery: is given twice, first in line 4, expected once\n"},
		{TARGET "discovery = yes # really\n",
		 "f:4: [target a] discovery: a \"#\" after the value, expected a comment on a line "
		 "of its "
		 "own or after \" ;\"\n"},
		{TARGET "discovery =\n",
		 "f:4: [target a] discovery: no value, expected yes or no\n"},
		{TARGET "discovery = maybe\n",
		 "f:4: [target a] discovery: \"maybe\" is not valid, expected yes or no\n"},
		{TARGET "luns = 1, 2, 1\n",
		 "f:4: [target a] luns: \"1, 2, 1\" says something twice, expected once\n"},
		{TARGET "luns = 16384\n",
		 "f:4: [target a] luns: \"16384\" is out of range, expected all, or "
		 "numbers from 0 to 16383 with commas between them\n"},
		{TARGET "login_timeout = \a" X50 X50 "\n",
		 "f:4: [target a] login_timeout: \"\\x07" X50
		 "xxxxxxxxx...\" is not valid, expected "
		 "seconds (ms, s or m may follow) from 1 to 120\n"},
		{TARGET "chap_user = \xff\n", "f:4: not UTF-8, expected text\n"},
		{TARGET "chap_user = \xc0\x80\n", "f:4: not UTF-8, expected text\n"},
		{TARGET "chap_user = \xed\xa0\x80\n", "f:4: not UTF-8, expected text\n"},
		{TARGET "chap_user = \xe2\x82\n", "f:4: not UTF-8, expected text\n"},
		/* not the rest of the value before, as inih alone would have it */
		{TARGET "  discovery = maybe\n",
		 "f:4: [target a] discovery: \"maybe\" is not valid, expected yes or no\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_refused(cases[i].text, strlen(cases[i].text), cases[i].errors);
}
END_TEST

START_TEST(all_errors_in_one_pass_by_line)
{
	static const char text[] = "[mpiod]\n"
				   "log_level = loud\n"
				   "\n"
				   "[lun x]\n"
				   "queue_depth = 999\n"
				   "prefered = a\n"
				   "[target san]\n"
				   "portal = 10.0.0.1:0\n"
				   "chap_user = u\n"
				   "nonsense\n"
				   "[defaults]\n"
				   "failback = later\n";

	check_refused(
		text, strlen(text),
		"f:2: [mpiod] log_level: \"loud\" is not valid, expected error, warning, info or "
		"debug\n"
		"f:4: [lun x] id: missing, expected an identifier with naa., eui., t10., name. or "
		"vendor. in front\n"
		"f:5: [lun x] queue_depth: \"999\" is out of range, expected a number from 1 to "
		"256\n"
		"f:6: [lun x] prefered: unknown key, did you mean \"preferred\"?\n"
		"f:7: [target san] iqn: missing, expected an iSCSI name such as "
		"iqn.2001-05.com.example:array1 (or eui. or naa. and hex digits)\n"
		"f:8: [target san] portal: \"10.0.0.1:0\" is not valid, expected ADDR, ADDR:PORT "
		"or "
		"[ADDR6]:PORT, and via IFACE if wanted\n"
		"f:9: [target san] chap_user: chap_secret_file is missing, expected both or "
		"neither\n"
		"f:10: [target san]: not a key and its value, expected \"key = value\"\n"
		"f:12: [defaults] failback: \"later\" is not valid, expected seconds (ms, s or m "
		"may "
		"follow) from 0 to 86400, immediate or manual\n");
}
END_TEST

START_TEST(a_zero_byte_is_an_error_of_its_line)
{
	static const char text[] = TARGET "discovery = yes\0no\nluns = x\n";

	check_refused(text, sizeof(text) - 1,
		      "f:4: a zero byte, expected text\n"
		      "f:5: [target a] luns: \"x\" is not valid, expected all, or numbers from 0 "
		      "to 16383 with "
		      "commas between them\n");
}
END_TEST

START_TEST(lines_from_elsewhere_are_accepted)
{
	static const char *const texts[] = {
		"\xef\xbb\xbf" TARGET,
		"[target a]\r\niqn = iqn.2001-05.com.example:a\r\nportal = 192.0.2.1\r\n",
		"[target a]\niqn = iqn.2001-05.com.example:a\nportal = 192.0.2.1",
		"[ target\ta ] ; here\n\tiqn=iqn.2001-05.com.example:a\n  portal\t=\t192.0.2.1 ; "
		"there\n",
		"[target a] # here\n# there\xff\niqn = iqn.2001-05.com.example:a\n;\nportal = "
		"192.0.2.1\n",
		"#" X50 X50 X50 X50 X50 X50 "\n" TARGET,
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct conf *c = check_accepted(texts[i]);

		ck_assert_int_eq(c->ntargets, 1);
		ck_assert_str_eq(c->targets[0].name, "a");
		ck_assert_str_eq(c->targets[0].iqn, "iqn.2001-05.com.example:a");
		ck_assert_str_eq(c->targets[0].portals[0].addr, "192.0.2.1:3260");
		conf_free(c);
	}
}
END_TEST

/* inih would cut the line and go on with its tail as a line of its own. */
START_TEST(a_line_that_inih_would_cut_is_an_error)
{
	char text[1000], errors[200];

	for (int len = 190; len < 420; len++) {
		int head = snprintf(text, sizeof(text), TARGET "chap_user = "), start = head - 12;

		memset(text + head, 'u', (size_t)(len - 12));
		strcpy(text + start + len, "\n");
		if (len <= 198)
			strcpy(errors, "f:4: [target a] chap_user: chap_secret_file is missing, "
				       "expected both "
				       "or neither\n");
		else
			snprintf(errors, sizeof(errors),
				 "f:4: a line of %d bytes, expected at most 198\n", len);
		check_refused(text, strlen(text), errors);
	}
}
END_TEST

START_TEST(long_section_names_stay_apart)
{
	struct conf *c = check_accepted(
		"[target " X50 X50 "1]\niqn = iqn.2001-05.com.example:a\nportal = a\n"
		"[target " X50 X50 "2]\niqn = iqn.2001-05.com.example:b\nportal = a\n");

	ck_assert_int_eq(c->ntargets, 2);
	ck_assert_str_eq(c->targets[0].name, X50 X50 "1");
	ck_assert_str_eq(c->targets[1].name, X50 X50 "2");
	ck_assert_int_eq(c->targets[1].line, 4);
	conf_free(c);
}
END_TEST

START_TEST(a_secret_gone_astray_is_not_repeated)
{
	static const char *const texts[] = {
		TARGET "chap_secret = hunter2hunter2\n",
		TARGET "hunter2hunter2\n",
		"hunter2hunter2\n" TARGET,
	};

	for (int i = 0; i < 3; i++) {
		char *errors;

		ck_assert_ptr_null(conf_parse("f", texts[i], strlen(texts[i]), &errors));
		ck_assert_msg(!strstr(errors, "hunter2"), "%s", errors);
		free(errors);
	}
}
END_TEST

/* The message goes to a terminal, too. */
START_TEST(a_tab_in_a_heading_is_shown_as_a_blank)
{
	static const char text[] = TARGET "discovery = yes\n[\tlun\tx\ty]\n";

	check_refused(text, sizeof(text) - 1,
		      "f:5: [lun x y]: the name is not valid, expected [lun NAME] with a name of 1 to 200 bytes "
		      "without blanks\n");
}
END_TEST

RUN("conf/parse", a_tab_in_a_heading_is_shown_as_a_blank, what_is_refused_and_how, all_errors_in_one_pass_by_line,
    a_zero_byte_is_an_error_of_its_line, lines_from_elsewhere_are_accepted,
    a_line_that_inih_would_cut_is_an_error, long_section_names_stay_apart,
    a_secret_gone_astray_is_not_repeated)
