// Recursion through functions whose frames differ in every way that unwind tables know, in two threads.

#include "stacks.h"

#include <alloca.h>
#include <functional>
#include <new>
#include <pthread.h>

enum { WALKS = 60, DEPTH = 40, THREAD_STACK = 32 << 20 };

struct Walk {
    uint64_t random;
};

typedef long (*Step)(Walk &, int);
static long next(Walk &walk, int depth);

STACKS_SITE(site_malloc);

static NOINLINE void *site_new(size_t size) {
    stacks_take("site_new", size);
    void *block = ::operator new(size);
    STACKS_USE(block);
    return block;
}

// A call that replaces the caller: the function has no frame when malloc runs.
static NOINLINE void *jump_to_malloc(size_t size) { return malloc(size); }

static NOINLINE void *site_jump(size_t size) {
    stacks_take("site_jump", size);
    void *block = jump_to_malloc(size);
    STACKS_USE(block);
    return block;
}

static NOINLINE long step_plain(Walk &walk, int depth) { return 3 * next(walk, depth) + 1; }

static NOINLINE long step_large(Walk &walk, int depth) {
    char buffer[5000];
    STACKS_USE(buffer);
    long result = next(walk, depth);
    STACKS_USE(buffer);
    return result;
}

static NOINLINE long step_huge(Walk &walk, int depth) {
    char buffer[100000];
    STACKS_USE(buffer);
    long result = next(walk, depth);
    STACKS_USE(buffer);
    return result;
}

// The size is not known to the compiler: the frame's address is computed from rbp.
static NOINLINE long step_alloca(Walk &walk, int depth) {
    char *buffer = (char *)alloca(16 + walk.random % 700);
    STACKS_USE(buffer);
    long result = next(walk, depth);
    STACKS_USE(buffer);
    return result;
}

// Alignment above the stack's own: the frame's address is read from memory.
static NOINLINE long step_aligned(Walk &walk, int depth) {
    alignas(64) char buffer[128];
    STACKS_USE(buffer);
    long result = next(walk, depth);
    STACKS_USE(buffer);
    return result;
}

// Both at once.
static NOINLINE long step_aligned_alloca(Walk &walk, int depth) {
    alignas(128) char buffer[128];
    STACKS_USE(buffer);
    char *more = (char *)alloca(16 + walk.random % 300);
    STACKS_USE(more);
    long result = next(walk, depth);
    STACKS_USE(buffer);
    STACKS_USE(more);
    return result;
}

// More values alive across the call than there are callee-saved registers, so that rbp is one of them. They all
// point into the stack: who takes rbp for a frame pointer goes astray instead of stopping.
static NOINLINE long step_registers(Walk &walk, int depth) {
    uintptr_t a, b, c, d, e, f, g, h, top;
    uintptr_t anchor[64] = {};
    top = (uintptr_t)anchor;
    STACKS_USE(anchor);
    __asm__ volatile("" : "=r"(a) : "0"(top + 16));
    __asm__ volatile("" : "=r"(b) : "0"(top + 48));
    __asm__ volatile("" : "=r"(c) : "0"(top + 96));
    __asm__ volatile("" : "=r"(d) : "0"(top + 144));
    __asm__ volatile("" : "=r"(e) : "0"(top + 192));
    __asm__ volatile("" : "=r"(f) : "0"(top + 240));
    __asm__ volatile("" : "=r"(g) : "0"(top + 288));
    __asm__ volatile("" : "=r"(h) : "0"(top + 336));
    long result = next(walk, depth);
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
    __asm__ volatile("" : "+r"(e), "+r"(f), "+r"(g), "+r"(h));
    return result + (long)((a ^ b ^ c ^ d ^ e ^ f ^ g ^ h) & 1);
}

// Arguments that are pushed move the stack pointer between calls.
static NOINLINE long many(Walk &walk, int depth, long a, long b, long c, long d, long e, long f, long g) {
    return next(walk, depth) + a + b + c + d + e + f + g;
}
static NOINLINE long step_pushes(Walk &walk, int depth) {
    long result = many(walk, depth, 1, 2, 3, 4, 5, 6, depth);
    return result + 1;
}

struct Stepper {
    virtual NOINLINE long go(Walk &walk, int depth) { return next(walk, depth) + 2; }
    virtual ~Stepper() {}
};
static Stepper stepper;
static NOINLINE long step_virtual(Walk &walk, int depth) {
    Stepper *volatile object = &stepper;
    return object->go(walk, depth) + 1;
}

static NOINLINE long step_closure(Walk &walk, int depth) {
    std::function<long(int)> closure = [&walk](int depth) { return next(walk, depth) - 1; };
    STACKS_USE(&closure);
    return closure(depth) + 1;
}

// The call is the last instruction: its return address belongs to whatever lies behind the function.
[[noreturn]] static NOINLINE void never(Walk &walk, int depth) {
    long result = next(walk, depth);
    throw result;
}
static NOINLINE long ends_in_call(Walk &walk, int depth) { never(walk, depth); }
static NOINLINE long step_noreturn(Walk &walk, int depth) {
    try {
        return ends_in_call(walk, depth);
    } catch (long result) {
        return result;
    }
}

// What is said to be rare is moved away from its function, with a table entry of its own.
__attribute__((cold)) static NOINLINE long rare(Walk &walk, int depth) { return next(walk, depth) + 5; }
static int volatile always = 1;
static NOINLINE long step_cold(Walk &walk, int depth) {
    char buffer[300];
    STACKS_USE(buffer);
    long result = 0;
    if (__builtin_expect(always, 0)) {
        result = rare(walk, depth);
        STACKS_USE(buffer);
        result += 1;
    }
    return result;
}

static const Step steps[] = {
    step_plain, step_large, step_alloca, step_aligned, step_aligned_alloca, step_registers, step_registers,
    step_pushes, step_virtual, step_closure, step_noreturn, step_cold, step_huge,
};

// Jumps to a step of any kind; on the way something is allocated now and then.
static NOINLINE long next(Walk &walk, int depth) {
    uint64_t number = truth_random(&walk.random);
    if (depth == 0 || number % 8 == 0) {
        size_t size = 1 + number % 1000;
        STACKS_USE(number % 5 == 0 ? site_jump(size) : number % 5 < 3 ? site_malloc(size) : site_new(size));
    }
    if (depth == 0) {
        return 0;
    }
    return steps[(number >> 20) % (sizeof steps / sizeof *steps)](walk, depth - 1);
}

static void *walks(void *seed) {
    Walk walk = {(uint64_t)(uintptr_t)seed};
    for (int round = 0; round < WALKS; round++) {
        STACKS_USE(next(walk, DEPTH));
    }
    return NULL;
}

int main() {
    stacks_start();
    pthread_t thread;
    pthread_attr_t attributes;
    NEED(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, THREAD_STACK) == 0);
    NEED(pthread_create(&thread, &attributes, walks, (void *)0x5eed) == 0);
    walks((void *)0xfeed);
    NEED(pthread_join(thread, NULL) == 0);
    stacks_end();
}
