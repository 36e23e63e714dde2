# Run by gdb in a process that it has attached to: prints the distinct stacks that call an allocator, one a line:
#
#     stack FUNCTION ADDRESS ADDRESS ...
#
# leaf first, from the allocator's caller on. An address is that of the last byte of the call, or of the instruction that
# a signal interrupted. It stops in the procedure linkage tables, in front of the allocator: inside of it the kernel may
# have put another return address on the stack. Variables of gdb: $wanted is the number of stacks after which it is
# enough, $most that of stops.

import gdb
from gdb.unwinder import Unwinder, register_unwinder

FUNCTIONS = ["malloc", "calloc", "realloc"]

for setting in ["pagination off", "confirm off", "backtrace past-main on", "backtrace past-entry on"]:
    gdb.execute("set " + setting)
gdb.execute("handle all nostop noprint pass")

wanted, most = (int(gdb.parse_and_eval(name)) for name in ("$wanted", "$most"))


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class Generated(Unwinder):
    """V8's code has no tables, whether generated or part of the program, but frame pointers."""

    def __init__(self):
        super().__init__("generated")
        self.known = {}

    def is_generated(self, pc):
        if pc not in self.known:
            # Lines of sections: "0x... - 0x... is .text in FILE". What V8 has moved elsewhere is in none.
            lines = gdb.execute("info files", to_string=True).splitlines()
            ranges = (line.split()[:3:2] for line in lines if " - 0x" in line)
            inside = any(int(start, 16) <= pc < int(end, 16) for start, end in ranges)
            symbol = gdb.execute("info symbol %d" % pc, to_string=True)
            self.known[pc] = not inside or symbol.startswith("Builtins_")
        return self.known[pc]

    def __call__(self, pending):
        pc = int(pending.read_register("rip")) & (1 << 64) - 1
        if not self.is_generated(pc):
            return None
        word = gdb.lookup_type("long").pointer()
        rbp = pending.read_register("rbp").cast(word)
        try:
            caller, base = rbp[1], rbp[0]
            caller.fetch_lazy(), base.fetch_lazy()
        except gdb.MemoryError:
            return None
        info = pending.create_unwind_info(FrameId(rbp + 2, pending.read_register("rip")))
        info.add_saved_register("rip", caller)
        info.add_saved_register("rbp", base)
        info.add_saved_register("rsp", (rbp + 2).cast(gdb.lookup_type("long")))
        return info


register_unwinder(None, Generated(), replace=True)

seen = set()
stops = 0


def callers(frame):
    addresses = []
    exact = False
    while frame is not None and frame.is_valid():
        if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
            addresses.append(frame.pc() - (0 if exact else 1))
            exact = frame.type() == gdb.SIGTRAMP_FRAME
        frame = frame.older()
    # The first is the stop itself.
    return addresses[1:]


class Stop(gdb.Breakpoint):
    def __init__(self, function):
        super().__init__(function + "@plt")
        self.silent = True
        self.function = function

    def stop(self):
        global stops
        stops += 1
        stack = (self.function, *callers(gdb.newest_frame()))
        if stack not in seen:
            seen.add(stack)
            print("stack", stack[0], *("%x" % address for address in stack[1:]), flush=True)
        return len(seen) >= wanted or stops >= most


set_somewhere = False
for function in FUNCTIONS:
    try:
        Stop(function)
        set_somewhere = True
    except gdb.error as error:
        print("no", function, error, flush=True)
if set_somewhere:
    print("armed", flush=True)
    gdb.execute("continue")
    print("stopped", stops, flush=True)
gdb.execute("detach")
