#!/bin/sh
# Invariant S2: what the store does depends on nothing that can differ between replicas. What a
# static library calls is written in its symbol table, so this is checked on the object code itself.
#
#     deterministic.sh libstore.a
set -eu
calls=$(nm --undefined-only "$1" | awk '$1 == "U" { print $2 }' | sort -u)
[ -n "$calls" ] || {
    echo "deterministic.sh: $1 calls nothing at all: is it a library?" >&2
    exit 2
}
found=$(printf '%s\n' "$calls" | grep -xE \
    '(time|clock|clock_[a-z_]*|gettimeofday|localtime|gmtime|strftime)(_r)?|(s?rand|s?random|[dlm]rand48|getrandom|getentropy|random_[a-z_]*|RAND_[A-Za-z_]*)(_r)?|(secure_)?getenv|setlocale|gethostname|uname|getpid|getuid|sysconf|socket|connect|accept|send|sendto|recv|recvfrom|getaddrinfo|(uv|raft|curl|SSL)_.*' || true)
if [ -n "$found" ]; then
    printf 'the store calls what may differ between replicas:\n%s\n' "$found" >&2
    exit 1
fi
