#!/bin/sh
# Prove that tidy.sh can fail: one small broken tree for each rule, and one good tree.
#
# SPDX-License-Identifier: Apache-2.0
set -eu
tidy=$1
failures=0

check() { # Expected (good, bad), what is broken, the file that breaks it, its text.
    tree=$(mktemp -d)
    for room in base store consensus client server tests deploy; do
        mkdir -p "$tree/$room"
        : >"$tree/$room/CMakeLists.txt"
    done
    printf '/*\n * Good.\n *\n * SPDX-License-Identifier: Apache-2.0\n */\nint good_answer(void);\n' >"$tree/base/good.c"
    echo 'add_room(base SOURCES good.c)' >"$tree/base/CMakeLists.txt"
    printf '%b' "$4" >"$tree/$3"
    case "$3" in
    server/unnamed.c) ;;
    *.c) echo "add_room(x SOURCES ${3##*/})" >>"$tree/${3%/*}/CMakeLists.txt" ;;
    esac
    if "$tidy" "$tree" 2>/dev/null; then found=good; else found=bad; fi
    if [ "$1" != "$found" ]; then
        echo "tidy.sh finds a tree $found that is $1: $2" >&2
        failures=$((failures + 1))
    fi
    rm -rf "$tree"
}

head='/*\n * Why.\n *\n * SPDX-License-Identifier: Apache-2.0\n */\n'
check good 'a good tree' 'store/a.c' "$head#include <lmdb.h>\n"
check bad 'lmdb.h outside store' 'server/a.c' "$head#include <lmdb.h>\n"
check bad 'raft outside consensus' 'store/a.c' "$head#include <raft.h>\n"
check bad 'msgpack outside base' 'client/a.c' "$head#include <msgpack.h>\n"
check bad 'curl outside server' 'client/a.c' "$head#include <curl/curl.h>\n"
check bad 'libuv in the store' 'store/a.c' "$head#include <uv.h>\n"
check bad 'store knows consensus' 'store/a.c' "$head#include \"consensus/consensus.h\"\n"
check bad 'consensus knows the store' 'consensus/a.c' "$head#include \"store/store.h\"\n"
check bad 'client knows the store' 'client/a.c' "$head#include \"store/store.h\"\n"
check bad 'base knows a room' 'base/a.c' "$head#include \"client/record.h\"\n"
check bad 'include ../' 'store/a.c' "$head#include \"../server/b.h\"\n"
check bad 'banned function' 'store/a.c' "${head}int f(void) { return atoi(\"1\"); }\n"
check bad 'allocation that no test can fail' 'store/a.c' "${head}char *f(void) { return strdup(\"a\"); }\n"
check bad 'the same in a header' 'base/a.h' "${head}static void *f(void) { return calloc(1, 1); }\n"
check good 'the home of allocation' 'base/alloc.c' "${head}void *f(void) { return malloc(1); }\n"
check bad 'note to self' 'store/a.c' "$head/* TODO */\n"
check bad 'no opening comment' 'store/a.c' "#include <stdint.h>\n/* SPDX-License-Identifier: Apache-2.0 */\n"
check bad 'no licence tag' 'store/a.c' '/*\n * Why.\n */\n'
check bad 'two files, one name' 'store/good.c' "$head"
check bad 'not in the build' 'server/unnamed.c' "$head"
check bad 'too long' 'store/a.c' "$head$(yes 'int x;\n' | head -600 | tr -d '\n')"

[ "$failures" -eq 0 ]
