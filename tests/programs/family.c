// A process and its children: `family prefork CHILDREN`, `family spawn PROGRAM BEFORE AFTER`.
//
// prefork: the parent allocates and forks; each child frees some of what it inherited, moves some, and allocates its own;
// the first has a child itself. On a line each does it once more. A child prints `child {json}` after each stage, with its
// pid, what is left of its inheritance, and its own sites from its beginning on.
//
// spawn: the same program is started in every way there is, with another size each time (known.c).

#define _GNU_SOURCE
#include "truth.h"

#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

extern char **environ;

enum { INHERITED = 120, MAPPED = 8, PAGES = 16 * 4096, MOST = 64 };

static void *inherited[INHERITED];
static char *mapped[MAPPED];
static uint64_t inherited_bytes, inherited_count;

static size_t inherited_size(int index) {
    return 100 + (size_t)index * 10;
}

TAKER(site_inherited)
TAKER(site_child)
TAKER(site_grandchild)

SITE(site_mapped);
static NOINLINE char *site_mapped(void) {
    char *address = mmap(NULL, PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(address != MAP_FAILED);
    truth_took(&site_mapped_truth, PAGES);
    return address;
}

MOVER(site_moved)

// A forked process has allocated nothing yet: what it finds is its parent's.
static void begin_anew(void) {
    for (struct site *site = truth_sites; site != NULL; site = site->next) {
        inherited_bytes += site->bytes;
        inherited_count += site->count;
        site->bytes = site->count = site->allocated_bytes = site->allocated_count = 0;
    }
}

static void lose(uint64_t size) {
    inherited_bytes -= size;
    inherited_count -= 1;
}

// What a child does in a stage: every stage has its own part of the inheritance.
static void child_work(int number, int stage) {
    for (int index = stage; index < INHERITED; index += 2 * (number + 2)) {
        lose(inherited_size(index));
        if (index % 3 == 0) {
            inherited[index] = site_moved(inherited[index], 2 * inherited_size(index));
        } else {
            free(inherited[index]);
        }
    }
    NEED(munmap(mapped[2 * (number % 2) + stage], PAGES) == 0);
    lose(PAGES);
    for (int block = 0; block < 50 + number; block++) {
        void *address = site_child(500 + (size_t)number);
        if (block % 2 == 0) {
            truth_gave(&site_child_truth, 500 + (size_t)number);
            free(address);
        }
    }
    // A block of the parent's may not be looked up by an address that the child has taken again.
    void *again = site_child(inherited_size(1));
    truth_gave(&site_child_truth, inherited_size(1));
    free(again);
}

// One line, written at once so that lines of several processes do not mix.
static void print_child(int stage) {
    char text[4096];
    int length = snprintf(text, sizeof text, "child {\"sites\": {");
    for (struct site *site = truth_sites; site != NULL; site = site->next) {
        length += snprintf(
            text + length, sizeof text - (size_t)length,
            "\"%s\": {\"bytes\": %llu, \"count\": %llu, \"allocated_bytes\": %llu, \"allocated_count\": %llu}%s",
            site->name, (unsigned long long)site->bytes, (unsigned long long)site->count,
            (unsigned long long)site->allocated_bytes, (unsigned long long)site->allocated_count,
            site->next ? ", " : "");
    }
    length += snprintf(text + length, sizeof text - (size_t)length,
                       "}, \"values\": {\"pid\": %d, \"parent\": %d, \"stage\": %d, \"inherited_bytes\": %llu, "
                       "\"inherited_count\": %llu}}\n",
                       getpid(), getppid(), stage, (unsigned long long)inherited_bytes,
                       (unsigned long long)inherited_count);
    NEED(length < (int)sizeof text && write(1, text, (size_t)length) == length);
}

// A pipe to each child, and one back. The end of a child's pipe is its word to end.
static int commands[MOST][2], done[2];

static int next_command(int number) {
    char byte;
    return read(commands[number][0], &byte, 1) == 1;
}

static void say_done(void) {
    NEED(write(done[1], "d", 1) == 1);
}

static _Noreturn void grandchild(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    begin_anew();
    free(inherited[1]);
    lose(inherited_size(1));
    site_grandchild(12345);
    print_child(0);
    say_done();
    // It ends with its parent.
    for (;;) {
        pause();
    }
}

static _Noreturn void child(int number) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int each = 0; each <= number; each++) {
        close(commands[each][1]);
    }
    begin_anew();
    child_work(number, 0);
    print_child(0);
    if (number == 0) {
        pid_t pid = fork();
        NEED(pid >= 0);
        if (pid == 0) {
            grandchild();
        }
    }
    say_done();
    NEED(next_command(number));
    child_work(number, 1);
    print_child(1);
    say_done();
    NEED(!next_command(number));
    _exit(0);
}

