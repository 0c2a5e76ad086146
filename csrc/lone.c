/* SPDX-License-Identifier: Apache-2.0
 *
 * What single instructions take on the calling thread's CPU. The least of several looks: whatever disturbs adds.
 */
#include <string.h>
#include <time.h>

#include "arch.h"
#include "pybench_core.h"
#include "rng.h"

enum { LOOKS = 16, RELAXES = 4096, COINS = 1 << 18 };

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

double pb_relax_ns(void) {
    double least = 0;
    for (int look = 0; look < LOOKS; look++) {
        double begin = now_ns();
        for (int i = 0; i < RELAXES; i++)
            pb_relax();
        double each = (now_ns() - begin) / RELAXES;
        if (look == 0 || each < least)
            least = each;
    }
    return least;
}

static unsigned char coins[COINS]; /* more than a predictor could learn */

/* A turn of a loop with a branch that goes as the coins say. */
static double branch_ns(void) {
    double least = 0;
    for (int look = 0; look < LOOKS; look++) {
        double begin = now_ns();
        for (int i = 0; i < COINS; i++)
            if (coins[i])
                __asm__ volatile("nop"); /* which no compiler does unasked */
        double each = (now_ns() - begin) / COINS;
        if (look == 0 || each < least)
            least = each;
    }
    return least;
}

double pb_mispredict_ns(void) {
    memset(coins, 0, sizeof coins);
    double foreseen = branch_ns();
    uint64_t seed = 1;
    for (int i = 0; i < COINS; i++)
        coins[i] = pb_random(&seed) & 1;
    return 2 * (branch_ns() - foreseen); /* half of the tosses are guessed */
}
