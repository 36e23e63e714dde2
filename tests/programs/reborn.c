// Two processes of the same number, one after the other: `reborn`. Needs the right to choose a process's number.
//
// It prints `ready PID` with the number that the first child has. After a line that child allocates and prints `born 1`;
// after the next it is gone and another child, with the same number, prints `born 2`, and allocates after a further line.

#define _GNU_SOURCE
#include "truth.h"

#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int commands[2], done[2];

SITE(site_first_life);
static NOINLINE void site_first_life(size_t size) {
    NEED(malloc(size) != NULL);
}

SITE(site_second_life);
static NOINLINE void site_second_life(size_t size) {
    NEED(malloc(size) != NULL);
}

static void wait_command(void) {
    char byte;
    if (read(commands[0], &byte, 1) != 1) {
        _exit(0);
    }
}

static pid_t child(pid_t number, void (*site)(size_t)) {
    struct clone_args arguments;
    memset(&arguments, 0, sizeof arguments);
    arguments.exit_signal = SIGCHLD;
    if (number != 0) {
        arguments.set_tid = (uint64_t)(uintptr_t)&number;
        arguments.set_tid_size = 1;
    }
    pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    NEED(pid >= 0);
    if (pid > 0) {
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(commands[1]);
    wait_command();
    for (int block = 0; block < 30; block++) {
        site(100);
    }
    NEED(write(done[1], "d", 1) == 1);
    wait_command();
    _exit(0);
}

static void command(void) {
    char byte;
    NEED(write(commands[1], "c", 1) == 1);
    NEED(read(done[0], &byte, 1) == 1);
}

int main(void) {
    NEED(pipe(commands) == 0 && pipe(done) == 0);
    pid_t first = child(0, site_first_life);
    truth_pid = first;
    truth_ready();
    command();
    truth_write("born 1\n");
    NEED(truth_line());
    NEED(kill(first, SIGKILL) == 0 && waitpid(first, NULL, 0) == first);
    pid_t second = child(first, site_second_life);
    NEED(second == first);
    truth_write("born 2\n");
    NEED(truth_line());
    command();
    site_first_life_truth.bytes = site_second_life_truth.bytes = 3000;
    site_first_life_truth.count = site_second_life_truth.count = 30;
    site_first_life_truth.allocated_bytes = site_second_life_truth.allocated_bytes = 3000;
    site_first_life_truth.allocated_count = site_second_life_truth.allocated_count = 30;
    truth_print();
    truth_hold();
    NEED(kill(second, SIGKILL) == 0 && waitpid(second, NULL, 0) == second);
    return 0;
}
