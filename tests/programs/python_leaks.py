# Leaks of several kinds beside what only looks like them, a round of each every ten milliseconds:
#
#     ready PID                     then it waits for a line
#     round N                       every 100 rounds, until its input ends
#
# A line that keeps memory for ever has a comment `leak KIND` at its end. What computes checks its result, and ends with status 1 when it is wrong.
# Arguments are a library with `leak_in_extension`, and its module's name where it is an extension of the interpreter.

import collections
import ctypes
import gc
import importlib.util
import os
import sys
import threading
import time

try:
    import numpy
except ImportError:
    numpy = None

cache, arrays = {}, []
recent = collections.deque(maxlen=50)
gc.disable()


class Library:
    def __init__(self, path, module=None):
        if module:
            spec = importlib.util.spec_from_file_location(module, path)
            self.leak = importlib.util.module_from_spec(spec).leak
        else:
            self.leak = ctypes.CDLL(path).leak_in_extension

    def call(self):
        self.leak()  # leak extension


class Node:
    def __init__(self):
        self.itself = self
        self.payload = bytearray(3_000)  # leak cycle


def keep_in_cache(key):
    cache[key] = bytearray(2_000)  # leak cache


def keep_array():
    arrays.append(numpy.ones(1_000))  # leak array


def keep_for_a_while():
    recent.append(bytearray(4_000))


def use_for_a_moment():
    block = bytearray(5_000)
    return len(block)


def computes(depth):
    return [depth] * 600 if depth == 0 else [sum(computes(depth - 1)) + depth] * 600


def main():
    library = Library(*sys.argv[1:]) if len(sys.argv) > 1 else None
    for _ in range(100):
        keep_for_a_while()
    right = computes(5)
    os.write(1, b"ready %d\n" % os.getpid())
    sys.stdin.readline()
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    number = 0
    while not ended.is_set():
        number += 1
        keep_in_cache(number)
        Node()
        if library:
            library.call()
        if numpy:
            keep_array()
        keep_for_a_while()
        use_for_a_moment()
        if computes(5) != right:
            os._exit(1)
        if number % 100 == 0:
            os.write(1, b"round %d\n" % number)
        time.sleep(0.01)
    os._exit(0)


main()
