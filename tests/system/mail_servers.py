# SPDX-License-Identifier: Apache-2.0
"""Mail servers of others for the tests to talk to: Debian's Postfix, Exim and OpenSMTPD. Each listens on port 25 of a
loopback address, keeps what comes for its domain in a Maildir, and sends the rest to the next host that it is told.

Their packages conflict, so Exim and OpenSMTPD are only unpacked (tools/unpack-packages build/peers) and run in a
mount namespace of their own, in which /usr has their files too and /etc, /var and /run are their own."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest

from glasspost import ROOT
from peers_outside import wait_for_port

UNPACKED = pathlib.Path(os.environ.get("GLASSPOST_PEERS", ROOT / "build/peers"))
USERS = {"root": 0, "nobody": 65534, "mail": 8, "Debian-exim": 901, "opensmtpd": 902, "opensmtpq": 903, "vmail": 904}
VMAIL = 904


def make_certificate(folder, name):
    """A self-signed one for that name: (certificate, key)."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(certificate)],
                   check=True, capture_output=True, timeout=60)
    os.chmod(certificate, 0o644)
    return certificate, key


class MailServer:
    """with Exim(address, "there.example", {"example.org": ("127.0.0.1", 20025)}) as peer: ...

    Mail for any user of `domain` is kept; mail for the other domains is relayed to their host and port, by anybody
    on loopback."""
    name = ""

    def __init__(self, address, domain, onward):
        self.scratch = tempfile.TemporaryDirectory(prefix=f"glasspost-{self.name}-")  # other users come in
        self.folder, self.address, self.domain, self.onward = pathlib.Path(self.scratch.name), address, domain, onward
        self.hostname = f"mx.{domain}"
        self.mail = self.folder / "mail"
        self.process = None

    def __enter__(self):
        self.need()
        os.chmod(self.folder, 0o755)
        self.mail.mkdir()
        os.chmod(self.mail, 0o777)
        self.certificate, self.key = make_certificate(self.folder, self.hostname)
        self.configure()
        self.start()
        wait_for_port(self.address, 25, self.process)
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=10)
        self.scratch.cleanup()

    def run(self, command):
        with open(self.folder / "output", "ab") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            start_new_session=True)

    def messages(self):
        """What was kept, as octets with CRLF; the fields that the server put in front are still there."""
        return [path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
                for path in self.mail.rglob("*") if path.is_file() and path.parent.name in ("new", "cur")]

    def has_tls(self):
        """Does OpenSSL's own client come through? Debian 12's OpenSMTPD offers STARTTLS, and then every handshake fails."""
        done = subprocess.run(["openssl", "s_client", "-starttls", "smtp", "-brief", "-connect", f"{self.address}:25"], input="QUIT\n",
                              text=True, capture_output=True, timeout=30, check=False)
        return "CONNECTION ESTABLISHED" in done.stderr

    def log(self):
        texts = [path.read_text(errors="replace") for path in self.folder.rglob("*")
                 if path.is_file() and (path.name in ("output", "log") or path.name.endswith("mainlog"))]
        return "\n".join(texts)[-6000:]


