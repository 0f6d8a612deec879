/* SPDX-License-Identifier: MIT */
/*
 * A whole session of the initiator: the input is the target. First byte: HOW_ bits. Then records: what they are,
 * which request they answer, how much data, and the bytes of a header and the data. Fields that only a target
 * that listens can get right (tags, serial numbers, sizes) are made right where the record asks for it.
 */
#include "fuzz.h"
#include <fcntl.h>
#include "t/unit/transport/fake_target.h"

enum {
	HOW_RAW_LOGIN = 1, /* the input is the login answer, too */
	HOW_DIGEST = 2,
	HOW_SOLICITED = 4,
	HOW_CHAP = 8,
	HOW_MUTUAL = 16,
	HOW_DISCOVERY = 32,
	HOW_LOGOUT = 64,   /* at the end, instead of a kill */
	HOW_PIECES = 128,  /* what the target sends comes in small pieces */
};

enum {
	REC_TAG = 1,     /* ITT of a request */
	REC_SERIAL = 2,  /* StatSN, ExpCmdSN, MaxCmdSN */
	REC_LENGTH = 4,  /* DataSegmentLength */
	REC_OFFSET = 8,  /* of Data-In: right behind the last */
	REC_WAIT = 16,   /* let the initiator answer first */
	REC_SUBMIT = 32, /* it has another command, and a ping */
	REC_RAW = 64,    /* no header */
	REC_TEXT = 128,  /* the header's first bytes are those of a full feature answer to the request */
};

#define SEEN 16

static struct {
	struct ini ini;
	int fd; /* the target's end */
	uint8_t how;
	uint8_t in[1 << 16]; /* what the initiator has sent and nobody looked at */
	size_t in_n;
	uint8_t seen[SEEN][48]; /* headers of its last requests */
	unsigned nseen;
	uint32_t statsn, cmdsn;
	uint32_t offset, offset_of; /* of the next Data-In, and whose */
	int next; /* the next command of the initiator */
	bool logged_in, over;
	struct iscsi_discovery *discovery;
	int discovered;
} z;

static void turn(void)
{
	ev_run(z.ini.ev, EVRUN_NOWAIT);
}

/*
 * In place of libc's: one end of a socketpair becomes the connection. What is written to the other can be read at once,
 * while TCP on the loopback takes its time, and no two runs would be the same.
 */
int connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	int sv[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv), 0);
	ck_assert_int_eq(dup3(sv[0], fd, O_CLOEXEC), fd);
	close(sv[0]);
	if (z.fd >= 0)
		close(z.fd);
	z.fd = sv[1];
	return 0;
}

/* Tags and serial numbers start with a random number: always the same one. */
void srand(unsigned seed)
{
	srandom(1);
}

static void found(void *arg, const struct iscsi_portal_list *list, const char *text)
{
	z.discovered++;
	ck_assert(list || (text && *text));
	for (int i = 0; list && i < list->n; i++) {
		for (const char *p = list->e[i].target; *p; p++)
			ck_assert((uint8_t)*p > 0x20 && *p != 0x7f);
		ck_assert_ptr_nonnull(strchr(list->e[i].portal, ':'));
	}
}

static void begin(void)
{
	int err;

	ini_new(&z.ini, "192.0.2.1:3260");
	z.ini.p.header_digest = z.how & HOW_DIGEST;
	z.ini.p.solicited = z.how & HOW_SOLICITED;
	if (z.how & (HOW_CHAP | HOW_MUTUAL)) {
		z.ini.p.chap_user = "user";
		z.ini.p.chap_secret = "secret-secret";
	}
	if (z.how & HOW_MUTUAL) {
		z.ini.p.mutual_chap_user = "target";
		z.ini.p.mutual_chap_secret = "other-secret-o";
	}
	if (z.how & HOW_DISCOVERY) {
		z.ini.p.target_name = NULL;
		z.discovery = iscsi_discovery_start(z.ini.loop, &z.ini.p, found, NULL, &err);
		ck_assert_ptr_nonnull(z.discovery);
	} else {
		ini_start(&z.ini);
	}
	z.over = z.fd < 0;
}

