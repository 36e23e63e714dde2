// The workload of matrix.c with the operators of C++ in all their forms, and exceptions thrown through them.

#include "matrix.c"

#include <new>

#define NEW_SITE(function, parameters, expression, alignment, release)                                                 \
    SITE(function);                                                                                                    \
    static NOINLINE struct block function parameters {                                                                 \
        void *address = expression;                                                                                    \
        return matrix_took(&function##_truth, address, size, alignment, release);                                      \
    }

#define ALIGNED std::align_val_t(alignment)

NEW_SITE(site_new, (size_t size), ::operator new(size), 0, RELEASE_NEW)
NEW_SITE(site_new_array, (size_t size), ::operator new[](size), 0, RELEASE_NEW_ARRAY)
NEW_SITE(site_new_nothrow, (size_t size), ::operator new(size, std::nothrow), 0, RELEASE_NEW)
NEW_SITE(site_new_array_nothrow, (size_t size), ::operator new[](size, std::nothrow), 0, RELEASE_NEW_ARRAY)
NEW_SITE(site_new_aligned, (size_t size, size_t alignment), ::operator new(size, ALIGNED), alignment, RELEASE_ALIGNED)
NEW_SITE(site_new_aligned_array, (size_t size, size_t alignment), ::operator new[](size, ALIGNED), alignment,
         RELEASE_ALIGNED_ARRAY)
NEW_SITE(site_new_aligned_nothrow, (size_t size, size_t alignment), ::operator new(size, ALIGNED, std::nothrow),
         alignment, RELEASE_ALIGNED)
NEW_SITE(site_new_aligned_array_nothrow, (size_t size, size_t alignment), ::operator new[](size, ALIGNED, std::nothrow),
         alignment, RELEASE_ALIGNED_ARRAY)

static struct block matrix_new(size_t size, size_t alignment, uint64_t random, struct block (*)(size_t)) {
    // As a compiler asks: never for nothing, and for whole multiples of the alignment. Of other sizes the C++ library makes
    // these before it asks malloc.
    size_t whole = (size + alignment) / alignment * alignment;
    size += size == 0;
    switch (random % 8) {
    case 0:
        return site_new_array(size);
    case 1:
        return site_new_nothrow(size);
    case 2:
        return site_new_array_nothrow(size);
    case 3:
        return site_new_aligned(whole, alignment);
    case 4:
        return site_new_aligned_array(whole, alignment);
    case 5:
        return site_new_aligned_nothrow(whole, alignment);
    case 6:
        return site_new_aligned_array_nothrow(whole, alignment);
    default:
        return site_new(size);
    }
}

// With and without the size, as compilers do. jemalloc 5.3 crashes when an aligned block of no size is deleted by size.
static void matrix_delete(struct block *block) {
    std::align_val_t alignment = std::align_val_t(block->alignment);
    bool sized = block->mark % 2 == 0 && block->size > 0;
    switch (block->release) {
    case RELEASE_NEW:
        sized ? ::operator delete(block->address, block->size) : ::operator delete(block->address);
        break;
    case RELEASE_NEW_ARRAY:
        sized ? ::operator delete[](block->address, block->size) : ::operator delete[](block->address);
        break;
    case RELEASE_ALIGNED:
        sized ? ::operator delete(block->address, block->size, alignment)
              : ::operator delete(block->address, alignment);
        break;
    default:
        sized ? ::operator delete[](block->address, block->size, alignment)
              : ::operator delete[](block->address, alignment);
    }
}

// Calls that throw, and that the program survives because the exception finds its way through the allocator. It is no site:
// the exception itself is allocated there.
static NOINLINE void throwing(int form) {
    switch (form % 4) {
    case 0:
        ::operator delete(::operator new(huge));
        break;
    case 1:
        ::operator delete[](::operator new[](huge));
        break;
    case 2:
        ::operator delete(::operator new(huge, std::align_val_t(64)), std::align_val_t(64));
        break;
    default:
        ::operator delete[](::operator new[](huge, std::align_val_t(256)), std::align_val_t(256));
    }
}

static void matrix_new_fails(void) {
    unsigned caught = 0;
    for (int round = 0; round < 200; round++) {
#ifndef NEW_ABORTS
        try {
            throwing(round);
        } catch (const std::bad_alloc &) {
            caught++;
        }
        NEED(::operator new(huge, std::nothrow) == nullptr);
        NEED(::operator new[](huge, std::nothrow) == nullptr);
#else
        (void)throwing;
        caught++;
#endif
        // What comes after an exception is counted as if there had been none.
        site_new(48);
        struct block block = site_new(100);
        give(&block);
    }
    NEED(caught == 200);
    truth_value("caught", caught);
}
