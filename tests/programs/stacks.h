// Ground truth of call stacks: a site takes its own stack with the C library's unwinder right before it allocates,
// and the program prints each distinct stack once:
//
//     stack SITE COUNT BYTES MODULE:OFFSET MODULE:OFFSET ...
//
// The frames are those that called the site, leaf first. An offset is a file offset in hexadecimal: of the last byte
// of the call or system call, or of the instruction that a signal interrupted. Nothing here allocates. `stacks_start` goes first.

#ifndef STACKS_H
#define STACKS_H

#include "truth.h"

#include <execinfo.h>
#include <link.h>
#include <unwind.h>

enum { STACKS_FRAMES = 256, STACKS_KNOWN = 8192, STACKS_POOL = 1 << 18, STACKS_MODULES = 32 };

struct stacks_frame {
    const char *module;
    uintptr_t offset;
};

struct stacks_known {
    const char *site;
    const struct stacks_frame *frames;
    size_t depth;
    uint64_t hash, count, bytes;
};

// The place of a call, or of an interrupted instruction; later where it lies.
struct stacks_walk {
    uintptr_t places[STACKS_FRAMES];
    struct stacks_frame frames[STACKS_FRAMES];
    size_t depth;
};

static struct stacks_known stacks_known[STACKS_KNOWN];
static struct stacks_frame stacks_pool[STACKS_POOL];
static char stacks_modules[STACKS_MODULES][64];
static size_t stacks_pooled;
static int stacks_lock;

// The name of a module, kept after the module is unloaded. The executable has none of its own.
static const char *stacks_module(const char *path) {
    static char executable[256];
    if (path[0] == '\0') {
        if (executable[0] == '\0') {
            ssize_t length = readlink("/proc/self/exe", executable, sizeof executable - 1);
            NEED(length > 0);
        }
        path = executable;
    }
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    for (size_t index = 0; index < STACKS_MODULES; index++) {
        if (stacks_modules[index][0] == '\0') {
            NEED(strlen(name) < sizeof stacks_modules[index]);
            strcpy(stacks_modules[index], name);
        }
        if (strcmp(stacks_modules[index], name) == 0) {
            return stacks_modules[index];
        }
    }
    NEED(!"room for another module");
    return NULL;
}

// Whether the instruction before an address is `syscall`.
static int after_system_call(uintptr_t address) {
    return memcmp((const char *)address - 2, "\x0f\x05", 2) == 0;
}

static _Unwind_Reason_Code stacks_step(struct _Unwind_Context *context, void *argument) {
    struct stacks_walk *walk = (struct stacks_walk *)argument;
    int interrupted = 0;
    uintptr_t address = _Unwind_GetIPInfo(context, &interrupted);
    // Beyond the outermost frame the unwinder gives an address of 0.
    if (address != 0) {
        NEED(walk->depth < STACKS_FRAMES);
        walk->places[walk->depth++] = interrupted && !after_system_call(address) ? address : address - 1;
    }
    return _URC_NO_REASON;
}

static int stacks_locate(struct dl_phdr_info *info, size_t size, void *argument) {
    (void)size;
    struct stacks_walk *walk = (struct stacks_walk *)argument;
    for (int index = 0; index < info->dlpi_phnum; index++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[index];
        uintptr_t start = info->dlpi_addr + segment->p_vaddr;
        for (size_t frame = 0; segment->p_type == PT_LOAD && frame < walk->depth; frame++) {
            if (walk->places[frame] - start < segment->p_memsz) {
                walk->frames[frame].module = stacks_module(info->dlpi_name);
                walk->frames[frame].offset = walk->places[frame] - start + segment->p_offset;
            }
        }
    }
    return 0;
}

// Notes that `site` allocates `size` bytes when called by `frames`. Call it with the lock held.
static void stacks_note(const char *site, size_t size, const struct stacks_frame *frames, size_t depth) {
    uint64_t hash = (uintptr_t)site;
    for (size_t frame = 0; frame < depth; frame++) {
        hash = (hash ^ (uintptr_t)frames[frame].module ^ frames[frame].offset << 8) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 29;
    }
    size_t index = hash % STACKS_KNOWN;
    while (stacks_known[index].site != NULL && stacks_known[index].hash != hash) {
        index = (index + 1) % STACKS_KNOWN;
    }
    struct stacks_known *known = &stacks_known[index];
    if (known->site == NULL) {
        NEED(stacks_pooled + depth <= STACKS_POOL);
        struct stacks_frame *kept = &stacks_pool[stacks_pooled];
        memcpy(kept, frames, depth * sizeof *frames);
        stacks_pooled += depth;
        known->frames = kept;
        known->depth = depth;
        known->hash = hash;
        known->site = site;
    }
    known->count += 1;
    known->bytes += size;
}

