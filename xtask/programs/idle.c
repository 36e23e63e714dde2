// Processes that have next to nothing to do: a target of `cargo xtask bench --only idle`.
//
//   idle COUNT
//
// Each of COUNT children wakes ten times a second to see whether its input is at its end, and does no more. The first process waits for them.
//
//   stdout  "ready" when all are there
//   ends    with stdin
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TICK_MS = 100 };

static void idle(void) {
    struct pollfd input = {.fd = 0, .events = POLLIN};
    char byte;
    while (poll(&input, 1, TICK_MS) == 0 || read(0, &byte, 1) > 0) {
    }
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    for (long left = strtol(arguments[1], NULL, 10); left > 0; left--) {
        pid_t child = fork();
        if (child < 0) abort();
        if (child == 0) {
            idle();
            _exit(0);
        }
    }
    dprintf(1, "ready\n");
    while (wait(NULL) > 0) {
    }
    return 0;
}
