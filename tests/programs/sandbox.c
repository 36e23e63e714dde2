// A program that the kernel kills for any system call it has not announced: `sandbox filter|strict`.

#define _GNU_SOURCE
#include "truth.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

SITE(site_sandboxed);
static NOINLINE void *site_sandboxed(size_t size) {
    void *address = malloc(size);
    NEED(address != NULL);
    truth_took(&site_sandboxed_truth, size);
    return address;
}

#define ALLOW(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static void set_filter(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(SYS_read),
        ALLOW(SYS_write),
        ALLOW(SYS_brk),
        ALLOW(SYS_mmap),
        ALLOW(SYS_munmap),
        ALLOW(SYS_mremap),
        ALLOW(SYS_exit),
        ALLOW(SYS_exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog filter = {sizeof code / sizeof *code, code};
    NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    NEED(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

int main(int count, char **arguments) {
    NEED(count == 2);
    // The first malloc asks for random bytes, and strict mode has no call that makes the heap larger.
    free(malloc(100000));
    if (strcmp(arguments[1], "strict") == 0) {
        NEED(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
    } else {
        set_filter();
    }
    truth_ready();
    for (size_t index = 0; index < 200; index++) {
        void *address = site_sandboxed(50 + index);
        if (index % 4 == 0) {
            truth_gave(&site_sandboxed_truth, 50 + index);
            free(address);
        }
    }
    truth_print();
    truth_hold();
    // More of the same after the tracer has gone, to show that the program still can.
    for (size_t index = 0; index < 200; index++) {
        free(site_sandboxed(60));
    }
    truth_write("unharmed\n");
    syscall(SYS_exit, 0);
}
