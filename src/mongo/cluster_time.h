/*
 * cluster_time.h
 *	  Times of a cluster as numbers, which are in the order of the times.
 *
 * MongoDB's timestamp has 32 bits of seconds, without a sign, and a number within
 * the second, which it keeps below 2^31 in times of the cluster.  So the seconds
 * stand from bit 31 on, and a bigint has no sign either until 2106.
 * cluster_timestamp() and cluster_time_to_json() read it, too.
 */
#ifndef MM_CLUSTER_TIME_H
#define MM_CLUSTER_TIME_H

#include <bson/bson.h>

static inline int64
cluster_time_pack(uint32_t seconds, uint32_t number)
{
	return ((int64) seconds << 31) | Min(number, PG_INT32_MAX);
}

/* The time that a field of type timestamp has. */
static inline int64
cluster_time_get(const bson_iter_t *field)
{
	uint32_t	seconds;
	uint32_t	number;

	bson_iter_timestamp(field, &seconds, &number);
	return cluster_time_pack(seconds, number);
}

/* Appends a time as a field. */
static inline void
cluster_time_append(bson_t *document, const char *key, int64 time)
{
	bson_append_timestamp(document, key, -1, (uint32_t) (time >> 31), (uint32_t) (time & PG_INT32_MAX));
}

#endif							/* MM_CLUSTER_TIME_H */
