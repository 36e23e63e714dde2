// What programs share that measure the nanoseconds that one malloc and its free take together.
#include "serve.h"

enum { PAIRS_PER_LOOK = 256, SIZE = 64 };

static double pair_ns(unsigned milliseconds) {
    uint64_t start = now_ns(), end = start + milliseconds * 1000000ull, pairs = 0, now;
    do {
        for (int i = 0; i < PAIRS_PER_LOOK; i++) {
            void *block = malloc(SIZE);
            // Without this the compiler removes the pair.
            KEEP(block);
            free(block);
        }
        pairs += PAIRS_PER_LOOK;
        now = now_ns();
    } while (now < end);
    return (double)(now - start) / (double)pairs;
}
