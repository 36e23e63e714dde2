// Memory of every kind: `resident MODE`. What the allocator says of itself is printed as values.
//
// touch:     blocks that are written to.
// leave:     blocks that never are.
// fragment:  blocks of which every other one is freed again.
// map:       a mapping of the program, half of it written to.
// stacks:    threads that use their stacks.
// threads:   the same, with threads that were there before.
// files:     a file and shared memory.
// fat:       large before it is ready; blocks besides.

#include "truth.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#ifdef JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

enum { MIB = 1 << 20, SMALL = 1000, MANY = 48000, THREADS = 8, PAGE = 4096 };

TAKER(site_touched)
TAKER(site_left)
TAKER(site_kept)
TAKER(site_gone)

SITE(site_mapped);
static NOINLINE char *site_mapped(size_t size) {
    char *address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(address != MAP_FAILED);
    truth_took(&site_mapped_truth, size);
    return address;
}

// Held alive, or the compiler drops blocks that nobody reads.
static void *volatile blocks[MANY];

static void touch(size_t count, size_t size) {
    for (size_t index = 0; index < count; index++) {
        blocks[index] = site_touched(size);
        memset(blocks[index], 1, size);
    }
}

static void leave(void) {
    for (size_t index = 0; index < 64; index++) {
        blocks[index] = site_left(MIB);
    }
}

static void fragment(void) {
    for (size_t index = 0; index < MANY; index++) {
        blocks[index] = index % 2 ? site_kept(SMALL) : site_gone(SMALL);
        memset(blocks[index], 1, SMALL);
    }
    for (size_t index = 0; index < MANY; index += 2) {
        free(blocks[index]);
        truth_gave(&site_gone_truth, SMALL);
    }
}

static void map(void) {
    char *address = site_mapped(32 * MIB);
    memset(address, 1, 16 * MIB);
}

static pthread_barrier_t started, used, told;

// Two MiB of stack.
static NOINLINE void use_stack(void) {
    volatile char room[2 * MIB];
    for (size_t index = 0; index < sizeof room; index += PAGE) {
        room[index] = 1;
    }
    pthread_barrier_wait(&used);
    pthread_barrier_wait(&used);
}

static void *work(void *argument) {
    pthread_barrier_wait(&started);
    pthread_barrier_wait(&told);
    use_stack();
    return argument;
}

static void start_threads(void) {
    pthread_barrier_init(&started, NULL, THREADS + 1);
    pthread_barrier_init(&told, NULL, THREADS + 1);
    pthread_barrier_init(&used, NULL, THREADS + 1);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 4 * MIB);
    for (size_t index = 0; index < THREADS; index++) {
        pthread_t id;
        NEED(pthread_create(&id, &attributes, work, NULL) == 0);
    }
    pthread_barrier_wait(&started);
}

static void use_stacks(void) {
    pthread_barrier_wait(&told);
    pthread_barrier_wait(&used);
}

static void files(void) {
    FILE *file = tmpfile();
    NEED(file != NULL && ftruncate(fileno(file), 8 * MIB) == 0);
    char *mapped = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
    char *shared = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    NEED(mapped != MAP_FAILED && shared != MAP_FAILED);
    memset(mapped, 1, 8 * MIB);
    memset(shared, 1, 8 * MIB);
}

// What the allocator knows.
static void own_numbers(void) {
#ifdef JEMALLOC
    uint64_t epoch = 1;
    size_t size = sizeof epoch;
    NEED(mallctl("epoch", &epoch, &size, &epoch, size) == 0);
    static const char *const names[] = {"stats.allocated", "stats.active", "stats.resident", "stats.metadata"};
    for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
        size_t value;
        size = sizeof value;
        NEED(mallctl(names[index], &value, &size, NULL, 0) == 0);
        truth_value(names[index], value);
    }
#elif defined __GLIBC__
    struct mallinfo2 info = mallinfo2();
    truth_value("arena", info.arena);
    truth_value("mapped", info.hblkhd);
    truth_value("used", info.uordblks);
    truth_value("free", info.fordblks);
    truth_value("top", info.keepcost);
#endif
}

int main(int count, char **arguments) {
    NEED(count == 2);
    const char *mode = arguments[1];
    // Pages by themselves, so that what is resident is what was touched.
    NEED(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
    bool fat = strcmp(mode, "fat") == 0;
    if (fat) {
        for (size_t index = 0; index < MANY; index++) {
            // Nobody counts them: they are not known to a tracer that comes later.
            blocks[index] = malloc(SMALL);
            memset(blocks[index], 1, SMALL);
        }
    }
    bool threads = strcmp(mode, "threads") == 0;
    if (threads) {
        start_threads();
    }
    truth_ready();
    if (fat) {
        touch(16, 64 << 10);
    } else if (strcmp(mode, "touch") == 0) {
        touch(512, 64 << 10);
    } else if (strcmp(mode, "leave") == 0) {
        leave();
    } else if (strcmp(mode, "fragment") == 0) {
        fragment();
    } else if (strcmp(mode, "map") == 0) {
        map();
    } else if (strcmp(mode, "files") == 0) {
        files();
    } else {
        if (!threads) {
            start_threads();
        }
        use_stacks();
    }
    own_numbers();
    truth_print();
    truth_hold();
    _exit(0);
}
