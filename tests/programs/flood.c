// More events than any ring holds: `flood THREADS BLOCKS`. The threads work until the program gets a line; then
// it frees BLOCKS blocks that it had allocated before, and keeps a known set.

#include "truth.h"

#include <pthread.h>

#define SLOTS 64

SITE(site_churn);
static NOINLINE void *site_churn(size_t size) {
    void *address = malloc(size);
    NEED(address != NULL);
    truth_took(&site_churn_truth, size);
    return address;
}

SITE(site_grown);
static NOINLINE void *site_grown(void *old, size_t size) {
    void *address = realloc(old, size);
    NEED(address != NULL);
    truth_took(&site_grown_truth, size);
    return address;
}

SITE(site_burst);
static NOINLINE void *site_burst(size_t size) {
    void *address = malloc(size);
    NEED(address != NULL);
    truth_took(&site_burst_truth, size);
    return address;
}

SITE(site_kept);
static NOINLINE void *site_kept(size_t size) {
    void *address = malloc(size);
    NEED(address != NULL);
    truth_took(&site_kept_truth, size);
    return address;
}

static volatile int stopped;

static void *work(void *argument) {
    uint64_t state = 0x2545f4914f6cdd1du * ((size_t)argument + 1);
    struct {
        void *address;
        size_t size;
        struct site *site;
    } slots[SLOTS] = {0};
    while (!stopped) {
        uint64_t random = truth_random(&state);
        size_t slot = random % SLOTS, size = 16 + random / SLOTS % 200;
        if (slots[slot].address != NULL && random >> 60 == 0) {
            void *grown = site_grown(slots[slot].address, size + 64);
            truth_gave(slots[slot].site, slots[slot].size);
            slots[slot].address = grown;
            slots[slot].size = size + 64;
            slots[slot].site = &site_grown_truth;
        } else {
            if (slots[slot].address != NULL) {
                truth_gave(slots[slot].site, slots[slot].size);
                free(slots[slot].address);
            }
            slots[slot].address = site_churn(size);
            slots[slot].size = size;
            slots[slot].site = &site_churn_truth;
        }
    }
    for (size_t slot = 0; slot < SLOTS; slot++) {
        if (slots[slot].address != NULL) {
            truth_gave(slots[slot].site, slots[slot].size);
            free(slots[slot].address);
        }
    }
    return NULL;
}

int main(int count, char **arguments) {
    NEED(count == 3);
    size_t threads = (size_t)atoi(arguments[1]), blocks = (size_t)atoi(arguments[2]);
    pthread_t ids[64];
    static void *burst[200000];
    NEED(threads <= 64 && blocks <= sizeof burst / sizeof *burst);
    truth_ready();
    for (size_t index = 0; index < blocks; index++) {
        burst[index] = site_burst(32);
        // In pieces with a pause after each: here the ring is not to overflow.
        if (index % 500 == 499) {
            usleep(1000);
        }
    }
    for (size_t index = 0; index < threads; index++) {
        NEED(pthread_create(&ids[index], NULL, work, (void *)index) == 0);
    }
    truth_write("working\n");
    truth_line();
    stopped = 1;
    for (size_t index = 0; index < threads; index++) {
        pthread_join(ids[index], NULL);
    }
    for (size_t index = 0; index < blocks; index++) {
        truth_gave(&site_burst_truth, 32);
        free(burst[index]);
    }
    truth_write("freed\n");
    truth_line();
    // The collector gets a moment to catch up, so that the known set is seen.
    usleep(300000);
    for (size_t index = 0; index < 100; index++) {
        site_kept(1000 + index);
    }
    truth_print();
    truth_hold();
    return 0;
}
