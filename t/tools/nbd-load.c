/* SPDX-License-Identifier: MIT */
/*
 * nbd-load: a read and write load on an NBD export that knows what every read must return.
 *
 * The export is cut into units of --block-size bytes. Each write of a unit has a generation, and every
 * 512 bytes carry a stamp (seed, place, generation) followed by bytes that depend on all three. A
 * unit has one writer at a time. A read may return the generation that was last acknowledged when the
 * read was sent, or any issued since (or a mixture of those); anything else is a miscompare. A write that failed is in doubt,
 * either result is right until a later write is acknowledged.
 *
 * Reads its orders from standard input, a line each: "mark NAME" prints one line of JSON about the time
 * since the last mark; "peek NAME" does so too but is no mark; "end" finishes. At the end all units are
 * read back and compared.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <libnbd.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { STAMP = 512, MAX_CONNECTIONS = 64, RETRY_US = 20000, COMPLAINTS = 20 };

enum op { OP_READ, OP_WRITE, OP_ZERO, OP_TRIM, OP_FLUSH, NOPS };
static const char *const op_names[NOPS] = { "read", "write", "zero", "trim", "flush" };

/* What is known of a unit. Generations count up by one with each change that is sent. */
struct unit {
	uint32_t acked, issued;
	uint32_t zeroed;  /* last generation that was zeroes */
	uint32_t trimmed; /* last generation that leaves the contents open; 0 is one (never written) */
	bool busy;        /* a change is in flight */
};

struct slot {
	struct nbd_handle *nbd;
	bool writer, hot, flying, done;
	int err;
	enum op op;
	uint32_t flags;
	uint64_t first;
	uint32_t n;
	uint32_t *lo;     /* of each unit of a read: what was acknowledged when it was sent */
	uint8_t *buf;
	uint64_t sent, finished, not_before;
};

struct numbers {
	uint64_t ops[NOPS];
	uint64_t errors, miscompares, torn;
	uint64_t read_stall, write_stall; /* us */
	uint64_t hot_writes, hot_stall;   /* of the unit that is written again and again */
	char first_error[160];
};

static struct {
	const char *uri;
	uint64_t size_limit, seed;
	uint32_t block_size, read_depth, write_depth, connections, seconds;
	bool mix, fill, hot;
} opt = { .size_limit = 32 << 20, .seed = 1, .block_size = 4096, .read_depth = 8,
	  .write_depth = 8, .connections = 1, .fill = true };

static struct nbd_handle *conn[MAX_CONNECTIONS];
static struct unit *units;
static uint64_t nunits;
static uint32_t max_units; /* of one operation */
static struct slot *slots;
static unsigned nslots;
static bool can[NOPS], can_fua;
static struct numbers since, total;
static uint64_t started, marked, verified;
static uint64_t rng;
static volatile sig_atomic_t stop;

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static uint64_t mix64(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static uint64_t draw(uint64_t below)
{
	return mix64(rng++) % below;
}

static _Noreturn __attribute__((format(printf, 1, 2))) void die(const char *fmt, ...)
{
	va_list ap;

	fputs("nbd-load: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(2);
}

static __attribute__((format(printf, 1, 2))) void complain(const char *fmt, ...)
{
	static unsigned n;
	va_list ap;
	char text[160];

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!total.first_error[0])
		memcpy(total.first_error, text, sizeof(text));
	if (n++ < COMPLAINTS)
		fprintf(stderr, "nbd-load: %.6f: %s\n", (now_us() - started) / 1e6, text);
}

/* ---- contents ---- */

static uint32_t pieces(void)
{
	return (opt.block_size + STAMP - 1) / STAMP;
}

static uint32_t piece_len(uint32_t piece)
{
	uint32_t left = opt.block_size - piece * STAMP;

	return left < STAMP ? left : STAMP;
}

static void stamp(uint8_t *p, uint64_t unit, uint32_t piece, uint32_t gen)
{
	uint64_t word[STAMP / 8];
	uint64_t x = mix64(mix64(opt.seed ^ unit << 16 ^ piece) + gen);

	word[0] = mix64(opt.seed);
	word[1] = unit << 16 | piece;
	word[2] = gen;
	for (unsigned i = 3; i < STAMP / 8; i++) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		word[i] = x;
	}
	memcpy(p, word, piece_len(piece));
}

