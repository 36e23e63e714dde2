// Leaks of many kinds beside what only looks like them, all at once: each kind is a thread with a function of its own, whose name
// begins with `leak_` or `fine_`. That is the truth; how a kind behaves is in the line above it.
//
// Prints `ready PID`, waits for a line, works for as long as its input is open. Times are real; numbers come from generators with
// fixed starts.

#include "truth.h"

#include <math.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>

enum { MILLISECOND = 1000 };

static double started;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9 - started;
}

static void pause_ms(unsigned milliseconds) {
    usleep(milliseconds * MILLISECOND);
}

static void *need(void *block) {
    NEED(block != NULL);
    return block;
}

// A function that allocates, under the name of its kind.
#define TAKE(kind)                                                                                                     \
    static NOINLINE void *kind(size_t size) {                                                                          \
        return need(malloc(size));                                                                                     \
    }

// A kind of behaviour: what a thread does, in most for ever.
#define KIND(kind) static void run_##kind(void)

typedef void behaviour(void);

static void *behave(void *kind) {
    ((behaviour *)kind)();
    return NULL;
}

static void start(behaviour *kind) {
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, behave, (void *)kind) == 0);
}

// Numbers from a start of the kind's own.
#define RANDOM(start) uint64_t state = 0x9e3779b97f4a7c15u ^ (start)
#define BELOW(limit) (truth_random(&state) % (limit))

// ---- Leaks ----------------------------------------------------------------------------------------------------------

// A block every 10 ms.
TAKE(leak_steady)
KIND(leak_steady) {
    for (;; pause_ms(10)) {
        (void)leak_steady(100);
    }
}

// 256 KiB every three seconds.
TAKE(leak_slow_large)
KIND(leak_slow_large) {
    for (;; pause_ms(3000)) {
        (void)leak_slow_large(256 << 10);
    }
}

// Eight threads do the same work, and one of them forgets.
TAKE(leak_one_thread)
static void work(int forgets) {
    for (;; pause_ms(20)) {
        void *block = leak_one_thread(200);
        pause_ms(5);
        if (!forgets) {
            free(block);
        }
    }
}
static void run_worker(void) {
    work(0);
}
KIND(leak_one_thread) {
    for (int worker = 1; worker < 8; worker++) {
        start(run_worker);
    }
    work(1);
}

// One block of a hundred is forgotten.
TAKE(leak_every_hundredth)
KIND(leak_every_hundredth) {
    for (unsigned number = 0;; number++) {
        void *block = leak_every_hundredth(500);
        pause_ms(1);
        if (number % 100 != 0) {
            free(block);
        }
    }
}

// A buffer that is appended to for ever.
static NOINLINE void *leak_by_realloc(void *block, size_t size) {
    return need(realloc(block, size));
}
KIND(leak_by_realloc) {
    void *block = NULL;
    for (size_t size = 64;; size += 64) {
        block = leak_by_realloc(block, size);
        pause_ms(20);
    }
}

// A list that is never cleared.
struct node {
    struct node *next;
    char payload[56];
};
TAKE(leak_container)
KIND(leak_container) {
    struct node *head = NULL;
    for (;; pause_ms(25)) {
        struct node *node = leak_container(sizeof *node);
        node->next = head;
        head = node;
    }
}

