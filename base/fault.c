/*
 * Fault points: counters, one row a point.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/fault.h"

#ifdef FAULTS
#include <stdatomic.h>

static struct {
    atomic_bool armed;
    atomic_int after;
    atomic_int times;
} points[FAULT_COUNT];

static atomic_int fired;

bool fault_fires(enum fault_point point)
{
    if (!points[point].armed) {
        return false;
    }
    if (atomic_fetch_sub(&points[point].after, 1) > 0) {
        return false;
    }
    if (points[point].times >= 0 && atomic_fetch_sub(&points[point].times, 1) <= 0) {
        points[point].armed = false;
        return false;
    }
    atomic_fetch_add(&fired, 1);
    return true;
}

void fault_arm(enum fault_point point, int after, int times)
{
    points[point].after = after;
    points[point].times = times;
    points[point].armed = true;
}

int fault_reset(void)
{
    for (int i = 0; i < FAULT_COUNT; i++) {
        points[i].armed = false;
    }
    return atomic_exchange(&fired, 0);
}
#else
void fault_arm(enum fault_point point, int after, int times)
{
    (void)point;
    (void)after;
    (void)times;
}

int fault_reset(void)
{
    return 0;
}
#endif
