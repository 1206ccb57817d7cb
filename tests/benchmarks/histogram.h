/*
 * A histogram of latencies: buckets are at most 1/64 apart, relatively, from 0 to 2^40.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS 64U /* Buckets per power of two. */
#define HISTOGRAM_BUCKETS (HISTOGRAM_STEPS * 36U)

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t count;
    uint64_t max;
};

static inline unsigned histogram_bucket(uint64_t value)
{
    if (value < HISTOGRAM_STEPS) {
        return (unsigned)value;
    }
    unsigned power = 63U - (unsigned)__builtin_clzll(value) - 6U;
    unsigned bucket = (power + 1U) * HISTOGRAM_STEPS + (unsigned)(value >> power) - HISTOGRAM_STEPS;
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1U;
}

/* The least value of a bucket. */
static inline uint64_t histogram_value(unsigned bucket)
{
    if (bucket < HISTOGRAM_STEPS) {
        return bucket;
    }
    unsigned power = bucket / HISTOGRAM_STEPS - 1U;
    return (uint64_t)(bucket % HISTOGRAM_STEPS + HISTOGRAM_STEPS) << power;
}

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->counts[histogram_bucket(value)]++;
    histogram->count++;
    histogram->max = value > histogram->max ? value : histogram->max;
}

/* The value below or at which this part of all lies; 0 if there are none. */
static inline uint64_t histogram_quantile(const struct histogram *histogram, double part)
{
    uint64_t rank = (uint64_t)((double)histogram->count * part);
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen > rank) {
            return histogram_value(i);
        }
    }
    return histogram->max;
}

#endif
