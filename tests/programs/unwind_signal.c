// Allocations in handlers of signals: `unwind-signal MODE`.
//
//     raise   raised by a call, with the handler on the same and on another stack
//     fault   raised by instructions that are no calls

#define _GNU_SOURCE
#include "stacks.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

enum { ROUNDS = 20, HANDLER_STACK = 64 << 10 };

STACKS_SITE(site_raised);
STACKS_SITE(site_other_stack);
STACKS_SITE(site_fault_in_caller);
STACKS_SITE(site_fault_in_leaf);

static sigjmp_buf back;
static int in_leaf;
static long volatile *volatile nowhere;

static void on_raise(int signal) {
    (void)signal;
    STACKS_USE(site_raised(100));
}

static void on_other_stack(int signal) {
    (void)signal;
    char buffer[700];
    STACKS_USE(buffer);
    STACKS_USE(site_other_stack(200));
    STACKS_USE(buffer);
}

static void on_fault(int signal) {
    (void)signal;
    STACKS_USE(in_leaf ? site_fault_in_leaf(300) : site_fault_in_caller(400));
    siglongjmp(back, 1);
}

static NOINLINE void raise_below(int depth, int signal) {
    char buffer[48];
    STACKS_USE(buffer);
    if (depth == 0) {
        NEED(raise(signal) == 0);
    } else {
        raise_below(depth - 1, signal);
    }
    STACKS_USE(buffer);
}

static NOINLINE long called(long value) {
    __asm__ volatile("" : "+r"(value));
    return value;
}

// Faults between two calls, where its frame is as at the calls.
static NOINLINE long fault_in_caller(long value) {
    char buffer[400];
    STACKS_USE(buffer);
    value = called(value);
    value += *nowhere;
    value += called(value);
    STACKS_USE(buffer);
    return value;
}

// Faults in a function that saves registers and calls nothing: no call's rule holds at the fault.
static NOINLINE long fault_in_leaf(long value) {
    long a = value, b = value, c = value, d = value, e = value, f = value, g = value, h = value;
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d) : : "rbx", "rbp", "r12", "r13");
    __asm__ volatile("" : "+r"(e), "+r"(f), "+r"(g), "+r"(h));
    long volatile *address = nowhere;
    a += *address;
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d) : : "rbx", "rbp", "r12", "r13");
    return a ^ b ^ c ^ d ^ e ^ f ^ g ^ h;
}

static NOINLINE void fault(int leaf) {
    in_leaf = leaf;
    if (sigsetjmp(back, 1) == 0) {
        long result = leaf ? fault_in_leaf(leaf) : fault_in_caller(leaf);
        STACKS_USE(result);
    }
}

static void handle(int signal, void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    NEED(sigaction(signal, &action, NULL) == 0);
}

int main(int count, char **arguments) {
    static char memory[HANDLER_STACK] __attribute__((aligned(64)));
    stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory};
    NEED(count == 2 && sigaltstack(&stack, NULL) == 0);
    handle(SIGUSR1, on_raise, 0);
    handle(SIGUSR2, on_other_stack, SA_ONSTACK);
    handle(SIGSEGV, on_fault, SA_ONSTACK);
    stacks_start();
    for (int round = 0; round < ROUNDS; round++) {
        if (strcmp(arguments[1], "raise") == 0) {
            raise_below(round % 5, SIGUSR1);
            raise_below(round % 5, SIGUSR2);
        } else {
            fault(0);
            fault(1);
        }
    }
    stacks_end();
}
