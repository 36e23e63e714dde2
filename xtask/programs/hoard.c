// Blocks that stay: a target of `cargo xtask bench --only memory`.
//
//   stdin "run N": allocates N more blocks, of mixed sizes, from DEPTHS call stacks, and answers how many are live
#include "serve.h"

#include "mix.h"

enum { DEPTHS = 64, SMALL = 0xff };

static uint64_t seed = 1;

NOINLINE static void take(unsigned depth, size_t size) {
    if (depth > 0) {
        take(depth - 1, size);
    } else {
        void *block = malloc(size);
        if (block == NULL) abort();
        KEEP(block);
    }
    KEEP(&seed);
}

static double hoard(unsigned blocks) {
    static uint64_t live;
    for (unsigned block = 0; block < blocks; block++, live++) {
        // So small that the pages of a million fit any machine.
        take((unsigned)(live % DEPTHS), 16 + (mix_random(&seed) & SMALL));
    }
    return (double)live;
}

int main(void) {
    serve(hoard);
    return 0;
}
