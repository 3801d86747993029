# SPDX-License-Identifier: Apache-2.0
"""Throw-away disks: small memory file systems, and loop disks whose power can be cut.

All mounts are made in a mount namespace of this process's own, and go with it.
"""
import contextlib
import ctypes
import fcntl
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import time

import pytest

CLONE_NEWNS = 0x00020000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32), of ext4 and XFS
SHUTDOWN_WITHOUT_FLUSH = 2

is_private = False


def need_private_mounts():
    """This process, and what it starts from now on, sees mounts that nobody else sees."""
    global is_private
    if is_private:
        return
    if os.geteuid() != 0:
        pytest.skip("only root may mount: NO DISK WAS FILLED OR CUT")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        pytest.skip(f"no mount namespace ({os.strerror(ctypes.get_errno())}): NO DISK WAS FILLED OR CUT")
    assert libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0, os.strerror(ctypes.get_errno())
    is_private = True


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{command}: {done.stderr}"


@contextlib.contextmanager
def memory_disk(options):
    """A tmpfs with these options; yields its path."""
    need_private_mounts()
    with tempfile.TemporaryDirectory(prefix="glasspost-disk-") as folder:
        run("mount", "-t", "tmpfs", "-o", options, "none", folder)
        try:
            yield pathlib.Path(folder)
        finally:
            run("umount", "-l", folder)


class LoopDisk:
    """A file system in a file: `with LoopDisk("ext4") as disk:`; disk.path is where it is mounted."""

    def __init__(self, kind, megabytes=400, options=""):
        need_private_mounts()
        if not shutil.which(f"mkfs.{kind}"):
            pytest.skip(f"mkfs.{kind} is not installed: NO POWER WAS CUT ON {kind}")
        self.kind, self.megabytes = kind, megabytes
        self.options = ",".join(filter(None, ["loop", options]))
        self.is_mounted = False

    def __enter__(self):
        self.scratch = tempfile.TemporaryDirectory(prefix="glasspost-loop-")
        self.image = pathlib.Path(self.scratch.name) / "image"
        self.path = pathlib.Path(self.scratch.name) / "mounted"
        self.path.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(self.megabytes << 20)
        run(f"mkfs.{self.kind}", "-q", str(self.image))
        self.mount()
        return self

    def __exit__(self, *_):
        if self.is_mounted:
            self.unmount()
        self.scratch.cleanup()

    def mount(self):
        done = subprocess.run(["mount", "-t", self.kind, "-o", self.options, str(self.image), str(self.path)],
                              capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            pytest.skip(f"{self.kind} cannot be mounted here ({done.stderr.strip()}): NO POWER WAS CUT ON {self.kind}")
        self.is_mounted = True

    def unmount(self):
        """Processes that were killed let go of their files in a moment, and not at once."""
        for _ in range(100):
            done = subprocess.run(["umount", str(self.path)], capture_output=True, text=True, timeout=60)
            if done.returncode == 0:
                break
            time.sleep(0.05)
        assert done.returncode == 0, done.stderr
        self.is_mounted = False

    def cut(self):
        """The power goes: from now on nothing reaches the disk, and what was not flushed is gone."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", SHUTDOWN_WITHOUT_FLUSH))
        finally:
            os.close(fd)

    def restore(self):
        """The power is back: what the disk holds is mounted anew, its journal played."""
        self.unmount()
        self.mount()
        with open(self.path / "alive", "wb") as file:  # the dead instance would refuse
            file.write(b"yes")
            os.fsync(file.fileno())
