// A library of `dump swaps`, in two versions that are of one size: a function that takes a while.

#include <stdatomic.h>
#include <stdbool.h>

__attribute__((noinline, noclone)) long FUNCTION(atomic_bool *over) {
    volatile long turns = 1;
    while (turns < ROUNDS && !atomic_load(over)) {
        turns++;
    }
    return turns;
}
