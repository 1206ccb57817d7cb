#!/bin/sh
# "Compiled out of releases", checked on the object code: every source file that names a fault point
# is compiled as this build compiles it, but without FAULTS, and may then neither define nor call
# anything of it, nor name it in a text.
#
#     faults.sh SOURCE_FOLDER compile_commands.json
#
# SPDX-License-Identifier: Apache-2.0
set -eu
source=$1
commands=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 - "$source" "$commands" "$folder" <<'PYTHON'
import json, re, shlex, subprocess, sys

source, commands, folder = sys.argv[1:]
rooms = tuple(f"{source}/{room}/" for room in ("base", "store", "consensus", "client", "server"))
found = []
count = 0
for entry in json.load(open(commands)):
    path = entry["file"]
    if not path.startswith(rooms) or "fault" not in open(path).read():
        continue
    words = [word for word in shlex.split(entry["command"]) if word != "-DFAULTS=1"]
    words = [word for word in words if not re.match("-fsanitize|-O|-[UD]_FORTIFY|-g", word)] # Quicker.
    out = f"{folder}/{count}.o"
    words[words.index("-o") + 1] = out
    subprocess.run(words, cwd=entry["directory"], check=True)
    count += 1
    symbols = subprocess.run(["nm", out], capture_output=True, text=True, check=True).stdout
    texts = subprocess.run(["strings", out], capture_output=True, text=True, check=True).stdout
    names = re.findall(r".*\bfault_(?:fires|step|arm|reset|name|open)\b.*", symbols)
    names += [line for line in texts.splitlines() if "MUSTER_FAULT" in line]
    found += [f"{path}: {name.strip()}" for name in names]
if count < 2:
    sys.exit(f"faults.sh: {commands} compiles {count} files with fault points: is it of this tree?")
for line in found:
    print(f"a release has a fault point: {line}", file=sys.stderr)
sys.exit(1 if found else 0)
PYTHON
