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


def show(options, name, result):
    print(json.dumps({"case": name, **result}) if options.json else f"{name:28} {result}", flush=True)


def quantiles(seconds):
    ordered = sorted(seconds)
    return {name: round(ordered[min(int(len(ordered) * part), len(ordered) - 1)] * 1000, 2)
            for name, part in (("median", .5), ("p99", .99), ("worst", 1))}
