"""A Python program that knows what is on its heap: prints its objects by type, and what its allocator says of every size."""

import gc
import json
import os
import sys


class Plain:
    """With a dictionary."""


class Slots:
    __slots__ = ("a",)


class Bare:
    """Not known to the collector."""

    __slots__ = ()


class Number(int):
    pass


class Meta(type):
    pass


class Made(metaclass=Meta):
    pass


class Mapping(dict):
    pass


def wait():
    # One block of 34 bytes, and the debug hooks' own.
    os.read(0, 1)


def objects():
    """The types whose objects are all known to the collector, or counted here."""
    counts = {}
    for thing in gc.get_objects():
        kind = type(thing)
        if kind in (Plain, Slots, Made, Mapping, type(wait), staticmethod):
            counts[kind.__name__] = counts.get(kind.__name__, 0) + 1
    counts["Bare"] = len(kept.get("bare", ()))
    counts["Number"] = len(kept.get("numbers", ()))
    return counts


def report():
    gc.collect()
    sys.stdout.write("truth " + json.dumps(objects()) + "\n")
    sys.stdout.flush()
    gc.collect()
    sys._debugmallocstats()
    os.write(2, b"stats are out\n")
    wait()


kept = {}
print("ready ", flush=True)
wait()
report()
kept["plain"] = [Plain() for _ in range(20_000)]
kept["slots"] = [Slots() for _ in range(5_000)]
kept["bare"] = [Bare() for _ in range(3_000)]
kept["numbers"] = [Number(i) for i in range(1_234)]
kept["made"] = [Made() for _ in range(777)]
kept["mapping"] = [Mapping() for _ in range(55)]
kept["functions"] = [lambda i=i: i for i in range(1_000)]
kept["floats"] = [i + 0.5 for i in range(7_777)]
# Gaps in pools.
kept["slots"] = kept["slots"][::3]
report()
