/* SPDX-License-Identifier: MIT */
/* The text of one value to its type. Private to conf/. Strings stored belong to the struct. */
#ifndef CONF_VALUE_H
#define CONF_VALUE_H

#include "keys.h"

/*
 * Stores text in the field of key k in *base, or appends to its list. Returns how many values that
 * made (1, or more for a list in one line), or -EINVAL (not of the type), -ERANGE (outside min and
 * max), -EEXIST (twice in a list) and -ENOMEM. After an error the field holds what it held, or some
 * of the list.
 */
int conf_value_set(const struct conf_key *k, const char *text, void *base)
	__attribute__((warn_unused_result));

/* Frees and zeroes the field of key k. */
void conf_value_clear(const struct conf_key *k, void *base);

/* Sets one value (no list) of *to to that of *from. A string is still that of *from. */
void conf_value_share(const struct conf_key *k, void *to, const void *from);

/* 1 to 200 bytes without blanks and control characters, as an export's name has to be. */
bool conf_value_is_export(const char *text);
/* Of the form that a device identifier has? */
bool conf_value_is_id(const char *text);

/* address.c: new strings in a normal form, so that equal addresses are equal strings. */

/* "ADDR:PORT" with the port filled in. 0, -EINVAL, -ENOMEM. */
int conf_address_portal(const char *text, char **addr) __attribute__((warn_unused_result));
/* The same with an optional " via IFACE"; *interface NULL without. */
int conf_address_portal_via(const char *text, char **addr, char **interface)
	__attribute__((warn_unused_result));
/* "unix:PATH" or "tcp:ADDR:PORT". */
int conf_address_listen(const char *text, char **listen) __attribute__((warn_unused_result));
/* Whether only this machine can connect to what conf_address_listen() made. */
bool conf_address_is_local(const char *listen);
/* net.c: "ADDR" or "ADDR/LEN". 0 or -EINVAL: also where bits behind LEN are set. */
int conf_net_parse(const char *text, struct conf_net *out) __attribute__((warn_unused_result));
/* An absolute path that fits sockaddr_un. */
bool conf_address_is_socket(const char *path);

#endif
