// One thread that allocates, frees and grows blocks of mixed sizes: a target of `cargo xtask bench --only compare`.
//
//   steps ROUNDS    rounds of arithmetic between two steps, which set how many steps a second there are
//
// A run measures steps a second; each step is one allocation, and one free as soon as all slots are taken.
#include "serve.h"

#include "mix.h"

enum { SLOTS = 1024, STEPS_PER_LOOK = 256 };

static void *slots[SLOTS];
static uint64_t seed = 42;
static unsigned rounds;

// Each call has a function of its own, as a program's own allocation functions are.
NOINLINE static void *take(size_t size) {
    void *block = malloc(size);
    KEEP(block);
    return block;
}

NOINLINE static void *take_zeroed(size_t size) {
    void *block = calloc(1, size);
    KEEP(block);
    return block;
}

NOINLINE static void *grow(void *old, size_t size) {
    void *block = realloc(old, size);
    KEEP(block);
    return block;
}

NOINLINE static void give(void *block) {
    free(block);
    KEEP(slots);
}

NOINLINE static void step(void) {
    uint64_t random = mix_random(&seed);
    void **slot = &slots[(random >> 40) % SLOTS];
    size_t size = mix_size(random);
    unsigned kind = (random >> 56) & 15;
    if (kind == 0) {
        *slot = grow(*slot, size);
    } else {
        if (*slot != NULL) give(*slot);
        *slot = kind == 1 ? take_zeroed(size) : take(size);
    }
    if (*slot == NULL) abort();
    *(volatile char *)*slot = 1;
}

static void pause_between(void) {
    uint64_t word = seed;
    for (unsigned round = 0; round < rounds; round++) mix_random(&word);
    KEEP(word);
}

static double steps_per_second(unsigned milliseconds) {
    uint64_t start = now_ns(), end = start + milliseconds * 1000000ull, steps = 0, now;
    do {
        for (int i = 0; i < STEPS_PER_LOOK; i++) {
            step();
            pause_between();
        }
        steps += STEPS_PER_LOOK;
        now = now_ns();
    } while (now < end);
    return (double)steps * 1e9 / (double)(now - start);
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    rounds = (unsigned)strtoul(arguments[1], NULL, 10);
    // A heap that has been in use for a while: every slot was taken and freed.
    for (int i = 0; i < 3 * SLOTS; i++) step();
    serve(steps_per_second);
    return 0;
}
