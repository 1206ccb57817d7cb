#!/bin/sh
# Prove that deterministic.sh can fail: a library that calls what it may, and one for each kind of
# call that it may not.
#
#     deterministic_test.sh deterministic.sh CC
set -eu
check=$1
cc=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failures=0

try() { # good or bad, and the function that is called.
    printf 'extern int %s(void);\nint probe(void);\nint probe(void) { return %s(); }\n' \
        "$2" "$2" >"$folder/probe.c"
    "$cc" -fno-builtin -c "$folder/probe.c" -o "$folder/probe.o"
    rm -f "$folder/probe.a"
    ar rc "$folder/probe.a" "$folder/probe.o"
    if "$check" "$folder/probe.a" 2>/dev/null; then found=good; else found=bad; fi
    if [ "$found" != "$1" ]; then
        echo "deterministic.sh finds a library that calls $2 $found" >&2
        failures=$((failures + 1))
    fi
}

try good mdb_put
try good timeless
for call in time clock_gettime gettimeofday rand getrandom RAND_bytes random_fill getenv \
    secure_getenv gethostname socket getaddrinfo uv_now raft_apply curl_easy_init SSL_write; do
    try bad "$call"
done
[ "$failures" -eq 0 ]
