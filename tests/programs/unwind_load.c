// Allocations below libraries that come and go while the program runs, as the lines that it reads say:
//
//     load PATH   loads a library in place of the last one
//     use         allocates, many times
//     last        allocates, by another way through the program
//     end

#define _GNU_SOURCE
#include "stacks.h"

#include <dlfcn.h>

enum { TIMES = 50 };

STACKS_SITE(site_use);
STACKS_SITE(site_last);

static void *library;
static void (*plugin)(void *(*)(size_t), size_t);

static NOINLINE void load(const char *path) {
    struct link_map *map = NULL;
    uintptr_t before = 0;
    if (library != NULL) {
        NEED(dlinfo(library, RTLD_DI_LINKMAP, &map) == 0);
        before = map->l_addr;
        NEED(dlclose(library) == 0);
    }
    library = dlopen(path, RTLD_NOW);
    NEED(library != NULL && dlinfo(library, RTLD_DI_LINKMAP, &map) == 0);
    // What a library before it left is where the next one of its size goes.
    NEED(before == 0 || before == map->l_addr);
    plugin = (void (*)(void *(*)(size_t), size_t))dlsym(library, "plugin");
    NEED(plugin != NULL);
}

static NOINLINE void use(void *(*site)(size_t), size_t size) {
    char buffer[64];
    STACKS_USE(buffer);
    plugin(site, size);
    STACKS_USE(buffer);
}

static NOINLINE void last(void) {
    char buffer[128];
    STACKS_USE(buffer);
    use(site_last, 500);
    STACKS_USE(buffer);
}

static int command(char *line, size_t size) {
    for (size_t length = 0; length < size && read(0, line + length, 1) == 1; length++) {
        if (line[length] == '\n') {
            line[length] = '\0';
            return 1;
        }
    }
    return 0;
}

int main(void) {
    static char line[1024];
    int number = 0;
    stacks_start();
    while (command(line, sizeof line) && strcmp(line, "end") != 0) {
        if (strncmp(line, "load ", 5) == 0) {
            load(line + 5);
        } else if (strcmp(line, "last") == 0) {
            last();
        } else {
            for (int time = 0; time < TIMES; time++) {
                use(site_use, 50);
            }
        }
        snprintf(line, sizeof line, "done %d\n", ++number);
        truth_write(line);
    }
    stacks_end();
}
