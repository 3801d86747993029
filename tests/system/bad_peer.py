# SPDX-License-Identifier: Apache-2.0
"""A mail server on port 25 of an address, unless another is said, that misbehaves as it is told, and takes mail where it is told nothing.

`ways` maps a stage ("greeting", "EHLO", "STARTTLS", "handshake", "MAIL", "RCPT", "DATA", "dot") to a way, or to a function of the
command line that gives one. A way is octets to say in place of the usual reply, CLOSE, or (octets, CLOSE). It may be
changed between two sessions."""
import contextlib
import socket
import ssl
import threading

CLOSE = object()
USUAL = {"greeting": b"220 bad.example ESMTP\r\n", "EHLO": b"250-bad.example\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n",
         "HELO": b"250 bad.example\r\n", "STARTTLS": b"220 2.0.0 go on\r\n", "MAIL": b"250 2.1.0 ok\r\n", "RCPT": b"250 2.1.5 ok\r\n",
         "DATA": b"354 go on\r\n", "dot": b"250 2.0.0 taken\r\n", "RSET": b"250 2.0.0 ok\r\n", "QUIT": b"221 2.0.0 bye\r\n"}


class Gone(Exception):
    """The session is over."""


class BadPeer:
    def __init__(self, address, ways=None, certificate=None, port=25):
        self.address, self.port, self.ways, self.certificate = address, port, ways or {}, certificate
        self.taken = []  # (sender, [recipients], octets, under TLS)
        self.sessions = 0

    def __enter__(self):
        self.listener = socket.create_server((self.address, self.port), backlog=50)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(timeout=10)

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.sessions += 1
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        session = Session(self, connection)
        with contextlib.suppress(OSError, Gone, ValueError):
            session.run()
        with contextlib.suppress(OSError):
            session.socket.close()


class Session:
    def __init__(self, peer, connection):
        self.peer, self.socket = peer, connection
        self.socket.settimeout(30)
        self.octets = b""
        self.is_tls = False
        self.sender, self.recipients = "", []

    def line(self):
        while b"\n" not in self.octets:
            more = self.socket.recv(65536)
            if not more:
                raise Gone
            self.octets += more
        line, self.octets = self.octets.split(b"\n", 1)
        return line.rstrip(b"\r").decode("utf-8", "surrogateescape")

    def answer(self, stage, line=""):
        """True: as usual."""
        way = self.peer.ways.get(stage)
        if callable(way):
            way = way(line)
        said, ends = (way if isinstance(way, tuple) else (b"", CLOSE) if way is CLOSE else (way, None))
        usual = USUAL.get(stage, b"502 5.5.1 what?\r\n")
        if stage == "EHLO" and self.peer.certificate and not self.is_tls:
            usual = usual.replace(b"250-8BITMIME", b"250-STARTTLS\r\n250-8BITMIME")
        self.socket.sendall(usual if said is None else said)
        if ends:
            raise Gone
        return said is None or said.startswith(b"2") or said.startswith(b"3")

    def start_tls(self):
        way = self.peer.ways.get("handshake")
        if way is CLOSE:
            raise Gone
        if way is not None:
            self.socket.sendall(way)
            self.socket.recv(65536)
            raise Gone
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.peer.certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.octets, self.is_tls = b"", True

    def data(self):
        while b"\r\n.\r\n" not in b"\r\n" + self.octets:
            more = self.socket.recv(65536)
            if not more:
                raise Gone
            self.octets += more
        text, self.octets = (b"\r\n" + self.octets).split(b"\r\n.\r\n", 1)
        if self.answer("dot"):
            self.peer.taken.append((self.sender, self.recipients, text[2:].replace(b"\r\n..", b"\r\n."), self.is_tls))
        self.recipients = []

    def run(self):
        self.answer("greeting")
        while True:
            line = self.line()
            verb = line.split(" ", 1)[0].upper()
            is_well = self.answer(verb, line)
            if verb == "STARTTLS" and is_well:
                self.start_tls()
            elif verb == "MAIL" and is_well:
                self.sender, self.recipients = line[line.index("<") + 1:line.index(">")], []
            elif verb == "RCPT" and is_well:
                self.recipients.append(line[line.index("<") + 1:line.index(">")])
            elif verb == "DATA" and is_well:
                self.data()
            elif verb == "QUIT":
                raise Gone