static bool is_zero(const uint8_t *p, uint32_t n)
{
	return p[0] == 0 && !memcmp(p, p + 1, n - 1);
}

/* What a piece is, for a person to understand a miscompare. */
static void describe(const uint8_t *p, uint32_t n, char *out, size_t size)
{
	uint64_t word[3];

	memcpy(word, p, sizeof(word));
	if (is_zero(p, n))
		snprintf(out, size, "zeroes");
	else if (word[0] == mix64(opt.seed))
		snprintf(out, size, "unit %" PRIu64 " piece %" PRIu64 " generation %" PRIu64,
			 word[1] >> 16, word[1] & 0xffff, word[2]);
	else
		snprintf(out, size, "%016" PRIx64 " %016" PRIx64, word[0], word[1]);
}

/*
 * A change ran at the same time: nobody promised that less than a sector is atomic, so a mixture of what is
 * allowed is no fault, as long as each byte comes from one of those.
 */
static bool is_mixture(const uint8_t *p, uint64_t i, uint32_t piece, uint32_t lo)
{
	const struct unit *u = &units[i];
	uint32_t n = piece_len(piece), left = n;
	uint8_t want[STAMP];
	bool known[STAMP] = { false };

	if (u->issued == lo)
		return false;
	for (uint32_t gen = lo; gen <= u->issued && left; gen++) {
		stamp(want, i, piece, gen);
		for (uint32_t b = 0; b < n; b++) {
			bool match = p[b] == want[b] || (p[b] == 0 && u->zeroed >= lo);

			left -= match && !known[b];
			known[b] |= match;
		}
	}
	return !left;
}

/* Is generation lo, or one issued since, in these bytes? */
static void check_piece(const uint8_t *p, uint64_t i, uint32_t piece, uint32_t lo)
{
	struct unit *u = &units[i];
	uint32_t n = piece_len(piece);
	uint8_t want[STAMP];
	uint64_t gen;
	char got[100];

	if (u->trimmed >= lo)
		return;
	if (u->zeroed >= lo && is_zero(p, n))
		return;
	memcpy(&gen, p + 16, sizeof(gen));
	if (gen >= lo && gen <= u->issued) {
		stamp(want, i, piece, (uint32_t)gen);
		if (!memcmp(want, p, n))
			return;
	}
	describe(p, n, got, sizeof(got));
	if (is_mixture(p, i, piece, lo)) {
		since.torn++;
		return;
	}
	since.miscompares++;
	complain("MISCOMPARE unit %" PRIu64 " piece %u (byte %" PRIu64 "): got %s, want generation %u..%u",
		 i, piece, i * opt.block_size + piece * STAMP, got, lo, u->issued);
}

static void check_read(struct slot *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		for (uint32_t piece = 0; piece < pieces(); piece++)
			check_piece(s->buf + (size_t)i * opt.block_size + piece * STAMP, s->first + i,
				    piece, s->lo[i]);
}

/* ---- operations ---- */

/* Runs inside libnbd, with its lock held: only notes it. */
static int completed(void *arg, int *error)
{
	struct slot *s = arg;

	s->done = true;
	s->err = *error;
	s->finished = now_us();
	return 1;
}

static bool reserve(struct slot *s)
{
	if (s->hot) {
		s->first = 0;
		s->n = 1;
		return !units[0].busy;
	}
	for (int tries = 0; tries < 50; tries++) {
		uint32_t i;

		s->n = opt.mix ? 1 + draw(max_units) : 1;
		s->first = draw(nunits - s->n + 1);
		if (opt.hot && s->writer && !s->first)
			continue;
		for (i = 0; i < s->n && !units[s->first + i].busy; i++)
			;
		if (i == s->n)
			return true;
	}
	return false;
}

static enum op choose_op(const struct slot *s)
{
	uint64_t dice = draw(100);

	if (!s->writer)
		return OP_READ;
	if (s->hot)
		return OP_WRITE;
	if (opt.mix && dice < 2 && can[OP_FLUSH])
		return OP_FLUSH;
	if (opt.mix && dice < 10 && can[OP_ZERO])
		return OP_ZERO;
	if (opt.mix && dice < 12 && can[OP_TRIM])
		return OP_TRIM;
	return OP_WRITE;
}

