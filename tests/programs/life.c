// What happens to processes and threads: `life MODE`.

#define _GNU_SOURCE
#include "truth.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

extern char **environ;

SITE(site_plain);
static NOINLINE void *site_plain(size_t size) {
    void *address = malloc(size);
    NEED(address != NULL);
    truth_took(&site_plain_truth, size);
    return address;
}

SITE(site_churn);
static NOINLINE void site_churn(size_t size) {
    void *address = malloc(size);
    NEED(address != NULL);
    truth_took(&site_churn_truth, size);
    truth_gave(&site_churn_truth, size);
    free(address);
}

SITE(site_before_exec);
static NOINLINE void *site_before_exec(size_t size) {
    void *address = malloc(size);
    truth_took(&site_before_exec_truth, size);
    return address;
}

SITE(site_after_exec);
static NOINLINE void *site_after_exec(size_t size) {
    void *address = malloc(size);
    truth_took(&site_after_exec_truth, size);
    return address;
}

// Only ever called in a child: its blocks are none of the traced process.
SITE(site_child);
static NOINLINE void *site_child(size_t size) {
    return malloc(size);
}

SITE(site_deep);
static NOINLINE int site_deep(int depth) {
    if (depth > 0) {
        return site_deep(depth - 1) + 1;
    }
    NEED(malloc(333) != NULL);
    truth_took(&site_deep_truth, 333);
    return 0;
}

SITE_NAMED(plugin, "site_plugin");
SITE_NAMED(second_plugin, "site_second_plugin");

static void give(void *address, size_t size) {
    truth_gave(&site_plain_truth, size);
    free(address);
}

// A known set: 90 blocks live of 100.
static void plain(void) {
    for (size_t index = 0; index < 100; index++) {
        void *address = site_plain(100 + index);
        if (index % 10 == 0) {
            give(address, 100 + index);
        }
    }
}

static void exec_self(const char *mode) {
    execl("/proc/self/exe", "life", mode, (char *)NULL);
    _exit(96);
}

static void exec(void) {
    for (int index = 0; index < 10; index++) {
        site_before_exec(5000);
    }
    exec_self("after-exec");
}

// The child frees its copies of the parent's blocks and allocates at a site of its own, at the same
// addresses; none of it is the parent's.
static void fork_child(void) {
    void *shared[20];
    int done[2], stay[2];
    char byte = 0;
    for (int index = 0; index < 20; index++) {
        shared[index] = site_plain(256);
    }
    NEED(pipe(done) == 0 && pipe(stay) == 0);
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0) {
        close(stay[1]);
        for (int index = 0; index < 20; index++) {
            free(shared[index]);
            site_child(256);
        }
        NEED(write(done[1], &byte, 1) == 1);
        _exit(read(stay[0], &byte, 1) == 0 ? 0 : 1);
    }
    NEED(read(done[0], &byte, 1) == 1);
    for (int index = 0; index < 5; index++) {
        give(shared[index], 256);
        site_plain(640);
    }
    truth_print();
    truth_hold();
    close(stay[1]);
    int status;
    NEED(waitpid(child, &status, 0) == child && status == 0);
    _exit(0);
}

static void vfork_child(void) {
    char *arguments[] = {"life", "brief", "0", NULL};
    for (int round = 0; round < 5; round++) {
        int status;
        site_plain(100);
        pid_t child = vfork();
        if (child == 0) {
            exec_self("child");
        }
        NEED(child > 0 && waitpid(child, &status, 0) == child && status == 0);
        NEED(posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ) == 0);
        NEED(waitpid(child, &status, 0) == child && status == 0);
        site_plain(50);
    }
}

static void call_plugin(const char *name, const char *path, struct site *site) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    NEED(library != NULL);
    void (*leak)(size_t);
    *(void **)&leak = dlsym(library, name);
    NEED(leak != NULL);
    for (size_t index = 0; index < 10; index++) {
        leak(64 + index);
        truth_took(site, 64 + index);
    }
    usleep(300000);
    NEED(dlclose(library) == 0);
}

// Two libraries after each other, most likely at the same addresses.
static void plugins(void) {
    call_plugin("site_plugin", getenv("PLUGIN"), &plugin_truth);
    call_plugin("site_second_plugin", getenv("SECOND_PLUGIN"), &second_plugin_truth);
}

static void *storm_thread(void *argument) {
    size_t number = (size_t)argument;
    for (int round = 0; round < 20; round++) {
        site_churn(32 + number);
    }
    site_plain(number + 1);
    return NULL;
}

// 200 threads at once, twice, so that thread ids and stacks come back.
static void storm(void) {
    pthread_t threads[200];
    for (int wave = 0; wave < 2; wave++) {
        for (size_t index = 0; index < 200; index++) {
            NEED(pthread_create(&threads[index], NULL, storm_thread, (void *)index) == 0);
        }
        for (size_t index = 0; index < 200; index++) {
            NEED(pthread_join(threads[index], NULL) == 0);
        }
    }
}

