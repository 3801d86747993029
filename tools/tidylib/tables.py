# SPDX-License-Identifier: Apache-2.0
"""What the rules of the house are measured by."""

# A folder includes only folders on lower floors. main.c and tests/ stand above all.
FLOORS = {
    "base": 0,
    "fiber": 1, "trace": 1, "sandbox": 1,
    "link": 2, "net": 2,
    "config": 3, "control": 3,
    "record": 4, "role": 4,
    "filter": 5, "store": 5, "gate": 5, "relay": 5, "web": 5,
    "supervisor": 6,
    "cli": 7,
}
# Folders that run as processes of their own. They meet only through link/.
ROLES = {"filter", "store", "gate", "relay", "web"}
# Who starts the roles, and so may see how one is entered; init makes an empty store.
STARTS_ROLES = ("src/supervisor/", "src/cli/roles.c", "src/cli/init.c", "src/main.c")

# Words: pure languages. They include base and words on lower floors, nothing else.
WORDS = {"mail": 0, "smtp": 1, "pop3": 1, "dns": 1}
# Folders of words that hold sessions too: NAME.h is the words' header, server.h the sessions'.
PROTOCOLS = {"smtp", "pop3", "dns"}
# Headers of sessions that stand where others have server.h.
SESSION_HEADERS = {"dns": ("resolver.h", "mx.h"), "smtp": ("server.h", "client.h")}
SESSIONS_INCLUDE = {"base", "fiber", "net", "link", "trace", "config"}
# From which floor up words may be included, and sessions.
WORDS_FROM, SESSIONS_FROM = FLOORS["record"], FLOORS["gate"]

# Headers whose parts are public through them.
UMBRELLAS = {"base", "mail", "link"}
# Measures a part of a folder by itself.
SEES_PARTS = "tests/bench/"

FUNCTION_LINES = 70
FILE_LINES = 700
NESTING = 4
ARGUMENTS = 5
# Where a struct for the arguments would only be a longer way to write the call.
MORE_ARGUMENTS = {"config_parse": 6, "link_serve": 7}

# Nowhere.
BANNED = {
    "strcpy": "str or buf", "strcat": "buf_add", "sprintf": "buf_add_format or snprintf", "vsprintf": "vsnprintf",
    "strtok": "scan", "atoi": "str_to_u64", "atol": "str_to_u64", "gets": "read", "alloca": "an arena",
    "system": "nothing", "popen": "nothing", "getaddrinfo": "a DNS client on fibers: it blocks every fiber",
    "sleep": "fiber_sleep", "usleep": "fiber_sleep",
}
# Elsewhere memory comes from an arena or a buf, and octets go through streams, conns and bodies.
# Sessions may own memory too: words may not.
MEMORY = {"malloc", "calloc", "realloc", "reallocarray", "strdup", "strndup", "asprintf", "vasprintf"}
OCTETS = {"read", "write", "pread", "pwrite", "readv", "writev"}
MEMORY_FOLDERS = {"base", "fiber", "trace", "sandbox", "link", "net", "config", "control", "record", "role",
                  "store", "gate", "relay", "web", "supervisor", "cli"}
OCTETS_FOLDERS = {"base", "fiber", "sandbox", "link", "net", "control", "record", "store", "supervisor", "cli"}
