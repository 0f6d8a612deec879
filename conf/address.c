/* SPDX-License-Identifier: MIT */
/* Addresses: iSCSI portals and the sockets to listen on, each brought to one normal form. */
#include "value.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define ISCSI_PORT "3260"
#define HOST_MAX 253
#define IFACE_MAX 15 /* IFNAMSIZ less the zero byte */

static int copy_string(char **out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int copy_string(char **out, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(out, fmt, ap);
	va_end(ap);
	if (n >= 0)
		return 0;
	*out = NULL;
	return -ENOMEM;
}

static bool is_port(const char *s)
{
	size_t len = strlen(s);

	if (!len || len > 5 || s[0] == '0' || s[strspn(s, "0123456789")])
		return false;
	return atoi(s) <= 65535;
}

/* An interface by the kernel's rule, dev_valid_name(); a bracket would end the address. */
static bool is_interface(const char *s)
{
	size_t len = strlen(s);

	if (!len || len > IFACE_MAX || !strcmp(s, ".") || !strcmp(s, ".."))
		return false;
	for (; *s; s++)
		if (isspace((unsigned char)*s) || iscntrl((unsigned char)*s) || strchr("/:[]", *s))
			return false;
	return true;
}

static bool is_host_name(const char *s)
{
	struct in_addr in;
	size_t label = 0;

	/* getaddrinfo() would take 10.1 for 10.0.0.1 and 0x7f.1 for 127.0.0.1: never meant */
	if (!*s || strlen(s) > HOST_MAX || inet_aton(s, &in) || !s[strspn(s, "0123456789.")])
		return false;
	for (; *s; s++) {
		if (*s == '.') {
			if (!label || s[-1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!isalnum((unsigned char)*s) && *s != '_' && (*s != '-' || !label))
			return false;
		if (++label > 63)
			return false;
	}
	return label && s[-1] != '-';
}

/* An IPv6 address in the form of RFC 5952; the scope of a link-local one stays. */
static int normal_ipv6(const char *text, char *buf, size_t size)
{
	char plain[INET6_ADDRSTRLEN], scope[IFACE_MAX + 2] = "";
	const char *percent = strchr(text, '%');
	size_t len = percent ? (size_t)(percent - text) : strlen(text);
	struct in6_addr in6;

	if (len >= sizeof(plain) || (percent && !is_interface(percent + 1)))
		return -EINVAL;
	memcpy(plain, text, len);
	plain[len] = '\0';
	if (inet_pton(AF_INET6, plain, &in6) != 1)
		return -EINVAL;
	inet_ntop(AF_INET6, &in6, plain, sizeof(plain));
	if (percent)
		snprintf(scope, sizeof(scope), "%s", percent);
	snprintf(buf, size, "%s%s", plain, scope);
	return 0;
}

static int portal_ipv6(const char *host, const char *port, char **addr)
{
	char buf[INET6_ADDRSTRLEN + IFACE_MAX + 2];

	if (normal_ipv6(host, buf, sizeof(buf)))
		return -EINVAL;
	return copy_string(addr, "[%s]:%s", buf, port);
}

static int portal_bracket(char *text, const char *port, char **addr)
{
	char *end = strchr(text, ']');

	if (!end)
		return -EINVAL;
	*end++ = '\0';
	if (*end == ':')
		port = end + 1;
	else if (*end)
		return -EINVAL;
	if (!port || !is_port(port))
		return -EINVAL;
	return portal_ipv6(text + 1, port, addr);
}

static int portal_plain(char *text, const char *port, char **addr)
{
	char *colon = strchr(text, ':');
	struct in_addr in;

	if (colon && strchr(colon + 1, ':'))
		return port ? portal_ipv6(text, port, addr) : -EINVAL;
	if (colon) {
		*colon = '\0';
		port = colon + 1;
	}
	if (!port || !is_port(port))
		return -EINVAL;
	if (inet_pton(AF_INET, text, &in) != 1 && !is_host_name(text))
		return -EINVAL;
	for (char *c = text; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return copy_string(addr, "%s:%s", text, port);
}

/* port: the one to fill in, or NULL if there is none. */
static int address(const char *text, const char *port, char **addr)
{
	char *copy = strdup(text);
	int err;

	*addr = NULL;
	if (!copy)
		return -ENOMEM;
	err = copy[0] == '[' ? portal_bracket(copy, port, addr) : portal_plain(copy, port, addr);
	free(copy);
	return err;
}

int conf_address_portal(const char *text, char **addr)
{
	return address(text, ISCSI_PORT, addr);
}

int conf_address_portal_via(const char *text, char **addr, char **interface)
{
	size_t len = strcspn(text, " \t");
	const char *rest = text + len + strspn(text + len, " \t");
	char *portal;
	int err;

	*addr = *interface = NULL;
	portal = strndup(text, len);
	if (!portal)
		return -ENOMEM;
	err = -EINVAL;
	if (*rest) {
		if (strncmp(rest, "via", 3) || !strchr(" \t", rest[3]) || !rest[3])
			goto out;
		rest += 3 + strspn(rest + 3, " \t");
		if (!is_interface(rest))
			goto out;
		err = copy_string(interface, "%s", rest);
		if (err)
			goto out;
	}
	err = conf_address_portal(portal, addr);
	if (err) {
		free(*interface);
		*interface = NULL;
	}
out:
	free(portal);
	return err;
}

bool conf_address_is_socket(const char *path)
{
	struct sockaddr_un un;

	if (path[0] != '/' || strlen(path) >= sizeof(un.sun_path))
		return false;
	for (; *path; path++)
		if (iscntrl((unsigned char)*path))
			return false;
	return path[-1] != '/';
}

/* The number in tcp:ADDR:PORT; names are refused, as what they mean may change after the check. */
static bool split_tcp(const char *listen, int *family, void *in)
{
	char host[INET6_ADDRSTRLEN + 2];
	const char *text = listen + strlen("tcp:"), *end = strrchr(text, ':');
	size_t len = end ? (size_t)(end - text) : 0;

	if (len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	*family = AF_INET;
	if (host[0] == '[' && len > 2) {
		host[len - 1] = '\0';
		*family = AF_INET6;
		return inet_pton(AF_INET6, host + 1, in) == 1;
	}
	return inet_pton(AF_INET, host, in) == 1;
}

int conf_address_listen(const char *text, char **listen)
{
	struct in6_addr in;
	char *addr;
	int err, family;

	*listen = NULL;
	if (!strncmp(text, "unix:", 5))
		return conf_address_is_socket(text + 5) ? copy_string(listen, "%s", text) : -EINVAL;
	if (strncmp(text, "tcp:", 4))
		return -EINVAL;
	err = address(text + 4, NULL, &addr);
	if (err)
		return err;
	err = copy_string(listen, "tcp:%s", addr);
	free(addr);
	if (!err && !split_tcp(*listen, &family, &in)) {
		free(*listen);
		*listen = NULL;
		err = -EINVAL;
	}
	return err;
}

bool conf_address_is_local(const char *listen)
{
	struct in6_addr in;
	int family;

	if (strncmp(listen, "tcp:", 4))
		return true;
	if (!split_tcp(listen, &family, &in))
		return false;
	if (family == AF_INET)
		return in.s6_addr[0] == 127;
	return IN6_IS_ADDR_LOOPBACK(&in) || (IN6_IS_ADDR_V4MAPPED(&in) && in.s6_addr[12] == 127);
}
