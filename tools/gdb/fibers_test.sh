#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# fibers_test.sh PROGRAM FIBERS.PY: the gdb command `fibers`, on a live process and on its core.
# 77: skipped, and said so.
set -u
program=$1
helper=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

skip() {
	echo "SKIPPED: $1"
	exit 77
}

command -v gdb >/dev/null || skip "no gdb here"
gdb -batch -nx -ex 'python print("yes")' 2>/dev/null | grep -q yes || skip "this gdb has no Python"

gdb -batch -nx -ex 'set debuginfod enabled off' -ex run -ex "source $helper" -ex fibers \
	-ex "generate-core-file $work/core" "$program" >"$work/live" 2>&1
grep -q 'received signal SIGABRT' "$work/live" || {
	cat "$work/live"
	skip "gdb may not run programs here"
}

failures=0
check() { # FILE PATTERN
	grep -q -- "$2" "$1" || {
		echo "missing in $(basename "$1"): $2"
		failures=$((failures + 1))
	}
}

check_listing() {
	check "$1" "real world at .*: 4 fibers"
	check "$1" "fiber .* 'sleeper': sleep for"
	check "$1" "fiber .* 'reader' (peer 192.0.2.1): readable for"
	check "$1" "fiber .* 'late': runs for"
	check "$1" "has not run yet"
	check "$1" "fiber .* 'crash': runs now"
	check "$1" "#.* fiber_sleep (.*fiber.c:"
	check "$1" "#.* stream_[a-z]* (.*stream.c:"
	check "$1" "#.* session_that_reads (.*gdb_target.c:"
	check "$1" "#.* fiber_main (.*fiber.c:"
}

check_listing "$work/live"
if [ -s "$work/core" ]; then
	gdb -batch -nx -ex 'set debuginfod enabled off' -ex "source $helper" -ex fibers \
		-ex 'fibers 192.0.2' "$program" "$work/core" >"$work/dead" 2>&1
	check_listing "$work/dead"
	[ "$(grep -c "'reader'" "$work/dead")" = 2 ] || {
		echo "the filter finds not exactly one"
		failures=$((failures + 1))
	}
	[ "$(grep -c "'sleeper'" "$work/dead")" = 1 ] || failures=$((failures + 1))
else
	echo "SKIPPED: gdb wrote no core file; checked the live process only"
fi
if [ $failures -ne 0 ]; then
	cat "$work/live"
	[ -f "$work/dead" ] && cat "$work/dead"
	exit 1
fi
