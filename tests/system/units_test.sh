#!/bin/sh
# The units in deploy are what systemd understands, and keep their hardening; a unit that is neither
# is refused: units_test.sh DEPLOY MUSTERD MUSTER-FEED
#
# SPDX-License-Identifier: Apache-2.0
set -eu
deploy=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

exposure_max=20 # Tenths, as systemd-analyze counts: 0 is closed, 100 is open.

copy() { # The unit, with the programs of this build in it.
    sed -e "s|=/usr/bin/musterd|=$2|" -e "s|=/usr/bin/muster-feed|=$3|" "$deploy/$1" >"$folder/$1"
}

verify() { # systemd-analyze also speaks of units of this machine that are not ours.
    said=$(systemd-analyze verify --man=no --recursive-errors=no "$1" 2>&1) || {
        printf '%s\n' "$said"
        return 1
    }
    ! printf '%s\n' "$said" | grep -E 'muster.*(Unknown|Failed|Invalid|not executable|ignoring)'
}

hardened() {
    systemd-analyze security --offline=yes --threshold="$exposure_max" --no-pager "$1" >"$folder/said" 2>&1 || {
        tail -n 3 "$folder/said"
        return 1
    }
}

copy musterd.service "$2" "$3"
copy muster-feed@.service "$2" "$3"
cp "$folder/muster-feed@.service" "$folder/muster-feed@mail.service"
for unit in musterd.service muster-feed@mail.service; do
    verify "$folder/$unit"
    hardened "$folder/$unit"
done

if grep -q '^User=muster$' "$folder/muster-feed@mail.service"; then
    echo 'units_test.sh: a feed, which reads what strangers wrote, runs as the daemon, an administrator' >&2
    exit 1
fi

# Seen to fail: a word that systemd does not know, a program that is not there, no hardening.
sed 's/^ProtectSystem=/ProtectSytem=/' "$folder/musterd.service" >"$folder/musterd-typo.service"
sed 's|^ExecStart=.*|ExecStart=/nowhere/musterd|' "$folder/musterd.service" >"$folder/musterd-gone.service"
sed -e '/^Protect/d' -e '/^SystemCall/d' -e '/^Private/d' -e '/^Restrict[A-Z]*/d' "$folder/musterd.service" >"$folder/musterd-open.service"
for unit in typo gone; do
    if verify "$folder/musterd-$unit.service" >/dev/null; then
        echo "units_test.sh: nothing is found wrong with musterd-$unit.service" >&2
        exit 1
    fi
done
if hardened "$folder/musterd-open.service" >/dev/null; then
    echo 'units_test.sh: nothing is found wrong with an open unit' >&2
    exit 1
fi
