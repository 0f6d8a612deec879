/* SPDX-License-Identifier: MIT */
/* mpiod(8): arguments, signals, and the way in and out. */
#include "server.h"
#include "handover.h"
#include "log.h"
#include "model.h"
#include "notify.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CONF "/etc/mpiod/mpiod.conf"
#define TELL_EVERY 60 /* seconds */

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct options {
	const char *conf;
	bool foreground, test, verbose;
};

static void usage(FILE *out)
{
	fputs("usage: mpiod [-c FILE] [-f] [-t] [-v] [--version] [--help]\n"
	      "Serves the LUNs of iSCSI targets, each over all of its paths, as NBD devices.\n\n"
	      "  -c, --config FILE   configuration file (" DEFAULT_CONF ")\n"
	      "  -f, --foreground    log to stderr with time stamps (mpiod never forks)\n"
	      "  -t, --test          test the configuration and exit\n"
	      "  -v, --verbose       log more (log_level = debug)\n"
	      "      --version       print the version and exit\n"
	      "  -h, --help          print this and exit\n\n"
	      "SIGHUP reads the configuration again; SIGTERM and SIGINT stop. See mpiod(8), "
	      "mpioctl(1).\n", out);
}

/* -1: go on; else the exit code. */
static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "test", no_argument, NULL, 't' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:ftvh", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->conf = optarg;
			break;
		case 'f':
			o->foreground = true;
			break;
		case 't':
			o->test = true;
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'V':
			puts("mpiod " MPIOD_VERSION);
			return EXIT_OK;
		case 'h':
			usage(stdout);
			return EXIT_OK;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "mpiod: unexpected argument: %s\n", argv[optind]);
		usage(stderr);
		return EXIT_USAGE;
	}
	return -1;
}

static int test_config(const char *file)
{
	char *text = NULL;
	struct conf *c = conf_load(file, &text);

	if (text)
		fprintf(stderr, "%s%s", text, text[0] && text[strlen(text) - 1] != '\n' ? "\n" : "");
	free(text);
	if (!c)
		return EXIT_USAGE;
	if (!handover_readable()) {
		fprintf(stderr, "mpiod: can't go on with the clients of the version that runs\n");
		conf_free(c);
		return EXIT_USAGE;
	}
	printf("%s: OK (targets: %d, LUN sections: %d)\n", file, c->ntargets, c->nluns);
	conf_free(c);
	return EXIT_OK;
}

static void on_hup(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct server *sv = w->data;
	char *message = NULL;
	int ret;

	(void)loop;
	(void)revents;
	ret = server_reload(sv, &message);
	log_lines(ret ? LOG_ERR : LOG_WARNING, message);
	free(message);
}

static void on_term(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct server *sv = w->data;

	(void)revents;
	if (sv->stop_by > 0.) { /* asked twice: at once, then */
		ev_break(loop, EVBREAK_ALL);
		return;
	}
	log_msg(LOG_INFO, "%s: stopping", strsignal(w->signum));
	notify_stopping();
	nbd_server_finish(sv->nbd);
	server_drain(sv);
}

static void watch_signals(struct server *sv, ev_signal *w)
{
	static const int signals[] = { SIGHUP, SIGTERM, SIGINT };

	for (int i = 0; i < 3; i++) {
		ev_signal_init(&w[i], signals[i] == SIGHUP ? on_hup : on_term, signals[i]);
		w[i].data = sv;
		ev_signal_start(sv->loop, &w[i]);
	}
}

/*
 * Without clients a configuration that is wrong is the end. Those of the process before wait for a better one: they
 * would be lost with this process. NULL: the end, as *code says.
 */
static struct conf *load(const char *file, int *code)
{
	*code = EXIT_USAGE;
	for (unsigned tries = 0;; tries++) {
		char *text = NULL;
		struct conf *c = conf_load(file, &text);

		if (c || tries % TELL_EVERY == 0)
			log_lines(c ? LOG_WARNING : LOG_ERR, text);
		free(text);
		if (c || !handover_clients())
			return c;
		if (tries % TELL_EVERY == 0)
			log_msg(LOG_ERR, "%s: clients wait until it is right", file);
		if (handover_wait()) {
			*code = EXIT_OK;
			return NULL;
		}
	}
}

static int run(struct options *o)
{
	struct server sv = { .front = &export_front, .conf_file = (char *)o->conf };
	char why[256] = "";
	ev_signal signals[3];
	struct conf *c;
	int ret;

	handover_signals(SIG_BLOCK); /* until the loop has them */
	c = load(o->conf, &ret);
	if (!c)
		return ret;
	log_set_level(o->verbose ? LOG_DEBUG : c->log_level);
	sv.loop = ev_default_loop(0);
	if (!sv.loop) {
		log_msg(LOG_ERR, "no event loop");
		conf_free(c);
		return EXIT_FAILED;
	}
	signal(SIGPIPE, SIG_IGN);
	ret = server_start(&sv, c, why, sizeof(why));
	if (ret) {
		log_msg(LOG_ERR, "can't start: %s", why);
		if (sv.nbd && handover_count()) /* the service manager has the sockets still */
			nbd_server_leave_files(sv.nbd);
		server_stop(&sv);
		ev_loop_destroy(sv.loop);
		return EXIT_FAILED;
	}
	watch_signals(&sv, signals);
	handover_signals(SIG_UNBLOCK);
	handover_done();
	notify_start(sv.loop);
	notify_ready();
	log_msg(LOG_INFO, "mpiod " MPIOD_VERSION " is ready, control socket %s", sv.conf->control);
	ev_run(sv.loop, 0);
	notify_stop();
	server_enter(&sv);
	handover_store(&sv);
	engine_shutdown(sv.engine);
	server_stop(&sv);
	log_msg(LOG_INFO, "stopped");
	ev_loop_destroy(sv.loop);
	return EXIT_OK;
}

int main(int argc, char **argv)
{
	struct options o = { .conf = DEFAULT_CONF };
	int code;

	handover_begin(argc, argv);
	code = parse(argc, argv, &o);

	if (code >= 0)
		return code;
	if (o.test)
		return test_config(o.conf);
	log_start(o.foreground);
	return run(&o);
}
