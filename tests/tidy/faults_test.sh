#!/bin/sh
# Prove that faults.sh can fail: a tree whose code asks for faults whether or not it is a release.
#
#     faults_test.sh faults.sh CC
#
# SPDX-License-Identifier: Apache-2.0
set -eu
check=$1
cc=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/base"

try() { # good or bad, and the preprocessor's condition of the second file.
    printf 'int a; /* fault */\n' >"$folder/base/a.c"
    printf '#if %s\nint fault_fires(int);\n#else\n#define fault_fires(x) 0\n#endif\nint b(void);\nint b(void) { return fault_fires(1); }\n' \
        "$2" >"$folder/base/b.c"
    printf '[' >"$folder/commands.json"
    for name in a b; do
        printf '{"directory": "%s", "file": "%s/base/%s.c", "command": "%s -DFAULTS=1 -o x -c %s/base/%s.c"}' \
            "$folder" "$folder" "$name" "$cc" "$folder" "$name" >>"$folder/commands.json"
        [ "$name" = b ] || printf ',' >>"$folder/commands.json"
    done
    printf ']' >>"$folder/commands.json"
    if "$check" "$folder" "$folder/commands.json" 2>/dev/null; then found=good; else found=bad; fi
    [ "$found" = "$1" ] || {
        echo "faults_test.sh: #if $2: found $found, not $1" >&2
        exit 1
    }
}

try good 'defined FAULTS'
try bad 1
