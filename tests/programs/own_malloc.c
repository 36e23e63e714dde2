// A library that is an allocator: it has malloc, calloc, realloc and free of its own, over one static array.

#include <stddef.h>
#include <string.h>

struct header {
    size_t size;
    struct header *next;
};

static _Alignas(16) char pool[1 << 20];
static size_t used;
static struct header *unused_blocks;

void *malloc(size_t size) {
    size = (size + 31) / 16 * 16;
    for (struct header **place = &unused_blocks; *place != NULL; place = &(*place)->next) {
        if ((*place)->size >= size) {
            struct header *found = *place;
            *place = found->next;
            return found + 1;
        }
    }
    if (size > sizeof pool - used - sizeof(struct header)) {
        return NULL;
    }
    struct header *made = (struct header *)(void *)(pool + used);
    made->size = size;
    used += size + sizeof *made;
    return made + 1;
}

void free(void *address) {
    if (address != NULL) {
        struct header *block = (struct header *)address - 1;
        block->next = unused_blocks;
        unused_blocks = block;
    }
}

void *calloc(size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        return NULL;
    }
    void *address = malloc(bytes);
    return address != NULL ? memset(address, 0, bytes) : NULL;
}

void *realloc(void *old, size_t size) {
    void *address = malloc(size);
    if (old != NULL && address != NULL) {
        size_t had = ((struct header *)old - 1)->size;
        memcpy(address, old, had < size ? had : size);
        free(old);
    }
    return address;
}
