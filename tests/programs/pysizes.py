"""Blocks of every size that pymalloc serves, and some more: made, grown, shrunk and freed, counted from inside by the library that is given."""

import ctypes
import sys

hooks = ctypes.PyDLL(sys.argv[1])
# They return nothing. Taken for numbers, what lies in the register would be objects, of a size by chance.
hooks.pymalloc_count.restype = hooks.pymalloc_pause.restype = None


def work():
    kept = []
    for size in range(0, 700):
        # Each is grown by realloc through all classes and beyond, and then made smaller again.
        block = bytearray(size)
        for more in (1, 7, 16, 40, 200, 700):
            block.extend(b"x" * more)
        for less in (600, 200, 100, 50, 17, 3, 1, 0):
            del block[less:]
        items = list(range(size % 90))
        items.extend(items)
        del items[size % 45 :]
        items.clear()
        kept.append((block, items, bytes(size), [None] * (size % 70), {key: key for key in range(size % 30)}))
        if size % 3 == 0:
            kept.pop(0)
    return kept


work()
hooks.pymalloc_count()
hooks.pymalloc_pause(1)
kept = work()
hooks.pymalloc_pause(0)
