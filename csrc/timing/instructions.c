/* SPDX-License-Identifier: Apache-2.0
 *
 * Time of single instructions on the calling thread's CPU: the minimum of several rounds, since a disturbance only
 * adds.
 */
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "timing/clock.h"
#include "timing/random.h"

enum { ROUNDS = 16, PAUSES = 4096, COINS = 1 << 18 /* more branches than a predictor can learn */ };

double pb_relax_ns(void) {
    uint64_t least = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t begin = pb_now_ns();
        for (int i = 0; i < PAUSES; i++)
            pb_relax();
        uint64_t took = pb_now_ns() - begin;
        least = took < least ? took : least;
    }
    return (double)least / PAUSES;
}

/* Time of one iteration of a loop whose branch goes as the coins say, ns. */
static double branch_ns(const unsigned char *coins) {
    uint64_t least = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t begin = pb_now_ns();
        for (int i = 0; i < COINS; i++)
            if (coins[i])
                __asm__ volatile("nop"); /* keeps the branch: a compiler does not move it */
        uint64_t took = pb_now_ns() - begin;
        least = took < least ? took : least;
    }
    return (double)least / COINS;
}

double pb_mispredict_ns(void) {
    unsigned char *coins = malloc(COINS);
    if (!coins)
        return -1.0;
    memset(coins, 0, COINS); /* calloc would map all of it to one page of zeros */
    double predicted = branch_ns(coins);
    uint64_t seed = 1;
    for (int i = 0; i < COINS; i++)
        coins[i] = pb_random(&seed) & 1;
    double tossed = branch_ns(coins);
    free(coins);
    return 2 * (tossed - predicted); /* the predictor guesses half of the tosses right */
}
