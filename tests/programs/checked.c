// A test suite as CI starts one: `checked clean`, `checked leak`, or `checked fail`, which leaks and ends with 7.
//
// All of them use of the C library what it keeps to the end: a stream's buffer, a locale, exit handlers, thread-local storage,
// threads. What they allocate themselves they free, but for 3000 bytes in three blocks of `site_leak`.

#include "truth.h"

#include <locale.h>
#include <pthread.h>
#include <time.h>

static __thread char of_thread[256];

static void *work(void *unused __attribute__((unused))) {
    of_thread[0] = 1;
    free(malloc(1000));
    return NULL;
}

static void at_exit(void) {}

static NOINLINE void site_leak(void) {
    for (int block = 0; block < 3; block++) {
        void *lost = malloc(1000);
        NEED(lost != NULL);
        memset(lost, block, 1000);
    }
}

int main(int count, char **arguments) {
    NEED(count == 2);
    NEED(setlocale(LC_ALL, "C.UTF-8") != NULL || setlocale(LC_ALL, "C") != NULL);
    setenv("TZ", "Europe/Berlin", 1);
    tzset();
    // There is room for 32 without an allocation.
    for (int handler = 0; handler < 40; handler++) {
        NEED(atexit(at_exit) == 0);
    }
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, work, NULL) == 0);
    NEED(pthread_join(thread, NULL) == 0);
    unsetenv("TZ");
    printf("ok\n");
    if (strcmp(arguments[1], "clean") != 0) {
        site_leak();
    }
    return strcmp(arguments[1], "fail") == 0 ? 7 : 0;
}