static void wait_done(int processes) {
    char byte;
    for (int process = 0; process < processes; process++) {
        NEED(read(done[0], &byte, 1) == 1);
    }
}

static void prefork(int children) {
    pid_t pids[MOST];
    NEED(children >= 1 && children <= MOST && pipe(done) == 0);
    for (int index = 0; index < INHERITED; index++) {
        inherited[index] = site_inherited(inherited_size(index));
    }
    for (int index = 0; index < MAPPED; index++) {
        mapped[index] = site_mapped();
    }
    for (int number = 0; number < children; number++) {
        NEED(pipe(commands[number]) == 0);
        pids[number] = fork();
        NEED(pids[number] >= 0);
        if (pids[number] == 0) {
            child(number);
        }
    }
    wait_done(children + 1);
    truth_write("forked\n");
    NEED(truth_line());
    for (int number = 0; number < children; number++) {
        NEED(write(commands[number][1], "c", 1) == 1);
    }
    wait_done(children);
    // The parent's own go on too, and are nobody else's.
    free(inherited[0]);
    truth_gave(&site_inherited_truth, inherited_size(0));
    site_inherited(777);
    truth_print();
    truth_hold();
    for (int number = 0; number < children; number++) {
        int status = 0;
        close(commands[number][1]);
        NEED(waitpid(pids[number], &status, 0) == pids[number] && status == 0);
    }
}

static char *program, *before, *after;

static char **arguments_of(char *size) {
    static char *arguments[8][6];
    static int used;
    char **filled = arguments[used++];
    filled[0] = program;
    filled[1] = size;
    filled[2] = "40";
    filled[3] = before;
    filled[4] = after;
    return filled;
}

static void *exec_in_thread(void *arguments) {
    execv(program, (char **)arguments);
    _exit(96);
}

static void spawn(void) {
    pid_t pids[4];
    char **first = arguments_of("101"), **second = arguments_of("102"), **third = arguments_of("103"),
         **fourth = arguments_of("104");
    NEED(posix_spawn(&pids[0], program, NULL, NULL, first, environ) == 0);
    pids[1] = vfork();
    if (pids[1] == 0) {
        execv(program, second);
        _exit(96);
    }
    pids[2] = fork();
    if (pids[2] == 0) {
        execv(program, third);
        _exit(96);
    }
    pids[3] = fork();
    if (pids[3] == 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, exec_in_thread, fourth);
        pause();
    }
    const char *names[4] = {"posix_spawn", "vfork", "fork", "thread"};
    for (int index = 0; index < 4; index++) {
        truth_value(names[index], (uint64_t)pids[index]);
    }
    site_inherited(4321);
    int ended = 0;
    for (int index = 0; index < 4; index++) {
        int status = 0;
        ended += waitpid(pids[index], &status, 0) == pids[index] && status == 0;
    }
    truth_value("ended", (uint64_t)ended);
    truth_print();
    truth_hold();
}

int main(int count, char **arguments) {
    NEED(count >= 3);
    signal(SIGPIPE, SIG_IGN);
    if (strcmp(arguments[1], "prefork") == 0) {
        truth_ready();
        prefork(atoi(arguments[2]));
    } else {
        NEED(count == 5 && strcmp(arguments[1], "spawn") == 0);
        program = arguments[2];
        before = arguments[3];
        after = arguments[4];
        truth_ready();
        spawn();
    }
    return 0;
}
