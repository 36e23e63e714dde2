// Takes all debug registers of a thread that another program may have: debug_registers TID. It watches words that nobody has.
#include <errno.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int count, char **arguments) {
    int thread = count > 1 ? atoi(arguments[1]) : 0;
    int taken = 0;
    for (;;) {
        struct perf_event_attr attribute;
        memset(&attribute, 0, sizeof attribute);
        attribute.size = sizeof attribute;
        attribute.type = PERF_TYPE_BREAKPOINT;
        attribute.sample_period = 1;
        attribute.exclude_kernel = 1;
        attribute.bp_type = HW_BREAKPOINT_W;
        attribute.bp_addr = 0x1000 + 8 * taken;
        attribute.bp_len = HW_BREAKPOINT_LEN_8;
        if (syscall(SYS_perf_event_open, &attribute, thread, -1, -1, PERF_FLAG_FD_CLOEXEC) < 0) {
            break;
        }
        taken += 1;
    }
    printf("ready %d\n", taken);
    fflush(stdout);
    if (errno != ENOSPC || taken == 0) {
        return 1;
    }
    while (getchar() != EOF) {
    }
    return 0;
}
