# SPDX-License-Identifier: Apache-2.0
"""What the comparisons share: the load programs of the build, and how results are shown."""
import argparse
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from peers import PROGRAM  # noqa: E402


def program(name):
    """A load program of the build that $GLASSPOST is of; built if it is not there."""
    build = pathlib.Path(PROGRAM).resolve().parent
    path = build / "tests/bench" / name
    if not path.exists():
        subprocess.run(["cmake", "--build", str(build), "--target", "bench_programs"], check=True,
                       stdout=subprocess.DEVNULL)
    return str(path)


def parser(doc):
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", action="store_true")
    return made


def parse(made, **quick):
    """With --quick the options named here have these values where the command line gives no others."""
    made.add_argument("--quick", action="store_true",
                      help="a look rather than a measurement: " + ", ".join(f"--{name} {value}" for name, value in quick.items()))
    if made.parse_known_args()[0].quick:
        made.set_defaults(**quick)
    return made.parse_args()


def flat(row):
    """{"a": {"b": 1}} is {"a, b": 1}."""
    inner = {key: value if isinstance(value, dict) else {"": value} for key, value in row.items()}
    return {", ".join(filter(None, (key, part))): value for key, parts in inner.items() for part, value in parts.items()}


def table(rows):
    """Lines of a table: a dict of dicts, rows by columns."""
    rows = {name: flat(row) for name, row in rows.items()}
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    cells = [["", *columns]] + [[name, *(str(row.get(key, "")) for key in columns)] for name, row in rows.items()]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns) + 1)]
    return ["  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(line, widths)))
            for line in cells]


def show(options, name, result):
    """Values that are dicts are the rows of a table, the others stand below it."""
    if options.json:
        print(json.dumps({"case": name, **result}), flush=True)
        return
    rows = {key: value for key, value in result.items() if isinstance(value, dict)}
    others = [f"{key}: {value}" for key, value in result.items() if key not in rows]
    print("\n".join([name, *("  " + line for line in (table(rows) if rows else []) + others)]), flush=True)


def quantiles(seconds):
    ordered = sorted(seconds)
    return {name: round(ordered[min(int(len(ordered) * part), len(ordered) - 1)] * 1000, 2)
            for name, part in (("median", .5), ("p99", .99), ("worst", 1))}