/* Takes what the initiator has sent; keeps the headers of its requests. */
static void listen_to(void)
{
	size_t at = 0;
	ssize_t n;

	while ((n = recv(z.fd, z.in + z.in_n, sizeof(z.in) - z.in_n, 0)) > 0) {
		z.in_n += (size_t)n;
		for (at = 0; z.in_n - at >= 48;) {
			const uint8_t *h = z.in + at;
			size_t header = z.logged_in && z.how & HOW_DIGEST ? 52 : 48;
			size_t all = header + (((from32(h + 4) & 0xffffff) + 3) & ~(size_t)3);

			if (all > z.in_n - at)
				break;
			if ((h[0] & 0x3f) != 0x05) { /* a Data-Out is no request */
				memcpy(z.seen[z.nseen++ % SEEN], h, 48);
				z.cmdsn = from32(h + 24) + !(h[0] & 0x40);
			}
			at += all;
		}
		z.in_n -= at;
		memmove(z.in, z.in + at, z.in_n);
		if (z.in_n == sizeof(z.in))
			z.in_n = 0;
	}
	if (n == 0 || errno != EAGAIN)
		z.over = true;
}

static void say(const uint8_t *p, size_t n)
{
	while (n) {
		size_t k = z.how & HOW_PIECES && n > 20 ? 20 : n;
		ssize_t sent = send(z.fd, p, k, MSG_NOSIGNAL);

		if (sent <= 0) {
			z.over = true;
			return;
		}
		p += sent;
		n -= (size_t)sent;
		if (z.how & HOW_PIECES)
			turn();
	}
}

