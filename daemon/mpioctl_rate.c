/* SPDX-License-Identifier: MIT */
/* Rates, out of the counters of two looks at the status. */
#include "mpioctl.h"

#include <err.h>
#include <string.h>

static const struct {
	const char *counter, *rate;
} rates[] = {
	{ "reads", "reads_per_s" },
	{ "writes", "writes_per_s" },
	{ "read_bytes", "read_bytes_per_s" },
	{ "write_bytes", "write_bytes_per_s" },
	{ "errors", "errors_per_s" },
};

enum { RATES = sizeof(rates) / sizeof(rates[0]) };

double get_rate(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return v ? json_number_value(v) : -1.;
}

/* A counter that went back has begun again, with the daemon or with its path: all of it is new. */
static double rate(const json_t *before, const json_t *now, const char *counter, double seconds)
{
	json_int_t a = get_number(before, counter), b = get_number(now, counter);

	return (double)(b >= a ? b - a : b) / seconds;
}

static void put(json_t *o, const double *sums)
{
	for (int i = 0; i < RATES; i++)
		if (json_object_set_new(o, rates[i].rate, json_real(sums[i])) < 0)
			err(MPIOCTL_REFUSED, NULL);
}

/* All paths of a status, by name; json_decref() it. */
static json_t *by_name(const json_t *status)
{
	json_t *index = json_object(), *lun, *p;
	size_t i, j;

	json_array_foreach(json_object_get(status, "luns"), i, lun)
		json_array_foreach(json_object_get(lun, "paths"), j, p)
			json_object_set(index, get_string(p, "name"), p);
	return index;
}

void rates_add(json_t *now, const json_t *before, double seconds)
{
	double all[RATES] = { 0 };
	json_t *old = by_name(before), *lun, *p;
	size_t i, j;

	if (!before || !(seconds > 0.)) {
		json_decref(old);
		return;
	}
	json_array_foreach(json_object_get(now, "luns"), i, lun) {
		double sums[RATES] = { 0 };

		json_array_foreach(json_object_get(lun, "paths"), j, p) {
			const json_t *was = json_object_get(old, get_string(p, "name"));
			double one[RATES];

			if (!was) /* since when its counters count nobody knows */
				continue;
			for (int k = 0; k < RATES; k++) {
				one[k] = rate(was, p, rates[k].counter, seconds);
				sums[k] += one[k];
				all[k] += one[k];
			}
			put(p, one);
		}
		put(lun, sums);
	}
	put(now, all);
	json_decref(old);
}
