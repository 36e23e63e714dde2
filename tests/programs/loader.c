// Loads and unloads a library that is an allocator of its own (own_malloc.c): `loader MODE LIBRARY ROUNDS`.
//
// `clean`: after each load it prints `loaded` and waits for a line; everything is freed before the library goes.
// `unmapped`: the same, but blocks are still there when their memory is unmapped.
// `fast`: nobody is waited for. The program's ordinary malloc works all the time.

#define _GNU_SOURCE
#include "matrix.h"

#include <dlfcn.h>

static void *(*take)(size_t);
static void *(*retake)(void *, size_t);
static void (*give)(void *);

SITE(site_loaded);
static NOINLINE void *site_loaded(size_t size) {
    return matrix_took(&site_loaded_truth, take(size), size, 0, RELEASE_C).address;
}

SITE(site_loaded_again);
static NOINLINE void *site_loaded_again(void *old, size_t size) {
    return matrix_took(&site_loaded_again_truth, retake(old, size), size, 0, RELEASE_C).address;
}

SITE(site_ordinary);
static NOINLINE void *site_ordinary(size_t size) {
    return matrix_took(&site_ordinary_truth, malloc(size), size, 0, RELEASE_C).address;
}

int main(int count, char **arguments) {
    NEED(count == 4);
    int unmapped = strcmp(arguments[1], "unmapped") == 0, fast = strcmp(arguments[1], "fast") == 0;
    int rounds = atoi(arguments[3]);
    truth_ready();
    for (int round = 0; round < rounds; round++) {
        void *library = dlopen(arguments[2], RTLD_NOW | RTLD_LOCAL);
        NEED(library != NULL);
        *(void **)&take = dlsym(library, "malloc");
        *(void **)&retake = dlsym(library, "realloc");
        *(void **)&give = dlsym(library, "free");
        NEED(take != NULL && retake != NULL && give != NULL && (void *)take != (void *)malloc);
        if (!fast) {
            truth_write("loaded\n");
            NEED(truth_line());
        }
        for (size_t block = 0; block < 60; block++) {
            void *address = site_loaded(100 + block);
            if (block % 3 == 0) {
                truth_gave(&site_loaded_truth, 100 + block);
                address = site_loaded_again(address, 1000 + block);
            }
            if (!unmapped || block % 2 == 0) {
                truth_gave(block % 3 == 0 ? &site_loaded_again_truth : &site_loaded_truth,
                           block % 3 == 0 ? 1000 + block : 100 + block);
                give(address);
            }
            void *ordinary = site_ordinary(64);
            if (block % 2 == 0) {
                truth_gave(&site_ordinary_truth, 64);
                free(ordinary);
            }
        }
        NEED(dlclose(library) == 0);
    }
    truth_print();
    truth_hold();
    return 0;
}
