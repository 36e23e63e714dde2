"""Keeps objects of several kinds, each made by a line of its own.

With `tracemalloc` as its argument it says for each line of this file what the standard library's tracer counts as still allocated:
`lines {"LINE": [BYTES, BLOCKS]}`. With `cold` it does not do beforehand what it does.
"""

import gc
import json
import os
import sys
import tracemalloc


class Node:
    def __init__(self, number):
        self.number = number
        self.other = None


def cache(kept):
    for number in range(600):
        kept[number] = bytearray(700 + number % 64)


def rows(kept):
    for number in range(3000):
        kept[number] = (number, float(number), str(number))


def cycles():
    for number in range(500):
        one = Node(number)
        one.other = Node(one)
        one.other.other = one


def growing(kept):
    for number in range(20_000):
        kept.append(None)


def closures(kept):
    for number in range(300):
        kept[number] = lambda: number


def texts(kept):
    for number in range(300):
        kept[number] = "ä€" * (100 + number)


def passing():
    for number in range(2_000):
        bytes(number)


def nested(kept, depth):
    if depth:
        return nested(kept, depth - 1)
    kept["nested"] = [bytes(10_000 + number) for number in range(50)]


def keep():
    # What collects cycles must not come in between: it comes at another time when it is traced.
    gc.disable()
    kept = [{}, {}, [], {}, {}, {}]
    cache(kept[0])
    rows(kept[1])
    cycles()
    growing(kept[2])
    closures(kept[3])
    texts(kept[4])
    passing()
    nested(kept[5], 20)
    return kept


def said():
    own = tracemalloc.Filter(True, __file__)
    statistics = tracemalloc.take_snapshot().filter_traces([own]).statistics("lineno")
    lines = {of.traceback[0].lineno: [of.size, of.count] for of in statistics}
    return {line: sums for line, sums in lines.items() if line < said.__code__.co_firstlineno}


def main():
    if "cold" not in sys.argv:
        # Fills the lists of free objects: whether one is taken from there depends on what went before.
        keep()
    os.write(1, b"ready %d\n" % os.getpid())
    sys.stdin.readline()
    if "tracemalloc" in sys.argv:
        tracemalloc.start(1)
    kept = keep()
    if "tracemalloc" in sys.argv:
        os.write(1, ("lines " + json.dumps(said()) + "\n").encode())
    os.write(1, b"hold\n")
    sys.stdin.read()
    # The objects live until whoever runs this program has seen its end.
    sys.exit(0)


main()
