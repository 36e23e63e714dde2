// A library that calls its caller back from a frame of FRAME bytes. Two that differ in FRAME alone have their code at
// the same places, but other tables.

#include <stddef.h>

void plugin(void *(*site)(size_t), size_t size) {
    char buffer[FRAME];
    __asm__ volatile("" : : "r"(buffer) : "memory");
    void *block = site(size);
    __asm__ volatile("" : : "r"(buffer), "r"(block) : "memory");
}
