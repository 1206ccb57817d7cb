#!/bin/sh
# Every shell script of the tree passes shellcheck, and shellcheck is seen to complain:
# scripts_test.sh TREE
#
# SPDX-License-Identifier: Apache-2.0
set -eu
cd "$1"

list=$(mktemp)
bad=$(mktemp)
trap 'rm -f "$list" "$bad"' EXIT
printf '#!/bin/sh\nrm %s1\n' '$' >"$bad"
if shellcheck "$bad" >/dev/null; then
    echo 'scripts_test.sh: shellcheck finds nothing wrong with what is wrong' >&2
    exit 1
fi

find .ci deploy tests -type f ! -name '*.[ch]' ! -name '*.py' -exec sh -c '
    for file; do
        head -n 1 "$file" | grep -qE "^#!.*sh$" && echo "$file"
    done' sh {} + >"$list" || true
[ "$(wc -l <"$list")" -ge 10 ] || {
    echo 'scripts_test.sh: where are the scripts?' >&2
    exit 1
}
xargs shellcheck <"$list"
