// A library that leaks and is then unloaded. SITE is the name of its only function.

#include <stdlib.h>

void SITE(size_t size) {
    void *volatile address = malloc(size);
    (void)address;
}
