# SPDX-License-Identifier: Apache-2.0
"""The wall clock jumps a day ahead, a year back, or runs a hundred times too fast.

Roles start with an empty environment, so no library gets into them; all of them in one process do.
"""
import glob
import random
import re
import time

import pytest

from ledger import Ledger, Load, Session
from scene import ADDRESSES, judge, new_server

LIBRARY = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")


def year_of_the_newest_line(server):
    years = re.findall(r"^(\d{4})-\d\d-\d\dT", server.log(), re.M)
    return int(years[-1]) if years else None


def test_a_clock_that_jumps_loses_nothing(monkeypatch):
    if not LIBRARY:
        pytest.skip("libfaketime is not installed: NO CLOCK JUMPED")
    ledger = Ledger()
    this_year = time.gmtime().tm_year
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    with new_server(together="yes") as server:
        for seed, (offset, year) in enumerate([("+0", this_year), ("+1d", None), ("-366d", this_year - 1), ("+3650d", None),
                                               ("-1d", None), ("+0 x100", None)]):
            server.stop() if seed % 2 else server.kill()
            monkeypatch.setenv("LD_PRELOAD", LIBRARY[0])
            monkeypatch.setenv("FAKETIME", offset)
            server.start()
            monkeypatch.delenv("LD_PRELOAD")
            before = len(ledger.acked)
            with Load(ledger, server.port("smtp"), ADDRESSES, clients=3, seed=seed):
                time.sleep(0.7)
            assert len(ledger.acked) > before, f"no mail at {offset}"
            if year:
                assert year_of_the_newest_line(server) == year, "the clock was not moved"
            server.run("session", "list")
            server.run("store", "compact")
        with Session(ledger, server.port("smtp")) as session:
            session.send(ADDRESSES[0], random.Random(12))
        judge(server, ledger, at_least=20)
