# SPDX-License-Identifier: Apache-2.0
"""C as far as the rules need it: files without comments and strings, functions, calls, macros.

It reads code that clang-format has laid out and the compiler takes; it is no C parser. What stands
inside a #define is seen only as the macro's text.
"""
import bisect
import functools
import re

COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\[^\n]|\\\n)*", re.M)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"\n]+)"', re.M)
DEFINE = re.compile(r"#[ \t]*define[ \t]+(\w+)(\([^)]*\))?(.*)", re.S)
TOKEN = re.compile(r"[A-Za-z_]\w*|->|[^\s\w]|\w+")
IDENTIFIER = re.compile(r"[A-Za-z_]\w*\Z")
ATTRIBUTES = {"__attribute__", "PRINTF_LIKE", "alignas", "_Alignas", "static_assert", "_Static_assert",
              "typeof", "__typeof__", "__asm__", "asm"}
KEYWORDS = {"if", "for", "while", "switch", "return", "sizeof", "do", "else", "case", "goto", "offsetof",
            "_Generic", "defined", "alignof", "_Alignof"} | ATTRIBUTES


class Function:
    """A prototype (body is None) or a definition."""

    def __init__(self, name, line, end, words, arguments, after, body):
        self.name = name
        self.line = line  # of its name
        self.end = end
        self.static = "static" in words
        self.waits = "WAITS" in words or "WAITS" in after
        self.arguments = arguments  # tokens between the parentheses
        self.body = body  # tokens between the braces: (text, line)

    @property
    def argument_count(self):
        if self.arguments in ([], ["void"]):
            return 0
        depth, count = 0, 1
        for text in self.arguments:
            depth += (text in "([{") - (text in ")]}")
            count += text == "," and depth == 0
        return count

    def calls(self):
        """(name, line) of each call by name. Calls through a member or a parameter are none."""
        tokens, given = self.body or [], set(self.arguments)
        for i, (text, line) in enumerate(tokens[:-1]):
            if tokens[i + 1][0] != "(" or text in KEYWORDS or text in given or not IDENTIFIER.match(text):
                continue
            if i and (tokens[i - 1][0] in (".", "->") or self._declares(tokens, i)):
                continue
            yield text, line

    @staticmethod
    def _declares(tokens, i):
        """`struct x name(` inside a body would be a declaration; `int (*name)(` is not seen at all."""
        return i >= 2 and tokens[i - 2][0] in ("struct", "enum", "union")


class Source:
    """One file of C."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.parts = path.split("/")
        self.in_src = self.parts[0] == "src"
        self.folder = self.parts[1] if self.in_src and len(self.parts) > 2 else ""
        self.name = self.parts[-1]
        self.is_header = self.name.endswith(".h")
        self.is_table = self.name.endswith(".def")
        stem = self.name.rsplit(".", 1)[0]
        self.is_test = not self.in_src or re.search(r"(^|_)(test|fuzz|fake)(_|$)", stem) is not None
        self._ends = [match.start() for match in re.finditer("\n", text)]

    def line_of(self, offset):
        return bisect.bisect_left(self._ends, offset) + 1

    @property
    def line_count(self):
        return len(self._ends)

    @functools.cached_property
    def bare(self):
        """The text with comments and what strings hold made blank, every line where it was."""
        return COMMENT_OR_STRING.sub(_blank, self.text)

    @functools.cached_property
    def comments(self):
        """(line, text) of each line of a comment."""
        found = []
        for match in COMMENT_OR_STRING.finditer(self.text):
            if match.group()[0] == "/":
                first = self.line_of(match.start())
                found += [(first + i, text) for i, text in enumerate(match.group().split("\n"))]
        return found

    @functools.cached_property
    def includes(self):
        """(line, what) of each #include with quotes."""
        return [(self.line_of(match.end()), match.group(1)) for match in INCLUDE.finditer(self.text)]

    @functools.cached_property
    def macros(self):
        """name -> text of each #define that takes arguments."""
        found = {}
        for match in DIRECTIVE.finditer(self.bare):
            define = DEFINE.match(match.group().strip())
            if define and define.group(2):
                found[define.group(1)] = define.group(3)
        return found

    @functools.cached_property
    def tokens(self):
        code = DIRECTIVE.sub(_blank_all, self.bare)
        line, at, found = 1, 0, []
        for match in TOKEN.finditer(code):
            line += code.count("\n", at, match.start())
            at = match.start()
            found.append((match.group(), line))
        return found

    @functools.cached_property
    def functions(self):
        return [] if self.is_table else list(_functions(self.tokens))

    def gives_away(self, name):
        """Is the function handed to somebody, rather than only called?"""
        return any(text == name and self.tokens[i + 1][0] != "(" for i, (text, _) in enumerate(self.tokens[:-1]))

    @property
    def definitions(self):
        return [function for function in self.functions if function.body is not None]


