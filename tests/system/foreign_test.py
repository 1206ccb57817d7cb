#!/usr/bin/env python3
"""The admin RPC read by others: clients in two languages that know MessagePack and nothing of muster.

Ruby's msgpack and Python's are two further readings of the format, each by its own authors. Both are
given the same calls: reads, a large answer, records in every type that a field may have, refusals,
unknown methods, wrong types. Their answers must be the same, and those that docs/rpc.md promises.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import subprocess

from muster_cluster import PASSING, Cluster, World
from muster_ledger import record
from muster_rpc import INVALID, REFUSED, UNKNOWN_METHOD
from muster_wait import check, check_equal, wait_for

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "foreign")
CLIENTS = {"ruby": ["ruby", os.path.join(FOLDER, "client.rb")],
           "python": ["/usr/bin/python3", os.path.join(FOLDER, "client.py")]}
CHANGING = {"uptime_ms", "freshness"}  # From one moment to the next.


def ask(name, node, calls):
    """What that client was answered: [error, result] for each call."""
    given = "".join(json.dumps(call) + "\n" for call in calls)
    done = subprocess.run([*CLIENTS[name], node.socket], input=given, capture_output=True, text=True, timeout=60,
                          check=False)
    check(done.returncode == 0, f"{name}: {done.stderr}")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    check_equal(f"answers to {name}", len(answers), len(calls))
    return answers


def submit(feed, count):
    return ["records.submit", {"feed": feed, "records": [record(feed, number) for number in range(1, count + 1)]}]


READS = [
    ["node.version", {}],
    ["rpc.describe", {}],
    ["cluster.members", {}],
    ["cluster.settings", {"stale": True}],
    ["records.search", {"limit": 80}],
    ["operator.list", {"no_such_field": [1, {"a": None}], "stale": False}],
]
WRONG = [
    ["no.such.method", {}],
    ["registration.register", {"token": "ab" * 16, "mode": "cluster"}],
    ["cluster.remove", {"name": "nobody"}],
    ["records.submit", {"feed": 7, "records": "many"}],
    ["cluster.token.create", {"ttl_s": -1}],
    ["cluster.token.create", {"ttl_s": 1.5}],
    ["export.pause", "not a map"],
]


def steady(value):
    """Without what differs from one moment to the next."""
    if isinstance(value, dict):
        return {key: steady(item) for key, item in value.items() if key not in CHANGING}
    return [steady(item) for item in value] if isinstance(value, list) else value


def code_of(answer):
    return answer[0][0] if answer[0] is not None else 0


def main():
    with World("foreign") as world:
        cluster = Cluster(world, 1)
        node = cluster.nodes[0]
        node.start()
        wait_for("it leads itself", lambda: node.status()["leader"] == node.name, 30, PASSING)
        node.muster("cluster", "init", "office")
        for name in CLIENTS:
            taken, known = (answer[1] for answer in ask(name, node, [submit(f"FEED-{name}", 40)] * 2))
            check(taken != known, f"records that are known already are not told from new ones: {taken}")
        answers = {name: ask(name, node, READS + WRONG) for name in CLIENTS}
        for call, ruby, python in zip(READS + WRONG, answers["ruby"], answers["python"]):
            check_equal(f"{call[0]} as both read it", steady(ruby), steady(python))
        reads, wrong = answers["ruby"][:len(READS)], [code_of(answer) for answer in answers["ruby"][len(READS):]]
        check_equal("reads", [code_of(answer) for answer in reads], [0] * len(READS))
        check_equal("methods described", {row["method"] for row in reads[1][1]["methods"]},
                    {row["method"] for row in node.call("rpc.describe")["methods"]})
        found = {(row["record"]["serial"], row["record"]["mid"]): row["record"] for row in reads[4][1]["records"]}
        sent = {(f"FEED-{name}", mid): record(f"FEED-{name}", mid) for name in CLIENTS for mid in range(1, 41)}
        check_equal("records, as they were submitted", found, sent)
        check_equal("an unknown method", wrong[0], UNKNOWN_METHOD)
        check(wrong[1] >= REFUSED and "machine" in answers["ruby"][len(READS) + 1][0][1], "cluster mode is not refused")
        check(wrong[2] != 0, "a member that is none was removed")
        check_equal("wrong types", wrong[3:], [INVALID] * 4)
    print(f"foreign_test passed: {len(READS + WRONG)} calls, read alike in {' and '.join(CLIENTS)}", flush=True)


if __name__ == "__main__":
    main()
