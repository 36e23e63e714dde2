"""Reads a table with Python's own reader, as a spreadsheet would, and prints its rows as JSON."""

import csv
import json
import sys

with open(sys.argv[1], newline="", encoding="utf-8") as file:
    json.dump(list(csv.DictReader(file, strict=True)), sys.stdout)
