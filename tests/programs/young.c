// Blocks that die young: `young MODE`.
//
// threads: four threads allocate and free at once, and give every fourth block to another to free.
// chain:   blocks are moved again and again within microseconds, some by calls that fail.
// fork:    the parent forks with blocks that it has just allocated; the child frees half of them and its own.
// given:   an address is freed through two hooks, given out by realloc, and freed again.
// leave:   ends at once after it has allocated what it leaves.

#include "truth.h"

#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>

enum { THREADS = 4, ROUNDS = 20000, PLACES = 64, CHAINS = 3000, BLOCKS = 200 };

TAKER(site_passed)
TAKER(site_shared)
TAKER(site_first)
TAKER(site_inherited)
TAKER(site_left)

MOVER(site_moved)

static void give(struct site *site, void *address, size_t size) {
    truth_gave(site, size);
    free(address);
}

static void *places[PLACES];

// A block's size is its first word, so that whoever frees it knows it.
static void *work(void *argument) {
    uint64_t state = 0x2545f4914f6cdd1du * ((size_t)argument + 1);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t random = truth_random(&state);
        size_t size = 16 + random % 500;
        if (round % 4 != 0) {
            give(&site_passed_truth, site_passed(size), size);
            continue;
        }
        size_t *block = site_shared(size);
        *block = size;
        size_t *other = __atomic_exchange_n(&places[random >> 40 & (PLACES - 1)], block, __ATOMIC_ACQ_REL);
        if (other != NULL) {
            give(&site_shared_truth, other, *other);
        }
    }
    return NULL;
}

static void threads(void) {
    pthread_t ids[THREADS];
    for (size_t index = 0; index < THREADS; index++) {
        NEED(pthread_create(&ids[index], NULL, work, (void *)index) == 0);
    }
    for (size_t index = 0; index < THREADS; index++) {
        pthread_join(ids[index], NULL);
    }
}

// Never there.
static volatile size_t too_large = (size_t)1 << 60;

static void chain(void) {
    for (int round = 0; round < CHAINS; round++) {
        size_t size = 24 + (size_t)round % 100;
        void *block = site_first(size);
        block = site_moved(block, 2 * size);
        truth_gave(&site_first_truth, size);
        NEED(realloc(block, too_large) == NULL && errno == ENOMEM);
        block = site_moved(block, 40 * size);
        truth_gave(&site_moved_truth, 2 * size);
        if (round % 100 != 0) {
            give(&site_moved_truth, block, 40 * size);
        }
    }
}

static void fork_with_blocks(void) {
    void *blocks[BLOCKS];
    for (size_t index = 0; index < BLOCKS; index++) {
        blocks[index] = site_inherited(100 + index);
    }
    pid_t child = fork();
    NEED(child >= 0);
    for (size_t index = 0; index < BLOCKS; index += 2) {
        if (child == 0) {
            free(blocks[index]);
            free(malloc(64));
        } else {
            give(&site_inherited_truth, blocks[index], 100 + index);
        }
    }
    if (child == 0) {
        _exit(0);
    }
    NEED(waitpid(child, NULL, 0) == child);
}

// Two functions that a user may name as a pair.
NOINLINE void *wrap_take(size_t size) {
    void *address = malloc(size);
    NEED(address != NULL);
    return address;
}

NOINLINE void wrap_give(void *address) {
    free(address);
    __asm__ volatile("");
}

static void given_again(void) {
    void *old = site_first(20);
    // Between it and the end of the heap, or it would grow where it is.
    NEED(malloc(20) != NULL);
    // It is young no more.
    usleep(600000);
    void *passed = wrap_take(2000);
    wrap_give(passed);
    void *moved = site_moved(old, 2000);
    truth_gave(&site_first_truth, 20);
    NEED(moved == passed);
    give(&site_moved_truth, moved, 2000);
}

static void leave(void) {
    for (size_t index = 0; index < BLOCKS; index++) {
        give(&site_passed_truth, site_passed(index + 1), index + 1);
        site_left(index + 1);
    }
    truth_print();
    truth_write("hold\n");
    _exit(0);
}

int main(int count, char **arguments) {
    NEED(count == 2);
    truth_ready();
    switch (arguments[1][0]) {
    case 't':
        threads();
        break;
    case 'c':
        chain();
        break;
    case 'f':
        fork_with_blocks();
        break;
    case 'g':
        given_again();
        break;
    default:
        leave();
    }
    truth_print();
    truth_hold();
    return 0;
}
