// The same few addresses at full speed on many threads: `reuse THREADS ROUNDS`.
//
// Run with one arena and without the per-thread cache, an address that one thread frees is the next that
// another thread gets. Nothing is live at the end but one block per thread.

#include "truth.h"

#include <pthread.h>

#define HELD 8

SITE(site_reused);
static NOINLINE void *site_reused(size_t size) {
    void *address = malloc(size);
    NEED(address != NULL);
    truth_took(&site_reused_truth, size);
    return address;
}

SITE(site_last);
static NOINLINE void *site_last(size_t size) {
    void *address = calloc(1, size);
    NEED(address != NULL);
    truth_took(&site_last_truth, size);
    return address;
}

static unsigned rounds;
static pthread_barrier_t start;

static void *work(void *argument) {
    size_t size = 24 + (size_t)argument % 2 * 16;
    pthread_barrier_wait(&start);
    for (unsigned round = 0; round < rounds; round++) {
        void *held[HELD];
        for (int index = 0; index < HELD; index++) {
            held[index] = site_reused(size);
        }
        for (int index = 0; index < HELD; index++) {
            truth_gave(&site_reused_truth, size);
            free(held[index]);
        }
    }
    site_last(size);
    return NULL;
}

int main(int count, char **arguments) {
    NEED(count == 3);
    size_t threads = (size_t)atoi(arguments[1]);
    rounds = (unsigned)atoi(arguments[2]);
    pthread_t ids[64];
    NEED(threads <= 64 && pthread_barrier_init(&start, NULL, (unsigned)threads) == 0);
    truth_ready();
    for (size_t index = 0; index < threads; index++) {
        NEED(pthread_create(&ids[index], NULL, work, (void *)index) == 0);
    }
    for (size_t index = 0; index < threads; index++) {
        pthread_join(ids[index], NULL);
    }
    truth_print();
    truth_hold();
    return 0;
}
