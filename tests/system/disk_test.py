#!/usr/bin/env python3
"""Disks that run full, and disks that fail, under nodes that are being fed.

Each node's data folder is a small file system of its own. It is filled (partly, wholly, by bytes, by
inodes), made read-only, and the system's calls of a running node are made to fail by strace. Each time:
the node stops leading or takes nothing new, says what happened and what helps, and so do the others of
it; when the disk is as before it goes on by itself; all that was acknowledged is there exactly once, and
the replicas agree.

    disk_test.py [--rounds N] [--seed S] [--only NAME]

Without --rounds (or MUSTER_ROUNDS) each scenario comes once. Needs root: it mounts, in a mount
namespace of its own that ends with it, and traces.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import os
import random
import signal
import subprocess
import sys
import time

from muster_cluster import PASSING, Cluster, World
from muster_ledger import Ledger, check_replicas, wait_delivered
from muster_rpc import FULL, NO_QUORUM, SUSPENDED, UNREACHABLE, RpcError
from muster_wait import Failure, check, check_equal, wait_for

SIZE_MIB = 160
RESERVE_MIB = 16
INODES = 200
RECORDS = 600
LOG_FULLS = 4000  # So many that the log is cut by a snapshot, which renames and syncs the folder.
FILLER = "filler"

# What strace makes fail: call, error, from which one on, and the kinds of suspension that fit.
INJECTIONS = (
    ("fdatasync", "EIO", "1+", ("disk-error",)),
    ("pwritev", "EIO", "1+", ("disk-error",)),
    ("pwritev,pwrite64", "ENOSPC", "2+", ("disk-full",)),
    ("pwrite64", "EIO", "1+", ("disk-error",)),
    ("fdatasync,pwritev", "EDQUOT", "3+", ("disk-full", "quota")),
    ("pwritev", "EROFS", "1+", ("disk-error", "read-only")),
    ("renameat", "EIO", "1+", ("disk-error",)),
    ("fsync", "EIO", "1+", ("disk-error",)),
)


def run(*argv):
    done = subprocess.run(argv, capture_output=True, check=False)
    if done.returncode != 0:
        raise Failure(f"`{' '.join(argv)}` says: {done.stderr.decode()}")


class Disk:
    """The file system that a node's data folder is."""

    def __init__(self, world, node):
        self.folder = node.data
        self.files = []
        run("mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,nr_inodes={INODES},mode=0700", "tmpfs", self.folder)
        world.cleanups.append(self.remove)

    def remove(self):
        subprocess.run(["umount", "--lazy", self.folder], capture_output=True, check=False)

    def free(self):
        info = os.statvfs(self.folder)
        return info.f_bavail * info.f_frsize

    def fill(self, leave_mib=0):
        """Until no more than so much is left; others write meanwhile."""
        path = os.path.join(self.folder, FILLER)
        end = time.monotonic() + 10
        with open(path, "wb") as file:
            while self.free() > leave_mib << 20 and time.monotonic() < end:
                more = max(self.free() - (leave_mib << 20), 4096)
                try:
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, more)
                except OSError:
                    try:
                        file.seek(0, os.SEEK_END)
                        file.write(bytes(4096))
                        file.flush()
                    except OSError:
                        break

    def fill_inodes(self):
        for i in range(INODES):
            try:
                with open(os.path.join(self.folder, f"{FILLER}{i}"), "wb"):
                    pass
            except OSError:
                return
        raise Failure("the inodes did not run out")

    def empty(self):
        for name in os.listdir(self.folder):
            if name.startswith(FILLER):
                os.unlink(os.path.join(self.folder, name))

    def remount(self, how):
        run("mount", "-o", f"remount,{how}", self.folder)