/* The units of a change become busy and get their next generation. */
static void begin_change(struct slot *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		struct unit *u = &units[s->first + i];

		u->busy = true;
		u->issued++;
		if (s->op == OP_ZERO)
			u->zeroed = u->issued;
		if (s->op == OP_TRIM)
			u->trimmed = u->issued;
		for (uint32_t p = 0; s->op == OP_WRITE && p < pieces(); p++)
			stamp(s->buf + (size_t)i * opt.block_size + p * STAMP, s->first + i, p,
			      u->issued);
	}
}

static void end_change(struct slot *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		struct unit *u = &units[s->first + i];

		u->busy = false;
		if (!s->err)
			u->acked = u->issued;
	}
}

static void send_slot(struct slot *s)
{
	nbd_completion_callback cb = { .callback = completed, .user_data = s };
	uint64_t off = s->first * opt.block_size, len = (uint64_t)s->n * opt.block_size;
	int64_t cookie = -1;

	if (s->op == OP_READ) {
		for (uint32_t i = 0; i < s->n; i++)
			s->lo[i] = units[s->first + i].acked;
	} else if (s->op != OP_FLUSH) {
		begin_change(s);
	}
	s->done = false;
	s->flying = true;
	s->sent = now_us();
	switch (s->op) {
	case OP_READ:
		cookie = nbd_aio_pread(s->nbd, s->buf, len, off, cb, 0);
		break;
	case OP_WRITE:
		cookie = nbd_aio_pwrite(s->nbd, s->buf, len, off, cb, s->flags);
		break;
	case OP_ZERO:
		cookie = nbd_aio_zero(s->nbd, len, off, cb, s->flags);
		break;
	case OP_TRIM:
		cookie = nbd_aio_trim(s->nbd, len, off, cb, s->flags);
		break;
	default:
		cookie = nbd_aio_flush(s->nbd, cb, 0);
	}
	if (cookie == -1)
		die("%s: %s", op_names[s->op], nbd_get_error());
}

static void start_op(struct slot *s)
{
	s->op = choose_op(s);
	s->flags = 0;
	if (s->op == OP_FLUSH) {
		s->n = 0;
	} else if (s->op == OP_READ) {
		s->n = opt.mix ? 1 + draw(max_units) : 1;
		s->first = draw(nunits - s->n + 1);
	} else {
		if (!reserve(s)) {
			s->not_before = now_us() + 1000;
			return;
		}
		if (opt.mix && can_fua && draw(8) == 0)
			s->flags = LIBNBD_CMD_FLAG_FUA;
	}
	send_slot(s);
}

static void note_stall(struct numbers *n, const struct slot *s, uint64_t end)
{
	uint64_t *stall = s->op == OP_READ ? &n->read_stall : &n->write_stall;

	if (end - s->sent > *stall)
		*stall = end - s->sent;
	if (s->hot && end - s->sent > n->hot_stall)
		n->hot_stall = end - s->sent;
}

static void finish_op(struct slot *s)
{
	s->flying = false;
	note_stall(&since, s, s->finished);
	if (s->err) {
		since.errors++;
		complain("%s at byte %" PRIu64 " + %u: %s", op_names[s->op],
			 s->first * opt.block_size, s->n * opt.block_size, strerror(s->err));
		s->not_before = s->finished + RETRY_US;
	} else {
		since.ops[s->op]++;
		since.hot_writes += s->hot;
		if (s->op == OP_READ)
			check_read(s);
	}
	if (s->op != OP_READ && s->op != OP_FLUSH)
		end_change(s);
}

/* ---- orders and reports ---- */

static void add(struct numbers *to, const struct numbers *n)
{
	for (int i = 0; i < NOPS; i++)
		to->ops[i] += n->ops[i];
	to->errors += n->errors;
	to->miscompares += n->miscompares;
	to->torn += n->torn;
	if (n->read_stall > to->read_stall)
		to->read_stall = n->read_stall;
	if (n->write_stall > to->write_stall)
		to->write_stall = n->write_stall;
	if (n->hot_stall > to->hot_stall)
		to->hot_stall = n->hot_stall;
	to->hot_writes += n->hot_writes;
}

