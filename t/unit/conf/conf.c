/* SPDX-License-Identifier: MIT */
#include "helper.h"
#include "conf/keys.h"

#include <unistd.h>

/* Sections in the wrong order on purpose: what [defaults] says holds wherever it stands. */
static const char precedence[] =
	"[lun x]\nid = naa.60AB\nqueue_depth = 5\n" TARGET
	"[hardware h]\nvendor = ACME\nqueue_depth = 7\nhedge = no\npolicy = least-blocks\n"
	"dsm = alua\n"
	"[defaults]\nqueue_depth = 9\nhedge = yes\nfailback = manual\n";

static uint64_t bit(const char *key)
{
	return 1ULL << conf_key_find(CONF_DEFAULTS, key);
}

START_TEST(lun_over_hardware_over_defaults)
{
	struct conf *c = check_accepted(precedence);
	const struct conf_hardware *h = (void *)1;
	const struct conf_lun *l = (void *)1;
	struct conf_opts o;

	conf_opts_resolve(c, "naa.60ab", "ACME", "any", &o, &l, &h);
	ck_assert_ptr_eq(l, &c->luns[0]);
	ck_assert_ptr_eq(h, &c->hardware[0]);
	ck_assert_str_eq(h->dsm, "alua");
	ck_assert_uint_eq(o.queue_depth, 5);
	ck_assert(!o.hedge);
	ck_assert_uint_eq(o.failback_us, CONF_QUEUE);
	ck_assert_uint_eq(o.command_timeout_us, 30000000);
	ck_assert_ptr_eq(o.policy, h->opt.policy); /* no copy: the caller frees nothing */
	ck_assert_uint_eq(o.set, bit("queue_depth") | bit("hedge") | bit("failback") |
					 bit("policy"));

	conf_opts_resolve(c, "naa.60", "ACME", "any", &o, &l, &h);
	ck_assert_ptr_null(l);
	ck_assert_ptr_eq(h, &c->hardware[0]);
	ck_assert_uint_eq(o.queue_depth, 7);

	conf_opts_resolve(c, "naa.60ab", "OTHER", "any", &o, &l, &h);
	ck_assert_ptr_null(h);
	ck_assert(o.queue_depth == 5 && o.hedge && !o.policy);
	ck_assert_uint_eq(o.set, bit("queue_depth") | bit("hedge") | bit("failback"));

	conf_opts_resolve(c, "naa.60", NULL, NULL, &o, NULL, NULL);
	ck_assert(o.queue_depth == 9 && o.hedge && !o.policy);
	ck_assert(conf_opts_equal(&o, &c->defaults));
	conf_free(c);
}
END_TEST

START_TEST(the_first_hardware_section_that_fits)
{
	static const struct {
		const char *vendor, *product;
		int section;
	} cases[] = {
		{"ACME", "Fast", 0},	   {"ACME", "Fast 2000", 1}, {"ACME", "fast", 2},
		{"ACME", "", 2},	   {"ACM", "Disk7", 3},	     {"", "Disk7", 3},
		{"ACM", "Disk77", -1},	   {"ACM", "Disk", -1},	     {"IET", "VIRTUAL-DISK", 4},
		{"IETF", "x", -1},	   {"", "", -1},	     {NULL, NULL, -1},
		{NULL, "Disk7", 3},
	};
	struct conf *c = check_accepted(
		TARGET "[hardware a]\nvendor = ACME\nproduct = Fast\n"
		       "[hardware b]\nvendor = ACME\nproduct = Fast *\n"
		       "[hardware c]\nvendor = A?ME\n"
		       "[hardware d]\nproduct = Disk[0-9]\n"
		       "[hardware e]\nvendor = IET\nproduct = *\n");
	const struct conf_hardware *h;
	struct conf_opts o;

	ck_assert_int_eq(c->nhardware, 5);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int n = cases[i].section;

		conf_opts_resolve(c, "naa.1", cases[i].vendor, cases[i].product, &o, NULL, &h);
		ck_assert_msg(h == (n < 0 ? NULL : &c->hardware[n]), "case %zu: %s", i,
			      h ? h->name : "none");
	}
	conf_free(c);
}
END_TEST