// A mapping now and then.
static NOINLINE void leak_mmap(void) {
    NEED(mmap(NULL, 16 << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
}
KIND(leak_mmap) {
    for (;; pause_ms(400)) {
        leak_mmap();
    }
}

// All is freed for twelve seconds, then nothing is.
TAKE(leak_after_warm_up)
KIND(leak_after_warm_up) {
    for (;; pause_ms(10)) {
        void *block = leak_after_warm_up(300);
        if (now() < 12) {
            free(block);
        }
    }
}

// Fifty blocks at once, every five seconds.
TAKE(leak_in_bursts)
KIND(leak_in_bursts) {
    for (;; pause_ms(5000)) {
        for (int block = 0; block < 50; block++) {
            (void)leak_in_bursts(400);
        }
    }
}

// A request takes six strings of any length and gives five back.
TAKE(leak_string_per_request)
KIND(leak_string_per_request) {
    RANDOM(10);
    for (;; pause_ms(15)) {
        void *strings[6];
        for (int index = 0; index < 6; index++) {
            strings[index] = leak_string_per_request(8 + BELOW(200));
        }
        for (int index = 1; index < 6; index++) {
            free(strings[index]);
        }
    }
}

// Two objects that count each other: neither count gets to nothing.
struct counted {
    int count;
    struct counted *other;
    char payload[112];
};
TAKE(leak_cycle)
static void give(struct counted *object) {
    if (--object->count == 0) {
        if (object->other != NULL) {
            give(object->other);
        }
        free(object);
    }
}
KIND(leak_cycle) {
    for (unsigned number = 0;; number++, pause_ms(10)) {
        struct counted *one = leak_cycle(sizeof *one);
        struct counted *two = leak_cycle(sizeof *two);
        *one = (struct counted){.count = 1, .other = two};
        *two = (struct counted){.count = 2, .other = NULL};
        if (number % 3 == 0) {
            two->other = one;
            one->count++;
        }
        give(two);
        give(one);
    }
}

// Threads that leave a block behind when they end.
static __thread void *of_thread;
TAKE(leak_thread_local)
static void *run_short(void *unused __attribute__((unused))) {
    of_thread = leak_thread_local(1000);
    return NULL;
}
KIND(leak_thread_local) {
    for (;; pause_ms(100)) {
        pthread_t thread;
        NEED(pthread_create(&thread, NULL, run_short, NULL) == 0);
        NEED(pthread_join(thread, NULL) == 0);
    }
}

// A cache with replacement, of whose entries one in ten is lost on the way.
TAKE(leak_beside_cache)
KIND(leak_beside_cache) {
    static void *entries[300];
    for (unsigned number = 0;; number++, pause_ms(10)) {
        void *entry = leak_beside_cache(250);
        if (number % 10 == 0) {
            continue;
        }
        free(entries[number % 300]);
        entries[number % 300] = entry;
    }
}

// Sixteen bytes twice a second.
TAKE(leak_tiny)
KIND(leak_tiny) {
    for (;; pause_ms(500)) {
        (void)leak_tiny(16);
    }
}

// Sessions of two seconds, of which half are never ended.
TAKE(leak_half_of_sessions)
KIND(leak_half_of_sessions) {
    static void *open[100];
    for (unsigned number = 0;; number++, pause_ms(20)) {
        free(open[number % 100]);
        void *session = leak_half_of_sessions(600);
        open[number % 100] = number % 2 == 0 ? session : NULL;
    }
}

// ---- Healthy --------------------------------------------------------------------------------------------------------

// A cache that is full after four seconds and then replaces its oldest.
TAKE(fine_lru_cache)
KIND(fine_lru_cache) {
    static void *entries[400];
    for (unsigned number = 0;; number++, pause_ms(10)) {
        free(entries[number % 400]);
        entries[number % 400] = fine_lru_cache(300);
    }
}

// A cache without replacement that knows all there is after 18 seconds.
TAKE(fine_filling_cache)
KIND(fine_filling_cache) {
    while (now() < 18) {
        (void)fine_filling_cache(300);
        pause_ms(10);
    }
}

// Tables of the start.
TAKE(fine_tables)
KIND(fine_tables) {
    for (int table = 0; table < 50; table++) {
        (void)fine_tables(8 << 10);
    }
}

// Settings that are read at the start, with strings that are needed while it reads only.
TAKE(fine_settings)
KIND(fine_settings) {
    for (int line = 0; line < 400; line++) {
        void *kept = fine_settings(40);
        void *brief = fine_settings(90);
        pause_ms(2);
        free(brief);
        (void)kept;
    }
}

// Batches: collected for two seconds, then given back at once.
TAKE(fine_batches)
KIND(fine_batches) {
    static void *batch[200];
    for (;;) {
        for (int index = 0; index < 200; index++, pause_ms(10)) {
            batch[index] = fine_batches(700);
        }
        for (int index = 0; index < 200; index++) {
            free(batch[index]);
        }
    }
}

// A pool of chunks that grows to what is needed at once, and is never given back.
TAKE(fine_pool)
KIND(fine_pool) {
    RANDOM(26);
    size_t chunks = 0;
    for (;; pause_ms(10)) {
        size_t wanted = 20 + BELOW(21);
        for (; chunks < wanted; chunks++) {
            (void)fine_pool(4 << 10);
        }
    }
}

// A table that is built anew every three seconds, the old one serving until the new one is done.
TAKE(fine_double_buffer)
KIND(fine_double_buffer) {
    static void *tables[2][100];
    for (unsigned round = 0;; round++) {
        void **table = tables[round % 2];
        for (int row = 0; row < 100; row++, pause_ms(10)) {
            table[row] = fine_double_buffer(500);
        }
        void **old = tables[(round + 1) % 2];
        for (int row = 0; row < 100; row++) {
            free(old[row]);
            old[row] = NULL;
        }
        pause_ms(2000);
    }
}

// The last five hundred lines of a log.
TAKE(fine_log_ring)
KIND(fine_log_ring) {
    RANDOM(28);
    static void *lines[500];
    for (unsigned number = 0;; number++, pause_ms(8)) {
        free(lines[number % 500]);
        lines[number % 500] = fine_log_ring(20 + BELOW(180));
    }
}

// A table that doubles while names come in, which they do for 20 seconds.
TAKE(fine_doubling_table)
KIND(fine_doubling_table) {
    size_t room = 64, used = 0;
    void *table = fine_doubling_table(room * 8);
    while (now() < 20) {
        if (++used > room) {
            void *larger = fine_doubling_table(room * 16);
            free(table);
            table = larger;
            room *= 2;
        }
        pause_ms(10);
    }
}

// Arenas: some chunks for each request, given back at its end.
TAKE(fine_arenas)
KIND(fine_arenas) {
    RANDOM(30);
    for (;;) {
        void *chunks[8];
        size_t count = 1 + BELOW(8);
        for (size_t index = 0; index < count; index++) {
            chunks[index] = fine_arenas(16 << 10);
            pause_ms(5);
        }
        for (size_t index = 0; index < count; index++) {
            free(chunks[index]);
        }
    }
}

// Workers come as they are needed, up to a bound: each has a buffer.
TAKE(fine_worker_buffers)
static void run_pooled(void) {
    (void)fine_worker_buffers(64 << 10);
    for (;;) {
        pause_ms(1000);
    }
}
KIND(fine_worker_buffers) {
    for (int worker = 0; worker < 12; worker++, pause_ms(1200)) {
        start(run_pooled);
    }
}

// Sessions of three seconds; how many come follows a day of 80 seconds, of which the observation sees the rise.
TAKE(fine_load)
KIND(fine_load) {
    enum { SLOTS = 4096 };
    static struct {
        void *block;
        double ends;
    } sessions[SLOTS];
    unsigned first = 0, next = 0;
    for (double due = 0;; pause_ms(10)) {
        double time = now();
        for (due += 0.01 * (150 - 130 * cos(time * 2 * M_PI / 80)); due >= 1; due--) {
            sessions[next % SLOTS].block = fine_load(350);
            sessions[next++ % SLOTS].ends = time + 3;
        }
        for (; first != next && sessions[first % SLOTS].ends <= time; first++) {
            free(sessions[first % SLOTS].block);
        }
    }
}

// Things that are made at their first use, now and then in the first 14 seconds.
TAKE(fine_lazy)
KIND(fine_lazy) {
    RANDOM(33);
    for (int thing = 0; thing < 28; thing++) {
        (void)fine_lazy(1000 + BELOW(3000));
        pause_ms(500);
    }
}

// A queue between two sides that are now the one, now the other faster.
TAKE(fine_queue)
KIND(fine_queue) {
    RANDOM(34);
    static void *queue[1024];
    unsigned first = 0, next = 0;
    for (;; pause_ms(10)) {
        if (BELOW(2) == 0 && next - first < 1024) {
            queue[next++ % 1024] = fine_queue(800);
        } else if (first != next) {
            free(queue[first++ % 1024]);
        }
    }
}

// Taken and given back at once.
TAKE(fine_churn)
KIND(fine_churn) {
    for (;; pause_ms(1)) {
        free(fine_churn(1000));
    }
}

// Sessions of thirteen seconds, at a rate that does not change: longer than the age from which a block is suspected.
TAKE(fine_long_sessions)
KIND(fine_long_sessions) {
    static void *open[650];
    for (unsigned number = 0;; number++, pause_ms(20)) {
        free(open[number % 650]);
        open[number % 650] = fine_long_sessions(450);
    }
}

// A cache of which some entries are asked for again and again, and stay, while the others are replaced.
TAKE(fine_hot_cache)
KIND(fine_hot_cache) {
    RANDOM(37);
    static void *entries[300];
    for (;; pause_ms(8)) {
        size_t entry = entries[299] == NULL ? BELOW(300) : 60 + BELOW(240);
        free(entries[entry]);
        entries[entry] = fine_hot_cache(280);
    }
}

// Results that are kept: there are 2000 of them, and new ones become rare.
TAKE(fine_memo)
KIND(fine_memo) {
    RANDOM(38);
    static void *results[2000];
    for (;; pause_ms(1)) {
        for (int asked = 0; asked < 2; asked++) {
            size_t question = BELOW(2000);
            if (results[question] == NULL) {
                results[question] = fine_memo(64);
            }
        }
    }
}

int main(void) {
    static behaviour *const kinds[] = {
        run_leak_steady, run_leak_slow_large, run_leak_one_thread, run_leak_every_hundredth,
        run_leak_by_realloc, run_leak_container, run_leak_mmap, run_leak_after_warm_up, run_leak_in_bursts,
        run_leak_string_per_request, run_leak_cycle, run_leak_thread_local, run_leak_beside_cache,
        run_leak_tiny, run_leak_half_of_sessions, run_fine_lru_cache, run_fine_filling_cache, run_fine_tables,
        run_fine_settings, run_fine_batches, run_fine_pool, run_fine_double_buffer, run_fine_log_ring,
        run_fine_doubling_table, run_fine_arenas, run_fine_worker_buffers, run_fine_load, run_fine_lazy,
        run_fine_queue, run_fine_churn, run_fine_long_sessions, run_fine_hot_cache, run_fine_memo,
    };
    truth_ready();
    started = now();
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
        start(kinds[kind]);
    }
    truth_write("working\n");
    truth_line();
    _exit(0);
}
