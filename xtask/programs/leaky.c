// A small server that leaks: the target of `cargo xtask demo`.
//
// It answers made-up requests all the time. Told to (a line "leak N" on stdin), it answers N requests in the
// course of some seconds in which three functions forget what they allocate, prints what is live of each
// function's memory, and goes on without leaking. So whoever attached before the line was given can compare;
// N is to be more than CACHE_SLOTS, so that every page of the cache is one that was seen.
//
//   stdout  "ready", then after each "leak N": one line of JSON, {"function": bytes, ...}
//   ends    with stdin
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SITE __attribute__((noinline))
// Keeps the compiler from dropping an allocation, and from turning the call before it into a jump.
#define KEEP(pointer) __asm__ volatile("" : : "r"(pointer) : "memory")

enum { CACHE_SLOTS = 64, CACHED_PAGE = 8000, TICK_US = 2000 };

static uint64_t session_bytes, header_bytes, log_bytes;
static char *cache[CACHE_SLOTS];
static char *log_buffer;

static void *checked(void *pointer) {
    if (pointer == NULL) abort();
    KEEP(pointer);
    return pointer;
}

// Leak 1: sessions are opened and never closed.
SITE static void open_session(void) {
    char *session = checked(malloc(96));
    session[0] = 1;
    session_bytes += 96;
}

// Leak 2: a table that is written anew for every third request, the old one forgotten.
SITE static void index_headers(unsigned request) {
    size_t headers = 8 + request % 5;
    uint32_t *table = checked(calloc(headers, sizeof *table));
    table[0] = request;
    header_bytes += headers * sizeof *table;
}

// Leak 3: a log that is never cut; realloc gives the old block back each time.
SITE static void append_to_log(void) {
    log_bytes += 40;
    log_buffer = checked(realloc(log_buffer, log_bytes));
    log_buffer[log_bytes - 1] = '\n';
}

// Not a leak: at most CACHE_SLOTS pages, the oldest is replaced.
SITE static void cache_page(unsigned request) {
    char **slot = &cache[request % CACHE_SLOTS];
    free(*slot);
    *slot = checked(malloc(CACHED_PAGE));
    (*slot)[0] = 1;
}

// Not a leak: everything is given back.
SITE static void parse_body(unsigned request) {
    char *parts[16];
    for (unsigned i = 0; i < 16; i++) parts[i] = checked(malloc(24 + (request * 37 + i * 101) % 900));
    for (unsigned i = 0; i < 16; i++) free(parts[i]);
    KEEP(parts);
}

enum phase { BEFORE, LEAKING, AFTER };

SITE static void handle_request(unsigned request, enum phase phase) {
    parse_body(request);
    // The cache rests in the end, so that nobody looks while a page is being replaced.
    if (phase != AFTER) cache_page(request);
    if (phase == LEAKING) {
        open_session();
        if (request % 3 == 0) index_headers(request);
        append_to_log();
    }
    KEEP(request);
}

static void print_truth(void) {
    dprintf(1, "{\"open_session\": %llu, \"index_headers\": %llu, \"append_to_log\": %llu, \"cache_page\": %u}\n",
            (unsigned long long)session_bytes, (unsigned long long)header_bytes, (unsigned long long)log_bytes,
            CACHE_SLOTS * CACHED_PAGE);
}

// The number of requests to leak in, or 0; ends the program with stdin.
static unsigned command(void) {
    struct pollfd input = {.fd = 0, .events = POLLIN};
    if (poll(&input, 1, 0) <= 0) return 0;
    char line[64];
    ssize_t length = read(0, line, sizeof line - 1);
    if (length <= 0) exit(0);
    line[length] = '\0';
    unsigned requests = 0;
    return sscanf(line, "leak %u", &requests) == 1 ? requests : 0;
}

int main(void) {
    enum phase phase = BEFORE;
    dprintf(1, "ready\n");
    for (unsigned request = 0, left = 0;; request++) {
        if (left == 0 && (left = command()) > 0) phase = LEAKING;
        handle_request(request, phase);
        if (left > 0 && --left == 0) {
            phase = AFTER;
            print_truth();
        }
        usleep(TICK_US);
    }
}