class Strace:
    """Makes calls of a running node fail, until it is ended."""

    def __init__(self, world, node, calls, error, when):
        self.log = os.path.join(node.directory, f"strace-{time.monotonic_ns()}.out")
        argv = ["strace", "-f", "-p", str(node.process.pid), "-o", self.log]
        for call in calls.split(","):
            argv += ["-e", f"inject={call}:error={error}:when={when}"]
        argv[1:1] = ["-e", f"trace={calls}"]
        self.process = world.spawn(argv, self.log + ".err")
        wait_for(f"strace is attached to {node.name}", self.is_attached, 20)

    def is_attached(self):
        if self.process.poll() is not None:
            with open(self.log + ".err") as file:
                raise Failure(f"this test needs strace, which says: {file.read()}")
        with open(self.log + ".err") as file:
            return "attached" in file.read()

    def injected(self):
        with open(self.log, errors="replace") as file:
            return file.read().count("(INJECTED)")

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(20)


class Disks:
    def __init__(self, cluster, disks, seed):
        self.cluster = cluster
        self.world = cluster.world
        self.disks = disks
        self.rng = random.Random(seed)
        self.ledger = Ledger(cluster)
        self.cluster_id = cluster.call("cluster.status")["cluster_id"]
        self.seed = seed
        self.count = 0
        self.recovered = set()  # Nodes that were suspended once.

    # ---- Looking ----

    def feed(self, count=RECORDS):
        self.count += 1
        return self.ledger.feed(count, f"{self.seed}/{self.count}")

    @staticmethod
    def node_status(node):
        node.check_alive()
        return node.call("node.status", timeout_s=5)

    def wait_node(self, node, what, condition, deadline_s=60):
        return wait_for(f"{node.name} {what}", lambda: condition(self.node_status(node)), deadline_s, PASSING)

    def wait_suspended(self, node, kinds=()):
        def told(view):
            return view if view["suspended"] and (not kinds or view["kind"] in kinds) else None
        view = self.wait_node(node, f"is suspended {kinds}", told)
        check(view["reason"] and view["remedy"], f"no reason or no remedy: {view}")
        return view

    def wait_troubled(self, node):
        """Suspended, or full and said so."""
        return self.wait_node(node, "is suspended or full", lambda view: view["suspended"] or view["disk"] == "full")

    def wait_well(self, node, deadline_s=90):
        self.wait_node(node, "takes part", lambda view: not view["suspended"] and view["disk"] != "full", deadline_s)

    def wait_other_leads(self, node):
        def found():
            leader = self.cluster.leader_now()
            return leader if leader is not None and leader is not node else None
        return wait_for(f"another than {node.name} leads", found, 60, PASSING)

    @staticmethod
    def was_suspended(node):
        with open(node.log, errors="replace") as file:
            return "this node takes part again" in file.read()

    def wait_told_by(self, teller, about, words):
        """A problem of a node, in what another one shows of the cluster."""
        def told():
            problems = teller.status().get("problems", [])
            for problem in problems:
                if all(word in problem["what"] for word in (about.name, *words)) and problem["remedy"]:
                    return problem
            return None
        return wait_for(f"{teller.name} tells of {about.name}: {words}", told, 60, PASSING)

    def wait_refused(self, node, codes, words):
        """A write is refused, with these words. The records are not sent again: they must not be there."""
        def refused():
            mids = self.ledger.reserve(5)
            try:
                node.call("records.submit", self.ledger.params(mids))
            except RpcError as problem:
                if problem.code in codes:
                    self.ledger.refused.update(mids)
                    return problem
                self.ledger.doubtful.update(mids)
                return None
            except PASSING:
                self.ledger.doubtful.update(mids)
                return None
            self.ledger.acknowledged.update(mids)
            return None
        problem = wait_for(f"{node.name} refuses a write", refused, 60)
        for word in words:
            check(word in problem.message, f"the refusal does not say {word!r}: {problem.message}")
        return problem

    def settle(self, feed):
        """All goes on. The first time a node does so by itself; later, when it would look at its disk more
        rarely, it is asked to."""
        for node in self.cluster.nodes:
            if node in self.recovered:
                node.check_alive()
                node.process.send_signal(signal.SIGHUP)
            self.wait_well(node)
            if self.was_suspended(node):
                self.recovered.add(node)
        feed.join()
        self.cluster.leader()
        return check_replicas(self.cluster)

    # ---- Full ----

    def follower_full(self):
        """A follower has no byte left; the others go on. It comes back by itself."""
        node = self.rng.choice(self.cluster.followers())
        feed = self.feed()
        self.disks[node].fill()
        self.wait_troubled(node)
        self.wait_told_by(self.cluster.leader(), node, ())
        feed.join()
        self.disks[node].empty()
        return self.settle(feed)

    def leader_low(self):
        """A leader has less than is kept back: it refuses, hands over, and stays a member."""
        leader = self.cluster.leader()
        feed = self.feed()
        self.disks[leader].fill(RESERVE_MIB - 2)
        self.wait_other_leads(leader)
        feed.join()
        view = self.node_status(leader)
        check(not view["suspended"] and view["disk"] == "full", f"{leader.name}: {view}")
        self.wait_told_by(leader, leader, ("takes no new entries",))
        self.wait_told_by(self.cluster.leader(), leader, ("takes no new entries",))
        self.disks[leader].empty()
        return self.settle(feed)

    def leader_full(self):
        """A leader has no byte left, at once."""
        leader = self.cluster.leader()
        feed = self.feed()
        self.disks[leader].fill()
        self.wait_troubled(leader)
        self.wait_other_leads(leader)
        feed.join()
        self.disks[leader].empty()
        return self.settle(feed)

    def all_low(self):
        """Nobody has room: writes are refused, and nobody ends. Room comes back at one node after the other."""
        for node in self.cluster.nodes:
            self.disks[node].fill(RESERVE_MIB - 2)
        for node in self.cluster.nodes:
            self.wait_troubled(node)
        self.wait_refused(self.cluster.leader(), (FULL,), ("MiB free", "Free space"))
        feed = self.feed()
        for node in self.cluster.nodes:
            self.disks[node].empty()
        return self.settle(feed)

    def all_full(self):
        """Nobody has a byte left, under load."""
        feed = self.feed()
        feed.wait_taken(RECORDS // 10)
        for node in self.cluster.nodes:
            self.disks[node].fill()
        for node in self.cluster.nodes:
            self.wait_troubled(node)
        for node in self.cluster.nodes:
            self.wait_refused(node, (FULL, SUSPENDED, NO_QUORUM, UNREACHABLE), ("nothing was changed",))
        for node in self.cluster.nodes:
            self.disks[node].empty()
        return self.settle(feed)

    def no_inodes(self):
        """The disk has room, and no inode left."""
        leader = self.cluster.leader()
        feed = self.feed()
        self.disks[leader].fill_inodes()
        self.wait_troubled(leader)
        self.wait_other_leads(leader)
        self.wait_told_by(leader, leader, ("inode",))
        feed.join()
        self.disks[leader].empty()
        return self.settle(feed)

    def started_full(self):
        """A node begins on a full disk, without its log's reserve."""
        node = self.rng.choice(self.cluster.followers())
        node.stop()
        log = self.log_of(node)
        for name in os.listdir(log):
            if name.endswith(".spare"):
                os.unlink(os.path.join(log, name))
        self.disks[node].fill()
        node.start()
        self.wait_troubled(node)
        feed = self.feed()
        feed.join()
        self.disks[node].empty()
        return self.settle(feed)

    def log_of(self, node):
        with open(os.path.join(node.data, "CURRENT")) as file:
            return os.path.join(node.data, file.read().strip(), "log")

    # ---- Read-only ----

    def read_only(self):
        """A node begins on a disk that is mounted read-only; what it can read it shows."""
        node = self.rng.choice(self.cluster.followers())
        node.stop()
        self.disks[node].remount("ro")
        node.start()
        view = self.wait_suspended(node, ("read-only",))
        check("read-write" in view["remedy"], f"no remedy: {view}")
        check(view["readable"] and node.call("export.status", {"stale": True})["freshness"]["stale"], "no stale reads")
        self.wait_refused(node, (SUSPENDED,), ("[read-only]", "takes no part since", "next try"))
        out = node.muster("export", "pause", expect=4)
        check("read-write" in out, f"the tool does not say what helps: {out}")
        for verb, words in (("leave", "muster cluster remove"), ("reset", "Then reset it")):
            out = node.muster("cluster", verb, "--yes", expect=4)
            check("read-write" in out and words in out, f"{verb} on a suspended node does not say what to do: {out}")
        self.wait_told_by(self.cluster.leader(), node, ("takes no part", "read-only"))
        feed = self.feed()
        self.disks[node].remount("rw")
        return self.settle(feed)

    # ---- Failing calls ----

    def injected(self, calls, error, when, kinds):
        node = self.cluster.leader()
        strace = Strace(self.world, node, calls, error, when)
        feed = self.feed(RECORDS if "write" in calls or "data" in calls else LOG_FULLS)
        try:
            view = self.wait_suspended(node, kinds)
            other = self.wait_other_leads(node)
            self.wait_told_by(other, node, ("takes no part",))
            check(strace.injected() > 0, "nothing was injected")
        finally:
            strace.end()
        feed.join()
        self.settle(feed)
        return view["reason"]

    # ---- Rounds ----

    SCENARIOS = (follower_full, leader_low, read_only, leader_full, all_low, no_inodes, started_full, all_full)

    def check_cloud(self):
        export = wait_delivered(self.cluster)
        check_equal("dead letters", export["dead_lettered"] + export["discarded"], 0)
        return self.ledger.check_cloud(self.cluster_id)


def plan(rounds, seed):
    """(name, what to call) of each round; every one comes once before any comes twice."""
    rows = [(row.__name__, lambda disks, row=row: row(disks)) for row in Disks.SCENARIOS]
    rows += [(f"{calls}:{error}:{when}", lambda disks, row=(calls, error, when, kinds): disks.injected(*row))
             for calls, error, when, kinds in INJECTIONS]
    rng = random.Random(seed)
    order = []
    while len(order) < (rounds or len(rows)):
        order += rng.sample(rows, len(rows))
    return order[:rounds or len(rows)]


def own_mounts():
    """Go on in a mount namespace of our own, so that no mount outlives this process."""
    if os.environ.get("MUSTER_OWN_MOUNTS") != str(os.getpid()):
        os.environ["MUSTER_OWN_MOUNTS"] = str(os.getpid())
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, "-B", *sys.argv])


def main():
    own_mounts()
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("MUSTER_ROUNDS", "0")))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("MUSTER_SEED", "1")))
    parser.add_argument("--only")
    options = parser.parse_args()
    order = plan(0 if options.only else options.rounds, options.seed)
    order = [row for row in order if options.only in (None, row[0])]
    check(order, f"there is no scenario {options.only}")
    with World("disk") as world:
        cluster = Cluster(world, 3, disk_reserve_mib=RESERVE_MIB, snapshot_after_mib=1)
        disks = {node: Disk(world, node) for node in cluster.nodes}
        cluster.form()
        cluster.register()
        cluster.add_credentials()
        work = Disks(cluster, disks, options.seed)
        for name, scenario in order:
            begun = time.monotonic()
            print(f"{name}: ", end="", flush=True)
            print(f"{scenario(work)} ({time.monotonic() - begun:.1f} s)", flush=True)
        total = work.check_cloud()
        print(f"disk_test: {len(order)} rounds passed; {total} records acknowledged, each there once", flush=True)


if __name__ == "__main__":
    main()
