// A loop of malloc and free far down a call chain, built without frame pointers: the target of `cargo xtask bench`.
//
//   deep DEPTH
//   stdin   "run MS": loops for about MS milliseconds
//   stdout  "ready", then for each line the nanoseconds that one malloc and its free took together
//   ends    with stdin
#include <alloca.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAIRS_PER_LOOK = 256, SIZE = 64 };

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static double pair_ns(unsigned milliseconds) {
    uint64_t start = now_ns(), end = start + milliseconds * 1000000ull, pairs = 0, now;
    do {
        for (int i = 0; i < PAIRS_PER_LOOK; i++) {
            void *block = malloc(SIZE);
            // Without this the compiler removes the pair.
            __asm__ volatile("" : : "r"(block) : "memory");
            free(block);
        }
        pairs += PAIRS_PER_LOOK;
        now = now_ns();
    } while (now < end);
    return (double)(now - start) / (double)pairs;
}

// Eight functions with frames of different sizes; one of them, with alloca, has its frame address in a register.
static double down(int depth, unsigned milliseconds);
#define LEVEL(NAME, BYTES)                                                                                             \
    __attribute__((noinline)) static double NAME(int depth, unsigned milliseconds) {                                   \
        volatile char frame[BYTES];                                                                                    \
        frame[0] = (char)depth;                                                                                        \
        double result = down(depth - 1, milliseconds);                                                                 \
        frame[BYTES - 1] = frame[0];                                                                                   \
        return result;                                                                                                 \
    }
LEVEL(level_a, 8)
LEVEL(level_b, 40)
LEVEL(level_c, 72)
LEVEL(level_d, 104)
LEVEL(level_e, 136)
LEVEL(level_f, 24)
LEVEL(level_g, 200)
__attribute__((noinline)) static double level_h(int depth, unsigned milliseconds) {
    volatile char *frame = alloca(16 + (size_t)(depth & 7) * 8);
    frame[0] = (char)depth;
    double result = down(depth - 1, milliseconds);
    frame[1] = frame[0];
    return result;
}

static inline __attribute__((always_inline)) double down(int depth, unsigned milliseconds) {
    static double (*const levels[])(int, unsigned) = {level_a, level_b, level_c, level_d,
                                                      level_e, level_f, level_g, level_h};
    return depth <= 0 ? pair_ns(milliseconds) : levels[depth & 7](depth, milliseconds);
}

int main(int count, char **arguments) {
    char line[64];
    unsigned milliseconds;
    // main, the two functions that start it, and the loop itself are frames too.
    int depth = count > 1 ? atoi(arguments[1]) - 4 : 0;
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    printf("ready\n");
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (sscanf(line, "run %u", &milliseconds) == 1) printf("%.2f\n", down(depth, milliseconds));
    }
    return 0;
}
