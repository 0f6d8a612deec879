/* SPDX-License-Identifier: MIT */
/*
 * Path choice. A policy sees an array of candidates, all usable and all of the best class
 * there is (policy_choose() has sorted the rest out), and picks one. Pure: no clock, no I/O; what
 * it remembers between two picks lives in struct policy_state, one for each pseudo-LUN.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICY_MAX_PATHS 32 /* paths of one LUN, as in Microsoft MPIO */

/* Counted per session over ALL LUNs on it: two LUNs with one I/O each make ios = 2. */
struct policy_load {
	uint32_t ios;          /* outstanding commands */
	uint64_t bytes;        /* outstanding bytes */
	uint64_t latency_us;   /* smoothed time of one I/O; 0: not known yet */
};

/* The best class first; the numbers order. */
enum policy_class {
	POLICY_CLASS_HEALTHY,
	POLICY_CLASS_MARGINAL, /* on probation after flapping */
	POLICY_CLASS_SUSPECT,  /* silent, not given up yet */
	POLICY_CLASS_UNUSABLE,
};

struct policy_path {
	uint32_t id;           /* stable while the path lives; orders the round */
	uint8_t class_;        /* enum policy_class */
	uint8_t alua;          /* 0 AO, 1 AU, 2 standby, 3 unavailable: lower is better */
	bool ready;            /* its window has room for one more */
	bool active;           /* in the active subset of the configuration */
	bool preferred;        /* the configured preferred path */
	bool preferred_group;  /* the PREF bit of its target port group */
	bool resting;          /* came back, but fail back must not happen yet */
	uint32_t weight;       /* lower is better */
	const struct policy_load *load;
};

struct policy_state {
	uint32_t last;         /* id of the path of the last pick; 0: none */
	uint32_t run;          /* picks in a row on it, for policies that stay a while */
};

#define POLICY_WHY_MAX 120
#define POLICY_NONE (-1) /* no candidate at all */
#define POLICY_WAIT (-2) /* the right path has no room now: wait for it */

struct policy {
	const char *name;
	const char *help;
	/*
	 * n >= 1 candidates in ascending id, for an I/O of `bytes`. Returns an index or POLICY_WAIT, and
	 * records the pick in st.
	 */
	int (*pick)(struct policy_state *st, const struct policy_path *const *p, int n,
		    uint32_t bytes);
	/*
	 * Why `p`, of the same rank and with room, was not the pick `won`: at most POLICY_WHY_MAX bytes
	 * to why. NULL: it was not its turn.
	 */
	void (*passed)(const struct policy_path *p, const struct policy_path *won, char *why);
};

extern const struct policy policy_failover_only, policy_round_robin, policy_round_robin_subset,
	policy_least_queue_depth, policy_weighted_paths, policy_least_blocks, policy_least_latency;

/* NULL-terminated, the default first. */
extern const struct policy *const policy_all[];

/* NULL if there is none of that name. */
const struct policy *policy_find(const char *name);

/*
 * The whole choice: takes those of the best class and best ALUA state, leaves out the paths whose
 * ids are in tried[0..ntried) unless nothing else of ANY class is left, leaves out resting ones while
 * another is there, and asks the policy. p in ascending id. Returns an index into p, POLICY_NONE or POLICY_WAIT.
 */
int policy_choose(const struct policy *pol, struct policy_state *st, const struct policy_path *p,
		  int n, const uint32_t *tried, int ntried, uint32_t bytes);

/*
 * The same choice without making it: *chosen as policy_choose() would return it with nothing tried, and
 * for each of the n paths a sentence (without full stop) why it was taken or passed over.
 */
void policy_explain(const struct policy *pol, const struct policy_state *st,
		    const struct policy_path *p, int n, uint32_t bytes, int *chosen,
		    char (*why)[POLICY_WHY_MAX]);

#endif