static void print_numbers(const struct numbers *n)
{
	printf("\"reads\":%" PRIu64 ",\"writes\":%" PRIu64 ",\"zeroes\":%" PRIu64 ",\"trims\":%" PRIu64
	       ",\"flushes\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"miscompares\":%" PRIu64
	       ",\"torn\":%" PRIu64 ",\"read_stall_us\":%" PRIu64 ",\"write_stall_us\":%" PRIu64,
	       n->ops[OP_READ], n->ops[OP_WRITE], n->ops[OP_ZERO], n->ops[OP_TRIM], n->ops[OP_FLUSH],
	       n->errors, n->miscompares, n->torn, n->read_stall, n->write_stall);
	if (opt.hot)
		printf(",\"hot_writes\":%" PRIu64 ",\"hot_stall_us\":%" PRIu64, n->hot_writes, n->hot_stall);
}

/* One line about the time since the last one. An operation that is still out counts with its age. */
static void report(const char *name, bool mark)
{
	uint64_t now = now_us();
	struct numbers sum = total;

	for (unsigned i = 0; i < nslots; i++)
		if (slots[i].flying && !slots[i].done)
			note_stall(&since, &slots[i], now);
	add(&sum, &since);
	printf("{\"mark\":\"%s\",\"seconds\":%.3f,", name, (now - marked) / 1e6);
	print_numbers(&since);
	printf(",\"progressed\":%s,\"verified\":%" PRIu64 ",\"total\":{",
	       since.ops[OP_READ] && since.ops[OP_WRITE] ? "true" : "false", verified);
	print_numbers(&sum);
	printf("}}\n");
	fflush(stdout);
	if (!mark)
		return;
	total = sum;
	memset(&since, 0, sizeof(since));
	marked = now;
}

static void obey(char *line)
{
	for (char *p = line; *p; p++)
		if (*p == '"' || *p == '\\' || (unsigned char)*p < ' ')
			*p = '_';
	if (!strncmp(line, "mark ", 5))
		report(line + 5, true);
	else if (!strncmp(line, "peek ", 5))
		report(line + 5, false);
	else if (!strcmp(line, "end"))
		stop = 1;
	else
		fprintf(stderr, "nbd-load: no such order: %s\n", line);
}

/* Returns false when there is nothing more to come. */
static bool read_orders(void)
{
	static char buf[512];
	static size_t have;
	ssize_t n = read(0, buf + have, sizeof(buf) - 1 - have);
	char *end;

	if (n <= 0)
		return n < 0 && (errno == EINTR || errno == EAGAIN);
	have += n;
	buf[have] = '\0';
	while ((end = strchr(buf, '\n'))) {
		*end = '\0';
		obey(buf);
		have -= end + 1 - buf;
		memmove(buf, end + 1, have + 1);
	}
	if (have == sizeof(buf) - 1)
		have = 0;
	return true;
}

/* ---- the loop ---- */

