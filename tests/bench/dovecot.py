# SPDX-License-Identifier: Apache-2.0
"""A Dovecot to be measured beside Glasspost."""
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time


class Dovecot:
    """A private instance of Debian's dovecot-pop3d on mdbox; mail is put in by doveadm. Needs root."""
    name = "dovecot"
    user, password = "user", "bench"

    def __enter__(self):
        if os.geteuid() != 0 or not shutil.which("dovecot") or not shutil.which("doveadm"):
            raise RuntimeError("the comparison needs root and Debian's package dovecot-pop3d")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="dovecot-bench-"))
        os.chmod(self.folder, 0o755)
        (self.folder / "mail").mkdir()
        shutil.chown(self.folder / "mail", "mail", "mail")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.pop3_port = probe.getsockname()[1]
        self.config = self.folder / "dovecot.conf"
        self.config.write_text(f"""
base_dir = {self.folder}/run
state_dir = {self.folder}/state
log_path = {self.folder}/log
protocols = pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = mdbox:~/mdbox
mail_home = {self.folder}/mail/%u
mail_uid = mail
mail_gid = mail
first_valid_uid = 1
first_valid_gid = 1
passdb {{
  driver = static
  args = password={self.password}
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={self.folder}/mail/%u
}}
namespace inbox {{
  inbox = yes
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {self.pop3_port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
""", encoding="utf-8")
        self.process = subprocess.Popen(["dovecot", "-F", "-c", str(self.config)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.root = self.process.pid
        try:
            self.wait_for_greeting()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def wait_for_greeting(self):
        for _ in range(100):
            try:
                with socket.create_connection(("127.0.0.1", self.pop3_port), timeout=5) as client:
                    if client.recv(3) == b"+OK":
                        return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"dovecot does not answer; it says in {self.folder}/log:\n{(self.folder / 'log').read_text()}")

    def fill(self, count, text):
        """A Maildir of this text, taken over by doveadm."""
        box = self.folder / "mail/user/Maildir"
        for place in ("new", "cur", "tmp"):
            (box / place).mkdir(parents=True)
        for i in range(count):
            (box / "new" / f"{1_700_000_000 + i}.M{i}P1.bench").write_bytes(text)
        subprocess.run(["chown", "-R", "mail:mail", str(self.folder / "mail")], check=True)
        subprocess.run(["doveadm", "-c", str(self.config), "import", "-u", self.user, f"maildir:{box}", "", "all"],
                       check=True)
        shutil.rmtree(box)
