# Allocates blocks of sizes that occur once in interpreters beside the main one, on the main thread and on others, and says what `traceback` says there:
#
#     ready PID                     then it waits for a line
#     stacks [[SIZE, [[FUNCTION, FILE, LINE], ...]], ...]     one of each interpreter, innermost frame first
#     hold                          then it waits for the end of its input

import os
import sys
import threading
import time

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

FILE = "/inside/of an interpreter.py"

INSIDE = """\
import json
import os
import sys
import traceback

kept, stacks = [], []
size = {first}


def note(size):
    frames = [
        [getattr(frame.f_code, "co_qualname", frame.f_code.co_name), frame.f_code.co_filename, line]
        for frame, line in traceback.walk_stack(sys._getframe(1))
    ]
    stacks.append([size, frames])


def allocate(*_):
    global size
    size += 1024
    # One byte more than asked for.
    kept.append(bytearray(size - 1)), note(size)
    return size


class Thing:
    def method(self):
        return [allocate() for _ in range(2)]


def numbers():
    yield allocate()
    yield from map(allocate, [1])


def deep(depth):
    return deep(depth - 1) if depth else allocate()


allocate()
Thing().method()
list(numbers())
deep(10)
os.write(1, ("stacks " + json.dumps(stacks) + "\\n").encode())
"""


def execute(interpreter, first):
    code = "exec(compile({!r}, {!r}, 'exec'), {{}})".format(INSIDE.format(first=first), FILE)
    interpreters.run_string(interpreter, code)


def in_main(first):
    # Python and C frames of the main interpreter below those of the other one.
    list(map(lambda _: execute(made[0], first), [1]))


def in_own(first):
    # Made on this thread: up to 3.11 an interpreter that was made on another one is executed with that one's state.
    execute(interpreters.create(), first)


def main():
    os.write(1, b"ready %d\n" % os.getpid())
    sys.stdin.readline()
    in_main(100_003)
    execute(made[1], 200_003)
    # Two at once, besides the main one at work.
    threads = [threading.Thread(target=in_own, args=(300_003 + 100_000 * i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            sum(range(1_000))
            # Interpreters of 3.9 do not ask each other for the lock (of the GIL): it is given here.
            time.sleep(0)
    os.write(1, b"hold\n")
    sys.stdin.read()


made = [interpreters.create() for _ in range(2)]
main()