/* Each key of [defaults], through each of the sections that may have it. */
START_TEST(every_option_is_resolved)
{
	static const char *const lines[] = {
		"policy = least-blocks",  "failback = manual",	   "probe_interval = 2",
		"probe_timeout = 2",	  "suspect_after = 2",	   "command_timeout = 2",
		"no_path_timeout = fail", "no_path_max_bytes = 2M", "queue_depth = 2",
		"hedge = no",		  "read_only = yes",	   "probation = off",
		"verify_interval = 2",	  "fence = hold",	   "fence_timeout = 2",
		"reservation_key = 2",
	};
	static const char *const sections[] = {"[defaults]", "[hardware h]\nvendor = *",
					       "[lun x]\nid = naa.1"};
	struct conf *plain = check_accepted(TARGET);

	ck_assert_ptr_null(conf_key_at(CONF_DEFAULTS, sizeof(lines) / sizeof(lines[0])));
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]) * 3; i++) {
		char text[300];
		struct conf_opts o;
		struct conf *c;

		snprintf(text, sizeof(text), TARGET "%s\n%s\n", sections[i % 3], lines[i / 3]);
		c = check_accepted(text);
		conf_opts_resolve(c, "naa.1", "v", "p", &o, NULL, NULL);
		ck_assert_msg(!conf_opts_equal(&plain->defaults, &o), "%s", text);
		ck_assert_uint_eq(o.set, 1ULL << i / 3);
		o.set = 0;
		conf_opts_resolve(c, "naa.2", NULL, NULL, &o, NULL, NULL);
		ck_assert_msg(conf_opts_equal(&plain->defaults, &o) == (i % 3 != 0), "%s", text);
		conf_free(c);
	}
	conf_free(plain);
}
END_TEST

/* Each line alone must be seen as a difference; an empty one must not. */
START_TEST(targets_differ_by_every_key)
{
	static const char *const lines[] = {
		"luns = 1\n", "luns = 1,2\n", "luns = 2\n", "header_digest = crc32c\n"};
	/* What a session that is logged in does not feel. */
	struct conf *same = check_accepted(TARGET "discovery = yes\ndiscovery_interval = 9\nlogin_timeout = 6\n");
	struct conf *a = check_accepted(TARGET), *b = check_accepted("\n\n" TARGET "portal = b\n");
	struct conf_target *t = &b->targets[0];

	ck_assert(conf_target_equal(&a->targets[0], t));
	ck_assert(conf_target_equal(&a->targets[0], &same->targets[0]));
	conf_free(same);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char text[200];
		struct conf *c, *d;

		snprintf(text, sizeof(text), TARGET "%s", lines[i]);
		c = check_accepted(text);
		d = check_accepted(text);
		ck_assert_msg(!conf_target_equal(&a->targets[0], &c->targets[0]), "%s", lines[i]);
		ck_assert(conf_target_equal(&d->targets[0], &c->targets[0]));
		snprintf(text, sizeof(text), TARGET "%s", lines[(i + 1) % 4]);
		conf_free(d);
		d = check_accepted(text);
		ck_assert_msg(!conf_target_equal(&d->targets[0], &c->targets[0]), "%s", lines[i]);
		conf_free(c);
		conf_free(d);
	}
	for (int i = 0; i < 6; i++) {
		char **field[] = {&t->name,
				  &t->iqn,
				  &t->chap_user,
				  &t->chap_secret,
				  &t->mutual_chap_user,
				  &t->mutual_chap_secret},
		     *old = *field[i];

		*field[i] = (char *)"other";
		ck_assert_msg(!conf_target_equal(&a->targets[0], t), "string %d", i);
		*field[i] = old;
	}
	ck_assert(conf_target_equal(&a->targets[0], t));
	conf_free(a);
	conf_free(b);
}
END_TEST

START_TEST(portals_differ_by_address_and_interface)
{
	struct conf_portal a = {(char *)"h:1", NULL}, b = {(char *)"h:1", (char *)"eth0"};
	struct conf_portal c = {(char *)"h:2", NULL};

	ck_assert(conf_portal_equal(&a, &a));
	ck_assert(conf_portal_equal(&b, &b));
	ck_assert(!conf_portal_equal(&a, &b));
	ck_assert(!conf_portal_equal(&b, &a));
	ck_assert(!conf_portal_equal(&a, &c));
}
END_TEST

static void check_load_fails(const char *file, const char *want)
{
	char *errors;

	ck_assert_ptr_null(conf_load(file, &errors));
	ck_assert_str_eq(errors, want);
	free(errors);
}

