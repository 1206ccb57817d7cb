#!/usr/bin/env python3
"""Catching up under load: a node that was away for longer than the log goes back is sent an image.

The writes go on meanwhile. The node is killed in the middle and goes on where it was, not from the
beginning; both ends show how far it is; it ends with one image and the same state. Then a follower is
stopped (SIGSTOP) under load, and another one's network swallows every packet: the leader's memory stays
bounded, and the follower catches up when it is back. How long the longest write took is reported and
not judged: the machine is shared.

    catchup_test.py [--size MIB] [--stopped S]

Needs root, for network namespaces (partition_test.py).

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import os
import re
import signal
import time

from muster_cloud import Cloud
from muster_cluster import PASSING, Cluster, Node, World
from muster_ledger import check_replicas, record
from muster_rpc import RpcClient
from muster_wait import Failure, check, check_equal, wait_for
from partition_test import Network
from steady_load import MemoryWatch, SteadyWriter

MIB = 1 << 20
ELECTION_S = 1.0
LOG_MAX_MIB = 32  # catchup_log_max_mib
BATCH = 32
RECORD_SIZE = 9 * 1024
# The log that is kept, the frames on their way to one peer (32 MiB), and a little for a sanitizer.
GROWTH_MAX = (LOG_MAX_MIB + 32 + 16) * MIB


def large_record(mid):
    """Some 9 KiB in the log, more in the store, and few search keys."""
    deliveries = [{"dcid": mid * 32 + i, "address": "192.0.2.1", "response": f"{mid:08d}{i:02d}" * 25} for i in range(32)]
    return {**record("LARGE", mid), "deliveries": deliveries}


class Filler:
    def __init__(self):
        self.mid = 0

    def submit(self, client):
        records = [large_record(self.mid + i) for i in range(1, BATCH + 1)]
        self.mid += BATCH
        client.call("records.submit", {"feed": "fill", "deadline_ms": 20000, "records": records}, 30)

    def until(self, node, done, size_min=0):
        """Write without a pause, at least so much; gives the bytes that were written, roughly."""
        first = self.mid
        with RpcClient(node.socket, 30) as client:
            while not done() or self.size_since(first) < size_min:
                self.submit(client)
        return self.size_since(first)

    def size_since(self, mid):
        return (self.mid - mid) * RECORD_SIZE


def row_of(status, name):
    return next(row for row in status["members"] if row["name"] == name)


def images_in_log(node, words):
    with open(node.log, errors="replace") as file:
        return sum(words in line for line in file)


def caught_up(leader, late):
    theirs, own = row_of(leader.status(), late.name), late.status()
    return theirs["connected"] and not theirs.get("catching_up") and theirs["lag"] < 100 and own["standing"] == "member"


def check_shown(leader, late):
    """The tool says how far it is, asked at either end."""
    def shown():
        texts = [node.muster("status", "--stale") for node in (leader, late)]
        return all(re.search(rf"catching up *{late.name}, [0-9.]+ \S+ of [0-9.]+ \S+ \([0-9]+ %\)", text) for text in texts)
    wait_for("both ends show the progress", shown, 30, (*PASSING, Failure))


def temporary_files(node):
    return [os.path.join(folder, name) for folder, _, names in os.walk(node.data) for name in names
            if name.startswith("image.") or name.endswith((".gone", ".old"))]


def wait_image(leader, late, share):
    """Until that share of the image has been sent."""
    def far_enough():
        late.check_alive()
        row = row_of(leader.status(), late.name)
        return row.get("image_size") and row.get("image_done", 0) > share * row["image_size"] and row
    return wait_for(f"{share:.0%} of the image are sent", far_enough, 90, PASSING)


def test_image(cluster, filler, size):
    leader = cluster.leader()
    late = cluster.followers()[0]
    late.stop()
    filler.until(leader, lambda: leader.status()["store_used"] > size)
    writer = SteadyWriter(leader.socket, "STEADY")
    begun = time.monotonic()
    memory = MemoryWatch({leader.name: leader.process.pid})
    late.spawn()
    late.wait_ready()
    image = wait_image(leader, late, 0.25)["image_size"]
    check(image > size / 2, f"an image of {image} bytes")
    check_shown(leader, late)
    late.kill()
    late.spawn()
    late.wait_ready()
    wait_for("it is sent the rest", lambda: images_in_log(late, "receiving an image, from byte") == 1, 60)
    wait_for(f"{late.name} has caught up", lambda: caught_up(leader, late), 90, PASSING)
    took = time.monotonic() - begun
    writer.stop()
    memory.stop()
    check_equal("images that were installed", images_in_log(late, "an image is installed"), 1)
    check_equal("images that were sent from the middle", images_in_log(leader, "sending an image, from byte"), 1)
    check_replicas(cluster)
    wait_for("no temporary file is left", lambda: not temporary_files(late), 30)
    report(f"{image / MIB:.0f} MiB of image, cut once, in {took:.1f} s", writer, memory, leader)


def test_away(cluster, filler, what, go, come_back, seconds, size_min=0):
    """A follower is not there for a while and much is written, which must not be kept in memory for it."""
    leader = cluster.leader()
    away = cluster.followers()[-1]
    writer = SteadyWriter(leader.socket, what.upper())
    memory = MemoryWatch({leader.name: leader.process.pid})
    end = time.monotonic() + seconds
    go(away)
    written = filler.until(leader, lambda: time.monotonic() > end, size_min)
    come_back(away)
    peaks = memory.stop()
    growth = peaks[leader.name] - memory.first[leader.name]
    check(growth < GROWTH_MAX, f"the leader's memory grew by {growth / MIB:.0f} MiB for a follower that was {what}")
    wait_for(f"{away.name} has caught up", lambda: caught_up(leader, away), 120, PASSING)
    writer.stop()
    check_replicas(cluster)
    report(f"a follower {what} for {seconds} s, {written / MIB:.0f} MiB written meanwhile", writer, memory, leader)


def report(what, writer, memory, leader):
    latencies = writer.latencies()
    check(latencies, "nothing was written meanwhile")
    longer = sum(seconds > ELECTION_S for seconds in latencies)
    print(f"catchup_test: {what}; {len(latencies)} steady writes, {longer} of them longer than an election time-out, "
          f"the longest {latencies[-1]:.2f} s, {writer.failures} attempts failed; leader's own memory "
          f"{memory.first[leader.name] / MIB:.0f} MiB before, {memory.peaks[leader.name] / MIB:.0f} at most", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=64, help="MiB in the store")
    parser.add_argument("--stopped", type=int, default=20, help="seconds of SIGSTOP")
    options = parser.parse_args()
    # What a sanitizer keeps of freed memory would hide what the daemon keeps.
    sanitizer = os.environ.get("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0")
    os.environ["ASAN_OPTIONS"] = f"{sanitizer}:quarantine_size_mb=16"
    with World("catchup") as world:
        names = ["a", "b", "c"]
        network = Network(world, names)
        cluster = Cluster(world, 0, Cloud(world, network.address(None)))
        cluster.nodes = [Node(world, name, cluster.cloud, network.address(name), network.inside(name),
                              snapshot_after_mib=1, catchup_rate_max_mib=12, catchup_log_max_mib=LOG_MAX_MIB,
                              election_timeout_ms=int(ELECTION_S * 1000), heartbeat_ms=100) for name in names]
        cluster.form()
        filler = Filler()
        test_image(cluster, filler, options.size * MIB)
        test_away(cluster, filler, "stopped", lambda node: node.process.send_signal(signal.SIGSTOP),
                  lambda node: node.process.send_signal(signal.SIGCONT), options.stopped, GROWTH_MAX + 8 * MIB)
        test_away(cluster, filler, "cut off",
                  lambda node: network.cut(node.name, [name for name in names if name != node.name]),
                  lambda _: network.heal(), options.stopped // 2)


if __name__ == "__main__":
    main()
