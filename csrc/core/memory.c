/* SPDX-License-Identifier: Apache-2.0
 *
 * The size of a page, from smaps.
 */
#include "core/memory.h"

#include <stdio.h>
#include <string.h>

/* KernelPageSize is the mapping's own page size; ShmemPmdMapped is the part of shared memory mapped by huge pages. */
int64_t pb_memory_page_bytes(const void *memory) {
    FILE *maps = fopen("/proc/self/smaps", "re");
    if (!maps)
        return 0;
    char line[512];
    int64_t found = 0, kib;
    int inside = 0;
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = from <= (uintptr_t)memory && (uintptr_t)memory < to;
        else if (inside && sscanf(line, "KernelPageSize: %ld kB", &kib) == 1)
            found = kib * 1024;
        else if (inside && sscanf(line, "ShmemPmdMapped: %ld kB", &kib) == 1 && kib * 1024 >= (int64_t)PB_HUGE_PAGE)
            found = (int64_t)PB_HUGE_PAGE;
    }
    fclose(maps);
    return found;
}
