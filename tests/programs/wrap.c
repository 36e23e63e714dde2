// An allocator that wraps the C library's, as debugging and accounting libraries do. Preloaded, or linked
// into a program that so has its own malloc. One call of it is one allocation.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

#define NEXT(function) (function##_next ? function##_next : (*(void **)&function##_next = dlsym(RTLD_NEXT, #function), function##_next))

static void *(*malloc_next)(size_t);
static void *(*realloc_next)(void *, size_t);
static void (*free_next)(void *);

void *malloc(size_t size) {
    void *address = NEXT(malloc)(size);
    __asm__ volatile("" ::: "memory");
    return address;
}

void *realloc(void *old, size_t size) {
    void *address = NEXT(realloc)(old, size);
    __asm__ volatile("" ::: "memory");
    return address;
}

void free(void *address) {
    NEXT(free)(address);
    __asm__ volatile("" ::: "memory");
}