def _blank(match):
    text = match.group()
    if text[0] in "\"'":
        return text[0] + " " * (len(text) - 2) + text[0]
    return _blank_all(match)


def _blank_all(match):
    return re.sub(r"[^\n]", " ", match.group())


def closing(tokens, at):
    """Index of what closes the parenthesis or brace that stands at `at`."""
    depth = 0
    for i in range(at, len(tokens)):
        depth += (tokens[i][0] in "([{") - (tokens[i][0] in ")]}")
        if depth == 0:
            return i
    return len(tokens) - 1


def _functions(tokens):
    begin = i = 0
    while i < len(tokens):
        text = tokens[i][0]
        if text == "{":
            end = closing(tokens, i)
            function = _function(tokens[begin:i], tokens[i + 1:end], tokens[end][1])
            if function:
                yield function
                begin = end + 1
            i = end
        elif text == ";":
            function = _function(tokens[begin:i], None, tokens[i][1])
            if function:
                yield function
            begin = i + 1
        elif text == "(":
            i = closing(tokens, i)
        i += 1


def _function(head, body, end):
    for i, (text, line) in enumerate(head):
        if text in ("=", "typedef", "{") or text in ATTRIBUTES and text.endswith("assert"):
            return None
        if text == "(" and i and IDENTIFIER.match(head[i - 1][0]) and head[i - 1][0] not in ATTRIBUTES:
            last = closing(head, i)
            if head[last + 1:last + 2] and head[last + 1][0] in ("(", "["):
                return None
            words, after = [t for t, _ in head[:i - 1]], [t for t, _ in head[last + 1:]]
            if not words:
                return None  # a macro's call
            return Function(head[i - 1][0], head[i - 1][1], end, words, [t for t, _ in head[i + 1:last]], after, body)
    return None


def nesting(body):
    """How deep statements lie in one another. The body itself is 0; else-if is no deeper than its if."""
    return _Depth(body).deepest


class _Depth:
    CONTROL = {"if", "for", "while", "switch", "LIST_EACH"}

    def __init__(self, body):
        self.tokens = body
        self.deepest = 0
        self._block(0, len(body), 0)

    def _text(self, i):
        return self.tokens[i][0] if i < len(self.tokens) else ""

    def _block(self, i, end, depth):
        while i < end:
            i = self._statement(i, depth)

    def _statement(self, i, depth):
        """Gives the index behind the statement that begins at i."""
        self.deepest = max(self.deepest, depth)
        text = self._text(i)
        if text == "{":
            end = closing(self.tokens, i)
            self._block(i + 1, end, depth)
            return end + 1
        if text in self.CONTROL and self._text(i + 1) == "(":
            i = self._statement(closing(self.tokens, i + 1) + 1, depth + 1)
            while text == "if" and self._text(i) == "else":
                i, again = self._else(i + 1, depth)
                if not again:
                    break
            return i
        if text == "do":
            return self._plain(self._statement(i + 1, depth + 1))
        if text in ("case", "default") or self._text(i + 1) == ":":
            return self._label(i)
        return self._plain(i)

    def _else(self, i, depth):
        if self._text(i) != "if":
            return self._statement(i, depth + 1), False
        return self._statement(closing(self.tokens, i + 1) + 1, depth + 1), True

    def _label(self, i):
        while i < len(self.tokens) and self._text(i) != ":":
            i = closing(self.tokens, i) + 1 if self._text(i) == "(" else i + 1
        return i + 1

    def _plain(self, i):
        while i < len(self.tokens) and self._text(i) != ";":
            i = closing(self.tokens, i) + 1 if self._text(i) in "([{" else i + 1
        return i + 1
