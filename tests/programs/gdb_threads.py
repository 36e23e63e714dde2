# Run by gdb in a process that it has attached to: prints the stack of each thread, one a line, leaf first:
#
#     thread TID ADDRESS ADDRESS ...
#
# An address is that of the last byte of the call, or of the next instruction of the innermost frame and of one that a signal
# interrupted.

import gdb

for setting in ["pagination off", "confirm off", "backtrace past-main on", "backtrace past-entry on"]:
    gdb.execute("set " + setting)

for thread in gdb.selected_inferior().threads():
    thread.switch()
    addresses = []
    exact = True
    frame = gdb.newest_frame()
    while frame is not None and frame.is_valid():
        if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
            addresses.append(frame.pc() - (0 if exact else 1))
            exact = frame.type() == gdb.SIGTRAMP_FRAME
        frame = frame.older()
    print("thread", thread.ptid[1], *("%x" % address for address in addresses), flush=True)
gdb.execute("detach")
