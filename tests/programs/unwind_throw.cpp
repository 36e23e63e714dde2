// Allocations while an exception unwinds the stack: in destructors, in a handler that throws again, and by the library.

#include "stacks.h"

#include <alloca.h>
#include <stdexcept>

enum { ROUNDS = 30, DEPTH = 12 };

STACKS_SITE(site_destructor);
STACKS_SITE(site_handler);
STACKS_SITE(site_caught);

struct Guard {
    size_t size;
    NOINLINE ~Guard() { STACKS_USE(site_destructor(size)); }
};

static NOINLINE long descend(int depth);

static NOINLINE long guarded(int depth) {
    Guard guard = {(size_t)depth + 1};
    STACKS_USE(&guard);
    return descend(depth - 1) + 1;
}

static NOINLINE long guarded_alloca(int depth) {
    char *buffer = (char *)alloca(32 * (size_t)depth);
    STACKS_USE(buffer);
    Guard guard = {(size_t)depth + 100};
    STACKS_USE(&guard);
    return descend(depth - 1) + buffer[0];
}

static NOINLINE long handling(int depth) {
    try {
        return descend(depth - 1) - 1;
    } catch (...) {
        STACKS_USE(site_handler((size_t)depth + 200));
        throw;
    }
}

static NOINLINE long descend(int depth) {
    if (depth == 0) {
        throw std::runtime_error("thrown on purpose");
    }
    return depth % 3 == 0 ? guarded(depth) : depth % 3 == 1 ? guarded_alloca(depth) : handling(depth);
}

static NOINLINE void catching() {
    try {
        STACKS_USE(descend(DEPTH));
    } catch (const std::runtime_error &error) {
        STACKS_USE(site_caught(strlen(error.what())));
    }
}

int main() {
    stacks_start();
    for (int round = 0; round < ROUNDS; round++) {
        catching();
    }
    stacks_end();
}
