#!/usr/bin/env python3
"""muster-feed against a node that misbehaves: every record arrives, once.

    feed_test.py MUSTER_FEED MAKE_MAIL_LOG

The node is played here, over a UNIX socket: it keeps records by their identity, and now and then
refuses, forgets to answer, or hangs up. muster-feed is killed and started again, and the log rotated
under it.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

DEADLINE_S = 40


class Reader:
    """MessagePack, as much of it as records need."""

    def __init__(self, stream):
        self.stream = stream

    def bytes(self, size):
        data = b""
        while len(data) < size:
            part = self.stream.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def number(self, form):
        return struct.unpack(">" + form, self.bytes(struct.calcsize(form)))[0]

    def value(self):
        tag = self.number("B")
        if tag < 0x80:
            return tag
        if tag < 0x90:
            return self.map(tag & 15)
        if tag < 0xa0:
            return [self.value() for _ in range(tag & 15)]
        if tag < 0xc0:
            return self.bytes(tag & 31).decode()
        simple = {0xc0: None, 0xc2: False, 0xc3: True}
        if tag in simple:
            return simple[tag]
        numbers = {0xcc: "B", 0xcd: "H", 0xce: "I", 0xcf: "Q"}
        if tag in numbers:
            return self.number(numbers[tag])
        if 0xd9 <= tag <= 0xdb:
            return self.bytes(self.number("BHI"[tag - 0xd9])).decode()
        if 0xc4 <= tag <= 0xc6:
            return self.bytes(self.number("BHI"[tag - 0xc4]))
        if 0xdc <= tag <= 0xdd:
            return [self.value() for _ in range(self.number("HI"[tag - 0xdc]))]
        if 0xde <= tag <= 0xdf:
            return self.map(self.number("HI"[tag - 0xde]))
        raise ValueError(f"tag {tag:#x}")

    def map(self, count):
        return {self.value(): self.value() for _ in range(count)}


def packed(value):
    if value is None:
        return b"\xc0"
    if isinstance(value, int):
        return b"\xcf" + struct.pack(">Q", value)
    if isinstance(value, str):
        data = value.encode()
        return b"\xda" + struct.pack(">H", len(data)) + data
    if isinstance(value, list):
        return b"\xdc" + struct.pack(">H", len(value)) + b"".join(map(packed, value))
    return b"\xde" + struct.pack(">H", len(value)) + b"".join(packed(k) + packed(v) for k, v in value.items())


class Node:
    def __init__(self, path, trouble):
        self.records = {}
        self.bodies_differ = 0
        self.requests = 0
        self.trouble = trouble
        self.rng = random.Random(7)
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(8)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            stream, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(stream,), daemon=True).start()

    def serve(self, stream):
        reader = Reader(stream)
        try:
            while True:
                _, request, method, params = reader.value()
                answer = self.answer(method, params[0])
                if answer == "hang up":
                    break
                stream.sendall(packed([1, request] + answer))
        except (EOFError, OSError):
            pass
        stream.close()

    def answer(self, method, params):
        assert method == "records.submit", method
        with self.lock:
            self.requests += 1
            kind = self.rng.random() if self.trouble else 1
            if kind < 0.15:
                return [[8, "outbox full"], None]
            if kind < 0.25:
                return "hang up"
            accepted, duplicates = self.store(params["records"])
            if kind < 0.35:
                return "hang up"  # Stored, but nobody hears of it.
            return [None, {"accepted": accepted, "duplicates": duplicates}]

    def store(self, records):
        accepted = 0
        for record in records:
            key = (record["serial"], record["mid"], record["revision"])
            if key not in self.records:
                self.records[key] = record
                accepted += 1
        return accepted, len(records) - accepted


def check(condition, what):
    if not condition:
        sys.exit(f"feed_test: {what}")


def wait_until(what, condition, *processes):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        for process in processes:
            check(process.poll() is None, f"{what}: muster-feed ended with {process.returncode}")
        check(time.monotonic() < deadline, f"{what}: not within {DEADLINE_S} s")
        threading.Event().wait(0.02)


class Test:
    def __init__(self, feed, maker, folder):
        self.feed = feed
        self.maker = maker
        self.folder = folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def make(self, name, *args):
        subprocess.run([sys.executable, self.maker, "--output", self.path(name), "--expect", self.path("expect"),
                        *args], check=True)
        with open(self.path("expect"), encoding="utf-8") as file:
            return json.load(file)

    def command(self, log, *args):
        return [self.feed, "--socket", self.path("socket"), "--batch", "20", "-o", "json", *args, self.path(log)]

    def run(self, log, *args):
        done = subprocess.run(self.command(log, *args), stdout=subprocess.PIPE, timeout=DEADLINE_S, check=False)
        return done.returncode, json.loads(done.stdout or "{}")

    def books(self, node, expect):
        check(len(node.records) == expect["records"], f"{len(node.records)} records, {expect['records']} expected")
        complete = sum(bool(record.get("complete")) for record in node.records.values())
        check(complete == expect["complete"], f"{complete} complete, {expect['complete']} expected")

    def once(self, trouble):
        node = Node(self.path("socket"), trouble)
        expect = self.make("mail.log", "--messages", "400", "--partial-percent", "15", "--bad-lines", "5")
        code, summary = self.run("mail.log")
        check(code == 0 and summary["ok"], f"exit {code}: {summary}")
        check(summary["lines_bad"] == 5 and summary["lines_unknown"] == 0, f"{summary}")
        check(summary["records"] == expect["records"], f"{summary}")
        self.books(node, expect)
        code, summary = self.run("mail.log")
        check(code == 0 and summary["accepted"] == 0, f"the second time: {summary}")
        self.books(node, expect)
        os.unlink(self.path("socket"))

    def nobody_there(self):
        self.make("mail.log", "--messages", "5")
        code, summary = self.run("mail.log", "--give-up-after", "1")
        check(code == 4 and not summary["ok"], f"exit {code} without a node: {summary}")

    def followed(self):
        """The log grows, is rotated twice, and muster-feed is killed again and again."""
        node = Node(self.path("socket"), True)
        expect = self.make("whole.log", "--messages", "900", "--per-second", "40")
        with open(self.path("whole.log"), "rb") as file:
            lines = file.readlines()
        header = lines[:3]
        log = open(self.path("live.log"), "wb", buffering=0)
        args = ("--follow", "--state", self.path("state"))
        process = None
        for turn in range(12):
            if process is None:
                log.flush()
                process = subprocess.Popen(self.command("live.log", *args), stdout=subprocess.DEVNULL)
            step = len(lines) // 12 + 1
            seen = node.requests
            log.write(b"".join(lines[turn * step:(turn + 1) * step]))
            wait_until(f"turn {turn}", lambda: node.requests > seen, process)
            if turn in (3, 8):
                log.close()
                for age in (2, 1):
                    if os.path.exists(self.path(f"live.log.{age}")):
                        os.rename(self.path(f"live.log.{age}"), self.path(f"live.log.{age + 1}"))
                os.rename(self.path("live.log"), self.path("live.log.1"))
                log = open(self.path("live.log"), "wb", buffering=0)
                log.write(b"".join(header))
            if turn % 3 == 2:
                process.kill()
                process.wait()
                process = None
        if process is None:
            process = subprocess.Popen(self.command("live.log", *args), stdout=subprocess.DEVNULL)
        wait_until("all records", lambda: len(node.records) >= expect["records"], process)
        process.send_signal(signal.SIGTERM)
        check(process.wait(DEADLINE_S) == 0, f"exit {process.returncode} after SIGTERM")
        self.books(node, expect)
        os.unlink(self.path("socket"))


def main():
    folder = tempfile.mkdtemp(prefix="feed-test-")
    try:
        test = Test(sys.argv[1], sys.argv[2], folder)
        test.once(False)
        test.once(True)
        test.nobody_there()
        test.followed()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