static void turn(int timeout_ms)
{
	static bool orders = true;
	struct pollfd fds[MAX_CONNECTIONS + 1];

	for (unsigned i = 0; i < opt.connections; i++) {
		unsigned dir = nbd_aio_get_direction(conn[i]);

		fds[i].fd = nbd_aio_get_fd(conn[i]);
		fds[i].events = (dir & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
				(dir & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0);
		fds[i].revents = 0;
	}
	fds[opt.connections] = (struct pollfd){ .fd = orders ? 0 : -1, .events = POLLIN };
	if (poll(fds, opt.connections + 1, timeout_ms) < 0 && errno != EINTR)
		die("poll: %s", strerror(errno));
	for (unsigned i = 0; i < opt.connections; i++) {
		unsigned dir = nbd_aio_get_direction(conn[i]);

		if ((fds[i].revents & (POLLIN | POLLHUP)) && (dir & LIBNBD_AIO_DIRECTION_READ))
			nbd_aio_notify_read(conn[i]);
		else if ((fds[i].revents & POLLOUT) && (dir & LIBNBD_AIO_DIRECTION_WRITE))
			nbd_aio_notify_write(conn[i]);
		if (nbd_aio_is_dead(conn[i]) || nbd_aio_is_closed(conn[i]))
			die("the server closed connection %u: %s", i,
			    nbd_get_error() ? nbd_get_error() : "no reason known");
	}
	for (unsigned i = 0; i < nslots; i++)
		if (slots[i].flying && slots[i].done)
			finish_op(&slots[i]);
	if (fds[opt.connections].revents)
		orders = read_orders();
}

static bool flying(void)
{
	for (unsigned i = 0; i < nslots; i++)
		if (slots[i].flying)
			return true;
	return false;
}

/* Runs op over every unit once, in order. */
static void sweep(enum op op)
{
	uint64_t next = 0;

	while ((next < nunits && !(op == OP_WRITE && stop)) || flying()) {
		for (unsigned i = 0; i < nslots && next < nunits && !(op == OP_WRITE && stop); i++) {
			struct slot *s = &slots[i];

			if (s->flying)
				continue;
			s->op = op;
			s->flags = 0;
			s->first = next;
			s->n = nunits - next < max_units ? (uint32_t)(nunits - next) : max_units;
			next += s->n;
			send_slot(s);
		}
		turn(1000);
	}
}

static void load(void)
{
	uint64_t end = opt.seconds ? now_us() + opt.seconds * 1000000ULL : UINT64_MAX;

	while (!stop && now_us() < end) {
		uint64_t now = now_us();
		bool late = false;

		for (unsigned i = 0; i < nslots; i++) {
			if (!slots[i].flying && slots[i].not_before <= now)
				start_op(&slots[i]);
			late |= !slots[i].flying;
		}
		turn(late ? 1 : 100);
	}
	while (flying())
		turn(100);
}

static void verify(void)
{
	slots[0].op = OP_FLUSH;
	slots[0].n = 0;
	if (can[OP_FLUSH])
		send_slot(&slots[0]);
	while (flying())
		turn(100);
	sweep(OP_READ);
	for (uint64_t i = 0; i < nunits; i++)
		verified += units[i].trimmed < units[i].acked;
}

/* ---- beginning ---- */

static void connect_all(void)
{
	uint64_t size;

	for (unsigned i = 0; i < opt.connections; i++) {
		conn[i] = nbd_create();
		/* odd sizes are the point: the server has to judge them, not the library */
		if (!conn[i] ||
		    nbd_set_strict_mode(conn[i], nbd_get_strict_mode(conn[i]) & ~LIBNBD_STRICT_ALIGN) ||
		    nbd_set_uri_allow_local_file(conn[i], true) || /* keys for TLS */
		    nbd_connect_uri(conn[i], opt.uri))
			die("%s: %s", opt.uri, nbd_get_error());
	}
	size = (uint64_t)nbd_get_size(conn[0]);
	if (nbd_is_read_only(conn[0]) == 1)
		die("%s: read-only", opt.uri);
	if (opt.connections > 1 && nbd_can_multi_conn(conn[0]) != 1)
		die("%s: the server does not allow several connections", opt.uri);
	can[OP_FLUSH] = nbd_can_flush(conn[0]) == 1;
	can[OP_ZERO] = nbd_can_zero(conn[0]) == 1;
	can[OP_TRIM] = nbd_can_trim(conn[0]) == 1;
	can_fua = nbd_can_fua(conn[0]) == 1;
	if (size > opt.size_limit)
		size = opt.size_limit;
	nunits = size / opt.block_size;
	max_units = 131072 / opt.block_size;
	if (max_units > 32)
		max_units = 32;
	if (max_units < 1)
		max_units = 1;
	if (nunits < max_units || nunits >= 1ULL << 47)
		die("%s: %" PRIu64 " bytes: too small, or too large", opt.uri, size);
}

static void make_slots(void)
{
	nslots = opt.read_depth + opt.write_depth;
	slots = calloc(nslots, sizeof(*slots));
	units = calloc(nunits, sizeof(*units));
	if (!slots || !units)
		die("out of memory");
	for (unsigned i = 0; i < nslots; i++) {
		slots[i].nbd = conn[i % opt.connections];
		/* so that each connection gets both kinds */
		slots[i].writer = i < opt.write_depth;
		slots[i].hot = opt.hot && i == 0;
		slots[i].lo = calloc(max_units, sizeof(*slots[i].lo));
		slots[i].buf = malloc((size_t)max_units * opt.block_size);
		if (!slots[i].lo || !slots[i].buf)
			die("out of memory");
	}
}

static const char usage[] =
	"Usage: nbd-load --uri URI [option...]\n"
	"  --uri URI            the export, such as nbd+unix:///NAME?socket=PATH\n"
	"  --size-limit BYTES   use only so much of it (32 MiB; K, M, G may follow)\n"
	"  --block-size BYTES   of one operation and of one unit of the model (4096; may be odd)\n"
	"  --depth N            operations in flight, half of them reads (16)\n"
	"  --read-depth N, --write-depth N\n"
	"  --connections N      (1)\n"
	"  --seconds N          end after so long; else at \"end\" on standard input or SIGTERM\n"
	"  --seed N             (1)\n"
	"  --mix                several units at a time, zeroes, trims, FUA and flushes too\n"
	"  --hot                one writer rewrites one unit all the time, as a journal its tail\n"
	"  --no-fill            do not write everything once at the beginning\n";

static uint64_t number(const char *name, const char *text, uint64_t min, uint64_t max)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);
	int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;

	if (end == text || end[shift ? 1 : 0] || n << shift < min || n << shift > max)
		die("--%s: %s: expected a number from %" PRIu64 " to %" PRIu64, name, text, min, max);
	return n << shift;
}

