/* SPDX-License-Identifier: MIT */
/*
 * mpiod's engine inside nbdkit. The engine runs on a loop in one thread of its own (front.c); nbdkit's threads hand
 * it jobs and wait, each for its own. Nothing but struct job is shared between them.
 *
 * nbdkit forks between get_ready and after_fork. So the first login, whose errors somebody shall see, is made in
 * get_ready on a loop of its own and ends there with a logout; the thread begins in after_fork.
 */
#ifndef PLUGIN_PLUGIN_H
#define PLUGIN_PLUGIN_H

#include <semaphore.h>
#include "../daemon/server.h"

/* One thing to be done on the loop. It is its thread's, on its stack, until done. */
struct job {
	void (*run)(struct server *sv, struct job *job); /* on the loop; leads to job_done(), now or later */
	struct list link;
	sem_t done;
};

/* params.c: what was given on the command line. */

#define PARAM_BARE "config" /* the parameter that a word without = is */

/* 0, or -1 and nbdkit_error() was told. */
int params_add(const char *key, const char *value);
int params_complete(void);
/* A new configuration made of them or read from the file. NULL: nbdkit_error() was told. */
struct conf *params_conf(void);
const char *params_file(void);    /* config=FILE, absolute, or NULL */
const char *params_lun(void);     /* lun=, or NULL */
bool params_control(void);        /* is there to be a control socket? */
void params_free(void);

/* front.c */

/*
 * Runs the engine in this thread until the LUNs are seen, or can't be, and ends it again. Takes c over. 0, or -1
 * and nbdkit_error() was told.
 */
int front_try(struct conf *c);
/* Starts the thread; returns when it has seen the LUNs again, or has tried. As front_try(). */
int front_start(struct conf *c);
/* Ends it in order; nothing is open any more. */
void front_stop(void);
/* From any thread of nbdkit: hands it over and waits until it is done. At the very end it is not run: the job has to say so by itself. */
void front_call(struct job *job);
/* Is it at a start, whose outcome is told as a whole? */
bool front_starting(void);
/* On the loop. The job must not be touched afterwards. */
void job_done(struct job *job);

/* login.c: have the LUNs been seen? */
enum login {
	LOGIN_WAITS,
	LOGIN_FAILED, /* and why */
	LOGIN_ENOUGH, /* yes, but a portal has not answered yet */
	LOGIN_ALL,    /* yes, and each portal has answered or failed */
};

enum login login_look(const struct server *sv, char *why, size_t cap);
/* Tells nbdkit which portals don't work. */
void login_tell(const struct server *sv);

/* luns.c: which of them this plugin exports, and under which name. All on the loop. */
struct lun *luns_nth(const struct server *sv, int i);
struct lun *luns_find(const struct server *sv, const char *name); /* "": the only one, or NULL */

/* requests.c, on the loop */
void requests_done(void *arg, struct request *r);
void requests_room(struct server *sv); /* the refused ones again */

#endif
