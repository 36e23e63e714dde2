// How the programs of `cargo xtask bench` are spoken to, and the clock they measure with.
//
//   stdin   "run MS": works for about MS milliseconds
//   stdout  "ready", then for each line a number: what that run measured
//   ends    with stdin
#ifndef SERVE_H
#define SERVE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NOINLINE __attribute__((noinline))
// Keeps the compiler from dropping an allocation, and from turning the call before it into a jump.
#define KEEP(pointer) __asm__ volatile("" : : "r"(pointer) : "memory")

static inline uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
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

#endif