static void parse(int argc, char **argv)
{
	enum { URI, LIMIT, BLOCK, DEPTH, RDEPTH, WDEPTH, CONNS, SECONDS, SEED, MIX, HOT, NO_FILL, HELP };
	static const struct option names[] = {
		{ "uri", 1, NULL, URI },	       { "size-limit", 1, NULL, LIMIT },
		{ "block-size", 1, NULL, BLOCK },      { "depth", 1, NULL, DEPTH },
		{ "read-depth", 1, NULL, RDEPTH },     { "write-depth", 1, NULL, WDEPTH },
		{ "connections", 1, NULL, CONNS },     { "seconds", 1, NULL, SECONDS },
		{ "seed", 1, NULL, SEED },	       { "mix", 0, NULL, MIX },
		{ "no-fill", 0, NULL, NO_FILL },       { "help", 0, NULL, HELP },
		{ "hot", 0, NULL, HOT },	       { NULL, 0, NULL, 0 },
	};
	int c, i = 0;

	while ((c = getopt_long(argc, argv, "", names, &i)) != -1) {
		const char *n = c == '?' ? "" : names[i].name;

		switch (c) {
		case URI: opt.uri = optarg; break;
		case LIMIT: opt.size_limit = number(n, optarg, 4096, UINT64_MAX); break;
		case BLOCK: opt.block_size = (uint32_t)number(n, optarg, 64, 16 << 20); break;
		case DEPTH:
			opt.write_depth = (uint32_t)number(n, optarg, 1, 2048) / 2;
			opt.read_depth = (uint32_t)number(n, optarg, 1, 2048) - opt.write_depth;
			break;
		case RDEPTH: opt.read_depth = (uint32_t)number(n, optarg, 0, 1024); break;
		case WDEPTH: opt.write_depth = (uint32_t)number(n, optarg, 0, 1024); break;
		case CONNS: opt.connections = (uint32_t)number(n, optarg, 1, MAX_CONNECTIONS); break;
		case SECONDS: opt.seconds = (uint32_t)number(n, optarg, 0, UINT32_MAX); break;
		case SEED: opt.seed = number(n, optarg, 0, UINT64_MAX); break;
		case MIX: opt.mix = true; break;
		case HOT: opt.hot = true; break;
		case NO_FILL: opt.fill = false; break;
		case HELP: fputs(usage, stdout); exit(0);
		default: fputs(usage, stderr); exit(2);
		}
	}
	if (!opt.uri || optind != argc || opt.read_depth + opt.write_depth == 0) {
		fputs(usage, stderr);
		exit(2);
	}
	if (opt.block_size % STAMP && opt.block_size % STAMP < 32)
		die("--block-size: its remainder by %d has to be 0, or at least 32 to hold a stamp", STAMP);
}

/* The second one means it. */
static void on_signal(int sig)
{
	if (stop)
		_exit(2);
	stop = 1;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };

	parse(argc, argv);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	rng = opt.seed << 20;
	started = marked = now_us();
	connect_all();
	make_slots();
	if (opt.fill)
		sweep(OP_WRITE);
	report("fill", true);
	load();
	verify();
	report("end", true);
	for (unsigned i = 0; i < opt.connections; i++) {
		nbd_shutdown(conn[i], 0);
		nbd_close(conn[i]);
	}
	return total.errors || total.miscompares ? EXIT_FAILURE : EXIT_SUCCESS;
}
