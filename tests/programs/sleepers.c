// Very many processes that do almost nothing: `sleepers COUNT`. At the word to go each takes two blocks and frees one.

#define _GNU_SOURCE
#include "truth.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

SITE(site_sleeper);
static NOINLINE void *site_sleeper(size_t size) {
    void *address = malloc(size);
    NEED(address != NULL);
    return address;
}

static _Noreturn void sleeper(int wake, uint32_t *awake) {
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    NEED(read(wake, &byte, 1) == 0);
    site_sleeper(1000);
    free(site_sleeper(24));
    __atomic_add_fetch(awake, 1, __ATOMIC_RELAXED);
    for (;;) {
        pause();
    }
}

int main(int count, char **arguments) {
    NEED(count == 2);
    uint64_t number = (uint64_t)atoi(arguments[1]);
    int wake[2];
    uint32_t *awake = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    NEED(awake != MAP_FAILED && pipe(wake) == 0);
    for (uint64_t index = 0; index < number; index++) {
        pid_t pid = fork();
        NEED(pid >= 0);
        if (pid == 0) {
            close(wake[1]);
            sleeper(wake[0], awake);
        }
    }
    truth_ready();
    close(wake[1]);
    while (__atomic_load_n(awake, __ATOMIC_RELAXED) < number) {
        usleep(2000);
    }
    // The sleepers' own, of which this process has none.
    site_sleeper_truth.bytes = number * 1000;
    site_sleeper_truth.count = number;
    site_sleeper_truth.allocated_bytes = number * 1024;
    site_sleeper_truth.allocated_count = number * 2;
    truth_print();
    truth_hold();
    // The others end with this one.
    return 0;
}
