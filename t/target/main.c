/* SPDX-License-Identifier: MIT */
/* Options and listening sockets. */
#include "target.h"

#include <errno.h>
#include <gcrypt.h>
#include <getopt.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct target T = { .iqn = "iqn.2026-01.org.mpiod.test:t1", .reinstate = true, .uas = true };

static const char usage[] =
	"Usage: t-target --control SOCKET --portal ADDR:PORT[,GROUP]... --lun N:MIB[:NAA]... "
	"[option...]\n"
	"  --iqn NAME           of the target\n"
	"  --chap USER:SECRET\n"
	"  --mutual USER:SECRET what the target proves itself with, to an initiator that asks\n"
	"  --no-reinstate       an older session with the same ISID lives on, as on tgt without "
	"CHAP\n"
	"  --no-ua              no unit attentions at login and on changes\n"
	"  --alua implicit|explicit|both   port groups with states, the first group "
	"active/optimized, others standby\n"
	"Commands for the control socket: t/target/README.md\n";

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "t-target: %s\n", what);
	exit(2);
}

static void on_accept(struct ev_loop *l, ev_io *w, int revents)
{
	(void)l, (void)revents;
	conn_accept((int)((struct portal *)w->data - T.portal));
}

static void add_portal(char *arg)
{
	struct portal *p = &T.portal[T.nportals];
	char *group = strchr(arg, ','), *port, host[64];
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_PASSIVE,
				  .ai_socktype = SOCK_STREAM },
			*ai;
	int one = 1;

	if (T.nportals == MAX_PORTALS)
		die("too many portals");
	if (group)
		*group++ = '\0';
	snprintf(p->addr, sizeof(p->addr), "%s", arg);
	p->group = (uint16_t)(group ? atoi(group) : 1);
	snprintf(host, sizeof(host), "%s", arg);
	port = strrchr(host, ':');
	if (!port)
		die("--portal: ADDR:PORT is expected");
	*port++ = '\0';
	if (getaddrinfo(host, port, &hints, &ai))
		die("--portal: no such address");
	p->fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(p->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (p->fd < 0 || bind(p->fd, ai->ai_addr, ai->ai_addrlen) || listen(p->fd, 64)) {
		fprintf(stderr, "t-target: %s: %s\n", arg, strerror(errno));
		exit(1);
	}
	freeaddrinfo(ai);
	p->told = true;
	p->window = WINDOW;
	ev_io_init(&p->io, on_accept, p->fd, EV_READ);
	p->io.data = p;
	ev_io_start(T.loop, &p->io);
	if (!group_find(p->group)) {
		for (int i = 0; i < MAX_GROUPS; i++)
			if (!T.group[i].used) {
				T.group[i] = (struct group){ .used = true,
							     .id = p->group,
							     .state = i ? 2 : 0,
							     .preferred = !i };
				break;
			}
	}
	T.nportals++;
}

static void add_lun(char *arg)
{
	char *size = strchr(arg, ':'), *naa = size ? strchr(size + 1, ':') : NULL;
	struct disk *d =
		size ? disk_new((uint16_t)atoi(arg), strtoull(size + 1, NULL, 10) * 2048) : NULL;

	if (!d || (naa && !disk_name(d, naa + 1)))
		die("--lun: N:MIB[:NAA] is expected, 64 times at most");
}

static void set_alua(const char *how)
{
	T.tpgs = !strcmp(how, "implicit")   ? 1
		 : !strcmp(how, "explicit") ? 2
		 : !strcmp(how, "both")	    ? 3
					    : 0;
	if (!T.tpgs)
		die("--alua: implicit, explicit or both");
	for (int i = 0; i < MAX_LUNS; i++)
		T.disk[i].tpgs = T.tpgs;
}

static void credentials(char *arg, char user[64], char secret[64])
{
	char *colon = strchr(arg, ':');

	if (!colon)
		die("USER:SECRET is expected");
	*colon = '\0';
	snprintf(user, 64, "%s", arg);
	snprintf(secret, 64, "%s", colon + 1);
}

static void options(int argc, char **argv)
{
	static const struct option names[] = {
		{ "control", 1, NULL, 'c' }, { "portal", 1, NULL, 'p' },
		{ "lun", 1, NULL, 'l' },     { "iqn", 1, NULL, 'i' },
		{ "chap", 1, NULL, 'u' },    { "no-reinstate", 0, NULL, 'r' },
		{ "no-ua", 0, NULL, 'a' },   { "alua", 1, NULL, 'g' },
		{ "mutual", 1, NULL, 'm' },  { "help", 0, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *alua = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 'c':
			control_start(optarg);
			break;
		case 'p':
			add_portal(optarg);
			break;
		case 'l':
			add_lun(optarg);
			break;
		case 'i':
			snprintf(T.iqn, sizeof(T.iqn), "%s", optarg);
			break;
		case 'u':
			credentials(optarg, T.user, T.secret);
			break;
		case 'm':
			credentials(optarg, T.own_user, T.own_secret);
			break;
		case 'r':
			T.reinstate = false;
			break;
		case 'a':
			T.uas = false;
			break;
		case 'g':
			alua = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (!T.nportals)
		die("no --portal is given");
	if (alua)
		set_alua(alua);
}

static void on_signal(struct ev_loop *l, ev_signal *w, int revents)
{
	(void)w, (void)revents;
	ev_break(l, EVBREAK_ALL);
}

static void free_all(void)
{
	struct list *pos, *tmp;

	list_for_each(pos, &T.conns)
		conn_close(list_entry(pos, struct conn, link), false);
	list_for_each_safe(pos, tmp, &T.tasks)
		task_free(list_entry(pos, struct task, link));
	rules_clear();
	for (int i = 0; i < MAX_LUNS; i++)
		disk_remove(&T.disk[i]);
	log_free();
}

int main(int argc, char **argv)
{
	ev_signal term, intr;

	signal(SIGPIPE, SIG_IGN);
	gcry_check_version(NULL);
	T.loop = ev_loop_new(EVFLAG_AUTO);
	list_init(&T.conns);
	list_init(&T.tasks);
	list_init(&T.rules);
	options(argc, argv);
	ev_signal_init(&term, on_signal, SIGTERM);
	ev_signal_start(T.loop, &term);
	ev_signal_init(&intr, on_signal, SIGINT);
	ev_signal_start(T.loop, &intr);
	puts("ready");
	fflush(stdout);
	ev_run(T.loop, 0);
	free_all();
	return 0;
}
