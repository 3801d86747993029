# SPDX-License-Identifier: Apache-2.0
"""clang-format, clang-tidy and cppcheck: run side by side, what they said kept by contents."""
import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess

# Of gcc's own, which clang-tidy's front end does not have.
NOT_FOR_CLANG = ("-ftrivial-auto-var-init=zero", "-Werror", "-fstack-clash-protection")
# Told to the analyzer in every file but the one that defines what the hints are about.
HINTS, HINTS_OF = "tools/tidylib/analyzer.h", "src/base/err.c"
CPPCHECK = ["cppcheck", "--quiet", "--enable=warning,performance,portability", "--inline-suppr", "--std=c11",
            "--language=c", "--max-ctu-depth=4", "--suppressions-list=tools/tidylib/cppcheck.txt",
            "--template={file}:{line}: cppcheck-{id}: {message}", "-Isrc", "-D_GNU_SOURCE", "-D__linux__"]
# Each release finds other things and formats otherwise; Debian 12's rule, on other systems these are passed over.
RULING = {"clang-format": "14", "clang-tidy": "14", "cppcheck": "2.10"}
COMPLAINT = re.compile(r"^(\S+?):(\d+):(\d+): (?:warning|error): (.*) \[(\S+?)\]$")


class Cache:
    """What a program said about a file, by the hash of all that it read to say so."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, key):
        try:
            return json.loads((self.folder / key).read_text())
        except (FileNotFoundError, ValueError):
            return None

    def put(self, key, lines):
        half = self.folder / f"{key}.{os.getpid()}"
        half.write_text(json.dumps(lines))
        half.replace(self.folder / key)


class Contents:
    """A file's text with that of everything of ours it includes."""

    def __init__(self, tree):
        self.tree = tree
        self.closures = {}

    def closure(self, path):
        found, left = set(), [path]
        while left:
            source = self.tree.sources.get(left.pop())
            if source and source.path not in found:
                found.add(source.path)
                beside = source.path.rsplit("/", 1)[0]
                left += [f"src/{what}" if "/" in what else f"{beside}/{what}" for _, what in source.includes]
        return sorted(found)

    def hash(self, path, *more):
        digest = hashlib.sha256("\0".join(more).encode())
        for each in self.closure(path):
            digest.update(each.encode() + b"\0" + self.tree.sources[each].text.encode())
        return digest.hexdigest()


def version(program):
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout


def rules(program):
    """Is this the version that rules? Says so when it is not."""
    found = re.search(r"(?:version|Cppcheck) ([\d.]+)", version(program))
    number = found[1] if found else "unknown"
    if (number + ".").startswith(RULING[program] + "."):
        return True
    print(f"tidy: skipped: {program} {number} is here, {RULING[program]} rules; --any-version runs it", flush=True)
    return False


def compile_commands(root):
    """path -> arguments, of the release preset; configures it when that was never done."""
    database = root / "build" / "compile_commands.json"
    if not database.exists():
        subprocess.run(["cmake", "--preset", "release"], cwd=root, capture_output=True, check=False)
    if not database.exists():
        return {}
    found = {}
    for entry in json.loads(database.read_text()):
        path = os.path.relpath(os.path.join(entry["directory"], entry["file"]), root)
        found[path] = shlex.split(entry.get("command", "")) or entry["arguments"]
    return found


def run_format(root, path):
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", path], cwd=root, capture_output=True, text=True,
                          check=False)
    lines = re.findall(r"^(\S+?):(\d+):\d+: error", done.stderr, re.M)
    if not lines:
        return [] if done.returncode == 0 else [f"{path}:1: format: {done.stderr.strip()[:200]}"]
    return [f"{path}:{lines[0][1]}: format: {len(lines)} places; tools/tidy --fix {path}"]


def run_clang_tidy(root, path, command):
    flags = [word for word in command[1:-1] if word not in NOT_FOR_CLANG and not word.endswith((".o", ".c"))]
    flags = [word for word in flags if word not in ("-o", "-c")]
    if path != HINTS_OF:
        flags += ["-include", HINTS]
    done = subprocess.run(["clang-tidy", "--quiet", path, "--", *flags, "-Wno-everything"], cwd=root,
                          capture_output=True, text=True, check=False)
    found = []
    for line in done.stdout.splitlines():
        match = COMPLAINT.match(line)
        if match:
            name = os.path.relpath(os.path.join(root, match[1]), root)
            found.append(f"{name}:{match[2]}: {match[5].split(',')[0]}: {match[4]}")
    return found


def run_cppcheck(root, path):
    done = subprocess.run([*CPPCHECK, path], cwd=root, capture_output=True, text=True, check=False)
    return [line for line in done.stderr.splitlines() if re.match(r"\S+:\d+: cppcheck-", line)]


def jobs(root, tree, wanted, chosen):
    """(key, function, arguments) of what the chosen programs have to do. Tests are formatted, and no more."""
    contents, commands = Contents(tree), compile_commands(root)
    style = (root / ".clang-format").read_text()
    checks = (root / ".clang-tidy").read_text() + (root / HINTS).read_text() + version("clang-tidy")
    suppressed = (root / "tools/tidylib/cppcheck.txt").read_text() + version("cppcheck")
    formatter = version("clang-format")
    for source in tree.code:
        path = source.path
        if not wanted(path):
            continue
        alone = hashlib.sha256("\0".join(("format", style, formatter, path, source.text)).encode()).hexdigest()
        if "clang-format" in chosen:
            yield alone, run_format, (root, path)
        if source.is_test or source.is_header:
            continue
        if "cppcheck" in chosen:
            yield contents.hash(path, "cppcheck", suppressed, *CPPCHECK), run_cppcheck, (root, path)
        if "clang-tidy" in chosen and path in commands:
            command = commands[path]
            yield contents.hash(path, "clang-tidy", checks, *command), run_clang_tidy, (root, path, command)


def missing():
    return [f"{name}: not installed: tools/install-packages check"
            for name in ("clang-format", "clang-tidy", "cppcheck") if not shutil.which(name)]


def check(root, tree, wanted, any_version=False):
    if missing():
        return missing()
    chosen = {program for program in RULING if any_version or rules(program)}
    cache, found = Cache(root / "build" / "tidy-cache"), []

    def answer(job):
        key, function, arguments = job
        lines = cache.get(key)
        if lines is None:
            lines = function(*arguments)
            cache.put(key, lines)
        return lines

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for lines in pool.map(answer, list(jobs(root, tree, wanted, chosen))):
            found += [line for line in lines if wanted(line.split(":")[0])]
    return sorted(set(found))


def fix(root, paths):
    return subprocess.run(["clang-format", "-i", *paths], cwd=root, check=False).returncode if paths else 0
