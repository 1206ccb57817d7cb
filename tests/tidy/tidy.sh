#!/bin/sh
# House rules that no compiler checks, over the tree given as $1. Each complaint says which rule and
# where. Proven against a tree that breaks every rule, by tidy_test.sh.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086  # $rooms is a list of words
set -eu
cd "$1"

rooms="base store consensus client server"
complaints=$(mktemp)
trap 'rm -f "$complaints"' EXIT

rule() { # What to say; the offending lines come on standard input.
    sed "s|^|tidy: $1: |" >>"$complaints"
}

# An outside library has one home, or a few; elsewhere, use the room that wraps it.
home() { # Regex of the header; the rooms that may include it.
    header=$1
    shift
    for room in $rooms; do
        case " $* " in *" $room "*) continue ;; esac
        grep -rnE "#include <$header" "$room" || true
    done | rule "only $* may include this"
}
home 'lmdb\.h' store
home 'raft' consensus
home 'msgpack' base
home 'curl/' server
home 'uv\.h' base consensus server
home 'openssl/' base store client server consensus
home 'confuse\.h' server
home 'jansson\.h' client server
home 'libsmartcols' client
home 'systemd/' base

# The walls that CMake's USES lists hold, seen from the other side.
wall() { # The room; what it must never include.
    room=$1
    shift
    for other in "$@"; do
        grep -rnE "#include \"$other/" "$room" || true
    done | rule "$room knows nothing of these rooms: $*"
}
wall base store consensus client server
wall store consensus client server
wall consensus store client server
wall client store consensus server

{ grep -rnE '#include "\.\./' $rooms || true; } | rule 'climb no walls; include "room/header.h"'
{ grep -rnE '\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|rand|alloca)\(' $rooms || true; } |
    rule 'banned function'
{ grep -rnE '\b(malloc|calloc|realloc|reallocarray|strdup|strndup|asprintf|vasprintf|aligned_alloc|posix_memalign)\(' $rooms |
    grep -v '^base/alloc\.c:' || true; } | rule 'allocate by base/alloc.h, so that a test can make it fail'
{ grep -rnE '\b(TODO|FIXME|XXX|HACK)\b' $rooms deploy tests --include='*.[ch]' --include='*.sh' --include='*.py' |
    grep -v 'tests/tidy/' || true; } | rule 'a note to self belongs in an issue'
find $rooms tests -name '*.[ch]' | while read -r file; do
    [ "$(head -1 "$file")" = '/*' ] || echo "$file"
done | rule 'open with a comment that says what the file is for'
find $rooms tests -name '*.[ch]' | while read -r file; do
    head -120 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$file"
done | rule 'the opening comment ends with the SPDX tag'
find $rooms -name '*.c' | while read -r file; do
    lines=$(wc -l <"$file")
    [ "$lines" -le 500 ] || echo "$file has $lines lines"
done | rule 'split it: a file has one noun and about 500 lines'
find $rooms tests -name '*.[ch]' | sed 's|.*/||' | sort | uniq -d |
    rule 'two files bear this name; a name must lead to one file'
find $rooms -name '*.c' | while read -r file; do
    folder=${file%/*}
    grep -qE "(^|[[:space:]])${file#"$folder"/}([[:space:]]|\)|$)" "$folder/CMakeLists.txt" || echo "$file"
done | rule 'no CMakeLists.txt names it'

cat "$complaints" >&2
[ ! -s "$complaints" ]
