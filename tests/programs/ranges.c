// What can happen to mappings: `ranges MODE`.

#define _GNU_SOURCE
#include "truth.h"

#include <errno.h>
#include <sys/mman.h>

#define PAGE ((size_t)4096)

SITE(site_map);
static NOINLINE char *site_map(size_t pages) {
    char *address = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(address != MAP_FAILED);
    truth_took(&site_map_truth, pages * PAGE);
    return address;
}

SITE(site_fixed);
static NOINLINE void site_fixed(char *where, size_t pages) {
    NEED(mmap(where, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == where);
    truth_took(&site_fixed_truth, pages * PAGE);
}

SITE(site_fails);
static NOINLINE void site_fails(void) {
    NEED(mmap(NULL, (size_t)1 << 60, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
}

SITE(site_remap);
static NOINLINE char *site_remap(char *old, size_t pages, size_t new_pages, int flags) {
    char *address = mremap(old, pages * PAGE, new_pages * PAGE, flags, NULL);
    NEED(address != MAP_FAILED);
    truth_took(&site_remap_truth, new_pages * PAGE);
    return address;
}

SITE(site_file);
static NOINLINE void site_file(int file, size_t pages) {
    NEED(mmap(NULL, pages * PAGE, PROT_READ, MAP_PRIVATE, file, 0) != MAP_FAILED);
    truth_took(&site_file_truth, pages * PAGE);
}

SITE(site_reserve);
static NOINLINE char *site_reserve(size_t pages) {
    char *address = mmap(NULL, pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(address != MAP_FAILED);
    truth_took(&site_reserve_truth, pages * PAGE);
    return address;
}

static void cut(struct site *site, size_t pages, int pieces) {
    truth_add(&site->bytes, -(pages * PAGE));
    truth_add(&site->count, (uint64_t)(int64_t)pieces);
}

static void partial(void) {
    char *address = site_map(16);
    NEED(munmap(address + 4 * PAGE, 4 * PAGE) == 0);
    cut(&site_map_truth, 4, 1);
    // The hole again, with a page on each side: only those two pages are still there to take.
    NEED(munmap(address + 3 * PAGE, 6 * PAGE) == 0);
    cut(&site_map_truth, 2, 0);
}

// One munmap over several mappings and the room between them.
static void across(void) {
    char *address = site_reserve(32);
    site_fixed(address, 4);
    cut(&site_reserve_truth, 4, 0);
    site_fixed(address + 8 * PAGE, 4);
    cut(&site_reserve_truth, 4, 1);
    NEED(munmap(address + 2 * PAGE, 8 * PAGE) == 0);
    cut(&site_fixed_truth, 4, 0);
    cut(&site_reserve_truth, 4, -1);
}

static void fixed(void) {
    char *address = site_map(16);
    site_fixed(address + 4 * PAGE, 4);
    cut(&site_map_truth, 4, 1);
}

static void dontunmap(void) {
    char *address = site_map(16);
    char *moved = site_remap(address, 16, 16, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
    NEED(moved != address);
}

// Calls that fail leave everything as it was.
static void fails(void) {
    char *address = site_map(16);
    NEED(munmap(address + 1, 4 * PAGE) == -1 && errno == EINVAL);
    NEED(munmap(address, 0) == -1 && errno == EINVAL);
    NEED(munmap(address, (size_t)-1) == -1 && errno == EINVAL);
    NEED(mremap(address, 16 * PAGE, (size_t)1 << 60, MREMAP_MAYMOVE) == MAP_FAILED);
    NEED(mremap(address, 16 * PAGE, 0, MREMAP_MAYMOVE) == MAP_FAILED);
    NEED(mremap(address + 1, 16 * PAGE, 32 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED);
    site_fails();
}

static void classes(void) {
    site_map(3);
    site_reserve(5);
    FILE *file = tmpfile();
    NEED(file != NULL && ftruncate(fileno(file), 7 * (off_t)PAGE) == 0);
    site_file(fileno(file), 7);
    truth_value("mapped", 3 * PAGE);
    truth_value("reserved", 5 * PAGE);
    truth_value("file", 7 * PAGE);
}

int main(int count, char **arguments) {
    static const struct {
        const char *name;
        void (*run)(void);
    } modes[] = {{"partial", partial},     {"across", across}, {"fixed", fixed},
                 {"dontunmap", dontunmap}, {"fails", fails},   {"classes", classes}};
    NEED(count == 2);
    for (size_t index = 0; index < sizeof modes / sizeof *modes; index++) {
        if (strcmp(arguments[1], modes[index].name) == 0) {
            truth_ready();
            modes[index].run();
            truth_print();
            truth_hold();
            return 0;
        }
    }
    NEED(!"a mode of that name");
}
