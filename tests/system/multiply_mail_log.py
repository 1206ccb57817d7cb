#!/usr/bin/env python3
"""Repeat a mail_logs many times, each time with ids and times of its own.

For volume trials with a real log, of which there is little: what comes out is that log's mix of
lines, not a real day.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import re
import sys
import time

STAMP = re.compile(rb"^\w{3} (\w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}) ")
ID = re.compile(rb"\b(MID =|MID|ICID|DCID|RCID) (\d+)")
HEADER = re.compile(rb"Info: (Begin Logfile|Version: |Time offset from UTC: )")


def spread(lines):
    """How far ids and times must be shifted for two rounds not to meet."""
    ids = {}
    for line in lines:
        for kind, number in ID.findall(line):
            ids.setdefault(kind.split()[0], []).append(int(number))
    shifts = {kind: max(numbers) - min(n for n in numbers if n) + 1 for kind, numbers in ids.items() if any(numbers)}
    times = [seconds(match.group(1)) for match in map(STAMP.match, lines) if match]
    return shifts, (max(times) - min(times) + 1 if times else 0)


def seconds(stamp):
    return int(time.mktime(time.strptime(stamp.decode(), "%b %d %H:%M:%S %Y")))


def shifted(line, turn, shifts, step):
    def new_id(match):
        kind, number = match.group(1), int(match.group(2))
        number += turn * shifts.get(kind.split()[0], 0) if number else 0
        return kind + b" " + str(number).encode()

    def new_stamp(match):
        at = time.localtime(seconds(match.group(1)) + turn * step)
        return time.strftime("%a %b ", at).encode() + b"%2d" % at.tm_mday + time.strftime(" %H:%M:%S %Y ", at).encode()

    return STAMP.sub(new_stamp, ID.sub(new_id, line))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file")
    parser.add_argument("--times", type=int, default=100)
    args = parser.parse_args()
    with open(args.file, "rb") as file:
        lines = file.readlines()
    shifts, step = spread(lines)
    for turn in range(args.times):
        for line in lines:
            if turn > 0 and HEADER.search(line):
                continue
            sys.stdout.buffer.write(shifted(line, turn, shifts, step) if turn else line)


if __name__ == "__main__":
    main()
