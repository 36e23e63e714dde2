// Functions whose return addresses the kernel has replaced, as return probes of another tracer do, while their callees
// allocate. The probes are this program's own.

#define _GNU_SOURCE
#include "stacks.h"

#include <linux/perf_event.h>
#include <sys/syscall.h>

enum { DEPTH = 3 };

extern const char __executable_start;

static void *addresses[STACKS_FRAMES];
static int depth;

// The C library's unwinder stops at a replaced address. So the stack is taken when there are no probes yet, and is the
// same when there are.
static NOINLINE void *site_returned(size_t size, int probed) {
    if (!probed) {
        depth = backtrace(addresses, STACKS_FRAMES);
    }
    NEED(depth > DEPTH + 3);
    // The first is a place in this function.
    stacks_take_these("site_returned", size, addresses + 1, (size_t)depth - 1);
    void *block = malloc(size);
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

static NOINLINE void inner(int probed) {
    STACKS_USE(site_returned(100, probed));
}

static NOINLINE void middle(int left, int probed) {
    char buffer[72];
    STACKS_USE(buffer);
    if (left > 0) {
        middle(left - 1, probed);
    } else {
        inner(probed);
    }
    STACKS_USE(buffer);
}

static NOINLINE void outer(int probed) {
    middle(DEPTH, probed);
    __asm__ volatile("" : : : "memory");
}

// Puts a return probe on a function of this program. Nothing counts or records; the kernel replaces the address.
static void probe(const void *function) {
    FILE *file = fopen("/sys/bus/event_source/devices/uprobe/type", "r");
    unsigned type;
    NEED(file != NULL && fscanf(file, "%u", &type) == 1);
    fclose(file);
    struct perf_event_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.size = sizeof attributes;
    attributes.type = type;
    attributes.config = 1;
    attributes.config1 = (uintptr_t)"/proc/self/exe";
    // Linkers put the first segment at offset 0, and the code as far from it in memory as in the file.
    attributes.config2 = (uintptr_t)function - (uintptr_t)&__executable_start;
    NEED(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0) >= 0);
}

int main(void) {
    stacks_start();
    // Volatile, so that the compiler does not make two calls of the loop.
    for (volatile int probed = 0; probed < 2; probed++) {
        if (probed) {
            probe((const void *)outer);
            probe((const void *)middle);
            probe((const void *)inner);
        }
        outer(probed);
    }
    stacks_end();
    return 0;
}
