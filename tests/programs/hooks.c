// Every hook of the C library, in a random but fixed order: `hooks THREADS STEPS`.
//
// With one thread everything runs on the main thread, with more each runs on its own and some blocks are
// freed by another thread than the one that allocated them.

#define _GNU_SOURCE
#include "truth.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>

#define SLOTS 128
#define MAILBOX 64
#define PAGE ((size_t)4096)

struct block {
    void *address;
    size_t size, alignment;
    struct site *site;
};

static void (*call_cfree)(void *);
static void (*call_free_sized)(void *, size_t);
static void (*call_free_aligned_sized)(void *, size_t, size_t);

static struct block mailbox[MAILBOX];
static pthread_mutex_t mailbox_lock = PTHREAD_MUTEX_INITIALIZER;

#define BLOCK_SITE(function, parameters, expression, used_alignment)                                                   \
    SITE(function);                                                                                                    \
    static NOINLINE struct block function parameters {                                                                 \
        void *address = expression;                                                                                    \
        NEED(address != NULL);                                                                                         \
        truth_took(&function##_truth, size);                                                                           \
        memset(address, 0x5a, size < 64 ? size : 64);                                                                  \
        return (struct block){address, size, used_alignment, &function##_truth};                                       \
    }

BLOCK_SITE(site_malloc, (size_t size), malloc(size), 0)
BLOCK_SITE(site_calloc, (size_t size), size % 3 ? calloc(size, 1) : calloc(size / 3, 3), 0)
BLOCK_SITE(site_realloc_null, (size_t size), realloc(NULL, size), 0)
BLOCK_SITE(site_reallocarray_null, (size_t size), reallocarray(NULL, size, 1), 0)
BLOCK_SITE(site_aligned_alloc, (size_t size, size_t alignment), aligned_alloc(alignment, size), alignment)
BLOCK_SITE(site_memalign, (size_t size, size_t alignment), memalign(alignment, size), 0)
BLOCK_SITE(site_valloc, (size_t size), valloc(size), 0)
BLOCK_SITE(site_pvalloc, (size_t size), pvalloc(size), 0)

SITE(site_posix_memalign);
static NOINLINE struct block site_posix_memalign(size_t size, size_t alignment) {
    void *address = NULL;
    NEED(posix_memalign(&address, alignment, size) == 0);
    truth_took(&site_posix_memalign_truth, size);
    return (struct block){address, size, 0, &site_posix_memalign_truth};
}

#define REPLACE_SITE(function, expression)                                                                             \
    SITE(function);                                                                                                    \
    static NOINLINE void function(struct block *block, size_t size) {                                                  \
        void *address = expression;                                                                                    \
        NEED(address != NULL);                                                                                         \
        truth_gave(block->site, block->size);                                                                          \
        truth_took(&function##_truth, size);                                                                           \
        *block = (struct block){address, size, 0, &function##_truth};                                                  \
    }

REPLACE_SITE(site_realloc_grow, realloc(block->address, size))
REPLACE_SITE(site_realloc_shrink, realloc(block->address, size))
REPLACE_SITE(site_reallocarray, reallocarray(block->address, size, 1))

// Sizes as programs have them: mostly small, some that the allocator maps for itself, now and then none.
static size_t pick_size(uint64_t random) {
    switch (random % 64) {
    case 0:
        return 0;
    case 1:
        return 150000 + random / 64 % 100000;
    case 2:
    case 3:
        return 4096 + random / 64 % 20000;
    default:
        return 1 + random / 64 % 1500;
    }
}

static struct block take(uint64_t random) {
    size_t size = pick_size(random >> 8), alignment = (size_t)16 << (random >> 48) % 6;
    switch (random % 12) {
    case 0:
        return site_calloc(size);
    case 1:
        return site_realloc_null(size);
    case 2:
        return site_reallocarray_null(size);
    case 3:
        return site_posix_memalign(size, alignment);
    case 4:
        return site_aligned_alloc(size, alignment);
    case 5:
        return site_memalign(size, alignment);
    case 6:
        return random & 256 ? site_valloc(size) : site_pvalloc(size);
    default:
        return site_malloc(size);
    }
}

static void give(struct block *block, uint64_t random) {
    if (block->address == NULL) {
        return;
    }
    truth_gave(block->site, block->size);
    if (call_free_aligned_sized && block->alignment != 0) {
        call_free_aligned_sized(block->address, block->alignment, block->size);
    } else if (call_free_sized && block->site == &site_malloc_truth && random % 3 == 0) {
        call_free_sized(block->address, block->size);
    } else if (call_cfree && random % 3 == 1) {
        call_cfree(block->address);
    } else {
        free(block->address);
    }
    block->address = NULL;
}

static void replace(struct block *block, uint64_t random) {
    size_t less = block->size - block->size / 4, more = block->size + 1 + pick_size(random >> 8);
    if (block->address == NULL) {
        return;
    }
    if (random % 3 == 0) {
        site_reallocarray(block, more);
    } else if (random % 3 == 1 && less > 0) {
        site_realloc_shrink(block, less);
    } else {
        site_realloc_grow(block, more);
    }
}

// Gives a block away to whichever thread comes next to this place, and frees what was there.
static void send(struct block *block, uint64_t random) {
    struct block *place = &mailbox[random / 64 % MAILBOX];
    pthread_mutex_lock(&mailbox_lock);
    struct block received = *place;
    *place = *block;
    pthread_mutex_unlock(&mailbox_lock);
    block->address = NULL;
    give(&received, random);
}

SITE(site_mmap);
static NOINLINE char *site_mmap(size_t size) {
    char *address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(address != MAP_FAILED);
    truth_took(&site_mmap_truth, size);
    return address;
}

SITE(site_mremap);
static NOINLINE char *site_mremap(char *old, size_t old_size, size_t size) {
    char *address = mremap(old, old_size, size, MREMAP_MAYMOVE);
    NEED(address != MAP_FAILED);
    truth_took(&site_mremap_truth, size);
    return address;
}

SITE(site_mremap_move);
static NOINLINE char *site_mremap_move(char *old, size_t size, char *target) {
    char *address = mremap(old, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, target);
    NEED(address == target);
    truth_took(&site_mremap_move_truth, size);
    return address;
}

SITE(site_reserve);
static NOINLINE void site_reserve(size_t size) {
    NEED(mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED);
    truth_took(&site_reserve_truth, size);
}

// Maps 16 pages and does one of the things that can happen to a mapping.
static void map(unsigned round) {
    const size_t size = 16 * PAGE;
    char *address = site_mmap(size);
    switch (round % 8) {
    case 0: // the front is cut off
        NEED(munmap(address, 4 * PAGE) == 0);
        truth_add(&site_mmap_truth.bytes, -(4 * PAGE));
        break;
    case 1: // the end is cut off
        NEED(munmap(address + 12 * PAGE, 4 * PAGE) == 0);
        truth_add(&site_mmap_truth.bytes, -(4 * PAGE));
        break;
    case 2: // a hole makes two of it
        NEED(munmap(address + 4 * PAGE, 8 * PAGE) == 0);
        truth_add(&site_mmap_truth.bytes, -(8 * PAGE));
        truth_add(&site_mmap_truth.count, 1);
        break;
    case 3:
        site_mremap(address, size, 40 * PAGE);
        truth_gave(&site_mmap_truth, size);
        break;
    case 4:
        site_mremap(address, size, 6 * PAGE);
        truth_gave(&site_mmap_truth, size);
        break;
    case 5: { // moved over another mapping of our own, which is gone by that
        char *target = site_mmap(size);
        site_mremap_move(address, size, target);
        truth_gave(&site_mmap_truth, size);
        truth_gave(&site_mmap_truth, size);
        break;
    }
    case 6:
        site_reserve(PAGE * (1 + round));
        break;
    default:
        NEED(munmap(address, size) == 0);
        truth_gave(&site_mmap_truth, size);
    }
}

SITE(site_brk);
static NOINLINE void site_brk(intptr_t change) {
    char *before = sbrk(0);
    NEED(brk(before + change) == 0);
    if (change > 0) {
        truth_took(&site_brk_truth, (uint64_t)change);
    } else {
        truth_add(&site_brk_truth.bytes, (uint64_t)change);
    }
}

struct job {
    pthread_t thread;
    uint64_t random;
    unsigned steps;
};

static void *work(void *argument) {
    struct job *job = argument;
    struct block slots[SLOTS] = {0};
    for (unsigned step = 0; step < job->steps; step++) {
        uint64_t random = truth_random(&job->random);
        struct block *block = &slots[random % SLOTS];
        random = truth_random(&job->random);
        if (random % 16 < 9) {
            give(block, random >> 8);
            *block = take(random >> 4);
        } else if (random % 16 < 12) {
            replace(block, random >> 4);
        } else if (random % 16 < 14) {
            send(block, random >> 4);
        } else {
            give(block, random >> 8);
        }
        if (step % 64 == 0) {
            map(step / 64);
        }
    }
    // Part of the blocks stays: a report that shows all or nothing as live must be wrong.
    for (unsigned slot = 0; slot < SLOTS; slot += 3) {
        give(&slots[slot], slot);
    }
    return NULL;
}

int main(int count, char **arguments) {
    NEED(count == 3);
    unsigned threads = (unsigned)atoi(arguments[1]), steps = (unsigned)atoi(arguments[2]);
    static struct job jobs[64];
    NEED(threads >= 1 && threads <= 64);
    *(void **)&call_cfree = dlvsym(RTLD_DEFAULT, "cfree", "GLIBC_2.2.5");
    *(void **)&call_free_sized = dlsym(RTLD_DEFAULT, "free_sized");
    *(void **)&call_free_aligned_sized = dlsym(RTLD_DEFAULT, "free_aligned_sized");
    for (unsigned index = 0; index < threads; index++) {
        jobs[index] = (struct job){.random = 0x9e3779b97f4a7c15u * (index + 1), .steps = steps};
    }
    truth_ready();
    site_brk(32 * (intptr_t)PAGE);
    site_brk(-(8 * (intptr_t)PAGE));
    if (threads == 1) {
        work(&jobs[0]);
    } else {
        for (unsigned index = 0; index < threads; index++) {
            NEED(pthread_create(&jobs[index].thread, NULL, work, &jobs[index]) == 0);
        }
        for (unsigned index = 0; index < threads; index++) {
            NEED(pthread_join(jobs[index].thread, NULL) == 0);
        }
    }
    truth_value("cfree", call_cfree != NULL);
    truth_value("free_sized", call_free_sized != NULL);
    truth_value("free_aligned_sized", call_free_aligned_sized != NULL);
    truth_print();
    truth_hold();
    return 0;
}
