// Frees that find the ring full while the allocations of their blocks still lie in it: `late PAIRS BLOCKS`. Fills the ring
// with PAIRS blocks that are freed at once and with BLOCKS that are freed at the end.

#include "truth.h"

SITE(site_pair);
static NOINLINE void site_pair(void) {
    void *volatile address = malloc(32);
    NEED(address != NULL);
    free(address);
}

SITE(site_late);
static NOINLINE void *site_late(void) {
    void *address = malloc(64);
    NEED(address != NULL);
    return address;
}

int main(int count, char **arguments) {
    static void *blocks[60000];
    NEED(count == 3);
    long pairs = atol(arguments[1]), late = atol(arguments[2]);
    NEED(late <= (long)(sizeof blocks / sizeof *blocks));
    truth_ready();
    for (long index = 0; index < pairs; index++) {
        site_pair();
    }
    for (long index = 0; index < late; index++) {
        blocks[index] = site_late();
    }
    for (long index = 0; index < late; index++) {
        free(blocks[index]);
    }
    truth_print();
    truth_hold();
    return 0;
}
