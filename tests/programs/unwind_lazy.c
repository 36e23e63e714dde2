// Calls that are bound when they are made first: `unwind-lazy LIBRARY`.

#define _GNU_SOURCE
#include "stacks.h"

#include <dlfcn.h>

STACKS_SITE(site_resolver);
STACKS_SITE(site_called);

typedef void *(*Plugin)(void *(*)(size_t), void *(*)(size_t), size_t);

static NOINLINE void use(Plugin plugin, size_t size) {
    char buffer[200];
    STACKS_USE(buffer);
    STACKS_USE(plugin(site_resolver, site_called, size));
    STACKS_USE(buffer);
}

int main(int count, char **arguments) {
    NEED(count == 2);
    void *library = dlopen(arguments[1], RTLD_LAZY);
    NEED(library != NULL);
    Plugin plugin = (Plugin)dlsym(library, "plugin");
    NEED(plugin != NULL);
    stacks_start();
    for (size_t size = 1; size < 10; size++) {
        use(plugin, size);
    }
    stacks_end();
}
