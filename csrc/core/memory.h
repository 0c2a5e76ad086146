/* SPDX-License-Identifier: Apache-2.0
 *
 * NUMA memory policy by raw system calls, without libnuma, and the place of a page.
 */
#pragma once
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PB_MPOL_BIND 2
#define PB_MPOL_INTERLEAVE 3
#define PB_MAX_NODES 1024
#define PB_HUGE_PAGE ((size_t)2 << 20)

/* Bind or interleave untouched memory. For NULL: all that this task and its children allocate from now on, and the
 * kernel for them. Returns 0 or a negative errno. */
static inline int pb_memory_policy(void *memory, size_t bytes, int mode, const int32_t *nodes, int32_t count) {
    enum { BITS = 8 * sizeof(unsigned long) };
    unsigned long mask[PB_MAX_NODES / BITS] = {0};
    for (int32_t i = 0; i < count; i++) {
        if (nodes[i] < 0 || nodes[i] >= PB_MAX_NODES)
            return -EINVAL;
        mask[nodes[i] / BITS] |= 1ul << (nodes[i] % BITS);
    }
    if (!memory)
        return syscall(SYS_set_mempolicy, mode, mask, (unsigned long)PB_MAX_NODES) ? -errno : 0;
    return syscall(SYS_mbind, memory, bytes, mode, mask, (unsigned long)PB_MAX_NODES, 0) ? -errno : 0;
}

/* Return the size in bytes of the page of a touched address, from smaps; 0 if the kernel does not report it. */
int64_t pb_memory_page_bytes(const void *memory);

/* Return the NUMA node of a touched page, -1 if the kernel does not report it. */
static inline int32_t pb_memory_node(void *memory) {
    int status = -1;
    void *page = (void *)((uintptr_t)memory & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1));
    if (syscall(SYS_move_pages, 0, 1ul, &page, NULL, &status, 0))
        return -1;
    return status < 0 ? -1 : status;
}
