// Calls of malloc that never return: `dying MODE`.
//
// malloc of a large size maps memory. A filter answers one mapping of a certain length with a signal, which
// so arrives inside malloc, at the same place every time. `jump` leaves it with siglongjmp, to a frame whose
// later calls are deeper in the stack (`jump-deep`) or not; `exit` ends the thread there, its lock held.

#define _GNU_SOURCE
#include "truth.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

// The fatal request, and the length glibc maps for it: with its header, in whole pages.
#define FATAL_SIZE ((size_t)0x3210000)
#define FATAL_LENGTH (FATAL_SIZE + 0x1000)

static int ends_thread;
static __thread sigjmp_buf outside;

static void on_trap(int number) {
    (void)number;
    if (ends_thread) {
        syscall(SYS_exit, 0);
    }
    siglongjmp(outside, 1);
}

static void set_trap(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FATAL_LENGTH, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof code / sizeof *code, code};
    struct sigaction action = {.sa_handler = on_trap, .sa_flags = SA_NODEFER};
    NEED(sigaction(SIGSYS, &action, NULL) == 0);
    NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    NEED(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

SITE(site_abandoned);
static NOINLINE void site_abandoned(void) {
    void *volatile address = malloc(FATAL_SIZE);
    NEED(!"the trap in malloc");
    (void)address;
}

SITE(site_after);
static NOINLINE void *site_after(size_t size) {
    void *address = malloc(size);
    NEED(address != NULL);
    truth_took(&site_after_truth, size);
    return address;
}

SITE(site_deeper);
static NOINLINE void site_deeper(int depth) {
    char volatile room[256];
    room[0] = (char)depth;
    if (depth > 0) {
        site_deeper(depth - 1);
        room[1] = room[0];
        return;
    }
    NEED(malloc(40) != NULL);
    truth_took(&site_deeper_truth, 40);
}

static void leave(void) {
    if (sigsetjmp(outside, 1) == 0) {
        site_abandoned();
    }
}

static void *fatal_thread(void *unused) {
    (void)unused;
    // The thread's first block gives it an arena of its own, so that only its own lock stays held.
    free(malloc(64));
    leave();
    return NULL;
}

static void *other_thread(void *unused) {
    (void)unused;
    for (int round = 0; round < 50; round++) {
        site_after(64);
    }
    return NULL;
}

int main(int count, char **arguments) {
    NEED(count == 2);
    const char *mode = arguments[1];
    pthread_t thread;
    truth_ready();
    set_trap();
    if (strcmp(mode, "exit") == 0) {
        ends_thread = 1;
        for (int round = 0; round < 3; round++) {
            NEED(pthread_create(&thread, NULL, fatal_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
            NEED(pthread_create(&thread, NULL, other_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
            site_after(1000);
        }
    } else {
        for (int round = 0; round < 3; round++) {
            leave();
            if (strcmp(mode, "jump-deep") == 0) {
                site_deeper(50);
            }
            site_after(1000);
        }
    }
    truth_value("abandoned", 3);
    truth_print();
    truth_hold();
    return 0;
}
