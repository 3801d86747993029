# SPDX-License-Identifier: Apache-2.0
"""Everything that the server can say has an explanation. What there is to explain is read from the tables and sources that say it."""
import json
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SRC = ROOT / "src"
DEPTHS = ("newcomer", "student", "rfc_says")
# What no RFC speaks of: our own roles and records. Their rfc_says has to say so.
OURS = {"role", "trouble", "lost"}


def texts():
    def once(pairs):
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), f"twice in one place: {[n for n in names if names.count(n) > 1]}"
        return dict(pairs)
    return json.loads((ROOT / "texts/explain.en.json").read_text(encoding="utf-8"), object_pairs_hook=once)


TEXTS = texts()


def entries(node=None, path=()):
    """Every explanation with its way: (("smtp", "verbs", "EHLO"), {...})."""
    node = TEXTS if node is None else node
    if "title" in node:
        yield path, node
        return
    for name, inner in node.items():
        yield from entries(inner, path + (name,))


def source(name):
    text = (SRC / name).read_text(encoding="utf-8")
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def sources(*folders):
    """Code that speaks: not tests, their stands, or fuzz targets."""
    for folder in folders:
        for file in sorted((SRC / folder).glob("*.c")):
            if not re.search(r"(_test|_fuzz|fixture|stage|stand|house|fake_\w+|hostile)\.c$", file.name):
                yield source(file.relative_to(SRC))


def found(pattern, text):
    names = set(re.findall(pattern, text))
    assert names, f"nothing like {pattern} in the sources any more: mend this test"
    return names


def produced():
    """(where, name) of all that must be explained."""
    commands = source("smtp/commands.def")
    replies = source("smtp/replies.def")
    smtp = "\n".join(sources("smtp", "relay", "dns", "filter", "gate", "mail", "store"))
    for verb in found(r"COMMAND(?:_REFUSED)?\((\w+),", commands) - {"verb"}:
        yield ("lmtp" if verb == "LHLO" else "smtp", "verbs", verb)
    for verb in ("DATA", "BDAT"):
        yield ("lmtp", "verbs", verb)
    for code, enhanced in found(r"REPLY\(\w+, (\d{3}), \"([\d.]*)\"", replies):
        yield ("smtp", "codes", code)
        if enhanced:
            yield ("smtp", "enhanced", enhanced)
    for code in found(r"(?:client_says\(\s*|said_by_us\(\s*\w+,\s*|\{ )([2345]\d\d),", smtp):
        yield ("smtp", "codes", code)
    for enhanced in found(r"\"([245]\.\d{1,3}\.\d{1,3})\"", smtp):
        yield ("smtp", "enhanced", enhanced)
    for extension in found(r"\bX\((\w+), \d+\)", source("smtp/smtp.h")):
        yield ("smtp", "extensions", extension)
    for state in found(r"case SMTP_\w+:\s*return \"(\w+)\"", source("smtp/order.c")):
        yield ("smtp", "states", state)
    for verb in found(r"\bCOMMAND\((\w+),", source("pop3/commands.def")) - {"verb"}:
        yield ("pop3", "verbs", verb)
    for code in found(r"\"(\[[A-Z/-]+\])", source("pop3/replies.def")):
        yield ("pop3", "codes", code)
    for code in ("+OK", "-ERR", "+"):
        yield ("pop3", "codes", code)
    for name in found(r"S\(\"([A-Z0-9-]+)(?: USER)?(?:\\r\\n)?\"\)", source("pop3/capability.c")) | \
            found(r"\"([A-Z-]{4,}) ", source("pop3/capability.c")) | {"SASL"}:
        yield ("pop3", "extensions", name)
    for state in ("AUTHORIZATION", "TRANSACTION", "UPDATE"):
        assert f'"{state}"' in "\n".join(sources("pop3")), "POP3 calls its states otherwise now"
        yield ("pop3", "states", state)
    for mechanism in found(r"\"([A-Z0-9-]{5,})\"[,\s}]", source("config/listener.c").split("check_mechanisms")[1].split("};")[0]):
        yield ("sasl", mechanism)
    for kind in found(r"\bEVENT\((\w+), \d+,", source("trace/events.def")):
        yield ("events", kind)


