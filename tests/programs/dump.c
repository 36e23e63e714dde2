// Threads that wait in known functions, or do not: `dump waits`, `dump busy`, `dump many N`, `dump vfork`, `dump blocked N`, `dump signal`,
// `dump deep N`, `dump swaps LIBRARY LIBRARY`.
//
// Each thread prints which functions of this program it is in, innermost first: `chain TID f g h`. The program is done when its input
// ends, prints what it has found of its own calls, and fails when a call did not do what it must.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
#define NEED(what) ((what) ? (void)0 : fail(#what, __LINE__))

static _Noreturn void fail(const char *what, int line) {
    fprintf(stderr, "line %d: %s: %s\n", line, what, strerror(errno));
    _exit(3);
}

static atomic_bool over;
static atomic_long interrupted, done;
static pthread_barrier_t started;

static void chain(const char *functions) {
    char line[300];
    int length = snprintf(line, sizeof line, "chain %ld %s\n", syscall(SYS_gettid), functions);
    NEED(write(STDOUT_FILENO, line, (size_t)length) == length);
}

static void say(const char *text) {
    NEED(write(STDOUT_FILENO, text, strlen(text)) == (ssize_t)strlen(text));
}

// A level between: something is left to do after the call, so it stays a call.
#define THROUGH(name, next)                                                                                                        \
    static NOINLINE long name(void *argument) {                                                                                   \
        volatile char room[40 + __LINE__ % 50];                                                                                   \
        room[0] = 1;                                                                                                              \
        long result = next(argument) + room[0];                                                                                   \
        return result;                                                                                                            \
    }
#define THREAD(name, next, functions)                                                                                             \
    static NOINLINE void *name(void *argument) {                                                                                  \
        prctl(PR_SET_NAME, #name);                                                                                                \
        chain(functions " " #name);                                                                                               \
        pthread_barrier_wait(&started);                                                                                           \
        long result = next(argument);                                                                                             \
        return (void *)(result & 1);                                                                                              \
    }

static int pipes[2];

static NOINLINE long in_read(void *argument) {
    (void)argument;
    char byte;
    long got = read(pipes[0], &byte, 1);
    NEED(got == 0);
    return got;
}
THROUGH(read_two, in_read)
THROUGH(read_one, read_two)
THREAD(reader, read_one, "in_read read_two read_one")

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

static NOINLINE long in_condition(void *argument) {
    (void)argument;
    NEED(pthread_mutex_lock(&mutex) == 0);
    while (!over) {
        NEED(pthread_cond_wait(&condition, &mutex) == 0);
    }
    NEED(pthread_mutex_unlock(&mutex) == 0);
    return 1;
}
THROUGH(condition_one, in_condition)
THREAD(conditioned, condition_one, "in_condition condition_one")

static NOINLINE long in_epoll(void *argument) {
    (void)argument;
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    NEED(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[0], &event) == 0);
    int got = epoll_wait(epoll, &event, 1, -1);
    if (got < 0 && errno == EINTR) {
        interrupted++;
    } else {
        NEED(got == 1);
    }
    close(epoll);
    return got;
}
THROUGH(epoll_one, in_epoll)
THREAD(epoller, epoll_one, "in_epoll epoll_one")

static NOINLINE long spin(void *argument) {
    (void)argument;
    volatile long turns = 0;
    while (!over) {
        turns++;
    }
    return turns;
}
THROUGH(spin_two, spin)
THROUGH(spin_one, spin_two)
THREAD(spinner, spin_one, "spin spin_two spin_one")

// Blocking calls of all kinds, over and over, each with its result checked.
static NOINLINE long work(void *argument) {
    (void)argument;
    int own[2];
    NEED(pipe(own) == 0);
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    NEED(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, own[0], &event) == 0);
    uint64_t sum = 0, wanted = 0;
    for (uint64_t turn = 1; !over; turn++) {
        for (uint64_t step = 0; step < 5000; step++) {
            sum += turn ^ step;
            __asm__ volatile("" : "+r"(sum));
        }
        for (uint64_t step = 5000; step-- > 0;) {
            wanted += turn ^ step;
        }
        NEED(sum == wanted);
        struct timespec nap = {.tv_nsec = 300000};
        if (nanosleep(&nap, NULL) != 0) {
            NEED(errno == EINTR);
            interrupted++;
        }
        struct pollfd fd = {.fd = own[0], .events = POLLIN};
        int got = poll(&fd, 1, 1);
        if (got != 0) {
            NEED(got < 0 && errno == EINTR);
            interrupted++;
        }
        got = epoll_wait(epoll, &event, 1, 1);
        if (got != 0) {
            NEED(got < 0 && errno == EINTR);
            interrupted++;
        }
        char byte = (char)turn, back = 0;
        NEED(write(own[1], &byte, 1) == 1 && read(own[0], &back, 1) == 1 && byte == back);
        done++;
    }
    return (long)sum;
}
THROUGH(work_one, work)
THREAD(worker, work_one, "work work_one")

// A thread whose child has borrowed its memory sleeps uninterruptibly until that is done. Without the C library's function, whose return
// address is in a register.
static NOINLINE long in_vfork(void *argument) {
    (void)argument;
    long child;
    __asm__ volatile("syscall" : "=a"(child) : "a"(SYS_vfork) : "rcx", "r11", "memory");
    if (child == 0) {
        char byte;
        while (read(STDIN_FILENO, &byte, 1) > 0) {
        }
        _exit(0);
    }
    int status;
    NEED(child > 0 && waitpid((pid_t)child, &status, 0) == child && status == 0);
    return 1;
}

