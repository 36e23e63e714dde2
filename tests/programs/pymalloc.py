"""Work of many kinds for Python's allocator, counted from inside by the library that is given."""

import ctypes
import json
import sys

hooks = ctypes.PyDLL(sys.argv[1])
# They return nothing. Taken for numbers, what lies in the register would be objects, of a size by chance.
hooks.pymalloc_count.restype = hooks.pymalloc_pause.restype = None
rounds = int(sys.argv[2])


class Thing:
    def __init__(self, number):
        self.number = number
        self.text = "number %d" % number


def work(number):
    table = {key: [key, str(key)] for key in range(number % 40)}
    things = [Thing(i) for i in range(number % 30)]
    text = json.dumps({"a": [number, 1.5, None], "b": "x" * (number % 700)})
    back = json.loads(text)
    parts = text.split(",")
    big = bytearray(number % 3000)
    big.extend(b"more" * (number % 200))
    total = sum(thing.number for thing in things) + 0.5 * number
    return table, things, back, parts, bytes(big), total


def main():
    kept = []
    for number in range(rounds):
        made = work(number)
        if number % 7 == 0:
            kept.append(made)
        if number % 100 == 0:
            del kept[: len(kept) // 2]
    return kept


work(5)
hooks.pymalloc_count()
hooks.pymalloc_pause(1)
kept = main()
hooks.pymalloc_pause(0)
