// Ground truth for the tests of memtrace: every site counts its own bytes, and the program prints them.
//
// The talk with the harness, line by line: the program prints `ready PID` and waits for a line (so that a
// tracer can attach first), works, prints `truth {json}` and `hold`, and waits for a line or the end of its
// input before it exits. Nothing here allocates, so every allocation of a program is at one of its sites.
//
// What counts: requested bytes, as the caller asked for them. A block that `realloc` or `mremap` replaced
// belongs to the site of that call from then on. A mapping cut in the middle is two.

#ifndef TRUTH_H
#define TRUTH_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A function that must have a frame of its own: memtrace finds a site by its name.
#define NOINLINE __attribute__((noinline, noclone))

// What one site knows about itself. Counted with atomic additions, because blocks change threads.
struct site {
    const char *name;
    uint64_t bytes, count, allocated_bytes, allocated_count;
    struct site *next;
};

// A number that is not a site's, for example how many frees the tracer cannot know.
struct value {
    const char *name;
    uint64_t number;
};

static struct site *truth_sites;
static struct value truth_values[16];
static size_t truth_value_count;

// Declares the counters of the site function `function`.
#define SITE(function) SITE_NAMED(function, #function)

// The same for a function whose name in a report is not its C name.
#define SITE_NAMED(function, text)                                                                                     \
    static struct site function##_truth = {text, 0, 0, 0, 0, NULL};                                                    \
    __attribute__((constructor)) static void function##_register(void) {                                               \
        function##_truth.next = truth_sites;                                                                           \
        truth_sites = &function##_truth;                                                                               \
    }                                                                                                                  \
    struct site

__attribute__((unused)) static inline void truth_add(uint64_t *counter, uint64_t amount) {
    __atomic_fetch_add(counter, amount, __ATOMIC_RELAXED);
}

// The site allocated one block of `size` bytes.
__attribute__((unused)) static inline void truth_took(struct site *site, uint64_t size) {
    truth_add(&site->bytes, size);
    truth_add(&site->count, 1);
    truth_add(&site->allocated_bytes, size);
    truth_add(&site->allocated_count, 1);
}

// One block of `size` bytes of the site is no longer live.
__attribute__((unused)) static inline void truth_gave(struct site *site, uint64_t size) {
    truth_add(&site->bytes, -size);
    truth_add(&site->count, (uint64_t)-1);
}

__attribute__((unused)) static void truth_value(const char *name, uint64_t number) {
    truth_values[truth_value_count].name = name;
    truth_values[truth_value_count++].number = number;
}

__attribute__((unused)) static void truth_write(const char *text) {
    for (size_t length = strlen(text); length > 0;) {
        ssize_t written = write(1, text, length);
        if (written <= 0) {
            _exit(97);
        }
        text += written;
        length -= (size_t)written;
    }
}

// Waits for the end of a line; returns 0 at the end of the input.
__attribute__((unused)) static int truth_line(void) {
    char byte;
    while (read(0, &byte, 1) == 1) {
        if (byte == '\n') {
            return 1;
        }
    }
    return 0;
}

// Taken at the start, because a sandboxed program may not ask later.
static int truth_pid;
__attribute__((constructor)) static void truth_start(void) {
    truth_pid = (int)getpid();
}

// Says `ready` and waits for the word to go on. Without a harness there is nothing to do.
__attribute__((unused)) static void truth_ready(void) {
    char text[64];
    snprintf(text, sizeof text, "ready %d\n", truth_pid);
    truth_write(text);
    if (!truth_line()) {
        _exit(98);
    }
}

// Prints what the program knows about itself.
__attribute__((unused)) static void truth_print(void) {
    static char text[16384];
    size_t length = (size_t)snprintf(text, sizeof text, "truth {\"sites\": {");
    for (struct site *site = truth_sites; site != NULL; site = site->next) {
        length += (size_t)snprintf(
            text + length, sizeof text - length,
            "\"%s\": {\"bytes\": %llu, \"count\": %llu, \"allocated_bytes\": %llu, \"allocated_count\": %llu}%s",
            site->name, (unsigned long long)site->bytes, (unsigned long long)site->count,
            (unsigned long long)site->allocated_bytes, (unsigned long long)site->allocated_count,
            site->next ? ", " : "");
    }
    length += (size_t)snprintf(text + length, sizeof text - length, "}, \"values\": {");
    for (size_t index = 0; index < truth_value_count; index++) {
        length += (size_t)snprintf(text + length, sizeof text - length, "%s\"%s\": %llu", index ? ", " : "",
                                   truth_values[index].name, (unsigned long long)truth_values[index].number);
    }
    snprintf(text + length, sizeof text - length, "}}\n");
    truth_write(text);
}

// Says `hold` and waits, so that the tracer can be asked while everything is still in place.
__attribute__((unused)) static void truth_hold(void) {
    truth_write("hold\n");
    truth_line();
}

// Ends the program when something is not as the test needs it.
#define NEED(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not as needed: %s\n", __FILE__, __LINE__, #condition);                             \
            _exit(99);                                                                                                 \
        }                                                                                                              \
    } while (0)

// A site that does nothing but take a block.
#define TAKER(function)                                                                                                \
    SITE(function);                                                                                                    \
    static NOINLINE void *function(size_t size) {                                                                      \
        void *address = malloc(size);                                                                                  \
        NEED(address != NULL);                                                                                         \
        truth_took(&function##_truth, size);                                                                           \
        return address;                                                                                                \
    }

// A site that does nothing but move a block, which was another's until then.
#define MOVER(function)                                                                                                \
    SITE(function);                                                                                                    \
    static NOINLINE void *function(void *old, size_t size) {                                                           \
        void *address = realloc(old, size);                                                                            \
        NEED(address != NULL);                                                                                         \
        truth_took(&function##_truth, size);                                                                           \
        return address;                                                                                                \
    }

// A small generator with a fixed start, so that every run does the same (xorshift64, Marsaglia 2003).
__attribute__((unused)) static inline uint64_t truth_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