/* RFC 7143 13.1, a bit at a time */
static void seal(uint8_t *h)
{
	uint32_t crc = ~0U;

	for (int i = 0; i < 48; i++) {
		crc ^= h[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
	}
	for (int i = 0; i < 4; i++)
		h[48 + i] = (uint8_t)(~crc >> 8 * i);
}

/* Opcode and flags of the usual answer. */
static void usual(uint8_t *h, const uint8_t *request)
{
	h[0] = (uint8_t)(request[0] & 0x3f) | 0x20;
	h[1] |= 0x80;
	if ((request[0] & 0x3f) == 0x01 && request[1] & 0x40) {
		h[0] = 0x25;
	} else if ((request[0] & 0x3f) == 0x01 && h[3] & 1 && request[1] & 0x20) {
		h[0] = 0x31;
		h[3] = 0;
		be32(h + 20, 7);
	} else if ((request[0] & 0x3f) == 0x00) {
		be32(h + 20, 0xffffffff);
	}
}

static void record(struct feed *f)
{
	uint8_t what = feed_u8(f), which = feed_u8(f), h[52] = { 0 };
	size_t n, want = feed_u16(f) & 0x3fff, header = 48;
	const uint8_t *p, *request = z.seen[z.nseen ? (z.nseen - 1 - which % SEEN) % SEEN : 0];
	uint8_t data[0x4000] = { 0 };

	if (what & REC_SUBMIT && z.ini.up && !z.ini.lost && z.next < NCMD) {
		struct iscsi_cmd *cmd = &z.ini.cmd[z.next];

		cdb_read16(&cmd->scsi, 0, 1, 4096);
		if (which & 1)
			cdb_write16(&cmd->scsi, 0, 1, 4096, false);
		else if (which & 2)
			cdb_inquiry(&cmd->scsi, false, 0, 255);
		cmd->scsi.niov = 1;
		cmd->scsi.iov[0] = (struct iovec){ z.ini.data + z.next * 4096, cmd->scsi.len };
		z.next += !iscsi_session_submit(z.ini.s, cmd);
		if (which & 4)
			(void)!iscsi_session_probe(z.ini.s);
		turn();
		listen_to();
	}
	if (!(what & REC_RAW)) {
		p = feed_bytes(f, 48, &n);
		memcpy(h, p, n);
	}
	p = feed_bytes(f, want, &n);
	memcpy(data, p, n);
	if (z.over)
		return;
	if (from32(request + 16) != z.offset_of)
		z.offset = 0;
	z.offset_of = from32(request + 16);
	if (what & REC_RAW) {
		say(data, n);
	} else {
		if (what & REC_TEXT)
			usual(h, request);
		if (what & REC_LENGTH) {
			be32(h + 4, (uint32_t)n);
			if (h[0] == 0x25 && what & REC_OFFSET)
				be32(h + 40, z.offset);
			z.offset += (uint32_t)n;
		}
		if (what & REC_OFFSET && h[0] == 0x31)
			be32(h + 44, 4096 - (from32(h + 40) & 4095));
		if (what & REC_TAG)
			memcpy(h + 16, request + 16, 4);
		if (what & REC_SERIAL) {
			be32(h + 24, z.statsn++);
			be32(h + 28, z.cmdsn);
			be32(h + 32, z.cmdsn + 64);
		}
		if (z.logged_in && z.how & HOW_DIGEST) {
			seal(h);
			header = 52;
		}
		say(h, header);
		if (!z.over)
			say(data, (n + 3) & ~(size_t)3);
	}
	if (what & REC_WAIT && !z.over) {
		turn();
		turn();
		listen_to();
		z.logged_in |= z.ini.up;
	}
}

/* The answer of a target that is all right. */
static void log_in(void)
{
	static const char keys[] = LOGIN_OK, digest[] = "HeaderDigest=CRC32C\0MaxRecvDataSegmentLength=8192\0";
	const char *text = z.how & HOW_DIGEST ? digest : keys;
	size_t n = z.how & HOW_DIGEST ? sizeof(digest) - 1 : sizeof(keys) - 1;
	uint8_t h[48] = { 0x23, 0x87 }, data[256] = { 0 };

	memcpy(h + 8, z.seen[0] + 8, 6);
	h[15] = 1;
	memcpy(h + 16, z.seen[0] + 16, 4);
	be32(h + 4, (uint32_t)n);
	be32(h + 24, z.statsn++);
	be32(h + 28, z.cmdsn);
	be32(h + 32, z.cmdsn + 64);
	memcpy(data, text, n);
	say(h, 48);
	say(data, (n + 3) & ~(size_t)3);
	turn();
	z.logged_in = true;
	for (int i = 0; i < 4 && z.ini.up && !z.ini.lost; i++, z.next++)
		submit(&z.ini, i, i % 2);
	if (z.ini.up && !z.ini.lost)
		(void)!iscsi_session_probe(z.ini.s);
	turn();
	listen_to();
}

static void finish(void)
{
	for (int i = 0; i < 4; i++)
		turn();
	if (z.discovery) {
		iscsi_discovery_free(z.discovery);
	} else if (z.how & HOW_LOGOUT) {
		iscsi_session_logout(z.ini.s);
		z.ini.s = NULL;
		turn();
	}
	z.discovery = NULL;
	ck_assert_int_le(z.ini.lost, 1);
	ck_assert_int_le(z.ini.up, 1);
	ck_assert_int_le(z.ini.done, z.next);
	ck_assert_int_le(z.discovered, 1);
	if (z.fd >= 0)
		close(z.fd);
	turn();
	ini_free(&z.ini);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct feed f = { data, size };

	memset(z.seen, 0, sizeof(z.seen));
	z.how = feed_u8(&f);
	z.nseen = 0;
	z.in_n = 0;
	z.fd = -1;
	z.statsn = 1;
	z.cmdsn = z.offset = z.offset_of = 0;
	z.next = z.discovered = 0;
	z.logged_in = z.over = false;
	begin();
	for (int i = 0; i < 10 && !z.nseen && !z.over; i++) { /* its login request */
		turn();
		listen_to();
	}
	if (!(z.how & HOW_RAW_LOGIN) && z.nseen && !z.over)
		log_in();
	while (f.n && !z.over && !z.ini.lost)
		record(&f);
	finish();
	return 0;
}
