"""Makes objects in two functions, four in one for each in the other, and lets them go at once, until its input ends."""

import os
import sys
import threading
import time


class Order:
    __slots__ = ("number",)


stop = threading.Event()


def often():
    return [Order() for _ in range(400)]


def seldom():
    return [Order() for _ in range(100)]


def work():
    while not stop.is_set():
        often()
        seldom()
        time.sleep(0.002)


def main():
    worker = threading.Thread(target=work)
    worker.start()
    print("ready", os.getpid(), flush=True)
    for _ in sys.stdin:
        pass
    stop.set()
    worker.join()


main()
