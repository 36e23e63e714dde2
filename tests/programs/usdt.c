// Static probes `otel_memory:alloc` and `otel_memory:free`, as a program with a sampling allocator has them: `usdt`.
//
// The notes are written by hand, after the layout in systemtap's sys/sdt.h: address, base, semaphore, names, arguments.
// A site's bytes are the weighted ones: each sample stands for as many. A probe is passed only while somebody listens.

#define _GNU_SOURCE
#include "matrix.h"

__attribute__((section(".probes"), used)) volatile unsigned short otel_alloc_semaphore, otel_free_semaphore;
__attribute__((section(".stapsdt.base"), used)) const char stapsdt_base[1] = {0};

#define PROBE(name, semaphore, arguments)                                                                              \
    "990: nop\n"                                                                                                       \
    ".pushsection .note.stapsdt,\"\",\"note\"\n"                                                                       \
    ".balign 4\n"                                                                                                      \
    ".4byte 992f-991f, 994f-993f, 3\n"                                                                                 \
    "991: .asciz \"stapsdt\"\n"                                                                                        \
    "992: .balign 4\n"                                                                                                 \
    "993: .8byte 990b, stapsdt_base, " semaphore "\n"                                                                  \
    ".asciz \"otel_memory\"\n"                                                                                         \
    ".asciz \"" name "\"\n"                                                                                            \
    ".asciz \"" arguments "\"\n"                                                                                       \
    "994: .balign 4\n"                                                                                                 \
    ".popsection\n"

struct sample {
    uint64_t address, size, weight;
};

SITE(site_registers);
static NOINLINE void site_registers(const struct sample *sample) {
    truth_took(&site_registers_truth, sample->weight);
    __asm__ volatile(PROBE("alloc", "otel_alloc_semaphore", "8@%%rdi 8@%%rsi 8@%%rdx")
                     :
                     : "D"(sample->address), "S"(sample->size), "d"(sample->weight)
                     : "memory");
}

SITE(site_memory);
static NOINLINE void site_memory(const struct sample *sample) {
    truth_took(&site_memory_truth, sample->weight);
    __asm__ volatile(PROBE("alloc", "otel_alloc_semaphore", "8@(%%rax) 8@8(%%rax) 8@16(%%rax)")
                     :
                     : "a"(sample)
                     : "memory");
}

// Without a semaphore, and with narrow and constant arguments: 4096 bytes that stand for 65536.
SITE(site_constants);
static NOINLINE void site_constants(const struct sample *sample) {
    truth_took(&site_constants_truth, 65536);
    __asm__ volatile(PROBE("alloc", "0", "8@%%rbx 4@$4096 -4@$65536") : : "b"(sample->address) : "memory");
}

static NOINLINE void give(struct site *site, const struct sample *sample, uint64_t weight) {
    register uint64_t address __asm__("r8") = sample->address;
    truth_gave(site, weight);
    __asm__ volatile(PROBE("free", "otel_free_semaphore", "8@%%r8") : : "r"(address) : "memory");
}

int main(void) {
    static char blocks[300][4096];
    truth_ready();
    truth_value("alloc_semaphore", otel_alloc_semaphore);
    truth_value("free_semaphore", otel_free_semaphore);
    for (size_t round = 0; round < 300; round++) {
        struct sample sample = {(uintptr_t)blocks[round], 1 + round * 7, (1 + round * 7) * 16};
        struct site *site = round % 3 == 0   ? &site_registers_truth
                            : round % 3 == 1 ? &site_memory_truth
                                             : &site_constants_truth;
        if (round % 3 == 0) {
            site_registers(&sample);
        } else if (round % 3 == 1) {
            site_memory(&sample);
        } else {
            site_constants(&sample);
        }
        if (round % 5 == 0) {
            give(site, &sample, round % 3 == 2 ? 65536 : sample.weight);
        }
    }
    truth_print();
    truth_hold();
    // Nobody listens any more.
    char text[80];
    snprintf(text, sizeof text, "semaphores %d %d\n", otel_alloc_semaphore, otel_free_semaphore);
    truth_write(text);
    return 0;
}
