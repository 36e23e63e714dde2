// The site and the truth for programs that are not written in C.

#define _GNU_SOURCE
#include "stacks.h"

STACKS_SITE(site_foreign);

void foreign_start(void) { stacks_start(); }
void foreign_end(void) { stacks_end(); }
void foreign_allocate(size_t size) {
    STACKS_USE(site_foreign(size));
}
