// A library that calls its caller back from a frame of FRAME bytes. Libraries that differ in FRAME alone have their code
// at the same places, but other tables; SHIFT bytes of padding move the call a little.

#include <stddef.h>

#define TEXT(number) #number
#define PADDING(bytes) ".skip " TEXT(bytes) ", 0x90"

void plugin(void *(*site)(size_t), size_t size) {
    char buffer[FRAME];
    __asm__ volatile(PADDING(SHIFT) : : "r"(buffer) : "memory");
    void *block = site(size);
    __asm__ volatile("" : : "r"(buffer), "r"(block) : "memory");
}
