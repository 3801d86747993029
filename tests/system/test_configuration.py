# SPDX-License-Identifier: Apache-2.0
"""Configurations that are wrong: each option in each wrong way is told with file, line, option and what to write."""
import os
import pathlib
import re
import subprocess

import pytest

from glasspost import PROGRAM, ROOT

EX_OK, EX_CONFIG = 0, 78
ROW = re.compile(r'^(?:(LISTENER_)|START_)?OPTION\((\w+), (\w+), "(.*?)", (\d+), (\d+), "', re.MULTILINE)
OPTIONS = [(bool(listener), name, kind, default, int(low), int(high)) for listener, name, kind, default, low, high in
           ROW.findall((ROOT / "src" / "config" / "options.def").read_text())]
NUMBERS = [row for row in OPTIONS if row[2] in ("NUMBER", "SIZE", "DURATION")]
UNITS = {"NUMBER": "", "SIZE": "", "DURATION": "ms"}
WRONG_TYPE = {"NUMBER": "'twelve' is no number; write digits only",
              "SIZE": "'twelve' is no size; write octets, or a number with K, M or G: 25M",
              "DURATION": "'twelve' is no duration; write a number with ms, s, m, h or d: 30s",
              "FLAG": "'twelve' is neither yes nor no; write yes or no"}
# Texts and lists that are of some form: what is not of it, and the beginning of what is said.
WRONG_FORM = {
    "hostname": "'a b' is no host name; write ",
    "sandbox": "'a b' is no choice; write one of: try required",
    "bare_newlines": "'a b' is no choice; write one of: refuse normalise",
    "long_lines": "'a b' is no choice; write one of: accept refuse",
    "subaddress_separator": "is one character or empty; write + or -",
    "subaddress_folders": "'a b' is no choice; write one of: existing create inbox",
    "pregreet": "'a b' is no choice; write one of: note refuse",
    "pop3_expire": "'a b' is neither NEVER nor a number of days",
    "log": "'a b' is no choice; write one of: text json postfix dev",
    "relay": "'a b' is no choice; write one of: users nobody",
    "resolver": "'a b' is no address of a DNS server; write ",
    "connections_exempt": "'a b' is no network; write one address, or a network",
    "networks_deny": "'a b' is no network; write one address, or a network",
    "protocol": "'a b' is no choice; write one of: smtp submission lmtp pop3",
    "address": "'a b' is no address; write an IPv4 or IPv6 address",
    "tls": "'a b' is no choice; write one of: none starttls implicit",
    "tls_versions": "'a b' is no choice; write one of: 1.2 1.3 old",
    "auth": "'a b' is no choice; write one of: none offered required",
    "mechanisms": "'a b' is none that we speak; choose from PLAIN",
    "without": "'a b' is no extension",
    "proxies": "'a b' is no network; write one address, or a network",
    "user": "'a b' is no user name",
    "srs_domain": "'a b' is no domain; write ",
    "web_admins": "'a b' is no address of an account; write ",
    "web_metrics": "'a b' is no network; write one address, or a network",
    "certificate": "certificate and certificate_key belong together; set both or neither",
    "certificate_key": "certificate and certificate_key belong together; set both or neither",
}

# Any name of a file has the right form; whether it is there is seen at the start.
FILES = {"client_ca", "tls_roots"}


def named(row):
    return ("listener." if row[0] else "") + row[1]


def check(file):
    return subprocess.run([PROGRAM, "check", "--config", str(file)], capture_output=True, text=True, timeout=20,
                          stdin=subprocess.DEVNULL, errors="backslashreplace")


def complaint(tmp_path, row, value):
    """What is said of the option with that value; it stands in line 3 of the file."""
    file = tmp_path / "glasspost.conf"
    if row[0]:
        protocol = "submission" if row[1] != "protocol" else None
        lines = ["# one", 'listener "l" {', f"{row[1]} = {value}", *([f"protocol = {protocol}"] if protocol else []), "}"]
        start = f"{file}:3: listener l: {row[1]}: "
    else:
        lines = ["# one", "# two", f"{row[1]} = {value}"]
        start = f"{file}:3: {row[1]}: "
    file.write_text("\n".join(lines) + "\n")
    done = check(file)
    assert done.returncode == EX_CONFIG, done.stderr
    assert done.stderr.startswith(start), done.stderr
    assert done.stderr.count("\n") == 1, f"one mistake, one line: {done.stderr}"
    return done.stderr[len(start):-1]


