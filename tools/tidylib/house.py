# SPDX-License-Identifier: Apache-2.0
"""The rules of the house: each a small function from the tree to what it finds."""
import functools
import re

from tidylib import tables
from tidylib.source import Source, nesting

RULES = {}


class Finding:
    def __init__(self, path, line, text):
        self.path, self.line, self.text, self.rule = path, line, text, ""

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


class Tree:
    """All files that are looked at: path (with /, from the root) -> text."""

    def __init__(self, texts):
        self.texts = texts
        self.sources = {path: Source(path, text) for path, text in sorted(texts.items())
                        if path.endswith((".c", ".h", ".def")) and path.startswith(("src/", "tests/"))}

    @property
    def code(self):
        return [source for source in self.sources.values() if not source.is_table]

    @functools.cached_property
    def public(self):
        """Paths that other folders may include."""
        found = set()
        for folder in set(tables.FLOORS) | set(tables.WORDS):
            entries = [f"src/{folder}/{folder}.h"]
            if folder in tables.PROTOCOLS:
                entries += [f"src/{folder}/{name}" for name in tables.SESSION_HEADERS.get(folder, ("server.h",))]
            for entry in entries:
                found.add(entry)
                found |= self._parts(entry, folder)
        return found

    def _parts(self, entry, folder):
        """What is public through a header: its tables; an umbrella's headers of the same folder too."""
        source, found = self.sources.get(entry), set()
        for _, what in source.includes if source else []:
            path = f"src/{what}"
            if what.startswith(folder + "/") and (what.endswith(".def") or folder in tables.UMBRELLAS):
                found.add(path)
                found |= self._parts(path, folder)
        return found

    @functools.cached_property
    def public_headers(self):
        return [self.sources[path] for path in sorted(self.public) if path in self.sources and path.endswith(".h")]


def rule(function):
    RULES[function.__name__.replace("_", "-")] = function
    return function


def check(tree, names=None):
    found = []
    for name, function in RULES.items():
        if names is None or name in names:
            for finding in function(tree):
                finding.rule = name
                found.append(finding)
    return sorted(found, key=lambda finding: (finding.path, finding.line, finding.rule))


# ---- includes ----

@rule
def include_names_folder(tree):
    """An include names a folder."""
    for source in tree.code:
        for line, what in source.includes:
            if source.in_src and "/" not in what:
                yield Finding(source.path, line, f'"{what}": write "folder/{what}"')


def _outside(tree):
    """(source, line, what, folder) of each include of another folder's file."""
    for source in tree.code:
        for line, what in source.includes:
            folder = what.split("/")[0]
            if "/" in what and folder != source.folder and f"src/{what}" in tree.sources:
                yield source, line, what, folder


@rule
def one_public_header(tree):
    """Other folders see NAME/NAME.h, and of a protocol server.h."""
    for source, line, what, folder in _outside(tree):
        if f"src/{what}" not in tree.public and not source.path.startswith(tables.SEES_PARTS):
            yield Finding(source.path, line, f'"{what}" is private to {folder}/')


def _is_session(tree, source):
    """server.h, each private header of a protocol that reaches past the words, and who includes one."""
    if source.folder not in tables.PROTOCOLS or source.name == source.folder + ".h":
        return False
    if source.is_test or source.name.startswith("server"):
        return True
    if source.is_header and any(what.split("/")[0] in tables.SESSIONS_INCLUDE - {"base"} for _, what in source.includes):
        return True
    own = [tree.sources.get(f"src/{what}") for _, what in source.includes if what.startswith(source.folder + "/")]
    return any(_is_session(tree, other) for other in own if other and other is not source)


def _may_include(tree, source, what, folder):
    """None, or why not."""
    mine, theirs = tables.FLOORS.get(source.folder), tables.FLOORS.get(folder)
    if _is_session(tree, source):
        if folder in tables.SESSIONS_INCLUDE | set(tables.WORDS):
            return None
        return f"sessions include net, link, trace, config and words, not {folder}/"
    if source.folder in tables.WORDS:
        if folder == "base" or tables.WORDS.get(folder, 99) < tables.WORDS[source.folder]:
            return None
        return f"words include only base and words on lower floors, not {folder}/"
    if folder in tables.WORDS:
        words = what.endswith((f"/{folder}.h", ".def")) or folder in tables.UMBRELLAS
        least = tables.WORDS_FROM if words else tables.SESSIONS_FROM
        return None if mine >= least else f"{source.folder}/ stands below the floor that may include {what}"
    if theirs < mine or source.is_test and theirs == mine and folder not in tables.ROLES:
        return None
    return f"floors: {source.folder}/ ({mine}) does not stand above {folder}/ ({theirs})"