static volatile int stopped;

static void *stop_at_line(void *unused) {
    (void)unused;
    truth_line();
    stopped = 1;
    return NULL;
}

// Works until it is told to stop.
static void churn(void) {
    pthread_t thread;
    plain();
    NEED(pthread_create(&thread, NULL, stop_at_line, NULL) == 0);
    truth_write("working\n");
    while (!stopped) {
        for (size_t size = 1; size < 200; size++) {
            site_churn(size);
        }
    }
    pthread_join(thread, NULL);
}

static pthread_t named_thread;

static void *wait_forever(void *unused) {
    char text[64];
    snprintf(text, sizeof text, "thread %d\n", (int)gettid());
    truth_write(text);
    pause();
    return unused;
}

// Code from more files than a process may usually have open.
static void map_files(void) {
    for (int index = 0; index < 1500; index++) {
        char name[32];
        snprintf(name, sizeof name, "code-%d", index);
        int file = memfd_create(name, 0);
        NEED(file >= 0 && ftruncate(file, 4096) == 0);
        NEED(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0) != MAP_FAILED);
        close(file);
    }
}

static volatile sig_atomic_t interrupts;
static void on_interrupt(int number) {
    (void)number;
    interrupts++;
}

// Counts interrupts until a second has passed without one more.
static void count_interrupts(void) {
    struct sigaction action = {.sa_handler = on_interrupt};
    NEED(sigaction(SIGINT, &action, NULL) == 0);
    truth_write("waiting\n");
    while (interrupts == 0) {
        usleep(10000);
    }
    for (int index = 0; index < 100; index++) {
        usleep(10000);
    }
    char text[64];
    snprintf(text, sizeof text, "interrupts %d\n", (int)interrupts);
    truth_write(text);
}

// Work on a line's word.
static void on_word(const char *mark) {
    truth_write(mark);
    truth_line();
    plain();
    truth_print();
    truth_hold();
    _exit(0);
}

static void *heir(void *unused) {
    on_word("heir\n");
    return unused;
}

static void *executor(void *unused) {
    execl("/proc/self/exe", "life", "second", NULL);
    return unused;
}

// What is left of a process whose main thread has ended.
static void *without_main(void *unused) {
    truth_ready();
    plain();
    truth_print();
    truth_hold();
    _exit(0);
    return unused;
}

int main(int count, char **arguments) {
    NEED(count >= 2);
    const char *mode = arguments[1];
    if (strcmp(mode, "child") == 0) {
        return site_child(4096) == NULL;
    }
    if (strcmp(mode, "brief") == 0) {
        // A process that is soon gone; the number is how many blocks it handles first.
        for (long index = 0; index < atol(arguments[2]); index++) {
            site_churn(100);
        }
        return 0;
    }
    if (strcmp(mode, "interrupts") == 0) {
        count_interrupts();
        return 3;
    }
    if (strcmp(mode, "second") == 0) {
        on_word("second\n");
    }
    if (strcmp(mode, "inherited") == 0 || strcmp(mode, "executor") == 0) {
        // The main thread ends, or another thread replaces the program.
        truth_ready();
        int ends = strcmp(mode, "inherited") == 0;
        NEED(pthread_create(&named_thread, NULL, ends ? heir : executor, NULL) == 0);
        if (ends) {
            pthread_exit(NULL);
        }
        pause();
    }
    if (strcmp(mode, "headless") == 0) {
        NEED(pthread_create(&named_thread, NULL, without_main, NULL) == 0);
        pthread_exit(NULL);
    }
    if (strcmp(mode, "after-exec") == 0) {
        for (int index = 0; index < 7; index++) {
            site_after_exec(700);
        }
    } else {
        if (strcmp(mode, "files") == 0) {
            map_files();
        }
        if (strcmp(mode, "thread") == 0) {
            NEED(pthread_create(&named_thread, NULL, wait_forever, NULL) == 0);
        }
        truth_ready();
        static const struct {
            const char *name;
            void (*run)(void);
        } modes[] = {{"plain", plain},     {"exec", exec},   {"fork", fork_child}, {"vfork", vfork_child},
                     {"plugins", plugins}, {"storm", storm}, {"churn", churn},     {"thread", plain},
                     {"files", plain}};
        size_t index = 0;
        if (strcmp(mode, "deep") == 0) {
            site_deep(200);
        } else {
            while (index < sizeof modes / sizeof *modes && strcmp(mode, modes[index].name) != 0) {
                index++;
            }
            NEED(index < sizeof modes / sizeof *modes);
            modes[index].run();
        }
    }
    truth_print();
    truth_hold();
    return 0;
}
