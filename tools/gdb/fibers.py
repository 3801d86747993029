# SPDX-License-Identifier: Apache-2.0
"""gdb's command `fibers`: every fiber of every world, what it waits for, and its frames.

    (gdb) source tools/gdb/fibers.py
    (gdb) fibers              all of them
    (gdb) fibers smtp         those whose name or description contains "smtp"

Works on a live process and on a core file alike: nothing in the process is touched. A parked
fiber has noted its frame pointer (struct fiber, `frame`), and the program is compiled with frame
pointers, so its frames are a chain of pairs (next frame, return address) on its stack. This holds
on x86-64 and aarch64, with our own switch and with the portable one.
"""

import gdb

FRAMES_MAX = 64


def offset_of(struct, member):
    for field in gdb.lookup_type("struct " + struct).fields():
        if field.name == member:
            return field.bitpos // 8
    raise gdb.GdbError("struct %s has no %s: is this helper as old as the program?" % (struct, member))


def each_of(head, struct, member):
    """The structs whose `member` is linked into the list `head` (an intrusive ring)."""
    offset = offset_of(struct, member)
    pointer = gdb.lookup_type("struct " + struct).pointer()
    link = head["next"]
    while int(link) != int(head.address):
        yield gdb.Value(int(link) - offset).cast(pointer).dereference()
        link = link["next"]


def word_at(address):
    size_t = gdb.lookup_type("unsigned long")
    return int(gdb.Value(address).cast(size_t.pointer()).dereference())


def place_of(pc):
    """function (file:line) of a return address; the call lies just before it."""
    block = gdb.block_for_pc(pc - 1)
    while block is not None and block.function is None:
        block = block.superblock
    if block is None:
        symbol = gdb.execute("info symbol %d" % (pc - 1), to_string=True).split(" in section")[0]
        return symbol.strip()
    line = gdb.find_pc_line(pc - 1)
    where = " (%s:%d)" % (line.symtab.filename, line.line) if line.symtab else ""
    return block.function.name + where


def frames_of(fiber):
    low = int(fiber["stack"]["low"])
    high = low + int(fiber["stack"]["size"])
    frame = int(fiber["frame"])
    for _ in range(FRAMES_MAX):
        if not low <= frame <= high - 16:
            return
        pc = word_at(frame + 8)
        if pc == 0:
            return
        yield pc
        above = word_at(frame)
        if above <= frame:
            return
        frame = above


def text_of(char_pointer_or_array):
    return char_pointer_or_array.string(errors="replace")


class Fibers(gdb.Command):
    """List fibers with their frames: fibers [PART OF NAME OR DESCRIPTION]"""

    def __init__(self):
        super().__init__("fibers", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        worlds = gdb.lookup_global_symbol("fiber_worlds")
        if worlds is None:
            raise gdb.GdbError("no symbol fiber_worlds: no fibers in this program, or no debug information")
        for world in each_of(worlds.value(), "world", "worlds"):
            self.show_world(world, argument.strip())

    def show_world(self, world, wanted):
        kind = "simulated" if world["simulated"] else "real"
        print("%s world at %#x: %d fibers" % (kind, int(world.address), int(world["stats"]["fibers"])))
        for fiber in each_of(world["fibers"], "fiber", "all"):
            title = "%s %s" % (text_of(fiber["name"]), text_of(fiber["description"]))
            if wanted and wanted not in title:
                continue
            self.show_fiber(world, fiber)

    def show_fiber(self, world, fiber):
        runs = int(world["current"]) == int(fiber.address)
        age_us = int(world["now"]) - int(fiber["since"])
        state = "runs now" if runs else "%s for %.3f s" % (text_of(fiber["waits_for"]), age_us / 1e6)
        description = text_of(fiber["description"])
        print("fiber %d '%s'%s: %s%s" % (
            int(fiber["id"]), text_of(fiber["name"]), " (%s)" % description if description else "",
            state, ", stopping" if fiber["stopping"] else ""))
        if runs:
            print("    see backtrace")
            return
        if int(fiber["frame"]) == 0:
            print("    has not run yet")
        for number, pc in enumerate(frames_of(fiber)):
            print("    #%-2d %#x %s" % (number, pc, place_of(pc)))


Fibers()