static void stacks_locked(struct stacks_walk *walk, const char *site, size_t size, size_t first) {
    while (__atomic_exchange_n(&stacks_lock, 1, __ATOMIC_ACQUIRE)) {
    }
    dl_iterate_phdr(stacks_locate, walk);
    for (size_t frame = first; frame < walk->depth; frame++) {
        NEED(walk->frames[frame].module != NULL);
    }
    stacks_note(site, size, &walk->frames[first], walk->depth - first);
    __atomic_store_n(&stacks_lock, 0, __ATOMIC_RELEASE);
}

// The site that calls this is about to allocate `size` bytes.
__attribute__((unused)) static NOINLINE void stacks_take(const char *site, size_t size) {
    struct stacks_walk walk;
    memset(&walk, 0, sizeof walk);
    _Unwind_Backtrace(stacks_step, &walk);
    // What the C library offers to everybody must be the same, but for the place in this function.
    void *addresses[STACKS_FRAMES];
    NEED((size_t)backtrace(addresses, STACKS_FRAMES) == walk.depth);
    for (size_t frame = 1; frame < walk.depth; frame++) {
        NEED((uintptr_t)addresses[frame] - walk.places[frame] <= 1);
    }
    // The first two are this function and the site.
    NEED(walk.depth > 2);
    stacks_locked(&walk, site, size, 2);
}

// The same where the unwinder cannot know: the return addresses that the program itself has gathered, leaf first.
__attribute__((unused)) static void stacks_take_these(const char *site, size_t size, void *const *addresses,
                                                      size_t depth) {
    struct stacks_walk walk;
    memset(&walk, 0, sizeof walk);
    NEED(depth <= STACKS_FRAMES);
    for (walk.depth = 0; walk.depth < depth; walk.depth++) {
        walk.places[walk.depth] = (uintptr_t)addresses[walk.depth] - 1;
    }
    stacks_locked(&walk, site, size, 0);
}

// Loads what the unwinder needs, which allocates, and says `ready`.
__attribute__((unused)) static void stacks_start(void) {
    void *addresses[2];
    NEED(backtrace(addresses, 2) == 2);
    truth_ready();
}

__attribute__((unused)) static void stacks_print(void) {
    static char line[STACKS_FRAMES * 96];
    for (size_t index = 0; index < STACKS_KNOWN; index++) {
        const struct stacks_known *known = &stacks_known[index];
        if (known->site == NULL) {
            continue;
        }
        int length = snprintf(line, sizeof line, "stack %s %llu %llu", known->site, (unsigned long long)known->count,
                              (unsigned long long)known->bytes);
        for (size_t frame = 0; frame < known->depth; frame++) {
            length += snprintf(line + length, sizeof line - (size_t)length, " %s:%llx", known->frames[frame].module,
                               (unsigned long long)known->frames[frame].offset);
        }
        snprintf(line + length, sizeof line - (size_t)length, "\n");
        truth_write(line);
    }
}

// What every program does at its end.
__attribute__((unused)) static void stacks_end(void) {
    stacks_print();
    truth_hold();
}

// A function with a frame of its own that takes its stack and then allocates.
#define STACKS_SITE(function)                                                                                          \
    static NOINLINE void *function(size_t size) {                                                                      \
        stacks_take(#function, size);                                                                                  \
        void *block = malloc(size);                                                                                    \
        __asm__ volatile("" : "+r"(block) : : "memory");                                                               \
        return block;                                                                                                  \
    }                                                                                                                  \
    void *function(size_t size)

// Keeps what a call returns, or a buffer, alive beyond the call, so that the call is no jump.
#define STACKS_USE(value) __asm__ volatile("" : : "r"(value) : "memory")

#endif
