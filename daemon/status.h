/* SPDX-License-Identifier: MIT */
/*
 * The engine's model as JSON. Reads the model and changes nothing. The caller owns what it gets
 * (json_decref); NULL is out of memory, or where it says so, not found.
 *
 * Keys are only ever added. Times are ages in milliseconds of engine time.
 */
#ifndef DAEMON_STATUS_H
#define DAEMON_STATUS_H

#include <jansson.h>
#include "events.h"
#include "model.h"

/* {"version", "luns": [...], "sessions": [...]} */
json_t *status_json(const struct engine *e) __attribute__((warn_unused_result));

/* The pseudo-LUN of that export name or identifier, in more detail; *found says if there is one. */
json_t *status_lun_json(const struct engine *e, const char *name, bool *found)
	__attribute__((warn_unused_result));

/* {"paths": [...]}: of that LUN; of all with lun NULL, those that belong to no LUN yet too. */
json_t *status_paths_json(const struct engine *e, const char *lun, bool *found)
	__attribute__((warn_unused_result));

/* {"sessions": [...]} */
json_t *status_sessions_json(const struct engine *e) __attribute__((warn_unused_result));

/* {"paths": [...]}: those a path or session name stands for. */
json_t *status_named_paths_json(const struct engine *e, const char *name)
	__attribute__((warn_unused_result));

/* Who holds which persistent reservation; lun NULL: of all LUNs. */
json_t *status_reservations_json(const struct engine *e, const char *lun, bool *found);
/* Which path the next I/O would take, and why not the others. */
json_t *status_explain_json(const struct engine *e, const char *lun, bool *found);
json_t *status_event_json(const struct events_entry *ev) __attribute__((warn_unused_result));

#endif
