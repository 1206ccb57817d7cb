#!/bin/sh
# Prove that the walls between rooms hold: a room that uses one above it does not configure, one
# that includes a header of a room it does not use does not compile, and a good house does both.
#
# SPDX-License-Identifier: Apache-2.0
set -eu
root=$1
house=$(mktemp -d)
trap 'rm -rf "$house"' EXIT

build() { # What the cellar uses; what its source includes.
    rm -rf "${house:?}"/*
    mkdir -p "$house/cellar/include/cellar" "$house/attic/include/attic"
    cat >"$house/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.25)
project(house LANGUAGES C)
list(APPEND CMAKE_MODULE_PATH $root/cmake)
include(Rooms)
add_subdirectory(cellar)
add_subdirectory(attic)
CMAKE
    echo "add_room(cellar SOURCES cellar.c DOOR cellar.h $1)" >"$house/cellar/CMakeLists.txt"
    echo 'add_room(attic SOURCES attic.c DOOR attic.h USES cellar)' >"$house/attic/CMakeLists.txt"
    echo 'int cellar(void);' >"$house/cellar/include/cellar/cellar.h"
    echo 'int attic(void);' >"$house/attic/include/attic/attic.h"
    printf '#include "%s"\nint cellar(void) { return 1; }\n' "$2" >"$house/cellar/cellar.c"
    printf '#include "attic/attic.h"\n#include "cellar/cellar.h"\nint attic(void) { return cellar(); }\n' \
        >"$house/attic/attic.c"
    cmake -G Ninja -S "$house" -B "$house/build" >"$house/log" 2>&1 &&
        cmake --build "$house/build" >>"$house/log" 2>&1
}

expect() { # Expected, what it is, then the arguments of build.
    expected=$1 what=$2
    shift 2
    if build "$@"; then found=good; else found=bad; fi
    if [ "$expected" != "$found" ]; then
        echo "Rooms.cmake finds a house $found that is $expected: $what" >&2
        tail -n 20 "$house/log" >&2
        exit 1
    fi
}

expect good 'a good house' '' 'cellar/cellar.h'
expect bad 'the cellar uses the attic, which stands above it' 'USES attic' 'cellar/cellar.h'
grep -q 'which stands above it' "$house/log"
expect bad 'the cellar includes a header of the attic' '' 'attic/attic.h'
grep -q 'attic/attic.h' "$house/log"
