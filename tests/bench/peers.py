# SPDX-License-Identifier: Apache-2.0
"""Servers to be measured side by side: Glasspost and Debian's Postfix, both durable, both delivering
to a local mailbox, each on a port of loopback and a folder of its own."""
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

from glasspost import PROGRAM, Server  # noqa: E402,F401

TICKS = os.sysconf("SC_CLK_TCK")
RECIPIENT = "user@bench.example"


def processes(root):
    """root and all its living descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent = int(pathlib.Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[1])
                children.setdefault(parent, []).append(int(entry))
            except (OSError, IndexError):
                pass
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def cpu_seconds(root):
    """CPU of a process tree so far, of children that were waited for as well."""
    total = 0
    for pid in processes(root):
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += sum(int(field) for field in fields[11:15])
        except OSError:
            pass
    return total / TICKS


def memory_kib(root):
    """Proportional set size of a process tree."""
    total = 0
    for pid in processes(root):
        try:
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except OSError:
            pass
    return total


def send(peer, sessions, messages, octets, recipient, *more):
    """All of it is answered when this returns. timeout(1), as subprocess would look only every 50 ms for the end."""
    subprocess.run(["timeout", "600", "smtp-source", "-4", "-s", str(sessions), "-m", str(messages), "-l", str(octets),
                    "-f", "from@client.example", "-t", recipient, "-M", "client.example", *more,
                    f"inet:127.0.0.1:{peer.port}"], check=True)


class Glasspost:
    name = "glasspost"

    def __init__(self, config=""):
        self.server = Server(accounts={RECIPIENT: "bench"}, domain="bench.example", config=config)

    def __enter__(self):
        self.server.__enter__()
        self.port, self.root = self.server.port("smtp"), self.server.process.pid
        return self

    def __exit__(self, *details):
        self.server.__exit__(*details)

    def delivered(self):
        for row in self.server.rows("account", "list"):
            if row["address"] == RECIPIENT:
                return row["messages"]
        return 0


class Postfix:
    """A private instance; virtual(8) writes a Maildir. Needs root, as Postfix does."""
    name = "postfix"

    def __init__(self, extra=""):
        self.extra = extra

    def __enter__(self):
        if os.geteuid() != 0 or not shutil.which("postfix"):
            raise RuntimeError("the comparison needs root and Debian's package postfix")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postfix-bench-"))
        os.chmod(self.folder, 0o755)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.configure()
        self.postfix("start")
        self.root = int((self.folder / "spool/pid/master.pid").read_text())
        self.wait_for_port()
        return self

    def __exit__(self, *_):
        self.postfix("stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def postfix(self, command):
        subprocess.run(["postfix", "-c", str(self.folder / "etc"), command], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def configure(self):
        for name in ("etc", "spool", "data", "mail"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        shutil.chown(self.folder / "mail", "nobody")
        uid, gid = (self.folder / "mail").stat().st_uid, 65534
        (self.folder / "etc/main.cf").write_text(f"""
compatibility_level = 3.6
queue_directory = {self.folder}/spool
data_directory = {self.folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {self.folder}/log
maillog_file_prefixes = /var, /dev/stdout, /tmp, {self.folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.bench.example
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = bench.example
virtual_mailbox_base = {self.folder}/mail
virtual_mailbox_maps = static:user/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
message_size_limit = 20480000
{self.extra}
""", encoding="utf-8")
        services = [f"{self.port} inet n - n - - smtpd", "pickup unix n - n 60 1 pickup", "cleanup unix n - n - 0 cleanup",
                    "qmgr unix n - n 300 1 qmgr", "rewrite unix - - n - - trivial-rewrite", "bounce unix - - n - 0 bounce",
                    "defer unix - - n - 0 bounce", "trace unix - - n - 0 bounce", "flush unix n - n 1000? 0 flush",
                    "smtp unix - - n - - smtp", "relay unix - - n - - smtp",
                    "proxymap unix - - n - - proxymap", "showq unix n - n - - showq", "error unix - - n - - error",
                    "retry unix - - n - - error", "virtual unix - n n - - virtual", "anvil unix - - n - 1 anvil",
                    "scache unix - - n - 1 scache", "tlsmgr unix - - n 1000? 1 tlsmgr",
                    "postlog unix-dgram n - n - 1 postlogd"]
        (self.folder / "etc/master.cf").write_text("\n".join(services) + "\n", encoding="utf-8")
        for tables in pathlib.Path("/etc/postfix").glob("postfix-files*"):
            if tables.is_file():
                shutil.copy(tables, self.folder / "etc")

    def wait_for_port(self):
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("postfix does not listen")

    def delivered(self):
        count = 0
        for place in ("new", "cur"):
            try:
                with os.scandir(self.folder / "mail/user" / place) as entries:
                    count += sum(1 for _ in entries)
            except OSError:
                pass
        return count
