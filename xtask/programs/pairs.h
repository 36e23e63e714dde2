// What programs share that measure a malloc and its free.
//
//   stdin   "run MS": loops for about MS milliseconds
//   stdout  "ready", then for each line the nanoseconds that one malloc and its free took together
//   ends    with stdin
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
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

// Answers each line with what `run` measures.
static inline void serve(double (*run)(unsigned milliseconds)) {
    char line[64];
    unsigned milliseconds;
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    printf("ready\n");
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (sscanf(line, "run %u", &milliseconds) == 1) printf("%.2f\n", run(milliseconds));
    }
}
