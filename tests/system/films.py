# SPDX-License-Identifier: Apache-2.0
"""The films of the guide: sessions with a real server, their traces kept in web/films/NAME.json. This writes them anew:

    GLASSPOST=build/glasspost /usr/bin/python3 tests/system/films.py [NAME...]

test_films.py plays each again and compares. A film is {"events": [lines of the trace format], "letters": {message: text}}.
"""
import base64
import contextlib
import json
import pathlib
import re
import socket
import sys
import tempfile
import time

from glasspost import ROOT, Server, insecure_tls, wait_for
from peers_outside import Names, Sink, some_address

FOLDER = ROOT / "web" / "films"
PASSWORD = "correct horse battery"
PEOPLE = ("ann", "bob", "carla")
# A path of so long each way, about, so that the film shows who waits for whom.
PATH = 0.012


class Client:
    """Says lines as they are given and waits for the answers, a path away from the server."""

    def __init__(self, server, service):
        self.socket = socket.create_connection(("127.0.0.1", server.port(service)), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""
        self.is_pop3 = service == "pop3"
        self.answer()

    def line(self):
        while b"\r\n" not in self.pending:
            more = self.socket.recv(65536)
            assert more, "the server hung up"
            self.pending += more
        line, self.pending = self.pending.split(b"\r\n", 1)
        return line.decode()

    def answer(self):
        while True:
            line = self.line()
            if self.is_pop3 or line[3:4] != "-":
                time.sleep(PATH)
                return line

    def send(self, octets):
        self.socket.sendall(octets)

    def say(self, *lines):
        """All in one go; the answer to the last."""
        self.send(b"".join(line.encode() + b"\r\n" for line in lines))
        return [self.answer() for _ in lines][-1]

    def listing(self, line):
        """A command of POP3 whose answer ends with a lone dot."""
        self.say(line)
        while self.line() != ".":
            pass
        time.sleep(PATH)

    def start_tls(self, word="STARTTLS"):
        self.say(word)
        self.socket = insecure_tls().wrap_socket(self.socket)
        time.sleep(PATH)

    def envelope(self, sender, *recipients):
        """MAIL and RCPT, each answered before the next."""
        self.say(f"MAIL FROM:<{sender}>")
        for recipient in recipients:
            self.say(f"RCPT TO:<{recipient}>")

    def letter(self, text):
        """DATA, the text with CRLF and its dots doubled, and the dot."""
        self.say("DATA")
        self.send(re.sub(rb"(?m)^\.", b"..", crlf(text)) + b".\r\n")
        return self.answer()

    def quit(self):
        self.say("QUIT")
        self.socket.close()


def crlf(text):
    return text.strip("\n").replace("\n", "\r\n").encode() + b"\r\n"


def letter(sender, to, subject, body):
    return f"From: {sender}\nTo: {to}\nSubject: {subject}\nDate: Thu, 15 Jan 2026 10:00:00 +0000\nMessage-ID: <{re.sub('[^a-z]+', '-', subject.lower())}@example.org>\n\n{body}\n"


def greeted(server, name):
    client = Client(server, "smtp")
    client.say(f"EHLO {name}")
    return client


def signed_in(server, user):
    client = Client(server, "submission")
    client.say(f"EHLO {user}.example.org")
    client.start_tls()
    client.say(f"EHLO {user}.example.org")
    client.say("AUTH PLAIN " + base64.b64encode(f"\0{user}@example.org\0{PASSWORD}".encode()).decode())
    return client


def fetch(server, user):
    box = Client(server, "pop3")
    box.start_tls("STLS")
    box.say(f"USER {user}@example.org")
    box.say(f"PASS {PASSWORD}")
    box.say("STAT")
    box.listing("RETR 1")
    box.quit()


# ---- what is played: a function each, of the server ----

def first(server):
    """A letter from one server to another, and every answer on the same connection."""
    client = greeted(server, "mail.example.com")
    client.envelope("dora@example.com", "ann@example.org")
    client.letter(letter("Dora <dora@example.com>", "Ann <ann@example.org>", "Hello", "Is the garden open on Sunday?\n\nDora"))
    client.quit()


def old(server):
    """The five commands of 1982."""
    client = Client(server, "smtp")
    client.say("HELO usc-isif.example.com")
    client.envelope("smith@example.com", "ann@example.org", "green@example.org")
    client.letter(letter("Smith <smith@example.com>", "ann@example.org", "Blah blah", "Blah blah blah...\n...etc. etc. etc."))
    client.quit()


def attacks(server):
    """Somebody else's letter carried, a second letter smuggled in, words slipped in before TLS, addresses guessed."""
    client = greeted(server, "stranger.example.com")
    client.envelope("offers@example.com", "victim@example.net")
    client.quit()
    client = greeted(server, "stranger.example.com")
    client.envelope("offers@example.com", "ann@example.org")
    client.say("DATA")
    client.send(b"Subject: harmless\r\n\r\nHello\n.\nMAIL FROM:<director@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nSubject: pay at once\r\n\r\n...\r\n.\r\n")
    client.answer()
    client.quit()
    client = Client(server, "submission")
    client.say("EHLO stranger.example.com")
    client.send(b"STARTTLS\r\nMAIL FROM:<slipped-in@example.com>\r\n")
    client.answer()
    client.socket.close()
    client = greeted(server, "stranger.example.com")
    for name in ("ann", "bob", "nobody"):
        client.say(f"VRFY {name}@example.org")
    client.quit()


def webmail(server):
    """A webmail's server hands in what was typed in a browser: signed in, encrypted, by the same protocol."""
    client = signed_in(server, "ann")
    client.envelope("ann@example.org", "bob@example.org")
    client.letter(letter("Ann <ann@example.org>", "Bob <bob@example.org>", "Typed in a browser", "The page spoke HTTP to its own server; this is that server."))
    client.quit()


def recipients(server):
    """Three recipients, one of them unknown, one letter."""
    client = greeted(server, "mail.example.com")
    client.say("MAIL FROM:<dora@example.com>", "RCPT TO:<ann@example.org>", "RCPT TO:<nobody@example.org>", "RCPT TO:<bob@example.org>")
    client.letter(letter("Dora <dora@example.com>", "Ann <ann@example.org>", "One letter for two", "Once over the wire, into two mailboxes."))
    client.quit()


def identities(server):
    """Who signs in, who gets reports, and who is named in the letter."""
    client = signed_in(server, "ann")
    client.envelope("reports@example.org", "bob@example.org")
    client.letter(letter("Garden Club <club@example.org>", "All members <members@example.org>", "Three names", "Ann signed in, reports@ gets the reports, club@ is who you read."))
    client.quit()


def success(server):
    """250 for a letter that nobody hears of again, then one with a report asked for."""
    client = signed_in(server, "ann")
    client.envelope("ann@example.org", "bob@example.org")
    client.letter(letter("Ann <ann@example.org>", "Bob <bob@example.org>", "Did it come", "Nobody will tell me."))
    client.say("MAIL FROM:<ann@example.org> RET=HDRS ENVID=garden-1")
    client.say("RCPT TO:<bob@example.org> NOTIFY=SUCCESS,FAILURE")
    client.letter(letter("Ann <ann@example.org>", "Bob <bob@example.org>", "Tell me", "I asked to be told."))
    client.quit()


def words(server):
    """A letter without any header: SMTP carries it."""
    client = greeted(server, "mail.example.com")
    client.envelope("dora@example.com", "ann@example.org")
    client.letter("buy now buy now buy now\n.a line that begins with a dot\n")
    client.quit()


def led(server):
    """One address, two mailboxes; an address that nobody has; and one elsewhere, to where the DNS leads."""
    client = greeted(server, "mail.example.com")
    client.envelope("dora@example.com", "garden@example.org", "elsewhere@example.org")
    client.letter(letter("Dora <dora@example.com>", "The garden <garden@example.org>", "For whoever gardens", "An alias leads to Ann and to Carla."))
    client.quit()
    client = signed_in(server, "ann")
    client.envelope("ann@example.org", "erik@there.example")
    client.letter(letter("Ann <ann@example.org>", "Erik <erik@there.example>", "For elsewhere", "The DNS knows which server takes this."))
    client.quit()
    wait_for(lambda: any(row["protocol"] == "smtp-out" and not row["open"] for row in sessions_of(server)), seconds=30, what="the session with the other server")


def pushed_and_pulled(server):
    """In by SMTP, out by POP3."""
    client = greeted(server, "mail.example.com")
    client.envelope("dora@example.com", "carla@example.org")
    client.letter(letter("Dora <dora@example.com>", "Carla <carla@example.org>", "Waiting for you", "I lie in your mailbox until you come."))
    client.quit()
    time.sleep(0.3)
    fetch(server, "carla")


def mechanisms(server):
    """Ways to sign in are registered names; one that is no standard is not known here."""
    client = Client(server, "submission")
    client.say("EHLO ann.example.org")
    client.start_tls()
    client.say("EHLO ann.example.org")
    client.say("AUTH NTLM")
    client.say("AUTH PLAIN " + base64.b64encode(f"\0ann@example.org\0{PASSWORD}".encode()).decode())
    client.quit()


def pieces(server):
    """The same octets in one piece, then seven at a time: a stream has no messages."""
    told = crlf(letter("Dora <dora@example.com>", "Ann <ann@example.org>", "In pieces", "Cut anywhere."))
    opening = b"MAIL FROM:<dora@example.com>\r\nRCPT TO:<ann@example.org>\r\n"
    for size in (4096, 7):
        client = greeted(server, "mail.example.com")
        for part, answers in ((opening, 2), (b"DATA\r\n", 1), (told + b".\r\n", 1)):
            for at in range(0, len(part), size):
                client.send(part[at:at + size])
                time.sleep(0.002)
            for _ in range(answers):
                client.answer()
        client.quit()


FILMS = {one.__name__: one for one in (first, old, attacks, webmail, recipients, identities, success, words, led, pushed_and_pulled, mechanisms, pieces)}


# Those that need a world outside: names, and a server on port 25 of another address.
OUTSIDE = {"led"}


# ---- recording ----

@contextlib.contextmanager
def outside():
    """Two servers take mail for there.example, and the better one is there: the line of the configuration that finds them, and what they took."""
    better, other = some_address(), some_address()
    records = {"there.example": ["MX 10 mx1.there.example", "MX 20 mx2.there.example"], "mx1.there.example": [f"A {better}"], "mx2.there.example": [f"A {other}"]}
    with tempfile.TemporaryDirectory() as folder:
        with Names(folder, records) as names, Sink(pathlib.Path(folder) / "sink", better, "-h", "mx1.there.example") as sink:
            yield f'resolver = "127.0.0.1:{names.port}"\n', sink.taken


def world(config):
    """A fresh house: three people, an alias, an address that Ann may send as."""
    server = Server(accounts={f"{name}@example.org": PASSWORD for name in PEOPLE}, config="relay = users\n" + config)
    server.__enter__()
    server.run("alias", "add", "garden@example.org", "ann@example.org", "carla@example.org")
    server.run("alias", "add", "reports@example.org", "ann@example.org")
    server.run("sender", "add", "ann@example.org", "reports@example.org")
    return server


def lines(server, *arguments):
    return [json.loads(line) for line in server.run(*arguments, "--json").stdout.splitlines() if line.strip()]


def sessions_of(server):
    return sorted(server.rows("session", "list"), key=lambda row: row["start"])


def record(name):
    with outside() if name in OUTSIDE else contextlib.nullcontext(("", list)) as (config, taken):
        return record_in(name, world(config), taken)


def letters_in(server, taken):
    """Each message as it lies in a mailbox, or came to another server: that one notes its own lines above ours."""
    yield from (octets for user in PEOPLE for octets in server.messages(f"{user}@example.org"))
    yield from (octets[octets.index(b"Received: from ann.example.org"):] for octets in taken())


def record_in(name, server, taken):
    try:
        FILMS[name](server)
        wait_for(lambda: sessions_of(server) and not any(row["open"] for row in sessions_of(server)), what="the end of each session")
        events = [event for row in sessions_of(server) for event in lines(server, "session", "show", row["session"])]
        known = {identity(event) for event in events}
        messages = [event["fields"]["message"] for event in events if event["kind"] == "accept"]
        for message in messages:
            if name == "success" and message == messages[-1]:
                wait_for(lambda: any(one["kind"] == "notice" for one in lines(server, "message", "events", message)), what="the report")
            events += [event for event in lines(server, "message", "events", message) if identity(event) not in known]
            known |= {identity(event) for event in events}
        letters = {}
        for octets in letters_in(server, taken):
            found = re.search(rb"\bid ([0-9A-Z]{13})\b", octets)
            if found and found.group(1).decode() in messages:
                letters[found.group(1).decode()] = octets.decode().replace("\r\n", "\n").rstrip("\n") + "\n"
        return {"events": [small(event, events[0]) for event in sorted(events, key=lambda one: (one["at_us"], one["role"], one["role_index"], one["sequence"]))], "letters": letters}
    finally:
        server.__exit__()


def identity(event):
    return event["role"], event["role_index"], event["sequence"], event["at_us"]


def small(event, begin):
    """What the page reads of it; the clock of the machine's life begins with the film."""
    kept = {"kind": event["kind"], "wall_us": event["wall_us"], "at_us": event["at_us"] - begin["at_us"] + 1000, "sequence": event["sequence"], "role": event["role"],
            "role_index": event["role_index"]}
    if event["session"]:
        kept["session"] = event["session"]
    for flag in ("cut", "masked", "encrypted"):
        if event[flag]:
            kept[flag] = True
    return kept | {"fields": event["fields"]}


# ---- comparing ----

SAME = {
    "connect": ("protocol", "listener", "outgoing"), "command": ("verb", "line"), "reply": ("code", "line", "verb", "more"), "tls": ("version", "cipher", "group", "failure"),
    "auth": ("mechanism", "step", "outcome", "account"), "policy": ("rule", "verdict", "detail"), "data": ("how", "octets", "last", "unstuffed"),
    "inspect": ("verdict", "parts", "detail"), "accept": ("sender", "recipients", "subject"), "deliver": ("recipient", "account", "folder", "outcome"),
    "fetch": ("account", "folder", "what"), "notice": ("recipient", "outcome"), "attempt": ("recipient", "outcome", "code"), "dns": ("question", "type", "outcome"), "close": ("reason", "account", "commands", "errors", "messages"), "state": ("from", "to"),
}
# In the order of the wire; the house behind it works side by side.
WIRE = ("connect", "command", "reply", "tls", "data", "close", "state")


def told(event):
    fields = [re.sub(r"\b[0-9A-Z]{13}\b", "ID", re.sub(r"127\.0\.0\.1:\d+|<\d+\.\d+@", "PORT", str(event["fields"].get(name, "")))) for name in SAME[event["kind"]]]
    return [event["kind"], bool(event.get("masked")), bool(event.get("encrypted")), *fields]


def shape(film):
    """What must be the same each time: not the times, names of sessions and messages, and ports."""
    order = list(dict.fromkeys(event["session"] for event in film["events"] if event.get("session") and event["kind"] == "connect"))
    # How often an address is asked for depends on what is known already.
    own = lambda session: [event for event in film["events"] if event.get("session") == session and event["kind"] in SAME
                           and (event["kind"] != "dns" or event["fields"]["type"] == "MX")]
    reports = [told(event) for event in film["events"] if not event.get("session") and event["kind"] == "notice"]
    return [reports] + [{"wire": [told(event) for event in own(session) if event["kind"] in WIRE],
                         "house": sorted(map(str, (told(event) for event in own(session) if event["kind"] not in WIRE)))} for session in order]


def write(name):
    FOLDER.mkdir(exist_ok=True)
    film = record(name)
    rows = ",\n".join(json.dumps(event, ensure_ascii=False, separators=(",", ":")) for event in film["events"])
    text = '{"events":[\n' + rows + '\n],\n"letters":' + json.dumps(film["letters"], ensure_ascii=False, indent=1) + "}\n"
    (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")
    print(f"{name}: {len(film['events'])} events, {len(text)} octets")


if __name__ == "__main__":
    if not FILMS.keys() >= set(sys.argv[1:]):
        sys.exit(f"{__doc__}\nNAME: {' '.join(FILMS)}")
    for one in sys.argv[1:] or FILMS:
        write(one)