static NOINLINE void *blocked(void *argument) {
    pthread_barrier_wait(&started);
    in_vfork(argument);
    return NULL;
}

// A kibibyte each.
static NOINLINE long deep(long levels) {
    volatile char room[1024];
    room[0] = 1;
    if (levels > 1) {
        return deep(levels - 1) + room[0];
    }
    char byte;
    say("ready \n");
    long got = read(STDIN_FILENO, &byte, 1);
    NEED(got == 0);
    return got + room[0];
}

// Two libraries by turns, at the same address: each is called by a function of its own.
static NOINLINE long call_one(long (*function)(atomic_bool *)) {
    volatile long result = function(&over);
    return result;
}
static NOINLINE long call_two(long (*function)(atomic_bool *)) {
    volatile long result = function(&over);
    return result;
}
static char **libraries;
static NOINLINE long swap(void *argument) {
    (void)argument;
    while (!over) {
        for (int turn = 0; turn < 2; turn++) {
            void *library = dlopen(libraries[turn], RTLD_NOW);
            NEED(library != NULL);
            long (*function)(atomic_bool *) = (long (*)(atomic_bool *))dlsym(library, turn == 0 ? "in_one" : "in_two");
            NEED(function != NULL);
            NEED((turn == 0 ? call_one : call_two)(function) > 0);
            NEED(dlclose(library) == 0);
            done++;
        }
    }
    return 1;
}
THREAD(swapper, swap, "swap")

// A handler on a stack of its own, which waits.
static NOINLINE long in_handler(void *argument) {
    (void)argument;
    char byte;
    return read(pipes[0], &byte, 1);
}
static NOINLINE void handler(int number) {
    chain("in_handler handler raises raise_one");
    volatile long got = in_handler(&number);
    (void)got;
}
static NOINLINE long raises(void *argument) {
    (void)argument;
    stack_t stack = {.ss_sp = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), .ss_size = 1 << 16};
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    NEED(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
    NEED(raise(SIGUSR1) == 0);
    return 1;
}
THROUGH(raise_one, raises)

static NOINLINE void *sleeper(void *argument) {
    pthread_barrier_wait(&started);
    in_read(argument);
    return NULL;
}

static void start(void *(**functions)(void *), pthread_t *threads, int count) {
    pthread_attr_t attributes;
    NEED(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 256 << 10) == 0);
    NEED(pthread_barrier_init(&started, NULL, (unsigned)count + 1) == 0);
    for (int index = 0; index < count; index++) {
        NEED(pthread_create(&threads[index], &attributes, functions[index], NULL) == 0);
    }
    pthread_barrier_wait(&started);
}

// Waits for the end of the input, which is told to all.
static NOINLINE void until_told(void) {
    char byte;
    say("ready \n");
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    over = true;
    NEED(pthread_mutex_lock(&mutex) == 0 && pthread_cond_broadcast(&condition) == 0);
    NEED(pthread_mutex_unlock(&mutex) == 0);
    close(pipes[1]);
}

static void run(void *(**functions)(void *), int count) {
    pthread_t *threads = calloc((size_t)count, sizeof *threads);
    NEED(threads != NULL);
    start(functions, threads, count);
    until_told();
    for (int index = 0; index < count; index++) {
        NEED(pthread_join(threads[index], NULL) == 0);
    }
    char line[100];
    snprintf(line, sizeof line, "done %ld interrupted %ld\n", (long)done, (long)interrupted);
    say(line);
}

int main(int count, char **arguments) {
    NEED(count >= 2 && pipe(pipes) == 0);
    const char *mode = arguments[1];
    if (strcmp(mode, "waits") == 0) {
        void *(*functions[])(void *) = {reader, conditioned, epoller, spinner};
        run(functions, 4);
    } else if (strcmp(mode, "rests") == 0) {
        void *(*functions[])(void *) = {reader, conditioned, epoller};
        run(functions, 3);
    } else if (strcmp(mode, "busy") == 0) {
        void *(*functions[])(void *) = {worker, worker, worker};
        run(functions, 3);
    } else if (strcmp(mode, "many") == 0 || strcmp(mode, "blocked") == 0) {
        int wanted = atoi(arguments[2]);
        void *(**functions)(void *) = calloc((size_t)wanted, sizeof *functions);
        for (int index = 0; index < wanted; index++) {
            functions[index] = mode[0] == 'm' ? sleeper : blocked;
        }
        run(functions, wanted);
    } else if (strcmp(mode, "deep") == 0) {
        NEED(deep(atol(arguments[2])) > 0);
    } else if (strcmp(mode, "swaps") == 0) {
        libraries = arguments + 2;
        void *(*functions[])(void *) = {swapper};
        run(functions, 1);
    } else if (strcmp(mode, "vfork") == 0) {
        say("ready \n");
        pid_t child = vfork();
        if (child == 0) {
            char byte;
            while (read(STDIN_FILENO, &byte, 1) > 0) {
            }
            _exit(0);
        }
        int status;
        NEED(child > 0 && waitpid(child, &status, 0) == child && status == 0);
        say("done 1 interrupted 0\n");
    } else if (strcmp(mode, "signal") == 0) {
        say("ready \n");
        NEED(raise_one(NULL) > 0);
    } else {
        NEED(!"a mode that is known");
    }
}