@rule
def floors(tree):
    """A folder includes lower floors only; words include only base and other words."""
    known = set(tables.FLOORS) | set(tables.WORDS)
    for source in tree.code:
        if source.folder and source.folder not in known:
            yield Finding(source.path, 1, f"{source.folder}/ has no floor: tools/tidylib/tables.py")
    for source, line, what, folder in _outside(tree):
        if source.folder in known and folder in known:
            why = _may_include(tree, source, what, folder)
            if why:
                yield Finding(source.path, line, why)


@rule
def roles_meet_through_link(tree):
    """Only who starts the roles includes a role's header."""
    for source, line, what, folder in _outside(tree):
        starts = source.path.startswith(tables.STARTS_ROLES)
        if folder in tables.ROLES and source.in_src and not starts:
            yield Finding(source.path, line, f"{source.folder}/ includes the role {folder}/; ask it through link/")


# ---- sizes ----

@rule
def function_length(tree):
    for source in tree.code:
        for function in source.definitions:
            lines = function.end - function.line + 1
            if lines > tables.FUNCTION_LINES:
                yield Finding(source.path, function.line,
                              f"{function.name} has {lines} lines; {tables.FUNCTION_LINES} at most")


@rule
def file_length(tree):
    for source in tree.sources.values():
        if source.line_count > tables.FILE_LINES:
            yield Finding(source.path, 1, f"{source.line_count} lines; {tables.FILE_LINES} at most")


@rule
def nesting_depth(tree):
    for source in tree.code:
        for function in source.definitions:
            depth = nesting(function.body)
            if depth > tables.NESTING:
                yield Finding(source.path, function.line,
                              f"{function.name} nests {depth} deep; {tables.NESTING} at most")


@rule
def argument_count(tree):
    """Of what is declared in a header or static; a callback takes what its caller gives."""
    for source in tree.code:
        for function in source.functions:
            count = function.argument_count
            judged = (source.is_header or function.static) and not source.is_test
            most = tables.MORE_ARGUMENTS.get(function.name, tables.ARGUMENTS)
            if judged and count > most and not source.gives_away(function.name):
                yield Finding(source.path, function.line,
                              f"{function.name} takes {count} arguments; {most} at most")


# ---- WAITS ----

class _Waiting:
    """Names that wait: those that one file knows, and those that all know."""

    def __init__(self, tree):
        self.everywhere = set(_made_calls(tree))
        self.known = {}  # path -> {name: waits} of functions that are static there
        for source in tree.code:
            mine = self.known.setdefault(source.path, {})
            for function in source.functions:
                if function.static:
                    mine[function.name] = mine.get(function.name, False) or function.waits
                elif function.waits:
                    self.everywhere.add(function.name)
        self._add_macros(tree)

    def _add_macros(self, tree):
        """A macro that calls what waits does wait; one that writes prototypes does not."""
        grown = True
        while grown:
            grown = False
            for source in tree.sources.values():
                for name, text in source.macros.items():
                    if name not in self.everywhere and self._text_waits(source, text):
                        self.everywhere.add(name)
                        grown = True

    def _text_waits(self, source, text):
        called = re.findall(r"(?<![.>#\w])(\w+)\s*\((?!\*)", text)
        return not re.search(r"\bWAITS\b", text) and any(self.waits(source, name) for name in called)

    def waits(self, source, name):
        mine = self.known.get(source.path, {})
        return mine[name] if name in mine else name in self.everywhere


def _made_calls(tree):
    """link/messages.def makes call_NAME of each message."""
    table = tree.sources.get("src/link/messages.def")
    return ["call_" + name for name in re.findall(r"^MESSAGE\((\w+)", table.text, re.M)] if table else []


@rule
def waits(tree):
    """Only functions marked WAITS call functions marked WAITS."""
    waiting = _Waiting(tree)
    for source in tree.code:
        for function in source.definitions:
            if function.waits or waiting.waits(source, function.name):
                continue
            for name, line in function.calls():
                if name != function.name and waiting.waits(source, name):
                    yield Finding(source.path, line,
                                  f"{function.name} calls {name}, which WAITS, and is not marked WAITS")


@rule
def waits_in_both(tree):
    """The definition says what the prototype says: the reader of either must know."""
    said = {}
    for source in tree.code:
        for function in source.functions:
            if function.body is None:
                said[(source.path if function.static else "", function.name)] = function.waits
    for source in tree.code:
        for function in source.definitions:
            key = (source.path if function.static else "", function.name)
            if key in said and said[key] != function.waits:
                where = "prototype" if said[key] else "definition"
                yield Finding(source.path, function.line, f"{function.name} is marked WAITS only in its {where}")


# ---- calls ----

