// A pair of functions of which one begins with an instruction that the kernel puts no probe on: one with a lock prefix.

#include "truth.h"

void *locked_take(size_t size);
__asm__(".pushsection .text\n"
        ".globl locked_take\n"
        ".type locked_take, @function\n"
        "locked_take:\n"
        "    lock orq $0, (%rsp)\n"
        "    jmp malloc@PLT\n"
        ".size locked_take, . - locked_take\n"
        ".popsection\n");

NOINLINE void *plain_take(size_t size) { return malloc(size); }
NOINLINE void plain_give(void *address) { free(address); }

int main(void) {
    truth_ready();
    plain_give(locked_take(10));
    plain_give(plain_take(10));
    truth_print();
    truth_hold();
    return 0;
}
