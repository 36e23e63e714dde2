// What the programs of the matrix share: blocks that are checked when they go, and where malloc is.

#ifndef MATRIX_H
#define MATRIX_H

#include "truth.h"

#include <stdio.h>

enum release { RELEASE_C, RELEASE_NEW, RELEASE_NEW_ARRAY, RELEASE_ALIGNED, RELEASE_ALIGNED_ARRAY };

struct block {
    void *address;
    size_t size, alignment;
    struct site *site;
    enum release release;
    unsigned char mark;
};

// The first and last bytes of a block hold its mark: a block that two sites hold at once is found.
__attribute__((unused)) static void matrix_check(const void *address, size_t size, unsigned char mark) {
    const unsigned char *bytes = (const unsigned char *)address;
    for (size_t index = 0; index < size && index < 64; index++) {
        NEED(bytes[index] == mark);
    }
}

__attribute__((unused)) static struct block matrix_took(struct site *site, void *address, size_t size, size_t alignment,
                                                        enum release release) {
    static unsigned next;
    struct block block;
    NEED(address != NULL);
    truth_took(site, size);
    block.address = address;
    block.size = size;
    block.alignment = alignment;
    block.site = site;
    block.release = release;
    block.mark = (unsigned char)__atomic_add_fetch(&next, 1, __ATOMIC_RELAXED);
    memset(address, block.mark, size < 64 ? size : 64);
    return block;
}

// Sizes as programs have them: mostly small, some that an allocator maps for itself, now and then none.
__attribute__((unused)) static size_t matrix_size(uint64_t random) {
    switch (random % 64) {
    case 0:
        return 0;
    case 1:
        return 150000 + random / 64 % 300000;
    case 2:
    case 3:
        return 4096 + random / 64 % 20000;
    default:
        return 1 + random / 64 % 1500;
    }
}

// Prints which file malloc is in, as the dynamic linker resolved it, where /proc is there to say so.
__attribute__((unused)) static void matrix_print_allocator(void) {
    void *(*volatile function)(size_t) = malloc;
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4400], text[4500] = "allocator none\n";
    while (maps != NULL && fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        char *path = strchr(line, '/');
        if (sscanf(line, "%lx-%lx", &start, &end) == 2 && (uintptr_t)function - start < end - start && path != NULL) {
            snprintf(text, sizeof text, "allocator %s", path);
        }
    }
    if (maps != NULL) {
        fclose(maps);
    }
    truth_write(text);
}

#endif
