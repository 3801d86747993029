#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tally.py FILE: the verdicts that runs with CRASH_TALLY=FILE have left, added up by what was done."""
import json
import sys

COLUMNS = ["attacks", "acked", "refused", "lost", "ghost", "torn", "twice", "astray", "risen"]


def add_up(lines):
    sums = {}
    for line in lines:
        row = json.loads(line)
        of_this = sums.setdefault(row["what"], dict.fromkeys(COLUMNS, 0))
        for name in COLUMNS:
            of_this[name] += row.get(name, 0)
    return sums


def main(path):
    with open(path, encoding="utf-8") as file:
        sums = add_up(file)
    controls = {what for what in sums if what.startswith("control:")}
    total = {name: sum(row[name] for what, row in sums.items() if what not in controls) for name in COLUMNS}
    print(f"| what was done | {' | '.join(COLUMNS)} |\n|---|{'---:|' * len(COLUMNS)}")
    for what, row in [*sorted(sums.items()), ("all but controls", total)]:
        print(f"| {what} | {' | '.join(str(row[name]) for name in COLUMNS)} |")


if __name__ == "__main__":
    main(sys.argv[1])
