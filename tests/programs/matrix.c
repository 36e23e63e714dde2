// One workload for every allocator of C and C++: `matrix THREADS STEPS`.
//
// It uses what each allocator offers under the C names, and when compiled as C++ (matrix.cpp) the operators too. Every
// function is at a site of its own. The program prints `allocator PATH`: the file that its malloc is in.

#ifndef _GNU_SOURCE // g++ defines it
#define _GNU_SOURCE
#endif
#include "matrix.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>

#ifdef __cplusplus
static struct block matrix_new(size_t size, size_t alignment, uint64_t random, struct block (*otherwise)(size_t));
static void matrix_delete(struct block *block);
static void matrix_new_fails(void);
#else
// C has no operators.
static struct block matrix_new(size_t size, size_t alignment, uint64_t random, struct block (*otherwise)(size_t)) {
    (void)alignment;
    (void)random;
    return otherwise(size);
}
static void matrix_delete(struct block *block) {
    (void)block;
}
static void matrix_new_fails(void) {}
#endif

// Through volatiles, so that the compiler neither warns about these sizes nor knows the results.
static volatile size_t huge = SIZE_MAX / 2 - 4096;
static volatile size_t zero = 0, three = 3, half = (size_t)1 << 33;

#define BLOCK_SITE(function, parameters, expression, alignment)                                                        \
    SITE(function);                                                                                                    \
    static NOINLINE struct block function parameters {                                                                 \
        void *address = expression;                                                                                    \
        return matrix_took(&function##_truth, address, size, alignment, RELEASE_C);                                    \
    }

BLOCK_SITE(site_malloc, (size_t size), malloc(size), 0)
BLOCK_SITE(site_calloc, (size_t size), size % 3 ? calloc(size, 1) : calloc(size / 3, 3), 0)
BLOCK_SITE(site_realloc_null, (size_t size), realloc(NULL, size), 0)
BLOCK_SITE(site_aligned_alloc, (size_t size, size_t alignment), aligned_alloc(alignment, size), alignment)
BLOCK_SITE(site_memalign, (size_t size, size_t alignment), memalign(alignment, size), alignment)
BLOCK_SITE(site_valloc, (size_t size), valloc(size), 4096)
BLOCK_SITE(site_reallocarray_null, (size_t size), reallocarray(NULL, size, 1), 0)

SITE(site_posix_memalign);
static NOINLINE struct block site_posix_memalign(size_t size, size_t alignment) {
    void *address = NULL;
    NEED(posix_memalign(&address, alignment, size) == 0);
    return matrix_took(&site_posix_memalign_truth, address, size, alignment, RELEASE_C);
}

#define REPLACE_SITE(function, expression)                                                                             \
    SITE(function);                                                                                                    \
    static NOINLINE void function(struct block *block, size_t size) {                                                  \
        void *address = expression;                                                                                    \
        NEED(address != NULL);                                                                                         \
        matrix_check(address, block->size < size ? block->size : size, block->mark);                                   \
        truth_gave(block->site, block->size);                                                                          \
        *block = matrix_took(&function##_truth, address, size, 0, RELEASE_C);                                          \
    }

REPLACE_SITE(site_realloc_grow, realloc(block->address, size))
REPLACE_SITE(site_realloc_shrink, realloc(block->address, size))
REPLACE_SITE(site_reallocarray, reallocarray(block->address, size, 1))

// Some allocators free, others return a block of no size: both are right.
SITE(site_realloc_zero);
static NOINLINE void site_realloc_zero(struct block *block) {
    void *address = realloc(block->address, zero);
    truth_gave(block->site, block->size);
    block->address = NULL;
    if (address != NULL) {
        *block = matrix_took(&site_realloc_zero_truth, address, 0, 0, RELEASE_C);
    }
}

// Everything that fails: old blocks stay as they are.
SITE(site_failing);
static NOINLINE void site_failing(struct block *kept) {
    void *out = kept->address;
    NEED(malloc(huge) == NULL);
    NEED(calloc(huge, three) == NULL);
    NEED(calloc(half, half) == NULL);
    NEED(realloc(kept->address, huge) == NULL);
    NEED(reallocarray(kept->address, huge, three) == NULL);
    NEED(posix_memalign(&out, three, 100) == EINVAL);
    NEED(posix_memalign(&out, 64, huge) == ENOMEM);
    NEED(out == kept->address);
    matrix_check(kept->address, kept->size, kept->mark);
    free((void *)zero);
}

static void give(struct block *block) {
    if (block->address == NULL) {
        return;
    }
    matrix_check(block->address, block->size, block->mark);
    NEED(malloc_usable_size(block->address) >= block->size);
    truth_gave(block->site, block->size);
    if (block->release == RELEASE_C) {
        free(block->address);
    } else {
        matrix_delete(block);
    }
    block->address = NULL;
}

static void replace(struct block *block, uint64_t random) {
    size_t less = block->size - block->size / 4, more = block->size + 1 + matrix_size(random >> 8);
    if (block->address == NULL || block->release != RELEASE_C) {
        return;
    }
    switch (random % 16) {
    case 0:
        site_realloc_zero(block);
        break;
    case 1:
    case 2:
        site_failing(block);
        break;
    case 3:
    case 4:
    case 5:
        site_reallocarray(block, more);
        break;
    case 6:
    case 7:
    case 8:
        if (less > 0) {
            site_realloc_shrink(block, less);
        }
        break;
    default:
        site_realloc_grow(block, more);
    }
}

static struct block take(uint64_t random) {
    size_t size = matrix_size(random >> 8), alignment = (size_t)16 << (random >> 48) % 9;
    switch (random % 16) {
    case 0:
    case 1:
        return site_calloc(size);
    case 2:
        return site_realloc_null(size);
    case 3:
        return site_reallocarray_null(size);
    case 4:
        return site_posix_memalign(size, alignment);
    case 5:
        // C11 allowed only multiples, and some allocators insist.
        return site_aligned_alloc((size + alignment - 1) / alignment * alignment, alignment);
    case 6:
        return site_memalign(size, alignment);
    case 7:
        return site_valloc(size);
    case 8:
    case 9:
    case 10:
    case 11:
        return matrix_new(size, alignment, random >> 16, site_malloc);
    default:
        return site_malloc(size);
    }
}

enum { SLOTS = 96, MAILBOX = 64 };
static struct block mailbox[MAILBOX];
static pthread_mutex_t mailbox_lock = PTHREAD_MUTEX_INITIALIZER;

// Gives a block away to whichever thread comes next to this place, and frees what was there.
static void send(struct block *block, uint64_t random) {
    struct block *place = &mailbox[random / 64 % MAILBOX];
    pthread_mutex_lock(&mailbox_lock);
    struct block received = *place;
    *place = *block;
    pthread_mutex_unlock(&mailbox_lock);
    block->address = NULL;
    give(&received);
}

struct job {
    pthread_t thread;
    uint64_t random;
    unsigned steps;
};

static void *work(void *argument) {
    struct job *job = (struct job *)argument;
    struct block slots[SLOTS];
    memset(slots, 0, sizeof slots);
    for (unsigned step = 0; step < job->steps; step++) {
        uint64_t random = truth_random(&job->random);
        struct block *block = &slots[random % SLOTS];
        random = truth_random(&job->random);
        if (random % 16 < 9) {
            give(block);
            *block = take(random >> 4);
        } else if (random % 16 < 12) {
            replace(block, random >> 4);
        } else if (random % 16 < 14) {
            send(block, random >> 4);
        } else {
            give(block);
        }
    }
    // Part of the blocks stays: a report that shows all or nothing as live must be wrong.
    for (unsigned slot = 0; slot < SLOTS; slot += 3) {
        give(&slots[slot]);
    }
    return NULL;
}

int main(int count, char **arguments) {
    NEED(count == 3);
    static struct job jobs[1024];
    unsigned threads = (unsigned)atoi(arguments[1]), steps = (unsigned)atoi(arguments[2]);
    NEED(threads >= 1 && threads <= sizeof jobs / sizeof *jobs);
    pthread_attr_t attributes;
    NEED(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 128 << 10) == 0);
    matrix_print_allocator();
    truth_ready();
    for (unsigned index = 0; index < threads; index++) {
        jobs[index].random = 0x9e3779b97f4a7c15u * (index + 1);
        jobs[index].steps = steps;
        if (threads > 1) {
            NEED(pthread_create(&jobs[index].thread, &attributes, work, &jobs[index]) == 0);
        }
    }
    if (threads == 1) {
        work(&jobs[0]);
    }
    for (unsigned index = 0; threads > 1 && index < threads; index++) {
        NEED(pthread_join(jobs[index].thread, NULL) == 0);
    }
    matrix_new_fails();
    truth_value("threads", threads);
    truth_print();
    truth_hold();
    return 0;
}
