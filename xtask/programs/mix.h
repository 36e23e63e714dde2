// The mix of sizes that the compared programs allocate: mostly small blocks, some of a few pages, a few of many.
#ifndef MIX_H
#define MIX_H

#include <stddef.h>
#include <stdint.h>

// xorshift64* (Vigna, 2016): the same sequence in every run, and nothing to allocate.
static inline uint64_t mix_random(uint64_t *state) {
    uint64_t word = *state;
    word ^= word >> 12;
    word ^= word << 25;
    word ^= word >> 27;
    *state = word;
    return word * 0x2545f4914f6cdd1du;
}

// Of 256 blocks, 200 have 16 to 512 bytes, 55 up to 8 KiB, one up to 64 KiB.
static inline size_t mix_size(uint64_t random) {
    unsigned of_256 = random & 0xff;
    uint64_t rest = random >> 8;
    if (of_256 < 200) return 16 + rest % 497;
    if (of_256 < 255) return 512 + rest % 7681;
    return 8192 + rest % 57345;
}

#endif
