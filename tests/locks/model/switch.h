/* SPDX-License-Identifier: Apache-2.0
 *
 * Leaving one stack for another: whatever must survive a call is pushed, so that the stack is the thread's whole state.
 */
#pragma once
#include <string.h>

void model_switch(void **leave, void *enter);

#if defined(__x86_64__)
#define SWITCH_WORDS 8
#define SWITCH_RETURN 6
__asm__(".globl model_switch\n"
        "model_switch:\n"
        "    push %rbp\n    push %rbx\n    push %r12\n    push %r13\n    push %r14\n    push %r15\n"
        "    mov %rsp, (%rdi)\n"
        "    mov %rsi, %rsp\n"
        "    pop %r15\n    pop %r14\n    pop %r13\n    pop %r12\n    pop %rbx\n    pop %rbp\n"
        "    ret\n");
#elif defined(__aarch64__)
#define SWITCH_WORDS 20
#define SWITCH_RETURN 11
__asm__(".globl model_switch\n"
        "model_switch:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp]\n    stp x21, x22, [sp, #16]\n    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n    stp x27, x28, [sp, #64]\n    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n    stp d10, d11, [sp, #112]\n    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n    str x9, [x0]\n    mov sp, x1\n"
        "    ldp x19, x20, [sp]\n    ldp x21, x22, [sp, #16]\n    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n    ldp x27, x28, [sp, #64]\n    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n    ldp d10, d11, [sp, #112]\n    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    ret\n");
#else
#error "the model checker knows the stacks of x86-64 and AArch64"
#endif

/* A stack from which model_switch() enters `begin`. `top` is the end of its memory, 16 bytes aligned. */
static inline void *switch_prepare(unsigned char *top, void (*begin)(void)) {
    void **sp = (void **)(void *)top - SWITCH_WORDS;
    memset(sp, 0, SWITCH_WORDS * sizeof *sp);
    memcpy(&sp[SWITCH_RETURN], &begin, sizeof begin);
    return sp;
}
