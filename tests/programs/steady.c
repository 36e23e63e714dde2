// Allocates at a steady rate: `steady MILLISECONDS`, or as fast as it can: `steady long`.
//
// Every millisecond it takes four blocks that it keeps and four that it gives back at once, and moves one of sixteen chains; now and then
// it maps a range. How long a millisecond takes is not exact, how often it did all this is.
//
// long: keeps some blocks while it takes and gives back millions, then frees them.

#include "truth.h"

#include <sys/mman.h>

enum { OLD = 1000, MILLIONS = 2300000, TOGETHER = 4, CHAINS = 16, KEPT = 1000, BRIEF = 3000, MAPPED = 64 << 10, MAP_EVERY = 100 };

TAKER(site_kept)
TAKER(site_brief)

MOVER(site_moved)

SITE(site_mapped);
static NOINLINE void site_mapped(void) {
    NEED(mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    truth_took(&site_mapped_truth, MAPPED);
}

static struct {
    void *block;
    size_t size;
} chains[CHAINS];

static void tick(int number) {
    for (int index = 0; index < TOGETHER; index++) {
        (void)site_kept(KEPT);
        void *brief = site_brief(BRIEF);
        truth_gave(&site_brief_truth, BRIEF);
        free(brief);
    }
    int chain = number % CHAINS;
    size_t size = chains[chain].size + 100;
    if (size > 5000) {
        free(chains[chain].block);
        truth_gave(&site_moved_truth, chains[chain].size);
        chains[chain].block = NULL;
        chains[chain].size = 0;
        return;
    }
    if (chains[chain].block != NULL) {
        truth_gave(&site_moved_truth, chains[chain].size);
    }
    chains[chain].block = site_moved(chains[chain].block, size);
    chains[chain].size = size;
    if (number % MAP_EVERY == 0) {
        site_mapped();
    }
}

static void long_ago(void) {
    static void *old[OLD];
    for (int index = 0; index < OLD; index++) {
        old[index] = site_kept(KEPT);
    }
    for (int index = 0; index < MILLIONS; index++) {
        void *brief = site_brief(BRIEF);
        truth_gave(&site_brief_truth, BRIEF);
        free(brief);
    }
    for (int index = 0; index < OLD; index++) {
        truth_gave(&site_kept_truth, KEPT);
        free(old[index]);
    }
}

int main(int count, char **arguments) {
    NEED(count == 2);
    if (strcmp(arguments[1], "long") == 0) {
        truth_ready();
        long_ago();
        truth_print();
        truth_hold();
        return 0;
    }
    int milliseconds = atoi(arguments[1]);
    truth_ready();
    for (int number = 0; number < milliseconds; number++) {
        tick(number);
        usleep(900);
    }
    truth_print();
    truth_hold();
    return 0;
}
