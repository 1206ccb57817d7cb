#!/usr/bin/env python3
"""What the disk under the state can do besides running full and refusing calls (disk_test.py): the file
that LMDB has mapped is cut short, a file system turns read-only under a running node, space is refused
by fallocate, and the state reaches its largest size.

Each time: the node says what happened and what helps, the others go on, it comes back (by itself, or as
the remedy says), and all that was acknowledged is there.

    storage_test.py [--only NAME]    one scenario
    storage_test.py --all            also filling a state of 64 MiB, which takes a minute

Needs root for the read-only scenario (a loop mount of ext4, in a mount namespace of its own) and for
strace; where they are not permitted that scenario is left out, and said so.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import os
import signal
import subprocess
import time

from damage_test import is_damaged, lineage, node_status
from disk_test import Strace, own_mounts
from muster_cluster import PASSING, Cluster, World
from muster_ledger import Ledger, check_replicas
from muster_wait import check, check_equal, wait_for

RECORDS = 200
IMAGE_MIB = 320
FILL = 2000  # Records of a feed that fills the state.


class NotPermitted(Exception):
    pass


def try_run(*argv):
    done = subprocess.run(argv, capture_output=True, check=False)
    if done.returncode != 0:
        raise NotPermitted(f"`{' '.join(argv)}` says: {done.stderr.decode().strip()}")
    return done.stdout.decode()


class LoopDisk:
    """An ext4 of its own under a stopped node's data folder, which can be made to fail."""

    def __init__(self, world, node):
        self.image = os.path.join(node.directory, "disk.img")
        self.folder = node.data
        self.world = world
        with open(self.image, "wb") as file:
            file.truncate(IMAGE_MIB << 20)
        try_run("mkfs.ext4", "-q", "-F", self.image)
        aside = f"{node.data}.aside"
        os.rename(node.data, aside)
        os.mkdir(node.data, 0o700)
        try:
            self.mount()
            try_run("cp", "-a", f"{aside}/.", node.data)
            try_run("sync", "--file-system", node.data)
            check(os.path.exists(self.trigger()), "no trigger_fs_error")
        except NotPermitted:
            subprocess.run(["umount", "--lazy", node.data], capture_output=True, check=False)
            os.rmdir(node.data)
            os.rename(aside, node.data)
            raise
        world.cleanups.append(lambda: subprocess.run(["umount", "--lazy", self.folder], capture_output=True, check=False))

    def mount(self):
        try_run("mount", "-o", "loop,errors=remount-ro", self.image, self.folder)

    def trigger(self):
        device = try_run("findmnt", "-n", "-o", "SOURCE", "--mountpoint", self.folder).split()[-1]
        return f"/sys/fs/ext4/{os.path.basename(device)}/trigger_fs_error"

    def fail(self):
        try:
            with open(self.trigger(), "w") as file:
                file.write("an error of the test")
        except OSError as problem:
            raise NotPermitted(f"trigger_fs_error: {problem}") from problem
        try:
            with open(os.path.join(self.folder, "probe"), "w") as file:
                file.write("?")
        except OSError:
            return
        raise NotPermitted("trigger_fs_error did not make the file system read-only")

    def repair(self):
        try_run("umount", self.folder)
        subprocess.run(["e2fsck", "-fy", self.image], capture_output=True, check=False)
        self.mount()


