// Code with tables and no frame pointers, and code with frame pointers and no tables, call each other:
// `unwind-mixed LIBRARY`. No unwinder knows such stacks: every function notes its own return address.

#define _GNU_SOURCE
#include "stacks.h"

#include <dlfcn.h>

enum { DEPTH = 6, TIMES = 20 };

// Return addresses of the functions that are running, outermost last.
static void *callers[128];
static void **innermost = callers + sizeof callers / sizeof *callers;

static void (*bare)(void (*)(int, void **), int, void **);

static NOINLINE void *site_mixed(size_t size) {
    void **first = innermost;
    *--first = __builtin_return_address(0);
    stacks_take_these("site_mixed", size, first, (size_t)(callers + sizeof callers / sizeof *callers - first));
    void *block = malloc(size);
    STACKS_USE(block);
    return block;
}

// The library's two functions note where they were called in the room that was made for them; then it is our turn.
static NOINLINE void back(int depth, void **room) {
    char buffer[72];
    STACKS_USE(buffer);
    innermost = room - 1;
    *innermost = __builtin_return_address(0);
    STACKS_USE(site_mixed((size_t)depth + 1));
    if (depth > 0) {
        innermost -= 2;
        bare(back, depth - 1, innermost);
    }
    innermost = room;
    STACKS_USE(buffer);
}

int main(int count, char **arguments) {
    NEED(count == 2);
    void *library = dlopen(arguments[1], RTLD_NOW);
    NEED(library != NULL);
    bare = (void (*)(void (*)(int, void **), int, void **))dlsym(library, "bare");
    NEED(bare != NULL);
    // What is below this function the unwinder does know.
    void *below[16];
    int depth = backtrace(below, 16);
    NEED(depth > 1 && depth < 16);
    innermost -= depth - 1;
    memcpy(innermost, below + 1, (size_t)(depth - 1) * sizeof *below);
    void **base = innermost;
    stacks_start();
    for (int time = 0; time < TIMES; time++) {
        innermost = base - 2;
        bare(back, DEPTH, innermost);
    }
    stacks_end();
}
