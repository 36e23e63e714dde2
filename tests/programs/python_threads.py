# Threads that wait in all kinds of Python code, and one that says where they are:
#
#     ready PID                     then it waits for a line
#     threads {TID: [[FUNCTION, FILE, LINE], ...]}     innermost frame first, of all threads
#     hold                          then it waits for the end of its input
#
# With `gil` it waits in C code that keeps the GIL, so that a thread that computes waits for that.

import asyncio
import ctypes
import json
import os
import sys
import threading
import time
import traceback

released = ctypes.CDLL(None)
keeping = ctypes.PyDLL(None)
never, _writer = os.pipe()
numbers = {}


def frames(frame):
    return [
        [getattr(frame.f_code, "co_qualname", frame.f_code.co_name), frame.f_code.co_filename, line]
        for frame, line in traceback.walk_stack(frame)
    ]


def say():
    current = sys._current_frames()
    all = {numbers[identity]: frames(frame) for identity, frame in current.items() if identity in numbers}
    all[threading.get_native_id()] = frames(sys._getframe(1))
    os.write(1, ("threads " + json.dumps(all) + "\n").encode())


def sleeps():
    time.sleep(1000)


def reads():
    os.read(never, 1)


def in_c():
    buffer = ctypes.create_string_buffer(1)
    released.read(never, buffer, 1)


def locked():
    lock = threading.Lock()
    with lock:
        lock.acquire()


def generated():
    def inner():
        yield 1
        time.sleep(1000)
        yield 2

    def outer():
        yield from inner()

    for _ in outer():
        [list(map(lambda number: number, (more for more in outer())))]


async def awaited():
    async def inner():
        await asyncio.sleep(0)
        time.sleep(1000)

    await inner()


def coroutine():
    asyncio.run(awaited())


def idle():
    asyncio.run(asyncio.sleep(1000))


def deep(depth):
    if depth:
        deep(depth - 1)
    else:
        sleeps()


def deep_in_c(depth):
    list(map(deep_in_c, [depth - 1])) if depth else sleeps()


class Größe:
    @property
    def größe(self):
        return (lambda: self.внутри)()

    def __getattr__(self, name):
        return sorted([2, 1], key=lambda _: sleeps())


def named():
    exec(compile("\n" * 700 + "thing.größe", "/nicht da/ünï\U0001f600.py", "exec"), {"thing": Größe()})


def computes():
    while True: pass


def thread(function, *arguments):
    def begin():
        numbers[threading.get_ident()] = threading.get_native_id()
        function(*arguments)

    threading.Thread(target=begin, daemon=True).start()


sys.setrecursionlimit(10_000)
threading.stack_size(64 << 20)
if "gil" in sys.argv:
    thread(computes)
else:
    for function in [sleeps, reads, in_c, locked, generated, coroutine, idle, named]:
        thread(function)
    thread(deep, 2_000)
    thread(deep_in_c, 50)
os.write(1, b"ready %d\n" % os.getpid())
sys.stdin.readline()
if "gil" in sys.argv:
    say(), os.write(1, b"hold\n"), keeping.read(0, ctypes.create_string_buffer(1), 1)
else:
    # They have come to where they wait, or will have when it is asked once more.
    for line in iter(sys.stdin.readline, ""): say()
os._exit(0)
