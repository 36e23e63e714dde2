// An allocator of the program's own, with functions that memtrace knows only when they are named: `pairs`.
//
// It prints `offset NAME FILE 0xOFFSET` for each function, where a probe would be put without symbols. Blocks come out of
// one static array, so that no other allocator is involved.

#include "matrix.h"

#include <link.h>
#include <new>

alignas(16) static char pool[1 << 20];
static size_t used;

struct header {
    size_t size;
    header *next;
};
static header *unused_blocks;

// First fit among the freed blocks, so that addresses are used again.
static void *from_pool(size_t size) {
    size = (size + 31) / 16 * 16;
    for (header **place = &unused_blocks; *place != nullptr; place = &(*place)->next) {
        if ((*place)->size >= size) {
            header *found = *place;
            *place = found->next;
            return found + 1;
        }
    }
    if (size > sizeof pool - used - sizeof(header)) {
        return nullptr;
    }
    header *made = reinterpret_cast<header *>(pool + used);
    made->size = size;
    used += size + sizeof(header);
    return made + 1;
}

static void to_pool(void *address) {
    header *block = static_cast<header *>(address) - 1;
    block->next = unused_blocks;
    unused_blocks = block;
}

extern "C" {
// `my_alloc:my_free`
NOINLINE void *my_alloc(size_t size) { return from_pool(size); }
NOINLINE void my_free(void *address) {
    if (address != nullptr) {
        to_pool(address);
    }
}
// `pool_take:pool_give:1`
NOINLINE void *pool_take(void *, size_t size) { return from_pool(size); }
NOINLINE void pool_give(void *address) { to_pool(address); }
// `array_take:array_give:1*2`
NOINLINE void *array_take(void *, unsigned long count, unsigned long size) { return from_pool(count * size); }
NOINLINE void array_give(void *address) { to_pool(address); }
}

namespace arena {
// `_ZN5arena4takeEm:_ZN5arena4giveEPv`, which throws when there is no room.
NOINLINE void *take(size_t size) {
    void *address = size > sizeof pool ? nullptr : from_pool(size);
    if (address == nullptr) {
        throw std::bad_alloc();
    }
    return address;
}
NOINLINE void give(void *address) { to_pool(address); }
} // namespace arena

#define PAIR_SITE(function, expression, free_it)                                                                       \
    SITE(function);                                                                                                    \
    static NOINLINE void function(size_t round) {                                                                      \
        size_t size = 1 + round * 173 % 2000;                                                                          \
        struct block block = matrix_took(&function##_truth, expression, size, 0, RELEASE_C);                           \
        matrix_check(block.address, size, block.mark);                                                                 \
        if (round % 3 == 0) {                                                                                          \
            truth_gave(&function##_truth, size);                                                                       \
            free_it(block.address);                                                                                    \
        }                                                                                                              \
    }

PAIR_SITE(site_my_alloc, my_alloc(size), my_free)
PAIR_SITE(site_pool, pool_take(pool, size), pool_give)
PAIR_SITE(site_arena, arena::take(size), arena::give)

SITE(site_array);
static NOINLINE void site_array(size_t round) {
    size_t size = 8 * (1 + round % 30);
    struct block block = matrix_took(&site_array_truth, array_take(pool, size / 8, 8), size, 0, RELEASE_C);
    if (round % 4 == 0) {
        truth_gave(&site_array_truth, size);
        array_give(block.address);
    }
}

// No site: the exception is allocated there.
static NOINLINE unsigned failing() {
    NEED(my_alloc(sizeof pool) == nullptr);
    my_free(nullptr);
    try {
        arena::take(sizeof pool + 1);
    } catch (const std::bad_alloc &) {
        return 1;
    }
    return 0;
}

struct place {
    const char *name;
    uintptr_t address;
};

// The main program is the first that is told of.
static int print_offset(struct dl_phdr_info *info, size_t, void *argument) {
    const place *wanted = static_cast<const place *>(argument);
    static char path[512];
    NEED(readlink("/proc/self/exe", path, sizeof path - 1) > 0);
    for (int index = 0; index < info->dlpi_phnum; index++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[index];
        uintptr_t start = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_LOAD && wanted->address - start < segment->p_filesz) {
            char line[700];
            snprintf(line, sizeof line, "offset %s %s 0x%lx\n", wanted->name, path,
                     wanted->address - start + segment->p_offset);
            truth_write(line);
        }
    }
    return 1;
}

int main() {
    place places[] = {{"my_alloc", reinterpret_cast<uintptr_t>(my_alloc)},
                      {"my_free", reinterpret_cast<uintptr_t>(my_free)},
                      {"pool_take", reinterpret_cast<uintptr_t>(pool_take)},
                      {"pool_give", reinterpret_cast<uintptr_t>(pool_give)}};
    for (place &each : places) {
        dl_iterate_phdr(print_offset, &each);
    }
    truth_ready();
    unsigned failed = 0;
    for (size_t round = 0; round < 100; round++) {
        site_my_alloc(round);
        site_pool(round);
        site_array(round);
        site_arena(round);
        failed += failing();
    }
    truth_value("failed", failed);
    truth_print();
    truth_hold();
}
