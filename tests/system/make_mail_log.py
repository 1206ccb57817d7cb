#!/usr/bin/env python3
"""Write an invented mail_logs in the shapes of real ones, and what must come out of it.

Names are under example.com and .test, addresses from the ranges for documentation. The same options
give the same bytes. `--expect FILE` gets, as JSON, how many records a reader must give out, so that
a test can balance its books.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import calendar
import hashlib
import heapq
import json
import random
import sys
import time

DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
SENDERS = ["ann", "bob", "carol", "dave", "erin", "no-reply", "billing", "news"]
SENDER_DOMAINS = ["example.com", "mail.example.com", "shop.test", "bank.test", "news.test", "example.org"]
RECIPIENTS = ["frank", "grace", "heidi", "ivan", "judy", "mallory", "oscar", "peggy"]
SUBJECTS = ["Your invoice", "Meeting on Monday", "It\\'s \"urgent\"", "caf\\xc3\\xa9 menu", "Re: order, again", ""]
FILES = ["invoice.pdf", "photo, holiday.jpg", "report: final.docx", "archive.zip"]


def stamp(at):
    """The appliance's own form; strftime would follow the locale."""
    t = time.gmtime(at)
    return (f"{DAYS[t.tm_wday]} {MONTHS[t.tm_mon - 1]} {t.tm_mday:2d} "
            f"{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} {t.tm_year}")


class Log:
    """Lines by time; those of one second stay in the order in which they were added."""

    def __init__(self):
        self.lines = []
        self.count = 0

    def add(self, at, text):
        heapq.heappush(self.lines, (at, self.count, text))
        self.count += 1

    def write(self, out, bad, rng):
        total = len(self.lines)
        spots = sorted(rng.randrange(total + 1) for _ in range(bad)) if total else []
        written = 0
        while self.lines:
            while spots and spots[0] <= written:
                out.write(bad_line(rng))
                spots.pop(0)
            at, _, text = heapq.heappop(self.lines)
            out.write(f"{stamp(at)} Info: {text}\n".encode())
            written += 1
        for _ in spots:
            out.write(bad_line(rng))


def bad_line(rng):
    return rng.choice([
        b"this is no log line\n",
        b"Mon Mar  2 10:00:0",
        b"\x00\x01\x02 binary \xff\xfe\n",
        b"Traceback (most recent call last):\n",
        b"{\"json\": true}\n",
    ]).rstrip(b"\n") + b"\n"


class Appliance:
    def __init__(self, rng, log):
        self.rng = rng
        self.log = log
        self.icid = 60140000
        self.dcid = 6565000
        self.mid = 24611000

    def connection(self, at):
        self.icid += 1
        rng = self.rng
        host = f"mx{rng.randrange(200)}.{rng.choice(SENDER_DOMAINS)}"
        address = rng.choice([f"198.51.100.{rng.randrange(1, 255)}", f"203.0.113.{rng.randrange(1, 255)}",
                              f"2001:db8::{rng.randrange(1, 65536):x}"])
        self.log.add(at, f"New SMTP ICID {self.icid} interface Data 1 (192.0.2.1) address {address} "
                         f"reverse dns host {host} verified {rng.choice(['yes', 'yes', 'no'])}")
        return self.icid

    def rejected(self, at):
        icid = self.connection(at)
        self.log.add(at, f"ICID {icid} REJECT SG BLACKLIST match sbrs[-10.0:-2.5] "
                         f"SBRS -{self.rng.randrange(25, 100) / 10}")
        self.log.add(at, f"ICID {icid} close")

    def message(self, at, serial_of_file):
        """The lines of one message as (time, text), its connection included."""
        rng = self.rng
        icid = self.connection(at)
        self.log.add(at, f"ICID {icid} ACCEPT SG UNKNOWNLIST match sbrs[-2.0:10.0] SBRS {rng.randrange(-20, 60) / 10}")
        if rng.random() < 0.4:
            self.log.add(at, f"ICID {icid} TLS success protocol TLSv1.2 cipher AES128-SHA")
        self.mid += 1
        mid = self.mid
        sender = f"{rng.choice(SENDERS)}@{rng.choice(SENDER_DOMAINS)}"
        size = rng.randrange(900, 400000)
        lines = []

        def say(text):
            nonlocal at
            lines.append((at, text))
            if rng.random() < 0.3:
                at += 1

        say(f"Start MID {mid} ICID {icid}")
        say(f"MID {mid} ICID {icid} From: <{sender}>")
        recipients = rng.choice([1, 1, 1, 1, 2, 3])
        for rid in range(recipients):
            say(f"MID {mid} ICID {icid} RID {rid} To: <{rng.choice(RECIPIENTS)}@corp.test>")
        quote = rng.choice(["'", "'", "'", '"'])
        say(f"MID {mid} Message-ID {quote}<{mid}.{serial_of_file}@{sender.split('@')[1]}>{quote}")
        say(f"MID {mid} Subject '{rng.choice(SUBJECTS)}'")
        say(f"MID {mid} ready {size} bytes from <{sender}>")
        say(f"MID {mid} matched all recipients for per-recipient policy DEFAULT in the inbound table")
        self.log.add(at, f"ICID {icid} close")
        self.scan(mid, size, say)
        return lines, say, mid, recipients

    def scan(self, mid, size, say):
        rng = self.rng
        for _ in range(rng.choice([0, 0, 0, 1, 2])):
            name = rng.choice(FILES)
            say(f"MID {mid} attachment '{name}'")
            if rng.random() < 0.5:
                digest = hashlib.sha256(f"{name}{rng.randrange(50)}".encode()).hexdigest()
                verdict = rng.choice(["FILE UNKNOWN", "CLEAN", "MALICIOUS"])
                say("Response received for file reputation query from Cloud. "
                    f"File Name = '{name}', MID = {mid}, Disposition = {verdict}, Malware = None, "
                    f"Reputation Score = 0, sha256 = {digest}, upload_action = 1")
        if rng.random() < 0.25:
            say(f"MID {mid} URL http://www{rng.randrange(20)}.{rng.choice(SENDER_DOMAINS)}/p?id={rng.randrange(99)} "
                "has reputation 0.0 matched Condition: URL Reputation Rule")
        if size > 262144:
            say(f"MID {mid} was too big ({size}/262144) for scanning by Outbreak Filters")
        if rng.random() < 0.3:
            say(f"MID {mid} SDR: Consolidated Sender Threat Level: Neutral, Threat Category: N/A")
        if rng.random() < 0.3:
            say(f"MID {mid} DKIM: cannot sign - no profile matches nobody@corp.test")

    def finish(self, mid, recipients, say):
        rng = self.rng
        if rng.random() < 0.3:
            say(f"MID {mid} interim verdict using engine: CASE spam positive")
            say(f"MID {mid} using engine: CASE spam positive")
            say(f"Message aborted MID {mid} Dropped by CASE")
            say(f"Message finished MID {mid} done")
            return
        say(f"MID {mid} interim verdict using engine: CASE spam negative")
        say(f"MID {mid} using engine: CASE spam negative")
        say(f"MID {mid} interim AV verdict using Sophos CLEAN")
        say(f"MID {mid} antivirus negative ")
        say(f"MID {mid} Outbreak Filters: verdict negative")
        say(f"MID {mid} queued for delivery")
        self.dcid += 1
        rids = ", ".join(str(rid) for rid in range(recipients))
        say(f"New SMTP DCID {self.dcid} interface 192.0.2.1 address 192.0.2.{rng.randrange(20, 40)} port 25")
        say(f"Delivery start DCID {self.dcid} MID {mid} to RID [{rids}]")
        dcid = self.dcid
        if rng.random() < 0.05:
            for rid in range(recipients):
                say(f"Bounced: DCID {dcid} MID {mid} to RID {rid} - 5.1.0 - Unknown address error ('550', ['5.1.1 unknown'])")
        elif rng.random() < 0.1:
            say(f"Message done DCID {dcid} MID {mid} to RID [{rids}] (external quarantine) ")
            say(f"MID {mid} RID [{rids}] Response 'ok: Message {mid} accepted'")
        else:
            say(f"Message done DCID {dcid} MID {mid} to RID [{rids}] ")
            say(f"MID {mid} RID [{rids}] Response '2.0.0 Ok: queued as {mid:x}'")
        say(f"Message finished MID {mid} done")
        say(f"DCID {dcid} close")


