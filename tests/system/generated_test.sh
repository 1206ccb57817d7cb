#!/bin/sh
# A file that a program prints is up to date: generated_test.sh FILE PROGRAM [ARGUMENT...]
# With --update as the first argument the file is written instead.
#
# SPDX-License-Identifier: Apache-2.0
set -eu

update=no
if [ "$1" = --update ]; then
    update=yes
    shift
fi
file=$1
shift
if [ "$update" = yes ]; then
    "$@" >"$file"
    exit 0
fi
if ! "$@" | diff -u "$file" -; then
    echo "$file is out of date: $0 --update $file $*" >&2
    exit 1
fi
