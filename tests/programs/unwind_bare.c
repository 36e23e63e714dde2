// A library with frame pointers and without tables, as code generators make it.

#include <stddef.h>

// Hands its own return address on, and calls back.
static __attribute__((noinline)) void inner(void (*back)(int, void **), int depth, void **callers) {
    char buffer[160];
    __asm__ volatile("" : : "r"(buffer) : "memory");
    callers[0] = __builtin_return_address(0);
    back(depth, callers);
    __asm__ volatile("" : : "r"(buffer) : "memory");
}

void bare(void (*back)(int, void **), int depth, void **callers) {
    char buffer[48];
    __asm__ volatile("" : : "r"(buffer) : "memory");
    callers[1] = __builtin_return_address(0);
    inner(back, depth, callers);
    __asm__ volatile("" : : "r"(buffer) : "memory");
}