@pytest.fixture
def good(tmp_path):
    file = tmp_path / "good.conf"
    file.write_text("hostname = mail.example.org\n")
    assert check(file).returncode == EX_OK
    return file


def test_the_table_was_read():
    assert len(OPTIONS) >= 55 and len(NUMBERS) >= 25
    assert {name for _, name, kind, *_ in OPTIONS if kind in ("TEXT", "LIST")} - set(WRONG_FORM) == FILES


@pytest.mark.parametrize("row", NUMBERS, ids=named)
def test_a_value_out_of_its_range_names_the_range(tmp_path, row):
    _, _, kind, _, low, high = row
    values = [high + 1, 2**64 - 1 if kind != "DURATION" else high * 2, *([low - 1] if low else [])]
    for value in values:
        said = complaint(tmp_path, row, f"{value}{UNITS[kind]}")
        found = re.fullmatch(r"is out of range; write a value from (\w+) to (\w+)", said)
        assert found, said
        for bound, number in zip(found.groups(), (low, high)):
            assert octets_or_ms(bound) == number, said


def octets_or_ms(text):
    digits, unit = re.fullmatch(r"(\d+)(\w*)", text).groups()
    return int(digits) * {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000,
                          "d": 86_400_000}[unit]


@pytest.mark.parametrize("row", NUMBERS, ids=named)
@pytest.mark.parametrize("value", ["-1", '""', "18446744073709551616", "99999999999999999999999999", "1e3", "0x10", "1.5",
                                   '"1 2"', "5Q"])
def test_a_number_that_is_none_is_told(tmp_path, row, value):
    said = complaint(tmp_path, row, value)
    assert re.search(r"is no (number|size|duration); write ", said) or "out of range; write a value from" in said, said


@pytest.mark.parametrize("row", [row for row in OPTIONS if row[2] in WRONG_TYPE], ids=named)
def test_a_value_of_another_type_names_the_type(tmp_path, row):
    assert complaint(tmp_path, row, "twelve") == WRONG_TYPE[row[2]]


@pytest.mark.parametrize("row", [row for row in OPTIONS if row[1] in WRONG_FORM], ids=named)
def test_a_text_of_another_form_is_told(tmp_path, row):
    assert complaint(tmp_path, row, '"a b"').startswith(WRONG_FORM[row[1]])


@pytest.mark.parametrize("row", [row for row in OPTIONS if row[2] == "TEXT"], ids=named)
@pytest.mark.parametrize("value, said", [('"a\\x01b"', "control character"), ('"' + "x" * 5000 + '"', "1000 octets")],
                         ids=["control", "long"])
def test_a_text_with_a_control_or_without_measure_is_told(tmp_path, row, value, said):
    assert said in complaint(tmp_path, row, value)


def misspelt(name):
    """One letter less, one too many, two changed places."""
    middle = len(name) // 2
    swapped = name[:middle - 1] + name[middle] + name[middle - 1] + name[middle + 1:]
    return [word for word in (name[:middle] + name[middle + 1:], name + "s", swapped) if word != name]


@pytest.mark.parametrize("row", OPTIONS, ids=named)
def test_a_name_that_is_none_is_answered_by_the_nearest(tmp_path, row):
    names = {other for in_listener, other, *_ in OPTIONS if in_listener == row[0]}
    for word in misspelt(row[1]):
        if word in names:
            continue
        file = tmp_path / "glasspost.conf"
        inside = f'listener "l" {{\nprotocol = smtp\n{word} = 1\n}}\n' if row[0] else f"#\n#\n{word} = 1\n"
        file.write_text(inside)
        done = check(file)
        where = " of a listener" if row[0] else ""
        assert done.returncode == EX_CONFIG
        assert done.stderr == f"{file}:3: {word}: is no option{where}; did you mean {row[1]}?\n"


@pytest.mark.parametrize("row", [row for row in OPTIONS if row[2] != "LIST"], ids=named)
def test_an_option_that_is_set_twice_is_told_with_both_lines(tmp_path, row):
    file = tmp_path / "glasspost.conf"
    value = f'"{row[3]}"' if row[1] != "protocol" else "smtp"
    if row[0]:
        protocol = "" if row[1] == "protocol" else "protocol = submission\n"
        file.write_text(f'listener "l" {{\n{row[1]} = {value}\n{row[1]} = {value}\n{protocol}}}\n')
    else:
        file.write_text(f"#\n{row[1]} = {value}\n{row[1]} = {value}\n")
    done = check(file)
    assert done.returncode == EX_CONFIG
    assert f"{file}:3: {row[1]}: is set a second time (first in line 2); keep one of them\n" == done.stderr


