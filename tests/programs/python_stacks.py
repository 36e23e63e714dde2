# Allocates blocks of sizes that occur once, each from another kind of Python code, and says what `traceback` says of the stack there:
#
#     ready PID                     then it waits for a line
#     stacks [[SIZE, [[FUNCTION, FILE, LINE], ...]], ...]     one from each process, innermost frame first
#     hold                          then it waits for the end of its input
#
# A function has its qualified name where code objects have one (from 3.11 on). The block and the traceback are made in one line.

import asyncio
import ctypes
import functools
import json
import os
import subprocess
import sys
import threading
import traceback

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]

kept = []
stacks = []
sizes = iter(range(100_003, 10_000_000, 1_024))


def note(size):
    frames = [
        [getattr(frame.f_code, "co_qualname", frame.f_code.co_name), frame.f_code.co_filename, line]
        for frame, line in traceback.walk_stack(sys._getframe(1))
    ]
    stacks.append([size, frames])


def without_gil():
    size = next(sizes)
    kept.append(libc.malloc(size)), note(size)


def with_gil():
    size = next(sizes)
    # One byte more than asked for.
    kept.append(bytearray(size - 1)), note(size)


def both(*_):
    without_gil()
    with_gil()
    return 1


class Thing:
    def __init__(self):
        both()

    def __getattr__(self, name):
        return both()

    @property
    def value(self):
        return both()

    @staticmethod
    def static():
        return both()

    @classmethod
    def of_class(cls):
        return (lambda: both())()

    def __enter__(self):
        both()
        return self

    def __exit__(self, *_):
        both()


class Größe:
    def größe(self):
        def внутри():
            def 内():
                return both()

            return 内()

        return внутри()


def decorated(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        both()
        return function(*arguments)

    return wrapper


@decorated
def plain(
    first,
    second=None,
):
    both(
        first,
        second,
    )


def numbers():
    for number in range(2):
        both()
        yield number
    yield from more()


def more():
    yield both()


async def inner():
    both()
    await asyncio.sleep(0)
    both()


async def counted():
    both()
    yield 1


async def outer():
    await inner()
    async for _ in counted():
        both()
    await asyncio.gather(inner(), inner())


def deep(depth):
    if depth == 0:
        both()
    else:
        deep(depth - 1)


def deep_in_c(depth):
    if depth == 0:
        both()
    else:
        list(map(deep_in_c, [depth - 1]))


def failing():
    try:
        raise KeyError
    except KeyError:
        both()
    finally:
        both()


def in_threads():
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            sum(range(100))

    busy = threading.Thread(target=busy)
    busy.start()
    for _ in range(3):
        thread = threading.Thread(target=both)
        thread.start()
        thread.join()
    stop.set()
    busy.join()


def expressions():
    [both() for _ in range(1)]
    {both() for _ in range(1)}
    {both(): 1 for _ in range(1)}
    list(both() for _ in range(1))
    sorted([2, 1], key=lambda number: both() + number)
    list(map(both, [1]))
    functools.reduce(both, [1, 2])
    functools.partial(both, 1)()
    [inside for inside in [both() for _ in range(1)] for _ in [both()]]


def in_class():
    class Body:
        both()


def elsewhere():
    path = "/nicht da/ünï\U0001f600/%s.py" % ("lang" * 20)
    text = "\n" * 300 + "def far():\n" + "  x = 1\n" * 200 + "  both()\n\nfar()\n"
    exec(compile(text, path, "exec"), {"both": both})
    eval(compile("both()", "ascii only", "eval"))


def everything():
    thing = Thing()
    thing.missing
    thing.value
    thing.static()
    thing.of_class()
    with thing:
        pass
    Größe().größe()
    plain(1)
    list(numbers())
    asyncio.run(outer())
    failing()
    expressions()
    elsewhere()
    in_class()
    in_threads()
    deep(20)
    deep_in_c(8)


def say():
    os.write(1, ("stacks " + json.dumps(stacks) + "\n").encode())
    stacks.clear()


def child():
    both()
    deep(3)
    say()


def main():
    os.write(1, b"ready %d\n" % os.getpid())
    sys.stdin.readline()
    everything()
    if "deepest" in sys.argv:
        deep(300)
    say()
    if "children" in sys.argv:
        fork = os.fork()
        if fork == 0:
            child()
            os._exit(0)
        os.waitpid(fork, 0)
        for _ in range(500):
            next(sizes)
        subprocess.run([sys.executable, __file__, "child"], check=True)
    os.write(1, b"hold\n")
    sys.stdin.read()


if "child" in sys.argv:
    for _ in range(2_000):
        next(sizes)
    child()
    os._exit(0)
main()