class Storage:
    def __init__(self, world):
        self.world = world
        self.cluster = Cluster(world, 3, snapshot_after_mib=1)
        self.cluster.form()
        self.ledger = Ledger(self.cluster)
        self.rounds = 0
        self.feed().join()

    def feed(self):
        self.rounds += 1
        return self.ledger.feed(RECORDS, f"storage/{self.rounds}")

    def wait_suspended(self, node, kinds):
        def told():
            view = node_status(node)
            return view if view["suspended"] and view["kind"] in kinds else None
        view = wait_for(f"{node.name} is suspended {kinds}", told, 60, PASSING)
        check(view["reason"] and view["remedy"], f"no reason or no remedy: {view}")
        return view

    @staticmethod
    def is_suspended(node):
        node.check_alive()
        try:
            return node_status(node)["suspended"]
        except PASSING:
            return False  # It changes its state just now.

    def wait_well(self, node):
        wait_for(f"{node.name} takes part", lambda: not node_status(node)["suspended"], 90, PASSING)

    def settle(self, feed):
        feed.join()
        return check_replicas(self.cluster)

    # ---- Scenarios ----

    def cut_short(self):
        """The state's file is truncated under the map of a running node, which ends by the signal that a look behind its
        end brings; or finds the damage, where a write of its own has given the file its size back, with holes in it."""
        node = self.cluster.followers()[0]
        path = os.path.join(lineage(node), "store", "data.mdb")
        node.must_live = False
        os.truncate(path, 2 * 4096)
        feed = self.feed()
        wait_for(f"{node.name} ends or finds it", lambda: not node.is_running() or is_damaged(node), 60, PASSING)
        feed.join()
        if not node.is_running():
            check_equal("how it ended", node.process.wait(), -signal.SIGBUS)
            words = node.tail(3)
            check("the state's file cannot be read" in words and "cluster rebuild" in words, f"no last words: {words}")
            node.start()
        node.must_live = True
        wait_for(f"{node.name} says that it is damaged", lambda: is_damaged(node), 60, PASSING)
        wait_for("it can be rebuilt", lambda: node.muster("cluster", "rebuild", "--yes", expect=0) is not None, 60, (Exception,))
        self.wait_well(node)
        return self.settle(self.feed())

    def turned_read_only(self):
        """A file system that finds an error of its own turns read-only; repaired, the node goes on."""
        node = self.cluster.followers()[0]
        node.stop()
        try:
            disk = LoopDisk(self.world, node)
            node.start()
            self.wait_well(node)
            disk.fail()
        finally:
            if not node.is_running():
                node.start()
        feed = self.feed()
        view = self.wait_suspended(node, ("read-only", "disk-error"))
        feed.join()
        node.stop()
        disk.repair()
        node.start()
        self.wait_well(node)
        return f"{view['kind']}; {self.settle(self.feed())}"

    def no_space_given(self):
        """fallocate is refused, while the disk says that it has room."""
        node = self.cluster.leader()
        strace = Strace(self.world, node, "fallocate", "ENOSPC", "1+")
        try:
            end = time.monotonic() + 60
            while strace.injected() == 0:
                self.feed().join()
                check(time.monotonic() < end, "fallocate is not called")
            node.check_alive()
        finally:
            strace.end()
        self.wait_well(node)
        return self.settle(self.feed())

    def restart(self, node, **settings):
        node.stop()
        node.settings.update(settings)
        node.start()
        self.wait_well(node)

    def state_full(self):
        """The state of one node, which is allowed less than the others, reaches its largest size."""
        node = self.cluster.followers()[0]
        self.restart(node, store_size_max_mib=64)
        feeds = []
        end = time.monotonic() + 120
        while not self.is_suspended(node):
            check(time.monotonic() < end, "the state does not run full")
            feeds.append(self.ledger.feed(FILL, f"full/{len(feeds)}"))
            feeds[-1].join()
        view = self.wait_suspended(node, ("store-full",))
        check("store_size_max_mib" in view["remedy"], f"no remedy: {view}")
        self.restart(node, store_size_max_mib=256)
        return f"{len(feeds) * FILL} records; {self.settle(self.feed())}"

    SCENARIOS = (cut_short, no_space_given, turned_read_only)
    LONG = (state_full,)


def main():
    own_mounts()
    parser = argparse.ArgumentParser()
    parser.add_argument("--only")
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    with World("storage") as world:
        storage = Storage(world)
        for scenario in Storage.SCENARIOS + (Storage.LONG if options.all or options.only else ()):
            if options.only not in (None, scenario.__name__):
                continue
            begun = time.monotonic()
            try:
                result = scenario(storage)
            except NotPermitted as reason:
                print(f"{scenario.__name__}: left out, not permitted here: {reason}", flush=True)
                continue
            print(f"{scenario.__name__}: {result} ({time.monotonic() - begun:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
