// Calls of the allocator that are not a plain success: `calls MODE`.

#define _GNU_SOURCE
#include "truth.h"

#include <errno.h>

// Through volatiles, so that the compiler neither warns about these sizes nor knows the results.
static volatile size_t huge = SIZE_MAX / 2 - 4096;
static volatile size_t zero = 0, three = 3;

SITE(site_keep);
static NOINLINE void *site_keep(size_t size) {
    void *address = malloc(size);
    NEED(address != NULL);
    truth_took(&site_keep_truth, size);
    return address;
}

SITE(site_realloc);
static NOINLINE void *site_realloc(void *old, size_t size) {
    void *address = realloc(old, size);
    NEED((address == NULL) == (size == 0 || size == huge));
    if (address != NULL) {
        truth_took(&site_realloc_truth, size);
    }
    return address;
}

SITE(site_reallocarray);
static NOINLINE void *site_reallocarray(void *old, size_t count, size_t size) {
    void *address = reallocarray(old, count, size);
    NEED(address == NULL);
    return address;
}

SITE(site_calloc);
static NOINLINE void *site_calloc(size_t count, size_t size) {
    void *address = calloc(count, size);
    NEED(address == NULL);
    return address;
}

SITE(site_malloc_zero);
static NOINLINE void site_malloc_zero(void) {
    NEED(malloc(zero) != NULL);
    truth_took(&site_malloc_zero_truth, 0);
}

SITE(site_posix_memalign);
static NOINLINE void site_posix_memalign(void **out, size_t alignment, size_t size, int wanted) {
    NEED(posix_memalign(out, alignment, size) == wanted);
    if (wanted == 0) {
        truth_took(&site_posix_memalign_truth, size);
    }
}

static void gave(void *address, size_t size) {
    truth_gave(&site_keep_truth, size);
    free(address);
}

// A realloc that fails keeps the block where and whose it was.
static void failed_realloc(void) {
    char *kept = site_keep(1000), *freed_later = site_keep(77);
    site_realloc(kept, huge);
    site_realloc(freed_later, huge);
    gave(freed_later, 77);
    truth_value("failed", 2);
}

// glibc's realloc to 0 frees and returns nothing.
static void realloc_zero(void) {
    site_keep(10);
    void *freed = site_keep(500);
    site_realloc(freed, zero);
    truth_gave(&site_keep_truth, 500);
}

// Sizes whose product does not fit.
static void overflow(void) {
    void *kept = site_keep(123);
    site_calloc(huge, three);
    site_calloc((size_t)1 << 33, (size_t)1 << 33);
    site_reallocarray(kept, huge, three);
    site_reallocarray(NULL, (size_t)1 << 32, (size_t)1 << 32);
    // A product that wraps to 0 is not a call to free.
    site_reallocarray(kept, (size_t)1 << 32, (size_t)1 << 32);
    truth_value("failed", 5);
}

// The out-pointer holds a live block's address when the call fails: it must not be taken for the result.
static void posix_memalign_fails(void) {
    void *kept = site_keep(4000), *out = kept;
    site_posix_memalign(&out, three, 100, EINVAL);
    NEED(out == kept);
    site_posix_memalign(&out, 64, huge, ENOMEM);
    NEED(out == kept);
    site_posix_memalign(&out, 64, 200, 0);
    truth_value("failed", 2);
}

static void free_null(void) {
    site_keep(11);
    for (int round = 0; round < 100; round++) {
        free(NULL);
    }
}

static void malloc_zero(void) {
    for (int round = 0; round < 3; round++) {
        site_malloc_zero();
    }
}

// Blocks that the tracer cannot know: freed and moved after attach, allocated before.
static void *early[100];

static void before_attach(void) {
    for (int index = 0; index < 50; index++) {
        free(early[index]);
    }
    for (int index = 50; index < 60; index++) {
        site_realloc(early[index], 3000);
    }
    gave(site_keep(5), 5);
    // The frees, and the old blocks of realloc.
    truth_value("unmatched", 60);
}

// A free through the library that wraps malloc (wrap.c), if it is preloaded.
static void nested(void) {
    void *freed = site_keep(100);
    site_keep(200);
    site_realloc(site_keep(300), 400);
    truth_gave(&site_keep_truth, 300);
    gave(freed, 100);
}

int main(int count, char **arguments) {
    static const struct {
        const char *name;
        void (*run)(void);
    } modes[] = {{"failed-realloc", failed_realloc},
                 {"realloc-zero", realloc_zero},
                 {"overflow", overflow},
                 {"posix-memalign", posix_memalign_fails},
                 {"free-null", free_null},
                 {"malloc-zero", malloc_zero},
                 {"before-attach", before_attach},
                 {"nested", nested}};
    NEED(count == 2);
    for (size_t index = 0; index < sizeof modes / sizeof *modes; index++) {
        if (strcmp(arguments[1], modes[index].name) == 0) {
            if (modes[index].run == before_attach) {
                for (int block = 0; block < 100; block++) {
                    early[block] = malloc(64);
                }
            }
            truth_ready();
            modes[index].run();
            truth_print();
            truth_hold();
            return 0;
        }
    }
    NEED(!"a mode of that name");
}
