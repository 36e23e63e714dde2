// As many events a second as its threads can make: a target of `cargo xtask bench --only events`.
//
//   churn THREADS
//
// A run answers how many blocks it allocated; each was freed, and there were no others.
#include "serve.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { MOST_THREADS = 64, PER_LOOK = 64, SIZE = 64 };

static pthread_barrier_t barrier;
static atomic_uint_fast64_t end, made;
static atomic_bool leave;

// All threads are there before the tracer is: starting one allocates.
static void *work(void *argument) {
    while (pthread_barrier_wait(&barrier), !atomic_load(&leave)) {
        uint64_t count = 0;
        for (; now_ns() < atomic_load(&end); count += PER_LOOK) {
            for (int i = 0; i < PER_LOOK; i++) {
                void *block = malloc(SIZE);
                if (block == NULL) abort();
                KEEP(block);
                free(block);
            }
        }
        atomic_fetch_add(&made, count);
        pthread_barrier_wait(&barrier);
    }
    return argument;
}

static double blocks(unsigned milliseconds) {
    atomic_store(&made, 0);
    atomic_store(&end, now_ns() + milliseconds * 1000000ull);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return (double)atomic_load(&made);
}

int main(int count, char **arguments) {
    pthread_t all[MOST_THREADS];
    long threads = count == 2 ? strtol(arguments[1], NULL, 10) : 0;
    if (threads < 1 || threads > MOST_THREADS) return 2;
    pthread_barrier_init(&barrier, NULL, (unsigned)threads + 1);
    for (long i = 0; i < threads; i++) {
        if (pthread_create(&all[i], NULL, work, NULL) != 0) abort();
    }
    serve(blocks);
    atomic_store(&leave, true);
    pthread_barrier_wait(&barrier);
    for (long i = 0; i < threads; i++) pthread_join(all[i], NULL);
    return 0;
}
