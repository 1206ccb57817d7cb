#!/usr/bin/env bash
# Fuzz one target for a while: fuzz_for.sh SECONDS TARGET FINDINGS [CORPUS]
# Begins with the target's seeds (seeds/NAME) and words (seeds/NAME.dict), and what is in the folder CORPUS,
# which gets what is new; without one it is forgotten. Fails when the target does; the input that made it
# fail is then in the folder FINDINGS.
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

seconds=$1
target=$2
findings=$3
name=$(basename "$target")
seeds=$(dirname "$0")/seeds/$name
work=$(mktemp -d -t fuzz-XXXXXX)
trap 'rm -rf "$work"' EXIT
corpus=${4:-$work/corpus}
mkdir -p "$corpus" "$findings"

arguments=("$corpus")
[ -d "$seeds" ] && arguments+=("$seeds")
[ -f "$seeds.dict" ] && arguments+=("-dict=$seeds.dict")
# Targets that need a folder make it under TMPDIR, and end without a chance to remove it.
if ! TMPDIR=$work "$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 \
    -print_final_stats=1 -artifact_prefix="$findings/$name-" "${arguments[@]}" >"$work/log" 2>&1; then
    tail -n 40 "$work/log" >&2
    echo "$name found something; its input is $findings/$name-*" >&2
    exit 1
fi
runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")
features=$(grep -oaE 'ft: [0-9]+' "$work/log" | tail -n 1 || true)
echo "   $name: ${runs:-?} inputs, ${features:-ft: ?}"
