// A loop of malloc and free far down a call chain, built without frame pointers: a target of `cargo xtask bench`.
//
//   deep FRAMES
#include "pairs.h"

#include <alloca.h>

// malloc, the loop, main and the three that start it.
enum { OTHER_FRAMES = 6 };

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

static int depth;

static double run(unsigned milliseconds) {
    return down(depth, milliseconds);
}

int main(int count, char **arguments) {
    depth = count > 1 ? atoi(arguments[1]) - OTHER_FRAMES : 0;
    serve(run);
    return 0;
}
