/* SPDX-License-Identifier: MIT */
/* What the files that turn the model into JSON share. Each function that makes a value may return NULL: no memory. */
#ifndef DAEMON_STATUS_INTERNAL_H
#define DAEMON_STATUS_INTERNAL_H

#include "status.h"

json_t *status_text(const char *s);
json_t *status_text_or_null(const char *s);
json_t *status_number(uint64_t n);
/* Milliseconds since then. */
json_t *status_age(const struct engine *e, uint64_t since);
/* Is it the name that a user gave, or that name as it is shown? */
bool status_named(const char *ours, const char *given);
/* Adds v, of which a reference is taken over, and fails the whole object when it is NULL. */
void status_put(json_t **o, const char *key, json_t *v);
void status_append(json_t **a, json_t *v);

/* Writes in doubt, and target port groups, of one LUN. */
json_t *status_doubts_json(const struct engine *e, const struct lun *l);
json_t *status_groups_json(const struct lun *l);

#endif
