// Allocations in functions that the C library calls back, from code without frame pointers of its own.

#define _GNU_SOURCE
#include "stacks.h"

#include <pthread.h>
#include <search.h>

enum { NUMBERS = 50 };

STACKS_SITE(site_compare);
STACKS_SITE(site_once);
STACKS_SITE(site_visit);
STACKS_SITE(site_thread_end);

static int compare(const void *left, const void *right) {
    char buffer[100];
    STACKS_USE(buffer);
    STACKS_USE(site_compare(16));
    STACKS_USE(buffer);
    return *(const int *)left - *(const int *)right;
}

static NOINLINE void sort(void) {
    static int numbers[NUMBERS];
    for (int index = 0; index < NUMBERS; index++) {
        numbers[index] = index * 37 % NUMBERS;
    }
    qsort(numbers, NUMBERS, sizeof *numbers, compare);
    NEED(numbers[1] == 1);
}

static void once(void) {
    STACKS_USE(site_once(32));
}

static void visit(const void *node, VISIT order, int depth) {
    (void)node;
    if (order == preorder || order == leaf) {
        STACKS_USE(site_visit((size_t)depth + 1));
    }
}

static int numerically(const void *left, const void *right) {
    return (left > right) - (left < right);
}

// A tree of the C library's, walked by recursion in the C library.
static NOINLINE void tree(void) {
    void *root = NULL;
    for (intptr_t number = 1; number < 30; number++) {
        NEED(tsearch((void *)(number * 7 % 30 + 1), &root, numerically) != NULL);
    }
    twalk(root, visit);
}

static void thread_end(void *value) {
    STACKS_USE(site_thread_end((size_t)(uintptr_t)value));
}

static pthread_key_t key;
static void *thread(void *argument) {
    NEED(pthread_setspecific(key, (void *)64) == 0);
    return argument;
}

int main(void) {
    stacks_start();
    sort();
    static pthread_once_t control = PTHREAD_ONCE_INIT;
    NEED(pthread_once(&control, once) == 0);
    tree();
    pthread_t other;
    NEED(pthread_key_create(&key, thread_end) == 0);
    NEED(pthread_create(&other, NULL, thread, NULL) == 0 && pthread_join(other, NULL) == 0);
    stacks_end();
}
