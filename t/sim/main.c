/* SPDX-License-Identifier: MIT */
/* Runs seeds, in a few processes side by side; prints a failing one and how to replay it. */
#include "sim.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct options {
	uint64_t first, seeds;
	int jobs;
	bool verbose, one, no_late, keep_going;
	const char *mutate, *watch, *program;
};

/* What all processes together did. */
static struct totals {
	uint64_t seeds, failed, requests;
	struct late_counts late;
} *totals;

static void usage(FILE *out)
{
	fputs("usage: sim-engine [--seeds N] [--first S] [--jobs J] [--mutate NAME] [--no-late] [--keep-going] |\n"
	      "                  --seed S [--no-late] [--mutate NAME] [--verbose] [--watch DISK:GRANULE]\n"
	      "Runs the engine in N simulated worlds, each made from its seed.\n"
	      "--no-late: what a killed connection had sent is never executed.\n"
	      "--keep-going: one line for each failing seed, and all of them.\n"
	      "NAME breaks the world on purpose, to see that the checks notice: lose-acked-write,\n"
	      "stale-read, early-flush, early-fua, false-hole, wrong-lun; or the engine: skip-fence, drop-retry,\n"
	      "complete-twice, flush-early.\n", out);
}

static struct sim *running;

/* An assertion of the engine, or the sanitizer: say which seed it was. */
static void on_abort(int sig)
{
	(void)sig;
	if (running)
		fprintf(stderr, "seed %llu DIED; replay with --seed %llu --verbose\n",
			(unsigned long long)running->seed, (unsigned long long)running->seed);
}

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "abort_on_error=1";
}

static void add_totals(const struct sim *s, bool ok)
{
	const uint64_t *from = (const uint64_t *)&s->late;
	uint64_t *to = (uint64_t *)&totals->late;

	for (size_t i = 0; i < sizeof(s->late) / sizeof(*from); i++)
		__atomic_add_fetch(&to[i], from[i], __ATOMIC_RELAXED);
	__atomic_add_fetch(&totals->seeds, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&totals->requests, s->requests, __ATOMIC_RELAXED);
	__atomic_add_fetch(&totals->failed, !ok, __ATOMIC_RELAXED);
}

static void print_totals(void)
{
	const struct late_counts *l = &totals->late;

	printf("%llu requests; %llu connections left %llu commands behind: %llu executed late, %llu before a "
	       "login through the same port (of these %llu refused), %llu ended by reinstatement, %llu "
	       "aborted, %llu lost\n",
	       (unsigned long long)totals->requests, (unsigned long long)l->ghosts,
	       (unsigned long long)l->commands, (unsigned long long)l->executed,
	       (unsigned long long)l->flushed, (unsigned long long)l->refused,
	       (unsigned long long)l->reinstated, (unsigned long long)l->aborted,
	       (unsigned long long)l->lost);
}

/* False: that seed failed, and all about it was printed. */
static bool run_seed(const struct options *o, uint64_t seed)
{
	struct sim *s = calloc(1, sizeof(*s));
	bool ok;

	s->seed = seed;
	s->verbose = o->verbose;
	s->mutate = o->mutate;
	s->no_late = o->no_late;
	s->watch_disk = o->watch ? atoi(o->watch) : -1;
	s->watch_granule = o->watch && strchr(o->watch, ':') ? strtoull(strchr(o->watch, ':') + 1, NULL, 0) : 0;
	running = s;
	ok = sim_run(s);
	running = NULL;
	add_totals(s, ok);
	if (!ok && o->keep_going)
		printf("seed %llu FAILED: %s\n", (unsigned long long)seed, s->why);
	else if (!ok && !o->verbose) {
		uint64_t from = s->trace_at > 64 ? s->trace_at - 64 : 0;

		printf("seed %llu FAILED: %s\n", (unsigned long long)seed, s->why);
		for (uint64_t i = from; i < s->trace_at && !o->mutate; i++)
			puts(s->trace[i % 64]);
	}
	if (!ok && !o->keep_going)
		printf("replay: %s --seed %llu --verbose%s%s%s\n", o->program, (unsigned long long)seed,
		       o->no_late ? " --no-late" : "", o->mutate ? " --mutate " : "",
		       o->mutate ? o->mutate : "");
	if (ok && o->one)
		printf("seed %llu: ok, %llu requests, longest took %.1f ms\n", (unsigned long long)seed,
		       (unsigned long long)s->requests, s->stall_us / 1000.);
	fflush(stdout);
	free(s);
	return ok;
}

static int worker(const struct options *o, int k)
{
	int ret = 0;

	for (uint64_t i = k; i < o->seeds; i += o->jobs) {
		if (!run_seed(o, o->first + i)) {
			ret = 1;
			if (!o->keep_going)
				break;
		}
		if (k == 0 && i && i / o->jobs % 1000 == 0) {
			printf("%llu of %llu seeds\n", (unsigned long long)i, (unsigned long long)o->seeds);
			fflush(stdout);
		}
	}
	return ret;
}

static int run_all(const struct options *o)
{
	int failed = 0, status;

	for (int k = 0; k < o->jobs; k++) {
		pid_t pid = fork();

		if (pid == 0)
			exit(worker(o, k));
		if (pid < 0)
			failed++;
	}
	while (wait(&status) > 0)
		if (!WIFEXITED(status) || WEXITSTATUS(status))
			failed++;
	print_totals();
	if (failed) {
		printf("FAILED: %llu of %llu seeds, in %d of %d processes\n",
		       (unsigned long long)totals->failed, (unsigned long long)totals->seeds, failed,
		       o->jobs);
		return 1;
	}
	printf("%llu seeds: ok\n", (unsigned long long)o->seeds);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "seeds", required_argument, NULL, 'n' }, { "first", required_argument, NULL, 'f' },
		{ "seed", required_argument, NULL, 's' },  { "jobs", required_argument, NULL, 'j' },
		{ "mutate", required_argument, NULL, 'm' }, { "verbose", no_argument, NULL, 'v' },
		{ "watch", required_argument, NULL, 'w' },  { "no-late", no_argument, NULL, 'l' },
		{ "keep-going", no_argument, NULL, 'k' },
		{ "help", no_argument, NULL, 'h' },        { 0 },
	};
	struct options o = { .first = 1, .seeds = 1000, .jobs = sysconf(_SC_NPROCESSORS_ONLN),
			     .program = argv[0] };
	int c;

	signal(SIGABRT, on_abort);
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'n':
			o.seeds = strtoull(optarg, NULL, 0);
			break;
		case 'f':
			o.first = strtoull(optarg, NULL, 0);
			break;
		case 's':
			o.first = strtoull(optarg, NULL, 0);
			o.one = true;
			break;
		case 'j':
			o.jobs = atoi(optarg);
			break;
		case 'm':
			o.mutate = optarg;
			break;
		case 'w':
			o.watch = optarg;
			break;
		case 'v':
			o.verbose = true;
			break;
		case 'l':
			o.no_late = true;
			break;
		case 'k':
			o.keep_going = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	totals = mmap(NULL, sizeof(*totals), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (totals == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	if (o.one)
		return run_seed(&o, o.first) ? 0 : 1;
	if (o.jobs < 1)
		o.jobs = 1;
	return run_all(&o);
}
