/* Counts what an interpreter of Python asks its allocators for, from inside: hooks by PyMem_SetAllocator, around what was there before.
   Between two calls of pymalloc_pause() every call is counted, and nothing else in the process runs while it waits. */

#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    void *context;
    void *(*malloc)(void *, size_t);
    void *(*calloc)(void *, size_t, size_t);
    void *(*realloc)(void *, void *, size_t);
    void (*free)(void *, void *);
} Allocator;

extern void PyMem_GetAllocator(int domain, Allocator *allocator);
extern void PyMem_SetAllocator(int domain, Allocator *allocator);

enum { DOMAINS = 3, SLOTS = 1 << 22 };

static Allocator below[DOMAINS];
static int depth;
static uint64_t allocated_count, allocated_bytes, freed, replaced, unmatched;
static uint64_t live_count, live_bytes;

/* Live blocks since the last reset: open addressing, with a mark for what was removed. In memory of the library, so that counting
   allocates nothing. */
static struct {
    uintptr_t address;
    size_t size;
} blocks[SLOTS];

static size_t slot(uintptr_t address) {
    return address * 0x9e3779b97f4a7c15u >> 42;
}

static void add(void *address, size_t size) {
    allocated_count++;
    allocated_bytes += size;
    live_count++;
    live_bytes += size;
    size_t at = slot((uintptr_t)address);
    while (blocks[at].address > 1)
        at = (at + 1) % SLOTS;
    blocks[at].address = (uintptr_t)address;
    blocks[at].size = size;
}

static int take(void *address) {
    for (size_t at = slot((uintptr_t)address); blocks[at].address != 0; at = (at + 1) % SLOTS)
        if (blocks[at].address == (uintptr_t)address) {
            live_count--;
            live_bytes -= blocks[at].size;
            blocks[at].address = 1;
            return 1;
        }
    return 0;
}

/* What an allocator asks another one for belongs to its own call. */
static void *count_malloc(void *context, size_t size) {
    Allocator *allocator = context;
    depth++;
    void *block = allocator->malloc(allocator->context, size);
    if (--depth == 0 && block)
        add(block, size);
    return block;
}

static void *count_calloc(void *context, size_t count, size_t size) {
    Allocator *allocator = context;
    depth++;
    void *block = allocator->calloc(allocator->context, count, size);
    if (--depth == 0 && block)
        add(block, count * size);
    return block;
}

static void *count_realloc(void *context, void *old, size_t size) {
    Allocator *allocator = context;
    depth++;
    void *block = allocator->realloc(allocator->context, old, size);
    if (--depth == 0 && block) {
        if (old) {
            unmatched += !take(old);
            replaced++;
        }
        add(block, size);
    }
    return block;
}

static void count_free(void *context, void *block) {
    Allocator *allocator = context;
    if (depth == 0 && block) {
        unmatched += !take(block);
        freed++;
    }
    depth++;
    allocator->free(allocator->context, block);
    depth--;
}

/* Not with PYHOOKS=quiet: a program does the same then, with the calls that it has without hooks. */
void pymalloc_count(void) {
    const char *how = getenv("PYHOOKS");
    if (how && strcmp(how, "quiet") == 0)
        return;
    for (int domain = 0; domain < DOMAINS; domain++) {
        PyMem_GetAllocator(domain, &below[domain]);
        Allocator hooks = {&below[domain], count_malloc, count_calloc, count_realloc, count_free};
        PyMem_SetAllocator(domain, &hooks);
    }
}

/* Says what was counted, waits for a line, and begins anew. */
void pymalloc_pause(int first) {
    char line[512];
    int length = first ? snprintf(line, sizeof line, "ready \n")
                       : snprintf(line, sizeof line,
                                  "truth {\"sites\": {\"python\": {\"bytes\": %lu, \"count\": %lu, \"allocated_bytes\": %lu, "
                                  "\"allocated_count\": %lu}}, \"values\": {\"freed\": %lu, \"replaced\": %lu, \"unmatched\": %lu}}\nhold\n",
                                  live_bytes, live_count, allocated_bytes, allocated_count, freed, replaced, unmatched);
    if (write(1, line, length) != length)
        _exit(1);
    while (read(0, line, 1) == 1 && line[0] != '\n')
        ;
    allocated_count = allocated_bytes = freed = replaced = unmatched = live_count = live_bytes = 0;
    memset(blocks, 0, sizeof blocks);
}
