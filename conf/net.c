/* SPDX-License-Identifier: MIT */
/* Networks, and who belongs to one. All of it is IPv6 inside: an IPv4 address is one of ::ffff:0:0/96. */
#include "value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define MAPPED 96U /* bits before an IPv4 address */

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool has_bit(const uint8_t *addr, unsigned bit)
{
	return addr[bit / 8] & 0x80 >> bit % 8;
}

int conf_net_parse(const char *text, struct conf_net *out)
{
	char addr[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	unsigned skip = 0;

	if (len >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, len);
	addr[len] = '\0';
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, addr, out->addr + 12) == 1) {
		memcpy(out->addr, mapped, sizeof(mapped));
		skip = MAPPED;
	} else if (inet_pton(AF_INET6, addr, out->addr) != 1) {
		return -EINVAL;
	}
	out->bits = 128;
	if (slash) {
		size_t n = strlen(++slash);

		if (!n || n > 3 || slash[strspn(slash, "0123456789")] || atoi(slash) > (int)(128 - skip))
			return -EINVAL;
		out->bits = (uint8_t)(skip + (unsigned)atoi(slash));
	}
	/* 192.0.2.1/24 may be meant as the one or the other: nobody can know */
	for (unsigned bit = out->bits; bit < 128; bit++)
		if (has_bit(out->addr, bit))
			return -EINVAL;
	return 0;
}

static bool is_in(const uint8_t *addr, const struct conf_net *net)
{
	for (unsigned bit = 0; bit < net->bits; bit++)
		if (has_bit(addr, bit) != has_bit(net->addr, bit))
			return false;
	return true;
}

bool conf_allows(const struct conf *c, const struct sockaddr *peer)
{
	static const struct conf_net local[] = {
		{{[10] = 0xff, 0xff, 127}, MAPPED + 8},
		{{[15] = 1}, 128},
	};
	const struct conf_net *nets = c->nallow ? c->allow : local;
	int n = c->nallow ? c->nallow : 2;
	uint8_t addr[16];

	if (peer->sa_family == AF_INET) {
		memcpy(addr, mapped, sizeof(mapped));
		memcpy(addr + 12, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
	} else if (peer->sa_family == AF_INET6) {
		memcpy(addr, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, 16);
	} else {
		return true;
	}
	if (!c->nallow && c->listen_insecure)
		return true;
	for (int i = 0; i < n; i++)
		if (is_in(addr, &nets[i]))
			return true;
	return false;
}
