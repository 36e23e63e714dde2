// Starts short processes at a rate: `spawner RATE SECONDS PROGRAM ARGUMENT ...`. The truth has how many ran well.

#define _GNU_SOURCE
#include "truth.h"

#include <spawn.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int main(int count, char **arguments) {
    NEED(count >= 4);
    uint64_t rate = (uint64_t)atoi(arguments[1]), wanted = rate * (uint64_t)atoi(arguments[2]);
    uint64_t spawned = 0, well = 0, reaped = 0;
    truth_ready();
    uint64_t start = now_ns();
    while (reaped < wanted) {
        pid_t pid;
        // As many as are due; a machine that is too slow gets a longer run rather than fewer processes.
        while (spawned < wanted && spawned < (now_ns() - start) * rate / 1000000000u && spawned - reaped < 200) {
            NEED(posix_spawn(&pid, arguments[3], NULL, NULL, &arguments[3], environ) == 0);
            spawned++;
        }
        int status = 0;
        pid = waitpid(-1, &status, WNOHANG);
        if (pid > 0) {
            reaped++;
            well += status == 0;
        } else {
            usleep(500);
        }
    }
    truth_value("spawned", spawned);
    truth_value("well", well);
    truth_value("milliseconds", (now_ns() - start) / 1000000);
    truth_print();
    truth_hold();
    return 0;
}
