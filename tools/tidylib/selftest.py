# SPDX-License-Identifier: Apache-2.0
"""Every rule on small trees: what it must find, and what it must let pass."""
from tidylib import house, tables

SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"


def _c(name, statements):
    return f"int {name}(void)\n{{\n{statements}\n}}\n"


LONG = "\n".join(["\twork();"] * 80)
DEEP = "if (a)\nfor (;;)\nwhile (b)\nif (c) {\nswitch (d) {\ncase 1:\nwork();\n}\n}"
FLAT = "if (a) {\nx();\n} else if (b) {\nfor (;;)\ny();\n} else if (c) {\nz();\n} else {\ndo\nv();\nwhile (w);\n}"
WAITER = {"src/fiber/fiber.h": "enum err doze(void) WAITS;\nstruct ops { int (*rest)(int x) WAITS; };\n"}

# rule, path of what is judged, its text, other files, lines that must be found
CASES = [
    ("include-names-folder", "src/base/a.c", '#include <stdio.h>\n#include "str.h"\n', {}, [2]),
    ("include-names-folder", "src/base/a.c", '#include "base/str.h"\n', {}, []),
    ("include-names-folder", "tests/wire/a.c", '#include "script.h"\n', {}, []),

    ("one-public-header", "src/link/a.c", '#include "fiber/world.h"\n', {"src/fiber/world.h": ""}, [1]),
    ("one-public-header", "src/fiber/a.c", '#include "fiber/world.h"\n', {"src/fiber/world.h": ""}, []),
    ("one-public-header", "src/fiber/a.c", '#include "base/str.h"\n',
     {"src/base/base.h": '#include "base/str.h"\n', "src/base/str.h": ""}, []),
    ("one-public-header", "src/link/a.c", '#include "trace/events.def"\n#include "trace/ring.h"\n',
     {"src/trace/trace.h": '#include "trace/events.def"\n#include "trace/ring.h"\n', "src/trace/events.def": "",
      "src/trace/ring.h": ""}, [2]),
    ("one-public-header", "tests/bench/a.c", '#include "trace/ring.h"\n', {"src/trace/ring.h": ""}, []),
    ("one-public-header", "src/gate/a.c", '#include "smtp/server.h"\n#include "smtp/session.h"\n',
     {"src/smtp/server.h": "", "src/smtp/session.h": ""}, [2]),

    ("floors", "src/base/a.c", '#include "fiber/fiber.h"\n', {"src/fiber/fiber.h": ""}, [1]),
    ("floors", "src/fiber/a.c", '#include "base/base.h"\n', {"src/base/base.h": ""}, []),
    ("floors", "src/net/a.c", '#include "link/link.h"\n', {"src/link/link.h": ""}, [1]),
    ("floors", "src/net/a_test.c", '#include "link/link.h"\n', {"src/link/link.h": ""}, []),
    ("floors", "src/attic/a.c", "", {}, [1]),
    ("floors", "src/smtp/path.c", '#include "mail/mail.h"\n#include "net/net.h"\n',
     {"src/mail/mail.h": "", "src/net/net.h": ""}, [2]),
    ("floors", "src/smtp/auth.c", '#include "smtp/session.h"\n#include "net/net.h"\n#include "store/store.h"\n',
     {"src/smtp/session.h": '#include "smtp/server.h"\n', "src/smtp/server.h": "", "src/net/net.h": "",
      "src/store/store.h": ""}, [3]),
    ("floors", "src/smtp/spool.h", '#include "link/link.h"\n', {"src/link/link.h": ""}, []),
    ("floors", "src/smtp/path.c", '#include "smtp/spool.h"\n#include "link/link.h"\n',
     {"src/smtp/spool.h": '#include "link/link.h"\n', "src/link/link.h": ""}, []),
    ("floors", "src/smtp/smtp.h", '#include "smtp/session.h"\n#include "net/net.h"\n',
     {"src/smtp/session.h": "", "src/net/net.h": ""}, [2]),
    ("floors", "src/mail/a.c", '#include "smtp/smtp.h"\n', {"src/smtp/smtp.h": ""}, [1]),
    ("floors", "src/link/a.c", '#include "mail/mail.h"\n', {"src/mail/mail.h": ""}, [1]),
    ("floors", "src/filter/a.c", '#include "mail/mail.h"\n', {"src/mail/mail.h": ""}, []),
    ("floors", "src/record/a.c", '#include "smtp/server.h"\n', {"src/smtp/server.h": ""}, [1]),

    ("roles-meet-through-link", "src/gate/a.c", '#include "store/store.h"\n', {"src/store/store.h": ""}, [1]),
    ("roles-meet-through-link", "src/record/a.c", '#include "store/store.h"\n', {"src/store/store.h": ""}, [1]),
    ("roles-meet-through-link", "src/supervisor/a.c", '#include "store/store.h"\n', {"src/store/store.h": ""}, []),
    ("roles-meet-through-link", "src/cli/ask.c", '#include "store/store.h"\n', {"src/store/store.h": ""}, [1]),
    ("roles-meet-through-link", "src/main.c", '#include "store/store.h"\n', {"src/store/store.h": ""}, []),

    ("function-length", "src/base/a.c", _c("f", LONG), {}, [1]),
    ("function-length", "src/base/a.c", _c("f", "") + "struct s {\n" + "int x;\n" * 80 + "};\n", {}, []),
    ("file-length", "src/base/a.c", "\n" * 701, {}, [1]),
    ("file-length", "src/base/a.c", "\n" * 700, {}, []),
    ("nesting-depth", "src/base/a.c", _c("f", DEEP), {}, [1]),
    ("nesting-depth", "src/base/a.c", _c("f", FLAT), {}, []),
    ("argument-count", "src/base/a.c", "static void f(int a, int b, int c, int d, int e, int g)\n{\n}\n", {}, [1]),
    ("argument-count", "src/base/a.c", "static void f(int a, int (*b)(int, int), int c, int d, int e)\n{\n}\n", {}, []),

    ("argument-count", "src/base/a.c", "static void f(int a, int b, int c, int d, int e, int g)\n{\n}\nint h(void)\n"
     "{\n\tset(f);\n}\n", {}, []),

    ("waits", "src/net/a.c", _c("f", "return doze();"), WAITER, [3]),
    ("waits", "src/net/a.c", "enum err f(void) WAITS\n{\n\treturn doze();\n}\n", WAITER, []),
    ("waits", "src/net/a.c", "enum err f(void) WAITS;\n" + _c("f", "return doze();"), WAITER, []),
    ("waits", "src/net/a.c", _c("f", "ops->doze(); ops.doze(); g(doze); /* doze() */ \"doze()\";"), WAITER, []),
    ("waits", "src/net/a.c", "static int doze(void)\n{\n}\n" + _c("f", "doze();"), WAITER, []),
    ("waits", "src/net/a.c", "static int g(int x) WAITS\n{\n}\n" + _c("f", "g(1);"), {}, [6]),
    ("waits", "src/net/a.c", "#define TRY(x) do { \\\n\tdoze(); } while (0)\n" + _c("f", "TRY(1);"), WAITER, [5]),
    ("waits", "src/net/a.c", _c("f", "call_recipient(1);"), {"src/link/messages.def": "MESSAGE(recipient, 1)\n"}, [3]),
    ("waits", "src/net/a.c", "OWNED(x) static enum err f(int a) PRINTF_LIKE(1, 2) WAITS\n{\n\tdoze();\n}\n", WAITER, []),
    ("waits-in-both", "src/fiber/a.c", "enum err doze(void)\n{\n}\n", WAITER, [1]),
    ("waits-in-both", "src/fiber/a.c", "enum err doze(void) WAITS\n{\n}\n", WAITER, []),

    ("banned-calls", "src/base/a.c", _c("f", "strcpy(a, b);\ng();\nsleep(1);"), {}, [3, 5]),
    ("banned-calls", "src/base/a.c", _c("f", "/* strcpy(a) */ x->system(1); int sleep = 1;"), {}, []),
    ("banned-calls", "src/base/a_test.c", _c("f", "usleep(1);\nsystem(1);"), {}, [4]),
    ("bare-calls", "src/mail/a.c", _c("f", "malloc(1);\nread(1, a, 1);"), {}, [3, 4]),
    ("bare-calls", "src/store/a.c", _c("f", "malloc(1);\nread(1, a, 1);"), {}, []),
    ("bare-calls", "src/smtp/server.c", _c("f", "malloc(1);\nread(1, a, 1);"), {}, [4]),
    ("bare-calls", "src/mail/a_test.c", _c("f", "malloc(1);"), {}, []),
    ("bare-calls", "src/mail/a.c", "int f(int (*read)(int))\n{\n\treturn read(1) + x->write(2);\n}\n", {}, []),

    ("limits-used", "src/base/limits.def", "LIMIT(a, 1)\nLIMIT(b, 2)\n", {"src/mail/a.c": _c("f", "LIMIT_a;")}, [2]),
    ("limits-used", "src/base/limits.def", "LIMIT(a, 1)\n", {"src/mail/a.c": "/* LIMIT_a */"}, [1]),
    ("limits-used", "src/base/limits.def", "LIMIT(a, 1)\n", {"src/mail/a.c": _c("f", "LIMIT_a;")}, []),
    ("public-functions-explained", "src/fiber/fiber.h", "/* f. */\nint f(void);\nint g(void);\n\nint h(void);\n", {}, [5]),
    ("public-functions-explained", "src/fiber/fiber.h", "enum a {\n\tMANY(X)\n};\n", {}, []),
    ("public-functions-explained", "src/fiber/world.h", "int h(void);\n", {}, []),
    ("public-functions-explained", "src/fiber/fiber.h", "int f(int x,\n\tint y);\n/* Both. */\n", {}, []),
    ("pragma-once", "src/base/a.h", SPDX + "int f(void);\n", {}, [1]),
    ("pragma-once", "src/base/a.h", SPDX + "#pragma once\n", {}, []),
    ("licence", "src/base/a.c", "int x;\n", {}, [1]),
    ("licence", "src/base/a.c", SPDX, {}, []),
    ("licence", "tools/x", "#!/bin/sh\nset -eu\n", {}, [2]),
    ("licence", "tools/x", "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n", {}, []),
    ("leftovers", "src/base/a.c", "/* TO" + "DO: all */\n", {}, [1]),
    ("leftovers", "tools/x", "#!/bin/sh\n# FIX" + "ME\n", {}, [2]),
    ("leftovers", "src/base/a.c", 'const char *s = "XX' + 'X";\n', {}, []),
    ("rfc-tags", "src/base/a.c", "/* RFC5321 */\n/* rfc 5321 4.1 */\n/* rfc5321 section 4.1 */\n/* RFC 5321 4.1 */\n",
     {}, [1, 2, 3, 4]),
    ("rfc-tags", "src/base/a.c", "/* rfc5321, 4.1 */\n/* Rfc5321 4.1 */\n", {}, [1, 2]),
    ("rfc-tags", "src/base/a.c", "/* rfc5321 4.1.1.4, rfc5321 D.1 (rfc2920): RFC 5321, 1870. message/rfc822 rfc821 */\n", {}, []),
]


def _lines(case):
    name, path, text, others, _ = case
    tree = house.Tree({**others, path: text})
    return [finding.line for finding in house.check(tree, [name]) if finding.path == path]


def run():
    """0 when every rule finds what it must; a rule without both kinds of case is a failure too."""
    failures = []
    for case in CASES:
        found = _lines(case)
        if found != case[4]:
            failures.append(f"{case[0]}: in lines {found}, not {case[4]}, of {case[1]}:\n{case[2]}")
    for name in house.RULES:
        kinds = {bool(case[4]) for case in CASES if case[0] == name}
        if kinds != {True, False}:
            failures.append(f"{name}: needs a case that it finds and one that it lets pass")
    unknown = tables.ROLES | tables.MEMORY_FOLDERS | tables.OCTETS_FOLDERS
    for folder in sorted(unknown - set(tables.FLOORS)):
        failures.append(f"tables.py: {folder}/ has no floor")
    print("".join(failure + "\n" for failure in failures), end="")
    print(f"tidy self-test: {len(CASES)} cases of {len(house.RULES)} rules, {len(failures)} failures")
    return 1 if failures else 0
