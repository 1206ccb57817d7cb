#!/bin/sh
# Print the man page of a program, made from what its --help says: make_man.sh PROGRAM SECTION
#
# SPDX-License-Identifier: Apache-2.0
set -eu

program=$1
section=$2
name=${program##*/}
case "$name" in
musterd) summary='the daemon of a cluster of security appliances with one cloud identity' ;;
muster) summary='build, register and show a cluster of security appliances' ;;
muster-feed) summary="submit an appliance's log to its cluster" ;;
*)
    echo "make_man.sh: what is $name?" >&2
    exit 2
    ;;
esac

verbatim() { # Standard input, with what troff would take for its own escaped.
    sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\\([.']\\)/\\\\\\&\\1/"
}

help=$("$program" --help) # Fails here if the program does.
version=$("$program" --version)
printf '.TH "%s" %s "" "%s" "muster"\n' "$(echo "$name" | tr '[:lower:]' '[:upper:]')" "$section" "$version"
printf '.SH NAME\n%s \\- %s\n' "$(printf '%s' "$name" | verbatim)" "$summary"
printf '.SH SYNOPSIS\n%s\n' "$(printf '%s\n' "$help" | sed -n '1s/^Usage: *//p' | verbatim)"
printf '.SH DESCRIPTION\n.nf\n'
printf '%s\n' "$help" | sed 1d | verbatim
printf '.fi\n.SH FILES\n'
printf '.TP\n/etc/muster/musterd.conf\nConfiguration of musterd\n'
printf '.TP\n/run/muster/rpc.sock\nSocket of the admin RPC\n'
printf '.TP\n/var/lib/muster\nData of musterd\n'
printf '.SH SEE ALSO\n'
case "$name" in
musterd) printf 'muster(1), muster\\-feed(1)\n' ;;
muster) printf 'muster\\-feed(1), musterd(8)\n' ;;
muster-feed) printf 'muster(1), musterd(8)\n' ;;
esac
