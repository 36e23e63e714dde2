// The functions that an allocator offers under its own names: `own-names-jemalloc`, `own-names-mimalloc`,
// `own-names-tcmalloc`. The program calls malloc nowhere.

#define _GNU_SOURCE
#include "matrix.h"

#if defined(JEMALLOC)
#include <jemalloc/jemalloc.h>
#define RELEASE(block) dallocx((block)->address, 0)
#elif defined(MIMALLOC)
#include <mimalloc.h>
#define RELEASE(block) mi_free((block)->address)
#elif defined(TCMALLOC)
#include <gperftools/tcmalloc.h>
#define RELEASE(block) tc_free((block)->address)
#endif

static volatile size_t huge = SIZE_MAX / 2 - 4096;

#define TAKE(function, expression)                                                                                     \
    SITE(function);                                                                                                    \
    static NOINLINE struct block function(size_t size) {                                                               \
        void *address = expression;                                                                                    \
        return matrix_took(&function##_truth, address, size, 0, RELEASE_C);                                            \
    }

// A block that is replaced by another, or by nothing when the allocator cannot.
#define REPLACE(function, expression)                                                                                  \
    SITE(function);                                                                                                    \
    static NOINLINE void function(struct block *block, size_t size) {                                                  \
        void *address = expression;                                                                                    \
        NEED((address == NULL) == (size == huge));                                                                     \
        if (address != NULL) {                                                                                         \
            truth_gave(block->site, block->size);                                                                      \
            *block = matrix_took(&function##_truth, address, size, 0, RELEASE_C);                                      \
        }                                                                                                              \
    }

static void give(struct block *block) {
    matrix_check(block->address, block->size, block->mark);
    truth_gave(block->site, block->size);
    RELEASE(block);
    block->address = NULL;
}

// Three of four blocks go through the second function, and half of all go back.
static void churn(struct block (*take)(size_t), void (*replace)(struct block *, size_t)) {
    for (size_t round = 0; round < 40; round++) {
        struct block block = take(1 + round * 211 % 9000);
        if (replace != NULL && round % 4 != 0) {
            replace(&block, round % 4 == 1 ? huge : 1 + round * 307 % 12000);
        }
        if (round % 2 == 0) {
            give(&block);
        }
    }
}

#if defined(JEMALLOC)

TAKE(site_mallocx, mallocx(size, 0))
TAKE(site_mallocx_aligned, mallocx(size, MALLOCX_ALIGN(512) | MALLOCX_ZERO))
REPLACE(site_rallocx, rallocx(block->address, size, 0))

// In place: the block has the new size where there was room for it, else nothing has changed.
SITE(site_xallocx);
static NOINLINE void site_xallocx(struct block *block, size_t size) {
    size_t now = xallocx(block->address, size, 0, 0);
    NEED(now == sallocx(block->address, 0));
    if (now < size) {
        return;
    }
    truth_gave(block->site, block->size);
    truth_took(&site_xallocx_truth, size);
    block->site = &site_xallocx_truth;
    block->size = size;
    memset(block->address, block->mark, size < 64 ? size : 64);
}

SITE(site_sized);
static NOINLINE void site_sized(size_t size) {
    void *address = mallocx(size, MALLOCX_ALIGN(64));
    truth_took(&site_sized_truth, size);
    truth_gave(&site_sized_truth, size);
    sdallocx(address, size, MALLOCX_ALIGN(64));
}

static void work(void) {
    churn(site_mallocx, site_rallocx);
    churn(site_mallocx_aligned, NULL);
    for (size_t round = 1; round <= 20; round++) {
        struct block block = site_mallocx(round * 40000);
        site_xallocx(&block, round % 2 ? round * 10000 : round * 90000);
        if (round % 5 == 0) {
            give(&block);
        }
        site_sized(round * 10);
    }
}

#elif defined(MIMALLOC)

static mi_heap_t *heap;

TAKE(site_mi_malloc, mi_malloc(size))
TAKE(site_mi_zalloc, mi_zalloc(size))
TAKE(site_mi_calloc, mi_calloc(size, 1))
TAKE(site_mi_mallocn, mi_mallocn(1, size))
TAKE(site_mi_malloc_small, size <= 1024 ? mi_malloc_small(size) : mi_malloc(size))
TAKE(site_mi_malloc_aligned, mi_malloc_aligned(size, 64))
TAKE(site_mi_malloc_aligned_at, mi_malloc_aligned_at(size, 64, 8))
TAKE(site_mi_zalloc_aligned, mi_zalloc_aligned(size, 128))
TAKE(site_mi_calloc_aligned, mi_calloc_aligned(1, size, 128))
TAKE(site_mi_heap_malloc, mi_heap_malloc(heap, size))
TAKE(site_mi_heap_zalloc, mi_heap_zalloc(heap, size))
TAKE(site_mi_heap_calloc, mi_heap_calloc(heap, 1, size))
TAKE(site_mi_heap_mallocn, mi_heap_mallocn(heap, size, 1))
TAKE(site_mi_heap_malloc_aligned, mi_heap_malloc_aligned(heap, size, 256))
TAKE(site_mi_new, mi_new(size))
TAKE(site_mi_new_nothrow, mi_new_nothrow(size))
TAKE(site_mi_new_aligned, mi_new_aligned(size, 64))
TAKE(site_mi_new_n, mi_new_n(1, size))
TAKE(site_mi_memalign, mi_memalign(64, size))
TAKE(site_mi_valloc, mi_valloc(size))
REPLACE(site_mi_realloc, mi_realloc(block->address, size))
REPLACE(site_mi_reallocn, mi_reallocn(block->address, 1, size))
REPLACE(site_mi_rezalloc, mi_rezalloc(block->address, size))
REPLACE(site_mi_recalloc, mi_recalloc(block->address, size, 1))
REPLACE(site_mi_realloc_aligned, mi_realloc_aligned(block->address, size, 64))
REPLACE(site_mi_heap_realloc, mi_heap_realloc(heap, block->address, size))

// Frees the block when it fails.
SITE(site_mi_reallocf);
static NOINLINE void *site_mi_reallocf(struct block *block, size_t size) {
    void *address = mi_reallocf(block->address, size);
    truth_gave(block->site, block->size);
    NEED((address == NULL) == (size == huge));
    if (address != NULL) {
        *block = matrix_took(&site_mi_reallocf_truth, address, size, 0, RELEASE_C);
    }
    return address;
}

static NOINLINE void reallocf_or_another(struct block *block, size_t size) {
    if (site_mi_reallocf(block, size) == NULL) {
        // Something of no account, so that the block can be freed as the others are.
        *block = site_mi_malloc(8);
    }
}

// Either the same block has the new size, or nothing has changed.
SITE(site_mi_expand);
static NOINLINE void site_mi_expand(struct block *block, size_t size) {
    void *address = mi_expand(block->address, size);
    NEED(address == NULL || address == block->address);
    if (address != NULL) {
        truth_gave(block->site, block->size);
        *block = matrix_took(&site_mi_expand_truth, address, size, 0, RELEASE_C);
    }
}

static void work(void) {
    heap = mi_heap_new();
    churn(site_mi_malloc, site_mi_realloc);
    churn(site_mi_zalloc, site_mi_rezalloc);
    churn(site_mi_calloc, site_mi_recalloc);
    churn(site_mi_mallocn, site_mi_reallocn);
    churn(site_mi_malloc_small, reallocf_or_another);
    churn(site_mi_malloc_aligned, site_mi_realloc_aligned);
    churn(site_mi_heap_malloc, site_mi_heap_realloc);
    for (size_t round = 0; round < 40; round++) {
        struct block block = site_mi_malloc(100 + round * 50);
        site_mi_expand(&block, round % 3 == 0 ? huge : block.size - round);
        if (round % 2 == 0) {
            give(&block);
        }
    }
    struct block (*const others[])(size_t) = {site_mi_malloc_aligned_at, site_mi_zalloc_aligned,
                                              site_mi_calloc_aligned,    site_mi_heap_zalloc,
                                              site_mi_heap_calloc,       site_mi_heap_mallocn,
                                              site_mi_heap_malloc_aligned, site_mi_new,
                                              site_mi_new_nothrow,       site_mi_new_aligned,
                                              site_mi_new_n,             site_mi_memalign,
                                              site_mi_valloc};
    for (size_t index = 0; index < sizeof others / sizeof *others; index++) {
        churn(others[index], NULL);
    }
}

#elif defined(TCMALLOC)

TAKE(site_tc_malloc, tc_malloc(size))
TAKE(site_tc_calloc, tc_calloc(size, 1))
TAKE(site_tc_memalign, tc_memalign(64, size))
TAKE(site_tc_valloc, tc_valloc(size))
REPLACE(site_tc_realloc, tc_realloc(block->address, size))

SITE(site_tc_posix_memalign);
static NOINLINE struct block site_tc_posix_memalign(size_t size) {
    void *address = NULL;
    NEED(tc_posix_memalign(&address, 256, size) == 0);
    return matrix_took(&site_tc_posix_memalign_truth, address, size, 0, RELEASE_C);
}

SITE(site_tc_sized);
static NOINLINE void site_tc_sized(size_t size) {
    void *address = tc_malloc(size);
    truth_took(&site_tc_sized_truth, size);
    truth_gave(&site_tc_sized_truth, size);
    tc_free_sized(address, size);
}

static void work(void) {
    churn(site_tc_malloc, site_tc_realloc);
    churn(site_tc_calloc, NULL);
    churn(site_tc_memalign, NULL);
    churn(site_tc_valloc, NULL);
    churn(site_tc_posix_memalign, NULL);
    for (size_t size = 1; size < 50; size++) {
        site_tc_sized(size * 13);
    }
}

#endif

int main(void) {
    matrix_print_allocator();
    truth_ready();
    work();
    truth_print();
    truth_hold();
    return 0;
}
