// A short process whose allocations are known beforehand: `known SIZE COUNT [BEFORE [AFTER]]`.
//
// It waits BEFORE milliseconds, so that a tracer can join, takes COUNT blocks of SIZE bytes, frees every fourth, waits
// AFTER milliseconds and ends. It prints nothing.

#include "truth.h"

SITE(site_known);
static NOINLINE void *site_known(size_t size) {
    void *address = malloc(size);
    NEED(address != NULL);
    truth_took(&site_known_truth, size);
    return address;
}

int main(int count, char **arguments) {
    NEED(count >= 3 && count <= 5);
    size_t size = (size_t)atoi(arguments[1]);
    int blocks = atoi(arguments[2]);
    useconds_t before = count > 3 ? 1000 * (useconds_t)atoi(arguments[3]) : 0;
    useconds_t after = count > 4 ? 1000 * (useconds_t)atoi(arguments[4]) : 0;
    if (before > 0) {
        usleep(before);
    }
    for (int block = 0; block < blocks; block++) {
        void *address = site_known(size);
        if (block % 4 == 0) {
            free(address);
        }
    }
    if (after > 0) {
        usleep(after);
    }
    return 0;
}
