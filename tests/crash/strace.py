# SPDX-License-Identifier: Apache-2.0
"""Faults put into running processes by strace: the n-th system call of a kind fails, or kills.

A call that fails is changed into getpid(2), which every role's sandbox allows; strace's own way (call
number -1) would be a breach of the sandbox, and the sandbox would end the process. Calls are counted per
thread, and the store writes in one thread.
"""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest


def need_strace():
    if not shutil.which("strace"):
        pytest.skip("strace is not installed: NO FAULT WAS INJECTED")
    if os.geteuid() != 0:
        pytest.skip("only root may trace the sandboxed roles: NO FAULT WAS INJECTED")


class Traced:
    """The processes of these ids under strace, with an optional fault: `with Traced([pid], "fsync", "error=EIO", 3):`

    With paths, only calls on these files and folders count.
    """

    def __init__(self, pids, calls, fault=None, nth=1, paths=()):
        assert all(pid > 1 for pid in pids)
        file, self.output = tempfile.mkstemp(prefix="glasspost-strace-")
        os.close(file)
        command = ["strace", "-f", "-yy", "-s", "0", "-o", self.output, "-e", f"trace={calls}"]
        if fault:
            instead = ":syscall=getpid" if fault.startswith("error=") else ""
            command += ["-e", f"inject={calls}:{fault}{instead}:when={nth}"]
        for path in paths:
            command += ["-P", str(path)]
        for pid in pids:
            command += ["-p", str(pid)]
        self.count = len(pids)
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, text=True)

    def __enter__(self):
        for _ in range(self.count):
            line = self.process.stderr.readline()
            assert "attached" in line, f"strace: {line}"
        return self

    def __exit__(self, *_):
        self.process.terminate()  # it lets go of what it traces
        try:
            self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()  # it waits for the first thread of a process that is ending
            self.process.wait(timeout=20)
        self.process.stderr.close()
        self.lines = self.read()
        os.unlink(self.output)

    def read(self):
        return pathlib.Path(self.output).read_text(errors="replace").splitlines()

    def struck(self):
        """Did the fault happen?"""
        return any("(INJECTED)" in line or "+++ killed by SIGKILL" in line
                   for line in (self.lines if hasattr(self, "lines") else self.read()))

    def most_of(self, call):
        """How often the busiest thread called it."""
        threads = {}
        for line in self.lines:
            if match := re.match(rf"(\d+) +{call}\(", line):
                threads[match.group(1)] = threads.get(match.group(1), 0) + 1
        return max(threads.values(), default=0)
