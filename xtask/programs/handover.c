// Four threads in a circle, each of which frees what the one before it allocated: a target of
// `cargo xtask bench --only compare`.
//
// A run measures blocks a second, each allocated by one thread and freed by the next.
#include "serve.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "mix.h"

enum { THREADS = 4, ROOM = 1024, AT_ONCE = 64 };

// Blocks on their way from one thread to the next: one writer, one reader, a cache line apart.
struct belt {
    _Alignas(128) _Atomic uint64_t laid;
    _Alignas(128) _Atomic uint64_t taken;
    void *blocks[ROOM];
};

static struct belt belts[THREADS];
static uint64_t made[THREADS];
static atomic_bool over;

NOINLINE static void *make(size_t size) {
    void *block = malloc(size);
    if (block == NULL) abort();
    *(volatile char *)block = 1;
    return block;
}

NOINLINE static void drop(void *block) {
    free(block);
    KEEP(belts);
}

static unsigned lay(struct belt *belt, uint64_t *seed) {
    uint64_t laid = atomic_load_explicit(&belt->laid, memory_order_relaxed);
    unsigned count = 0;
    while (count < AT_ONCE && laid - atomic_load_explicit(&belt->taken, memory_order_acquire) < ROOM) {
        belt->blocks[laid % ROOM] = make(mix_size(mix_random(seed)));
        atomic_store_explicit(&belt->laid, ++laid, memory_order_release);
        count++;
    }
    return count;
}

static unsigned clear(struct belt *belt, unsigned most) {
    uint64_t taken = atomic_load_explicit(&belt->taken, memory_order_relaxed);
    unsigned count = 0;
    while (count < most && taken < atomic_load_explicit(&belt->laid, memory_order_acquire)) {
        drop(belt->blocks[taken % ROOM]);
        atomic_store_explicit(&belt->taken, ++taken, memory_order_release);
        count++;
    }
    return count;
}

static void *work(void *argument) {
    size_t number = (size_t)argument;
    uint64_t seed = 1000 + number, blocks = 0;
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        unsigned count = lay(&belts[(number + 1) % THREADS], &seed);
        blocks += count;
        if (count + clear(&belts[number], AT_ONCE) == 0) sched_yield();
    }
    made[number] = blocks;
    return NULL;
}

static double blocks_per_second(unsigned milliseconds) {
    pthread_t threads[THREADS];
    uint64_t blocks = 0, start = now_ns();
    atomic_store(&over, false);
    for (size_t number = 0; number < THREADS; number++) {
        if (pthread_create(&threads[number], NULL, work, (void *)number) != 0) abort();
    }
    usleep(milliseconds * 1000);
    atomic_store(&over, true);
    uint64_t end = now_ns();
    for (size_t number = 0; number < THREADS; number++) {
        pthread_join(threads[number], NULL);
        blocks += made[number];
    }
    for (size_t number = 0; number < THREADS; number++) clear(&belts[number], ROOM);
    return (double)blocks * 1e9 / (double)(end - start);
}

int main(void) {
    serve(blocks_per_second);
    return 0;
}
