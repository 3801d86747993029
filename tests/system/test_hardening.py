# SPDX-License-Identifier: Apache-2.0
"""The program as the compiler and the linker left it: what the OpenSSF guide for C asks of a hardened binary."""
import platform
import re
import shutil
import subprocess

import pytest

from glasspost import PROGRAM


@pytest.fixture(scope="module")
def elf():
    assert shutil.which("readelf"), "readelf is not installed; it is of binutils, which gcc needs too"
    return lambda *options: subprocess.run(["readelf", "--wide", *options, PROGRAM], capture_output=True, text=True,
                                           check=True, timeout=60).stdout


@pytest.fixture(scope="module")
def is_sanitized(elf):
    return "__asan_init" in elf("--dyn-syms") or "__ubsan" in elf("--dyn-syms") or "libasan" in elf("--dynamic")


@pytest.fixture(scope="module")
def built_with(elf):
    """What the compiler noted of its options in the debug information, for the files of the program."""
    notes = set(re.findall(r"DW_AT_producer\s*:\s*(?:\(.*?\): )?(GNU C\w+ .*)", elf("--debug-dump=info")))
    if not notes:
        pytest.skip("NOT run: the program has no notes of its compiler (stripped, or not made by gcc)")
    return notes


def segment(elf, name):
    """Flags of one program header."""
    lines = [line.split() for line in elf("--segments").splitlines() if line.split()[:1] == [name]]
    assert len(lines) == 1, f"one {name}"
    return "".join(word for word in lines[0][6:-1])


def test_it_can_be_loaded_anywhere(elf):
    assert re.search(r"Type:\s+DYN \(Position-Independent Executable file\)", elf("--file-header"))
    assert re.search(r"FLAGS_1.*\bPIE\b", elf("--dynamic"))


def test_what_the_loader_filled_in_cannot_be_written(elf):
    assert segment(elf, "GNU_RELRO") == "R"
    assert "BIND_NOW" in elf("--dynamic") and re.search(r"FLAGS_1.*\bNOW\b", elf("--dynamic"))


def test_no_stack_and_no_segment_is_writable_and_executable(elf):
    assert segment(elf, "GNU_STACK") == "RW"
    loads = [line for line in elf("--segments").splitlines() if line.split()[:1] == ["LOAD"]]
    assert loads and not [line for line in loads if re.search(r"\bRWE\b|\bRW E\b", line)]
    assert "TEXTREL" not in elf("--dynamic")
    assert "RPATH" not in elf("--dynamic") and "RUNPATH" not in elf("--dynamic"), "libraries come from the system's folders"


def test_frames_are_guarded_and_copies_measured(elf, is_sanitized):
    if is_sanitized:
        pytest.skip("NOT run: a build with sanitizers has their guards in place of these")
    symbols = elf("--dyn-syms")
    assert "__stack_chk_fail" in symbols
    checked = set(re.findall(r"\b(__\w+_chk)\b", symbols))
    assert {"__memcpy_chk", "__snprintf_chk", "__vsnprintf_chk"} <= checked, checked


def test_the_wrong_functions_are_not_even_linked(elf):
    banned = {"strcpy", "strcat", "sprintf", "vsprintf", "gets", "strtok", "system", "popen", "mktemp", "tmpnam"}
    used = set(re.findall(r"UND (\w+)@", elf("--dyn-syms")))
    assert used and not used & banned


def test_jumps_land_where_they_may(elf):
    """The note on the whole program needs a C library built for it, which Debian 12's is not: so each function is asked."""
    if platform.machine() != "x86_64":
        pytest.skip(f"NOT run: indirect branch tracking is of x86_64; this is {platform.machine()}")
    assert shutil.which("objdump"), "objdump is not installed; it is of binutils, which gcc needs too"
    code = subprocess.run(["objdump", "--disassemble", "--no-show-raw-insn", "--section=.text", PROGRAM],
                          capture_output=True, text=True, check=True, timeout=60).stdout
    first = dict(re.findall(r"^[0-9a-f]+ <(\w+)>:\n\s*[0-9a-f]+:\s+(\w+)", code, re.MULTILINE))
    ours = {name: word for name, word in first.items() if re.match(r"(run_|smtp_|pop3_|mime_|config_|fiber_)\w+$", name)}
    assert len(ours) > 150
    assert ours["smtp_serve"] == ours["config_parse"] == "endbr64", "what others may call through a pointer is marked"
    marked = [name for name, word in ours.items() if word == "endbr64"]
    assert len(marked) > len(ours) // 2, f"{len(marked)} of {len(ours)}"


OPTIONS = ["-fstack-protector-strong", "-fstack-clash-protection", "-ftrivial-auto-var-init=zero", "-fno-strict-aliasing",
           "-fno-strict-overflow", "-fno-delete-null-pointer-checks", "-O2", "-fPIC"]


@pytest.mark.parametrize("option", OPTIONS + (["-fcf-protection=full"] if platform.machine() == "x86_64" else []))
def test_every_file_was_compiled_with(option, built_with, is_sanitized):
    if is_sanitized:
        pytest.skip("NOT run: a build with sanitizers")
    spellings = {"-fPIC": ("-fPIC", "-fPIE"), "-fno-strict-overflow": ("-fno-strict-overflow", "-fwrapv")}
    without = [note for note in built_with if not any(word in note for word in spellings.get(option, (option,)))]
    assert not without, without
