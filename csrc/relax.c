/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include "arch.h"
#include "pybench_core.h"

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* The least: whatever disturbs adds. */
double pb_relax_ns(void) {
    enum { LOOKS = 16, TIMES = 4096 };
    double least = 0;
    for (int look = 0; look < LOOKS; look++) {
        double begin = now_ns();
        for (int i = 0; i < TIMES; i++)
            pb_relax();
        double each = (now_ns() - begin) / TIMES;
        if (look == 0 || each < least)
            least = each;
    }
    return least;
}