START_TEST(files)
{
	char name[] = "/tmp/conf-load-XXXXXX", *errors;
	int fd = mkstemp(name);
	struct conf *c;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, TARGET, strlen(TARGET)), (ssize_t)strlen(TARGET));
	close(fd);
	c = conf_load(name, &errors);
	ck_assert(c && !errors);
	ck_assert_str_eq(c->file, name);
	ck_assert_int_eq(c->ntargets, 1);
	conf_free(c);
	unlink(name);
	check_load_fails("/nonexistent/mpiod.conf",
			 "/nonexistent/mpiod.conf: cannot be read: No such file or directory\n");
	check_load_fails("/tmp", "/tmp: cannot be read: Is a directory\n");
	check_load_fails("/dev/zero",
			 "/dev/zero: is larger than 1 MiB, expected a configuration\n");
	check_load_fails("/dev/null",
			 "/dev/null:1: no target in the whole file, expected at least one "
			 "section [target NAME]\n");
	conf_free(NULL);
}
END_TEST

static uint64_t random_state;

static unsigned random_below(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state % n);
}

/* Bytes changed, removed, doubled, lines swapped in from elsewhere: what comes near to valid. */
static size_t mutate(char *text, size_t len, size_t max)
{
	static const char special[] = "\0\n\r#;[]=:., \t%-0919aAmMsK\xff\xef";

	for (unsigned n = 1 + random_below(random_below(2) ? 1 : 8); n; n--) {
		size_t at = random_below((unsigned)len), count = 1 + random_below(40), from;

		switch (random_below(5)) {
		case 0:
			text[at] = (char)random_below(256);
			break;
		case 1:
			text[at] = special[random_below(sizeof(special) - 1)];
			break;
		case 2:
			count = count > len - at ? len - at : count;
			if (count == len)
				break;
			memmove(text + at, text + at + count, len - at - count);
			len -= count;
			break;
		case 3:
			from = random_below((unsigned)len);
			count = count > len - from ? len - from : count;
			count = count > len - at ? len - at : count;
			memmove(text + at, text + from, count);
			break;
		default:
			count = count > len - at ? len - at : count;
			if (len + count > max)
				break;
			memmove(text + at + count, text + at, len - at);
			len += count;
		}
	}
	return len;
}

/* Any bytes at all end in a configuration, or in errors of which each line names the file. */
START_TEST(mutations_of_the_example)
{
	char *example = NULL, *text, *errors;
	int accepted = 0, refused = 0;
	size_t len, size;
	FILE *out = open_memstream(&example, &len);

	conf_print_example(out);
	fclose(out);
	/* without most comments, so that what changes is what counts; all keys in force */
	text = example;
	size = 0;
	for (size_t i = 0; i < len; i += strcspn(example + i, "\n") + 1) {
		size_t line = strcspn(example + i, "\n") + 1;
		bool off = example[i] == '#' && example[i + 1] != ' ';

		if (example[i] == '\n' || (example[i] == '#' && !off))
			continue;
		if (!strncmp(example + i, "#chap", 5) || !strncmp(example + i, "#mutual", 7))
			continue;
		memmove(text + size, example + i + off, line - off);
		size += line - off;
	}
	len = size;
	random_state = 20260101;
	for (int i = 0; i < 20000; i++) {
		size_t n;
		struct conf *c;

		text = malloc(len * 2);
		memcpy(text, example, len);
		n = mutate(text, len, len * 2);
		text = realloc(text, n); /* exact, for the sanitizer */
		c = conf_parse("f", text, n, &errors);
		if (!c) {
			ck_assert_ptr_nonnull(errors);
			for (const char *line = errors; *line; line = strchr(line, '\n') + 1)
				ck_assert_msg(!strncmp(line, "f:", 2) && strchr(line, '\n'), "%s",
					      errors);
		}
		accepted += c != NULL;
		refused += c == NULL;
		conf_free(c);
		free(errors);
		free(text);
	}
	/* both ways were taken often enough to mean something */
	ck_assert_int_gt(accepted, 300);
	ck_assert_int_gt(refused, 1000);
	free(example);
}
END_TEST

RUN("conf/conf", lun_over_hardware_over_defaults, the_first_hardware_section_that_fits,
    every_option_is_resolved, targets_differ_by_every_key,
    portals_differ_by_address_and_interface, files, mutations_of_the_example)