class Postfix(MailServer):
    name = "postfix"

    def need(self):
        if not shutil.which("postfix"):
            pytest.skip("postfix is not installed: tools/install-packages check")

    def configure(self):
        for name in ("etc", "spool", "data"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        shutil.chown(self.mail, "nobody")
        (self.folder / "etc/transport").write_text(
            "".join(f"{domain} smtp:[{host}]:{port}\n" for domain, (host, port) in self.onward.items()), encoding="utf-8")
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
smtp_bind_address = {self.address}
myhostname = {self.hostname}
mydestination =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = reject_unauth_destination
alias_maps =
alias_database =
local_recipient_maps =
relay_domains = {', '.join(self.onward)}
transport_maps = texthash:{self.folder}/etc/transport
virtual_mailbox_domains = {self.domain}
virtual_mailbox_base = {self.mail}
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
smtputf8_enable = yes
smtputf8_autodetect_classes = all
message_size_limit = 20480000
smtpd_tls_cert_file = {self.certificate}
smtpd_tls_key_file = {self.key}
smtpd_tls_security_level = may
smtp_tls_security_level = may
smtp_tls_loglevel = 1
smtpd_tls_loglevel = 1
minimal_backoff_time = 1s
queue_run_delay = 2s
""", encoding="utf-8")
        services = [f"{self.address}:25 inet n - n - - smtpd", "pickup unix n - n 60 1 pickup", "cleanup unix n - n - 0 cleanup",
                    "qmgr unix n - n 300 1 qmgr", "rewrite unix - - n - - trivial-rewrite", "bounce unix - - n - 0 bounce",
                    "defer unix - - n - 0 bounce", "trace unix - - n - 0 bounce", "flush unix n - n 1000? 0 flush",
                    "proxymap unix - - n - - proxymap", "showq unix n - n - - showq", "error unix - - n - - error",
                    "retry unix - - n - - error", "virtual unix - n n - - virtual", "anvil unix - - n - 1 anvil",
                    "scache unix - - n - 1 scache", "smtp unix - - n - - smtp", "tlsmgr unix - - n 1000? 1 tlsmgr",
                    "postlog unix-dgram n - n - 1 postlogd"]
        (self.folder / "etc/master.cf").write_text("\n".join(services) + "\n", encoding="utf-8")
        for tables in pathlib.Path("/etc/postfix").glob("postfix-files*"):
            if tables.is_file():
                shutil.copy(tables, self.folder / "etc")

    def start(self):
        done = subprocess.run(["postfix", "-c", str(self.folder / "etc"), "start"], stdin=subprocess.DEVNULL, timeout=60,
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr + self.log()

    def __exit__(self, *_):
        subprocess.run(["postfix", "-c", str(self.folder / "etc"), "stop"], stdin=subprocess.DEVNULL, capture_output=True,
                       timeout=60, check=False)
        self.scratch.cleanup()


class Unpacked(MailServer):
    """In a mount namespace and a root of its own; below `house` are its /etc, /var and /run."""
    program = ""

    def need(self):
        if not (UNPACKED / "usr/sbin" / self.program).exists():
            pytest.skip(f"{self.name} is not unpacked: tools/unpack-packages build/peers")

    def __enter__(self):
        self.need()
        self.house = self.folder / "house"
        for name in ("etc", "var/spool", "var/lib", "var/mail", "var/log", "var/empty", "var/lib/opensmtpd/empty", "run", "proc", "dev", "tmp", "usr", "root", "srv",
                     "etc/ssl/certs"):
            (self.house / name).mkdir(parents=True)
        os.chmod(self.house / "tmp", 0o1777)
        for name in ("bin", "sbin", "lib", "lib64"):
            (self.house / name).symlink_to(f"usr/{name}")
        (self.house / "var/run").symlink_to("../run")
        lines = [f"{user}:x:{number}:{number}:{user}:/var/empty:/usr/sbin/nologin\n" for user, number in USERS.items()]
        (self.house / "etc/passwd").write_text("".join(lines), encoding="utf-8")
        (self.house / "etc/group").write_text("".join(f"{user}:x:{number}:\n" for user, number in USERS.items()), encoding="utf-8")
        (self.house / "etc/hosts").write_text(f"{self.address} {self.hostname}\n127.0.0.1 localhost\n", encoding="utf-8")
        (self.house / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n", encoding="utf-8")
        (self.house / "etc/mailname").write_text(self.hostname + "\n", encoding="utf-8")
        for name in ("services", "protocols", "ld.so.cache", "ssl/certs/ca-certificates.crt"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(f"/etc/{name}", self.house / "etc" / name)
        return super().__enter__()

    def start(self):
        house, usr = self.house, f"lowerdir={UNPACKED.resolve()}/usr:/usr"
        script = (f"mount -t overlay overlay -o '{usr}' '{house}/usr' && mount --rbind /dev '{house}/dev' && "
                  f"mount -t proc proc '{house}/proc' && mount --bind '{self.mail}' '{house}/srv' && exec chroot '{house}' \"$@\"")
        self.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-c", script, "sh",
                  *self.command()])


class Exim(Unpacked):
    name = "exim"
    program = "exim4"

    def configure(self):
        for name in ("var/spool/exim4", "var/log/exim4"):
            (self.house / name).mkdir(parents=True)
            os.chown(self.house / name, USERS["Debian-exim"], USERS["Debian-exim"])
        (self.house / "etc/exim4").mkdir()
        shutil.copy(self.certificate, self.house / "etc/exim4/certificate.pem")
        shutil.copy(self.key, self.house / "etc/exim4/key.pem")
        os.chown(self.house / "etc/exim4/key.pem", USERS["Debian-exim"], USERS["Debian-exim"])
        os.chown(self.mail, VMAIL, VMAIL)
        routes = " : ".join(f"{domain} {host}::{port}" for domain, (host, port) in self.onward.items()).replace(" : ", " ; ")
        (self.house / "etc/exim4/exim4.conf").write_text(f"""
primary_hostname = {self.hostname}
domainlist here = {self.domain}
domainlist onward = {' : '.join(self.onward)}
local_interfaces = {self.address}
daemon_smtp_ports = 25
tls_advertise_hosts = *
tls_certificate = /etc/exim4/certificate.pem
tls_privatekey = /etc/exim4/key.pem
chunking_advertise_hosts = *
pipelining_advertise_hosts = *
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
accept_8bitmime = true
acl_smtp_rcpt = rcpt
acl_smtp_data = data
host_lookup =
rfc1413_query_timeout = 0s
received_header_text = Received: from $sender_helo_name by $primary_hostname with $received_protocol id $message_exim_id; $tod_full
received_headers_max = 100
bounce_return_body = true
queue_run_in_order
log_selector = +all
keep_environment =
add_environment =
daemon_startup_retries = 0

begin acl
rcpt:
  accept domains = +here : +onward
  deny message = not for us
data:
  accept

begin routers
keep:
  driver = accept
  domains = +here
  transport = keep
onward:
  driver = manualroute
  domains = +onward
  transport = onward
  route_list = {routes}
  self = send

begin transports
keep:
  driver = appendfile
  maildir_format
  directory = /srv/all
  create_directory
  user = vmail
  group = vmail
  delivery_date_add = false
  envelope_to_add = false
  return_path_add = false
onward:
  driver = smtp
  interface = {self.address}
  tls_verify_hosts =
  tls_try_verify_hosts =
  hosts_try_dane =

begin retry
* * F,1h,1s
""", encoding="utf-8")

    def command(self):
        return ["/usr/sbin/exim4", "-bdf", "-q2s"]


class OpenSMTPD(Unpacked):
    name = "opensmtpd"
    program = "smtpd"

    def configure(self):
        spool = self.house / "var/spool/smtpd"
        spool.mkdir()
        os.chmod(spool, 0o711)
        (self.house / "etc/aliases").write_text("", encoding="utf-8")
        shutil.copy(self.certificate, self.house / "etc/certificate.pem")
        shutil.copy(self.key, self.house / "etc/key.pem")
        os.chmod(self.house / "etc/key.pem", 0o600)
        os.chown(self.mail, VMAIL, VMAIL)
        lines = ['pki here cert "/etc/certificate.pem"', 'pki here key "/etc/key.pem"',
                 "table all { \"@\" = vmail }",
                 f'listen on {self.address} port 25 hostname "{self.hostname}" tls pki here',
                 'action keep maildir "/srv/all" virtual <all>']
        for number, (domain, (host, port)) in enumerate(self.onward.items()):
            lines += [f'action onward{number} relay host "smtp://{host}:{port}" helo "{self.hostname}" src {self.address}',
                      f'match from any for domain "{domain}" action onward{number}']
        lines += [f'match from any for domain "{self.domain}" action keep']
        (self.house / "etc/smtpd.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
        os.chmod(self.house / "etc/smtpd.conf", 0o600)

    def command(self):
        return ["/usr/sbin/smtpd", "-d", "-v", "-f", "/etc/smtpd.conf"]


ALL = (Postfix, Exim, OpenSMTPD)