@rule
def banned_calls(tree):
    for source in tree.code:
        for function in source.definitions:
            for name, line in function.calls():
                pauses = source.is_test and name in ("sleep", "usleep")  # of a thread outside any world
                if name in tables.BANNED and not pauses:
                    yield Finding(source.path, line, f"{name} is banned; use {tables.BANNED[name]}")


@rule
def bare_calls(tree):
    """Memory and octets are taken from the C library only in the folders that are there for it."""
    for source in tree.code:
        if source.is_test or not source.folder:
            continue
        keeps = source.folder in tables.MEMORY_FOLDERS or _is_session(tree, source)
        for function in source.definitions:
            for name, line in function.calls():
                if name in tables.MEMORY and not keeps:
                    why = "take memory from an arena or a buf"
                elif name in tables.OCTETS and source.folder not in tables.OCTETS_FOLDERS:
                    why = "octets go through streams, conns and bodies"
                else:
                    continue
                yield Finding(source.path, line, f"{name} in {source.folder}/: {why}")


# ---- words ----

@rule
def limits_used(tree):
    """Every limit of base/limits.def is checked somewhere."""
    table = tree.sources.get("src/base/limits.def")
    if not table:
        return
    used = set()
    for source in tree.sources.values():
        if source.in_src and not source.is_test and source is not table:
            used |= set(re.findall(r"\bLIMIT_(\w+)", source.bare))
    for match in re.finditer(r"^LIMIT\((\w+)", table.text, re.M):
        if match.group(1) not in used:
            yield Finding(table.path, table.line_of(match.start()), f"nothing checks LIMIT_{match.group(1)}")


@rule
def public_functions_explained(tree):
    """By a comment above or beside, or by that of the block in which they stand."""
    for source in tree.public_headers:
        lines, commented = source.text.split("\n"), {line for line, _ in source.comments}
        for function in source.functions:
            first, last = function.line, function.end
            while first > 1 and lines[first - 2].strip():
                first -= 1
            while last < len(lines) and lines[last].strip():
                last += 1
            if not commented & set(range(first, last + 1)):
                yield Finding(source.path, function.line,
                              f"{function.name} is public; no comment says what it does")


@rule
def pragma_once(tree):
    for source in tree.code:
        if source.is_header and "#pragma once" not in source.text:
            yield Finding(source.path, 1, "a header begins with #pragma once")


@rule
def licence(tree):
    """SPDX in the first line of C, in the second of a script."""
    for path, text in sorted(tree.texts.items()):
        lines = text.split("\n", 2)
        if path in tree.sources and lines[0] != "/* SPDX-License-Identifier: Apache-2.0 */":
            yield Finding(path, 1, "first line: /* SPDX-License-Identifier: Apache-2.0 */")
        elif lines[0].startswith("#!") and lines[1:2] != ["# SPDX-License-Identifier: Apache-2.0"]:
            yield Finding(path, 2, "second line of a script: # SPDX-License-Identifier: Apache-2.0")


LEFTOVER = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")


@rule
def leftovers(tree):
    """In code and scripts; in documents, seeds and mail the words may well be data."""
    for path, text in sorted(tree.texts.items()):
        if path in tree.sources:
            found = tree.sources[path].comments
        elif path.endswith((".py", ".cmake", "CMakeLists.txt", "Makefile")) or text.startswith("#!"):
            found = enumerate(text.split("\n"), 1)
        else:
            continue
        for line, words in found:
            match = LEFTOVER.search(words)
            if match:
                yield Finding(path, line, f"{match.group(1)}: do it, or write an issue")


TAG = re.compile(r"\b(?P<rfc>rfc)(?P<gap>\s*)\d+(?![\w/])"
                 r"(?P<comma>,?)(?P<word>\s*(?:§|section|sec\.|appendix)\s*)?(?P<section>\s+(?:\d+|[A-Z])\.\d+)?", re.I)


@rule
def rfc_tags(tree):
    """rfcNNNN section. Prose may name a whole document as RFC NNNN, and rfcNNNN may stand for one."""
    for source in tree.sources.values():
        for line, words in source.comments:
            for match in TAG.finditer(words):
                why = _wrong_tag(match)
                if why:
                    yield Finding(source.path, line, f"'{match.group().strip()}': {why}")


def _wrong_tag(match):
    named = match["word"] or match["section"]
    if match["rfc"] == "RFC":
        if not match["gap"]:
            return "write rfcNNNN section, or RFC NNNN in prose"
        return "a section is named as rfcNNNN section" if named else None
    if match["gap"] or match["rfc"] != "rfc":
        return "write rfcNNNN in one word"
    if match["word"] or match["comma"] and match["section"]:
        return "write rfcNNNN section: the number alone, after a blank"
    return None
