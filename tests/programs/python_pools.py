"""Grows by small objects in one function, and makes as many and lets them go in another; says what the interpreter's allocator has of its own
account (`sys._debugmallocstats`).
"""

import json
import os
import sys
import tempfile


class Order:
    __slots__ = ("number", "price")

    def __init__(self, number):
        self.number = number
        self.price = number


def grow(kept):
    for number in range(40_000):
        kept.append(Order(number))


def churn():
    for _ in range(200):
        some = [Order(number) for number in range(500)]
        some.clear()


def arenas():
    """Arenas and pools in use, as the interpreter prints them to its standard error."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        sys._debugmallocstats()
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        file.seek(0)
        text = file.read().decode()
    pools = 0
    for line in text.splitlines():
        words = line.split()
        # class, size, number of pools, blocks in use, available blocks
        if len(words) == 5 and all(word.isdigit() for word in words):
            pools += int(words[2])
    return pools


def main():
    kept = []
    # What the functions take the first time is theirs.
    arenas()
    churn()
    print("ready", os.getpid(), flush=True)
    sys.stdin.readline()
    before = arenas()
    grow(kept)
    grown = arenas()
    churn()
    after = arenas()
    print("pools", json.dumps({"grow": grown - before, "churn": after - grown}), flush=True)
    print("hold", flush=True)
    sys.stdin.readline()


main()
