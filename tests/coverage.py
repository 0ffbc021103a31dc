#!/usr/bin/python3
"""Prints gcovr's summary (JSON) by room: the share of lines and branches that ran, and the least covered files."""

import json
import os
import sys
from collections import defaultdict

LEAST_COVERED = 10  # files named


def share(covered, total):
    return f"{100 * covered / total:5.1f} %" if total else "      -"


def main(path):
    with open(path, encoding="utf-8") as file:
        files = json.load(file)["files"]
    rooms = defaultdict(lambda: [0, 0, 0, 0])
    for one in files:
        sums = (one["line_covered"], one["line_total"], one["branch_covered"], one["branch_total"])
        for room in (os.path.dirname(one["filename"]), "all"):
            rooms[room] = [old + new for old, new in zip(rooms[room], sums)]
    print("| room | lines | covered | branches |\n|---|---|---|---|")
    for room, (lines, all_lines, branches, all_branches) in sorted(rooms.items(), key=lambda item: (item[0] == "all", item[0])):
        print(f"| {room} | {all_lines} | {share(lines, all_lines)} | {share(branches, all_branches)} |")
    print("\nleast covered:")
    for one in sorted(files, key=lambda one: one["line_percent"] or 0)[:LEAST_COVERED]:
        print(f"  {one['filename']}: {one['line_covered']} of {one['line_total']} lines")


if __name__ == "__main__":
    main(sys.argv[1])