@pytest.mark.parametrize("text, said", [
    (b"quota = 1\0\n", ":1: file: holds a NUL octet"),
    (b"#\n#\nhostname = a.example # \0\n", ":3: file: holds a NUL octet"),
    (b"# a comment\n" * 900_000, "file: is larger than 1048576 octets"),
    (b"hostname = \"" + b"a" * 900_000 + b"\"\n", ":1: hostname: "),
    (b"a" * 500_000 + b" = 1\n", ":1: "),
    (b"{" * 100_000, ":1: "),
    (b"listener \"l\" {" * 20_000, ":1: "),
    (b'listener "l" {\nprotocol = smtp\nlistener "m" {\n}\n}\n', ":3: "),
    (b"include(\"/etc/passwd\")\n", ":1: include"),
    (b"include = glasspost.conf\n", ":1: include: is no option"),
    (b"networks_deny = {" + b"10.0.0.1, " * 50_000 + b"10.0.0.1}\n", None),
    (b"networks_deny = {10.0.0.0/8", ":1: syntax: the file ends in the middle of a value"),
    (b"hostname = \"unclosed\n\n\n", ":"),
    (b"hostname = 'a\n", ":"),
    (b"#\n/* no end\nquota = 1\n", ":2: syntax: a comment begins and does not end"),
    (b"\xff\xfe\x00h\x00", ":1: file: holds a NUL octet"),
    (b"\xef\xbb\xbfhostname = a.example\n", ":1: "),
    (b"hostname = \xff\xfe\n", ":1: hostname: "),
    (b"hostname += a\n", None),
    (b"hostname = ${HOME}\n", ":1: syntax: ${...}"),
    (b"= 5\n", ":1: "),
    (b"quota = = 5\n", ":1: "),
    (b"quota\n", ":"),
    (b"}\n", ":1: "),
    (b"".join(b'listener "l%d" { protocol = smtp port = %d }\n' % (i, 1000 + i) for i in range(65)), "listener"),
    (b"\r\n".join([b"hostname = mail.example.org", b"quota = x", b""]), ":2: quota: 'x' is no size"),
], ids=range(26))
def test_a_file_that_is_none_is_told_in_few_words(tmp_path, text, said):
    file = tmp_path / "glasspost.conf"
    file.write_bytes(text)
    done = check(file)
    assert done.returncode in (EX_OK, EX_CONFIG), done
    assert (done.returncode == EX_CONFIG) == (said is not None or b"+=" in text), done.stderr[:2000]
    assert len(done.stderr) < 20_000
    assert "glasspost_end" not in done.stderr, "a word that the file does not hold"
    if said:
        assert done.stderr.startswith(str(file)) and said in done.stderr[len(str(file)):].splitlines()[0], done.stderr[:500]


def test_what_is_no_file_is_told_and_not_waited_for(tmp_path):
    missing, folder, pipe, loop = tmp_path / "missing", tmp_path / "folder", tmp_path / "pipe", tmp_path / "loop"
    folder.mkdir()
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    for path, said in [(missing, "No such file or directory; write one with glasspost init"),
                       (folder, "is a folder; name the file in it"),
                       (pipe, "is no file; write the configuration to one"),
                       (pathlib.Path("/dev/zero"), "is no file; write the configuration to one"),
                       (pathlib.Path("/dev/null"), "is no file; write the configuration to one"),
                       (loop, "Too many levels of symbolic links")]:
        done = check(path)
        assert done.returncode == EX_CONFIG, (path, done)
        assert done.stderr.startswith(f"{path}: ") and said in done.stderr, (path, done.stderr)


def test_a_file_that_may_not_be_read_is_told(good):
    if os.getuid() != 0:
        pytest.skip("NOT run: not started by root, so that there is no other user to try as")
    good.chmod(0o600)
    for folder in (good.parent, *good.parent.parents):  # pytest keeps its folders closed
        if folder != pathlib.Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    done = subprocess.run([PROGRAM, "check", "--config", str(good)], capture_output=True, text=True, timeout=20,
                          user="nobody", group="nogroup", extra_groups=[])
    assert done.returncode == EX_CONFIG
    assert done.stderr.startswith(f"{good}: ") and "Permission denied" in done.stderr
    assert "another user" in done.stderr, "says what to do"