def parameters():
    """Keywords behind MAIL and RCPT, as they are read and as our own client says them."""
    read = found(r"\bPARAMETER_([A-Z0-9]+)\b", source("smtp/path.c"))
    said = found(r"\" ([A-Z0-9]+)[=\"]", source("smtp/client_envelope.c"))
    return sorted(read | said)


@pytest.mark.parametrize("way", sorted(set(produced())), ids="/".join)
def test_what_the_server_says_is_explained(way):
    node = TEXTS
    for step in way:
        assert step in node, f"texts/explain.en.json lacks {' / '.join(way)}: write it in three depths"
        node = node[step]
    assert "title" in node


@pytest.mark.parametrize("name", parameters())
def test_each_parameter_is_explained(name):
    known = TEXTS["smtp"]["parameters"]
    assert f"MAIL {name}" in known or f"RCPT {name}" in known, f"texts/explain.en.json lacks the parameter {name}"


def test_an_unknown_code_still_finds_its_class():
    for first in "2345":
        assert f"{first}xx" in TEXTS["smtp"]["codes"]
    for first in "245":
        assert f"{first}.x.x" in TEXTS["smtp"]["enhanced"]


@pytest.mark.parametrize("way,entry", entries(), ids=lambda value: "/".join(value) if isinstance(value, tuple) else "")
def test_an_explanation_is_whole(way, entry):
    assert set(entry) <= {"title", "rfc", "syntax", "answers", *DEPTHS}, "a member that no reader knows"
    assert entry["title"].strip() and not re.search(r"[^.]\.$", entry["title"])
    for depth in DEPTHS:
        text = entry[depth]
        assert text == text.strip() and len(text) > 12, f"{depth} says nothing"
        assert text[-1] in ".?!", f"{depth} ends in the middle"
        assert not re.search(r"[\x00-\x1f\x7f]", text), f"{depth} has a control character"
    assert len(entry["newcomer"]) <= 320, "a newcomer gets one to three sentences"
    if way[0] == "events" and way[1] in OURS:
        assert entry["rfc"] == [] and entry["rfc_says"].startswith("No RFC")
        return
    assert entry["rfc"], "which RFC says so?"
    for number, section in entry["rfc"]:
        assert re.fullmatch(r"\d{3,4}", number)
        assert re.fullmatch(r"|[A-Z]?\.?\d+(\.\d+)*|[A-Z](\.\d+)*", section), f"no section: {section}"


def test_no_text_is_used_twice():
    seen = {}
    for way, entry in entries():
        for depth in DEPTHS:
            assert entry[depth] not in seen, f"{way} {depth} is the same as {seen[entry[depth]]}"
            seen[entry[depth]] = (way, depth)


def test_other_answers_are_explained_too():
    for way, entry in entries():
        if way[1:2] == ("verbs",):
            assert entry.get("syntax") and entry.get("answers"), f"{way}: syntax and answers"
            codes = TEXTS["pop3" if way[0] == "pop3" else "smtp"]["codes"]
            for answer in entry["answers"]:
                assert answer in codes, f"{way} can be answered by {answer}, which is not explained"


def test_the_sections_are_those_that_the_tables_name():
    """commands.def cites a section for each command; both may not say different things of the same one."""
    for verb, rfc in re.findall(r"COMMAND(?:_REFUSED)?\((\w+),.*\"(\d+ [\w.]+)\"\)", source("smtp/commands.def")):
        way = TEXTS["lmtp" if verb == "LHLO" else "smtp"]["verbs"][verb]
        assert rfc.split() in way["rfc"], f"{verb}: commands.def says RFC {rfc}"
