// What an allocator's fast path and its slow part do in turns: `once`.
//
// Run with an allocator put before the C library, whose small blocks come from a cache of the thread. With `switched` it first makes
// allocations that are no site's, says `before`, and waits for a line.

#include "truth.h"

#include <new>
#include <pthread.h>
#include <setjmp.h>
#include <sys/wait.h>

enum { ROUNDS = 2000, KEPT = 64, THREADS = 4 };

// Through a volatile, so that the compiler knows nothing of the size.
static volatile size_t huge = SIZE_MAX / 2 - 4096;

SITE(site_small);
static NOINLINE void *site_small(size_t size) {
    void *block = malloc(size);
    NEED(block != NULL);
    truth_took(&site_small_truth, size);
    return block;
}

// Small and large from one call: both ways through the allocator are one site.
SITE(site_mixed);
static NOINLINE void *site_mixed(size_t size) {
    void *block = malloc(size);
    NEED(block != NULL);
    truth_took(&site_mixed_truth, size);
    return block;
}

SITE(site_calloc);
static NOINLINE void *site_calloc(size_t size) {
    void *block = calloc(1, size);
    NEED(block != NULL);
    truth_took(&site_calloc_truth, size);
    return block;
}

SITE(site_realloc);
static NOINLINE void *site_realloc(void *old, struct site *from, size_t before, size_t size) {
    void *block = realloc(old, size);
    NEED(block != NULL);
    truth_gave(from, before);
    truth_took(&site_realloc_truth, size);
    return block;
}

#ifndef NEW_ABORTS
// The same call throws, and then does not, with the same stack: what has thrown must not be taken for still going on.
SITE(site_new_again);
static NOINLINE void *site_new_again(size_t size) {
    size_t asked = huge;
    for (;;) {
        try {
            void *block = ::operator new(asked);
            truth_took(&site_new_again_truth, asked);
            return block;
        } catch (const std::bad_alloc &) {
            asked = size;
        }
    }
}

// The same, by a jump out of the handler of failures: nothing of the allocator is called between.
static jmp_buf away;
static void jump_away(void) {
    longjmp(away, 1);
}
SITE(site_new_after_jump);
static NOINLINE void site_new_after_jump(size_t size) {
    volatile size_t asked = huge;
    if (setjmp(away) != 0) {
        asked = size;
    }
    NEED(::operator new(asked) != NULL);
    truth_took(&site_new_after_jump_truth, asked);
}
#endif

SITE(site_new);
static NOINLINE void *site_new(size_t size) {
    void *block = ::operator new(size);
    truth_took(&site_new_truth, size);
    return block;
}

static void *work(void *argument) {
    void *kept[KEPT] = {NULL};
    size_t sizes[KEPT] = {0};
    size_t seed = (size_t)argument;
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t slot = (round * 7 + seed) % KEPT, size = 1 + (round * 31 + seed) % 900;
        if (kept[slot] != NULL) {
            truth_gave(&site_small_truth, sizes[slot]);
            free(kept[slot]);
        }
        kept[slot] = site_small(size);
        sizes[slot] = size;
        size_t large = round % 5 == 0 ? 70000 + size : size;
        void *mixed = site_mixed(large);
        truth_gave(&site_mixed_truth, large);
        free(mixed);
        void *zeroed = site_calloc(size);
        zeroed = site_realloc(zeroed, &site_calloc_truth, size, size * 3);
        truth_gave(&site_realloc_truth, size * 3);
        free(zeroed);
        void *made = site_new(size);
        truth_gave(&site_new_truth, size);
        ::operator delete(made);
#ifndef NEW_ABORTS
        if (round % 50 == 0) {
            // Kept.
            site_new_again(size);
        }
#endif
    }
    return NULL;
}

// A child's blocks: all are gone with it, whether it frees them or not.
SITE(site_child);
static NOINLINE void *site_child(size_t size) {
    return malloc(size);
}

static void in_child(void) {
    enum { BLOCKS = 300 };
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0) {
        for (int index = 0; index < BLOCKS; index++) {
            void *block = site_child(80);
            if (index % 3 == 0) {
                free(block);
            }
        }
        _exit(0);
    }
    int status = 0;
    NEED(waitpid(child, &status, 0) == child && status == 0);
    for (int index = 0; index < BLOCKS; index++) {
        truth_took(&site_child_truth, 80);
        truth_gave(&site_child_truth, 80);
    }
}

// What a tracer that is told wrong places may take for anything.
static NOINLINE void before(void) {
    for (size_t round = 0; round < ROUNDS; round++) {
        void *block = malloc(1 + round % 900);
        NEED(block != NULL);
        free(block);
    }
    truth_write("before\n");
    truth_line();
}

int main(int argc, char **argv) {
    pthread_t threads[THREADS];
    truth_ready();
    if (argc > 1 && strcmp(argv[1], "switched") == 0) {
        before();
    }
    for (size_t index = 0; index < THREADS; index++) {
        NEED(pthread_create(&threads[index], NULL, work, (void *)(index * 1000)) == 0);
    }
    for (size_t index = 0; index < THREADS; index++) {
        NEED(pthread_join(threads[index], NULL) == 0);
    }
    in_child();
#ifndef NEW_ABORTS
    std::set_new_handler(jump_away);
    for (size_t size = 1; size <= 100; size++) {
        site_new_after_jump(size);
    }
    std::set_new_handler(NULL);
#endif
    truth_print();
    truth_hold();
    return 0;
}
