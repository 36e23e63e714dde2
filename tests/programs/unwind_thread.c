// Allocations in threads however they were made: `unwind-thread MODE`.
//
//     pthread   by the C library, on stacks of its own and of ours
//     clone     by the C library's wrapper of the system call
//     bare      by the system call, with a first function that no table describes

#define _GNU_SOURCE
#include "stacks.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { TIMES = 20, STACK_BYTES = 256 << 10, GUARD_BYTES = 4096 };

STACKS_SITE(site_thread);

static NOINLINE long below(int depth) {
    char buffer[200];
    STACKS_USE(buffer);
    long result = 1;
    if (depth > 0) {
        result += below(depth - 1);
    }
    STACKS_USE(site_thread((size_t)depth + 1));
    STACKS_USE(buffer);
    return result;
}

static void *work(void *argument) {
    for (int time = 0; time < TIMES; time++) {
        STACKS_USE(below(5));
    }
    return argument;
}

// Memory with nothing readable behind it: who reads beyond the stack fails.
static char *stack(void) {
    char *memory = (char *)mmap(NULL, STACK_BYTES + GUARD_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                                -1, 0);
    NEED(memory != MAP_FAILED && mprotect(memory + STACK_BYTES, GUARD_BYTES, PROT_NONE) == 0);
    return memory;
}

static void pthreads(void) {
    pthread_t threads[4];
    for (int index = 0; index < 4; index++) {
        pthread_attr_t attributes;
        NEED(pthread_attr_init(&attributes) == 0);
        NEED(index % 2 == 0 || pthread_attr_setstack(&attributes, stack(), STACK_BYTES) == 0);
        NEED(pthread_create(&threads[index], &attributes, work, NULL) == 0);
    }
    for (int index = 0; index < 4; index++) {
        NEED(pthread_join(threads[index], NULL) == 0);
    }
}

static int running = 1;
enum {
    FLAGS = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID
};

// The thread uses the thread-local memory of the one that waits here, which touches none of it meanwhile.
static void wait_for_end(void) {
    for (int now; (now = __atomic_load_n(&running, __ATOMIC_ACQUIRE)) != 0;) {
        syscall(SYS_futex, &running, FUTEX_WAIT, now, NULL, NULL, 0);
    }
}

static int cloned(void *argument) {
    work(argument);
    return 0;
}

static void by_clone(void) {
    NEED(clone(cloned, stack() + STACK_BYTES, FLAGS, NULL, NULL, NULL, &running) > 0);
    wait_for_end();
}

// long bare_clone(long flags, void *stack, int *running, void *(*work)(void *)): its thread begins in `bare_start`,
// which has no table and clears the frame pointer, as a thread's first function does.
long bare_clone(long flags, void *stack, int *running, void *(*work)(void *));
__asm__(".text\n"
        ".type bare_clone, @function\n"
        "bare_clone:\n"
        "    movq %rdx, %r10\n"
        "    xorl %edx, %edx\n"
        "    movq %rcx, %r12\n"
        "    movl $56, %eax\n"
        "    syscall\n"
        "    testq %rax, %rax\n"
        "    jz bare_start\n"
        "    ret\n"
        ".size bare_clone, . - bare_clone\n"
        ".type bare_start, @function\n"
        "bare_start:\n"
        "    xorl %ebp, %ebp\n"
        "    xorl %edi, %edi\n"
        "    call *%r12\n"
        "    movl $60, %eax\n"
        "    xorl %edi, %edi\n"
        "    syscall\n"
        ".size bare_start, . - bare_start\n");

static void bare(void) {
    // The first word is never read: the thread's first function has no caller.
    NEED(bare_clone(FLAGS, stack() + STACK_BYTES, &running, work) > 0);
    wait_for_end();
}

int main(int count, char **arguments) {
    NEED(count == 2);
    stacks_start();
    switch (arguments[1][0]) {
    case 'p': pthreads(); break;
    case 'c': by_clone(); break;
    case 'b': bare(); break;
    default: NEED(!"a mode that is known");
    }
    stacks_end();
}
