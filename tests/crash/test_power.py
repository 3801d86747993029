# SPDX-License-Identifier: Apache-2.0
"""The power is cut under load, again and again, on file systems that keep only what was flushed.

Acknowledgements count only when they were read before the cut. The same with `durable = no` must lose
mail, or the cut cuts nothing and the test shows nothing.
"""
import random
import time

import pytest

from ledger import Ledger, Load
from machine import LoopDisk, run
from scene import ADDRESSES, cycles, judge, mailboxes, new_server, tally


AGAIN = "transactions that the database had lost were done again"


def put_log_elsewhere(server, folder):
    server.log_path = folder / "log"


def cut_power(server, disk, ledger):
    ledger.close()
    disk.cut()
    server.kill()
    disk.restore()
    ledger.reopen()


@pytest.mark.parametrize("kind, options", [("ext4", ""), ("ext4", "data=writeback"), ("xfs", "")])
def test_power_cuts_lose_nothing(tmp_path, kind, options):
    few = 5 if not options and kind == "ext4" else 2
    rng = random.Random(4)
    ledger = Ledger()
    with LoopDisk(kind, options=options) as disk:
        server = new_server(folder=disk.path)
        put_log_elsewhere(server, tmp_path)
        with server:
            count = cycles(few, 40)
            for cycle in range(count):
                with Load(ledger, server.port("smtp"), ADDRESSES, seed=cycle):
                    time.sleep(rng.uniform(0.3, 1.5))
                    cut_power(server, disk, ledger)
                server.start()
            judge(server, ledger, at_least=100, what=f"power cut, {kind} {options}".rstrip(), attacks=count)
            assert AGAIN in server.log(), "the database lost nothing: the log in the body files was not needed"


def test_without_durability_a_power_cut_loses_mail(tmp_path):
    ledger = Ledger()
    with LoopDisk("ext4") as disk:
        server = new_server(folder=disk.path, durable="no")
        put_log_elsewhere(server, tmp_path)
        with server:
            run("sync", "-f", str(disk.path))  # the accounts stay; mail alone is at stake
            with Load(ledger, server.port("smtp"), ADDRESSES):
                time.sleep(1.5)
                cut_power(server, disk, ledger)
            try:
                server.start()
                found = mailboxes(server)
            except Exception:  # the store is gone altogether
                found = {}
            verdicts = ledger.judge(found)
            tally("control: power cut, ext4, durable = no", ledger, found, verdicts, attacks=1)
            assert len(ledger.acked) > 100
            assert verdicts["lost"], "nothing was lost without flushes: the cut cuts nothing"