def cut(lines, mid, rng):
    """Take the beginning or the end of a message away, so that it stays incomplete. What is left
    always names the message, and is never both its start and its finish."""
    own = [i for i, (_, text) in enumerate(lines) if f"MID {mid} " in text + " " or f"MID = {mid}," in text]
    if rng.random() < 0.5:
        keep = own[rng.randrange(1, len(own))]  # Its start is gone.
        return lines[keep:]
    finish = next(i for i, (_, text) in enumerate(lines) if text.startswith("Message finished"))
    keep = own[rng.randrange(0, own.index(finish))]
    return lines[:keep + 1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--messages", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--partial-percent", type=float, default=0)
    parser.add_argument("--bad-lines", type=int, default=0)
    parser.add_argument("--serial", default="0A1B2C3D4E5F-60718293A4B5")
    parser.add_argument("--start", default="2026-01-02T03:04:05Z", help="UTC, as 2026-01-02T03:04:05Z")
    parser.add_argument("--per-second", type=float, default=12, help="messages that begin in a second")
    parser.add_argument("--utc-offset", type=int, default=-21600, help="seconds, local minus UTC")
    parser.add_argument("--expect", metavar="FILE", help="write the expected counts as JSON")
    parser.add_argument("--output", metavar="FILE", help="instead of standard output")
    args = parser.parse_args()

    rng = random.Random(args.seed)
    log = Log()
    start = calendar.timegm(time.strptime(args.start, "%Y-%m-%dT%H:%M:%SZ")) + args.utc_offset
    log.add(start, "Begin Logfile")
    log.add(start, f"Version: 12.5.0-633 SN: {args.serial}")
    log.add(start, f"Time offset from UTC: {args.utc_offset} seconds")
    appliance = Appliance(rng, log)
    complete = incomplete = 0
    for number in range(args.messages):
        at = start + int(number / args.per_second)
        if rng.random() < 0.4:
            appliance.rejected(at)
        lines, say, mid, recipients = appliance.message(at, args.seed)
        appliance.finish(mid, recipients, say)
        if rng.random() * 100 < args.partial_percent:
            lines = cut(lines, mid, rng)
            incomplete += 1
        else:
            complete += 1
        for line_at, text in lines:
            log.add(line_at, text)

    out = open(args.output, "wb") if args.output else sys.stdout.buffer
    log.write(out, args.bad_lines, rng)
    out.flush()
    if args.expect:
        expected = {"records": complete + incomplete, "complete": complete, "incomplete": incomplete,
                    "bad_lines": args.bad_lines, "serial": args.serial}
        with open(args.expect, "w", encoding="utf-8") as file:
            json.dump(expected, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
