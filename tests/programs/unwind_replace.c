// A process that starts others, and then becomes another: `unwind-replace PROGRAM`.

#define _GNU_SOURCE
#include "stacks.h"

#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

enum { CHILDREN = 10 };

STACKS_SITE(site_before);
STACKS_SITE(site_after_vfork);
STACKS_SITE(site_after_fork);
STACKS_SITE(site_after_spawn);

static void ended(pid_t child) {
    int status;
    NEED(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

// The child shares the memory, and for a while the stack, of its parent.
static NOINLINE void with_vfork(int number) {
    char buffer[300];
    STACKS_USE(buffer);
    pid_t child = vfork();
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    STACKS_USE(site_after_vfork((size_t)number + 1));
    ended(child);
    STACKS_USE(buffer);
}

static NOINLINE void with_fork(int number) {
    pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    STACKS_USE(site_after_fork((size_t)number + 1));
    ended(child);
}

static NOINLINE void with_spawn(int number) {
    char *arguments[] = {(char[]){"true"}, NULL};
    pid_t child;
    NEED(posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ) == 0);
    STACKS_USE(site_after_spawn((size_t)number + 1));
    ended(child);
}

int main(int count, char **arguments) {
    NEED(count == 2);
    stacks_start();
    for (int number = 0; number < CHILDREN; number++) {
        STACKS_USE(site_before((size_t)number + 1));
        with_vfork(number);
        with_fork(number);
        with_spawn(number);
    }
    stacks_print();
    truth_write("replaced\n");
    // Without the word to become another it ends here.
    if (truth_line()) {
        execv(arguments[1], (char *[]){arguments[1], NULL});
        _exit(96);
    }
}
