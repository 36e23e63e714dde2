// A library with a function that is chosen when it is called first, by a resolver that calls its caller back.

#include <stddef.h>

static void *(*resolver_site)(size_t);

static void *pass(void *(*site)(size_t), size_t size) {
    void *block = site(size);
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

// Runs inside the dynamic loader, which has been asked for the address of `chosen`.
static void *(*choose(void))(void *(*)(size_t), size_t) {
    if (resolver_site != NULL) {
        void *block = resolver_site(700);
        __asm__ volatile("" : : "r"(block) : "memory");
    }
    return pass;
}

void *chosen(void *(*)(size_t), size_t) __attribute__((ifunc("choose")));

// The first call goes through the library's own procedure linkage table into the loader, later ones straight on.
void *plugin(void *(*while_resolving)(size_t), void *(*site)(size_t), size_t size) {
    resolver_site = while_resolving;
    void *block = chosen(site, size);
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}
