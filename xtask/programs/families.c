// Many allocators of a program's own: a target of `cargo xtask bench --only detach`, which has them all probed.
//
// They are own_alloc_0 and own_free_0 to own_alloc_15 and own_free_15. A run answers how many blocks they gave in its time.
#include "serve.h"

#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15)

// Functions with a stack frame, so that they begin as most do.
#define FAMILY(NUMBER)                                                                                                 \
    NOINLINE void *own_alloc_##NUMBER(size_t size) {                                                                   \
        void *block = malloc(size + NUMBER);                                                                           \
        if (block == NULL) abort();                                                                                    \
        KEEP(block);                                                                                                   \
        return block;                                                                                                  \
    }                                                                                                                  \
    NOINLINE void own_free_##NUMBER(void *block) {                                                                     \
        free(block);                                                                                                   \
        KEEP(NUMBER);                                                                                                  \
    }
EACH(FAMILY)

static double blocks(unsigned milliseconds) {
    uint64_t end = now_ns() + milliseconds * 1000000ull, count = 0;
    while (now_ns() < end) {
#define ROUND(NUMBER) own_free_##NUMBER(own_alloc_##NUMBER(16)), count++;
        EACH(ROUND)
    }
    return (double)count;
}

int main(void) {
    serve(blocks);
    return 0;
}
