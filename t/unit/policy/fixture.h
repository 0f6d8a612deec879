/* SPDX-License-Identifier: MIT */
/*
 * Paths for the tests of policies: path i has id i + 1, is healthy, AO, ready, without load. The
 * tests speak in ids; what a policy answers as an index becomes an id here.
 */
#ifndef T_UNIT_POLICY_FIXTURE_H
#define T_UNIT_POLICY_FIXTURE_H

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "policy/policy.h"

struct fixture {
	struct policy_state st;
	struct policy_path p[POLICY_MAX_PATHS];
	struct policy_load load[POLICY_MAX_PATHS];
	int n;
};

static inline void fixture_init(struct fixture *f, int n)
{
	int i;

	memset(f, 0, sizeof(*f));
	f->n = n;
	for (i = 0; i < n; i++) {
		f->p[i].id = (uint32_t)i + 1;
		f->p[i].ready = true;
		f->p[i].load = &f->load[i];
	}
}

/* The path with this id leaves; the others keep their ids and loads. */
static inline void fixture_remove(struct fixture *f, uint32_t id)
{
	int i, to = 0;

	for (i = 0; i < f->n; i++) {
		if (f->p[i].id != id)
			f->p[to++] = f->p[i];
	}
	f->n = to;
}

/* The id that the policy picks among all paths of f, or POLICY_WAIT. */
static inline int fixture_pick(struct fixture *f, const struct policy *pol)
{
	const struct policy_path *cand[POLICY_MAX_PATHS];
	int i;

	for (i = 0; i < f->n; i++)
		cand[i] = &f->p[i];
	i = pol->pick(&f->st, cand, f->n, 4096);
	ck_assert_int_lt(i, f->n);
	if (i < 0) {
		ck_assert_int_eq(i, POLICY_WAIT);
		return i;
	}
	ck_assert_uint_eq(f->st.last, cand[i]->id);
	return (int)cand[i]->id;
}

/* A test fails unless the next picks are these ids, in this order; ends with 0. */
static inline void fixture_expect(struct fixture *f, const struct policy *pol, const int *ids)
{
	int i;

	for (i = 0; ids[i]; i++) {
		int got = fixture_pick(f, pol);

		ck_assert_msg(got == ids[i], "pick %d: got %d, expected %d", i, got, ids[i]);
	}
}
#define EXPECT(f, pol, ...) fixture_expect(f, pol, (const int[]){ __VA_ARGS__, 0 })

static inline int fixture_run(Suite *s)
{
	SRunner *sr = srunner_create(s);
	int failed;

	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
