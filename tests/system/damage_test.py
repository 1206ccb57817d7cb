#!/usr/bin/env python3
"""Damaged data: found, said, never applied, and fetched anew from the other members.

    damage_test.py [FLIPS]        how many flipped bits of each kind of file, by seed (MUSTER_SEED)

At rest: bits of every kind of file of a stopped node are flipped, one at a time. Started again, the node
either is as it was, proven by its digests, or takes no part, says why, and is whole again after
`muster cluster rebuild`. While running: pages of the state are overwritten, and one replica is made to
differ by a fault point; the node finds that out, stops taking part and mends itself.

SPDX-License-Identifier: Apache-2.0
"""
import glob
import os
import random
import shutil
import signal
import sys

from muster_cluster import PASSING, Cluster, Node, World
from muster_ledger import Ledger, check_deep, check_replicas
from muster_wait import Failure, check, check_equal, wait_for

RECORDS = 1000
PAGE = 4096


def flip(path, rng, low=0, high=None):
    """Flip one bit; gives its place in words."""
    size = os.path.getsize(path)
    at = rng.randrange(low, min(high or size, size))
    bit = rng.randrange(8)
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))
    return f"bit {bit} of byte {at} of {os.path.basename(path)}"


def lineage(node):
    with open(os.path.join(node.data, "CURRENT")) as file:
        return os.path.join(node.data, file.read().strip())


def segments(node):
    return sorted(glob.glob(os.path.join(lineage(node), "log", "*.wal")))


def node_status(node):
    return node.call("node.status", timeout_s=5)


def is_damaged(node):
    status = node_status(node)
    return status["suspended"] and status["kind"] == "damaged"


def says_damaged(other, name):
    """Does this node's status say that the other one's data is damaged?"""
    problems = [problem["what"] for problem in other.status().get("problems", [])]
    return any(f"the data of {name} is damaged" in what for what in problems)


class Damage:
    def __init__(self, world, flips, seed):
        self.world = world
        self.flips = flips
        self.rng = random.Random(seed)
        self.cluster = Cluster(world, 3, scrub_mib_per_s=64)
        self.cluster.form()
        self.ledger = Ledger(self.cluster)
        self.feed(RECORDS)
        self.found = 0
        self.harmless = 0

    def feed(self, count):
        self.ledger.feed(count, self.rng.random()).join()

    def wait_role(self, node, deadline_s=90):
        def votes():
            self.cluster.check_alive()
            members = self.cluster.leader().status(stale=False)["members"]
            return [m for m in members if m["name"] == node.name and m["role"] == "voter" and m["quarantine"] == "none"]
        wait_for(f"{node.name} votes again", votes, deadline_s, PASSING)

    def wait_whole(self, node, deadline_s=120):
        """It takes part, votes, and has the same data as the others."""
        def takes_part():
            self.cluster.check_alive()
            return not node_status(node)["suspended"] and not os.path.exists(os.path.join(lineage(node), "damaged"))
        wait_for(f"{node.name} takes part again", takes_part, deadline_s, PASSING)
        self.wait_role(node)
        check_deep(self.cluster)

    def start_and_judge(self, node):
        """Start a node whose file was changed. True: the damage was found; False: it is as it was."""
        node.start()

        def decided():
            node.check_alive()
            if is_damaged(node):
                return "damaged"
            status = node.status()
            return "well" if status["leader"] and node.call("node.digest")["index"] > 0 else None
        return wait_for(f"{node.name} is damaged or well", decided, 60, PASSING) == "damaged"

    def rebuild(self, node):
        others = [other for other in self.cluster.running() if other is not node]
        wait_for(f"the others know that {node.name} is damaged",
                 lambda: all(says_damaged(other, node.name) for other in others), 30, PASSING)
        text = node.muster("status", expect=0)
        check("damaged" in text and "cluster rebuild" in text, f"{node.name} does not say that it is damaged: {text}")
        text = node.muster("cluster", "rebuild", "--check")
        check("damaged" in text, f"--check does not say what is damaged: {text}")
        check(is_damaged(node), "--check has changed something")
        node.muster("cluster", "rebuild", "--yes")
        self.wait_whole(node)
        aside = glob.glob(os.path.join(lineage(node), "damaged-*"))
        check_equal("folders of damaged files", len(aside), 1)
        wait_for("nobody speaks of damage any more",
                 lambda: not any(says_damaged(other, node.name) for other in others), 30, PASSING)

    def victim(self):
        return self.rng.choice(self.cluster.followers())

    def at_rest(self, what, change, unclean=False):
        """Stop a follower, change a file of it, start it, and see that it is well again in the end."""
        node = self.victim()
        if unclean:
            node.kill()
        else:
            node.stop()
        where = change(node)
        if self.start_and_judge(node):
            self.found += 1
            print(f"{what}: found ({where}): {node_status(node)['reason']}", flush=True)
            self.rebuild(node)
        else:
            self.harmless += 1
            print(f"{what}: in no state ({where})", flush=True)
            check_deep(self.cluster)
        self.feed(20)
        return node

    def files_at_rest(self):
        for _ in range(self.flips):
            self.at_rest("state", lambda node: flip(os.path.join(lineage(node), "store", "data.mdb"), self.rng))
        self.at_rest("state's roots", lambda node: flip(os.path.join(lineage(node), "store", "data.mdb"), self.rng,
                                                      0, 2 * PAGE))
        for _ in range(self.flips):
            self.at_rest("log", lambda node: flip(self.rng.choice(segments(node)), self.rng, 0, 64 * 1024))
        self.certain("state cut to nothing", lambda node: os.truncate(os.path.join(lineage(node), "store", "data.mdb"), 0))
        self.certain("log gone", lambda node: [os.unlink(path) for path in segments(node)])

    def certain(self, what, change):
        before = self.found
        self.at_rest(what, change)
        check_equal(f"{what}: found", self.found, before + 1)

    def mended_by_hand(self):
        """The file is put back as it was: the node reads it once more, takes part, and takes back what it said."""
        node = self.victim()
        others = [other for other in self.cluster.running() if other is not node]
        node.stop()
        path = os.path.join(lineage(node), "store", "data.mdb")
        shutil.copyfile(path, path + ".kept")
        os.truncate(path, 0)
        node.start()
        wait_for(f"{node.name} is damaged", lambda: is_damaged(node), 30, PASSING)
        wait_for("the others know", lambda: all(says_damaged(other, node.name) for other in others), 30, PASSING)
        os.rename(path + ".kept", path)
        node.muster("node", "retry")
        self.wait_whole(node)
        wait_for("what was told is taken back",
                 lambda: not any(says_damaged(other, node.name) for other in others), 30, PASSING)
        print("mended by hand: it takes part again", flush=True)

    # ---- While running ----

    def quarantined(self, node, deadline_s=60):
        def seen():
            self.cluster.check_alive()
            with open(node.log, errors="replace") as file:
                return "damaged data: this node is quarantined" in file.read()
        wait_for(f"{node.name} quarantines itself", seen, deadline_s)

    def forget_log(self, node):
        os.rename(node.log, f"{node.log}.{len(glob.glob(node.log + '*'))}.log")

    def overwritten_pages(self):
        """Rows of a running follower: the scrub comes by them, though nobody asks."""
        node = self.victim()
        node.stop()
        self.forget_log(node)
        self.age_damaged(node)
        node.start()
        self.wait_role(node)
        path = os.path.join(lineage(node), "store", "data.mdb")
        with open(path, "r+b") as file:
            data = file.read()
            at = data.find(b"host")
            check(at > 0, "no record is in the file")
            while at >= 0:
                file.seek(at)
                file.write(b"HOST")
                at = data.find(b"host", at + 4)
        self.quarantined(node)
        self.wait_whole(node)
        print("overwritten while running: found and mended", flush=True)

    # ---- Replicas that differ ----

    def armed(self, node, fault):
        """Start it with a fault point armed."""
        self.forget_log(node)
        node.prefix = ["env", f"MUSTER_FAULT={fault}"]
        node.start()
        node.prefix = []

    def age_damaged(self, node):
        """What was moved aside was long ago: else damage that is found while it runs waits for its operator."""
        old = os.path.join(lineage(node), "damaged-1")
        for path in glob.glob(os.path.join(lineage(node), "damaged-*")):
            if path != old:
                shutil.rmtree(old, ignore_errors=True)
                os.rename(path, old)

    def diverged(self, node, lead):
        """One replica applies something of its own. It is the one that goes, also when it leads."""
        node.stop()
        self.age_damaged(node)
        self.armed(node, "store.diverge:12:fail")
        self.wait_role(node)
        if lead and self.cluster.leader() is not node:
            self.cluster.leader().muster("cluster", "transfer", node.name)
            wait_for(f"{node.name} leads", lambda: self.cluster.leader() is node, 30, PASSING)
        self.feed(50 * 40)
        self.quarantined(node, 90)
        with open(node.log, errors="replace") as file:
            check("differs from the majority at index" in file.read(), "it does not say at which index")
        self.wait_whole(node)
        print(f"{'leader' if lead else 'follower'} that differs: found and mended", flush=True)

    def killed_on_the_way(self):
        """kill -9 at each step of a rebuild: started again it goes on by itself."""
        node = self.victim()
        for step in ("marked", "out", "moved", "empty", "back", "filled"):
            node.stop()
            path = os.path.join(lineage(node), "store", "data.mdb")
            os.truncate(path, 0)
            if step == "marked":
                self.spawn_dying(node)
            else:
                self.armed(node, f"rebuild.{step}:0:kill")
                wait_for(f"{node.name} is damaged", lambda: is_damaged(node), 30, PASSING)
                node.must_live = False
                node.world.muster(node, "cluster", "rebuild", "--yes")
            code = node.process.wait(60)
            check_equal(f"how {node.name} ended at {step}", code, -signal.SIGKILL)
            node.start()
            if step == "marked":
                wait_for(f"{node.name} is damaged", lambda: is_damaged(node), 30, PASSING)
                node.muster("cluster", "rebuild", "--yes")
            self.wait_whole(node)
            self.feed(20)
        print("killed at every step of a rebuild: each went on", flush=True)

    def spawn_dying(self, node):
        node.prefix = ["env", "MUSTER_FAULT=rebuild.marked:0:kill"]
        node.spawn()
        node.prefix = []
        node.must_live = False

    def removed_meanwhile(self):
        """A damaged member can be had out of its cluster as it is: no folder is emptied by hand."""
        node = self.victim()
        node.stop()
        os.truncate(os.path.join(lineage(node), "store", "data.mdb"), 0)
        node.start()
        wait_for(f"{node.name} is damaged", lambda: is_damaged(node), 30, PASSING)
        text = node.muster("cluster", "leave", "--yes", expect=4)
        check("muster cluster remove" in text and "muster cluster reset" in text, f"leave does not say what helps: {text}")
        text = node.muster("cluster", "reset", "--yes", expect=3)
        check("is a member of its cluster" in text and "rebuild" in text, f"reset of a damaged member: {text}")
        check(is_damaged(node), "a member was reset")
        before = lineage(node)
        self.cluster.leader().muster("cluster", "remove", node.name, "--yes")
        wait_for("it may be reset", lambda: "nothing was changed" in node.muster("cluster", "reset", "--check"), 30, Failure)
        check(is_damaged(node) and lineage(node) == before, "a check changed something")
        node.muster("cluster", "reset", "--yes")
        wait_for(f"{node.name} leads itself", lambda: node.status()["leader"] == node.name, 30, PASSING)
        check(not os.path.exists(before), f"the damaged life is left: {before}")
        self.cluster.nodes.remove(node)
        self.cluster.join(node)
        self.cluster.nodes.append(node)
        self.wait_whole(node)
        print("damaged and removed: reset, and a member again", flush=True)

    def unborn(self):
        """The power went while a new node's state was being made: it has acknowledged nothing, and begins anew. LMDB writes two
        pages first and syncs once, before the log is begun; of those sectors any may be there, of the file any size."""
        node = Node(self.world, "y", self.cluster.cloud)
        node.prefix = ["env", "MUSTER_FAULT=wal.open:0:kill"]
        node.spawn()
        node.must_live = False
        check_equal("how y ended", node.process.wait(60), -signal.SIGKILL)
        node.prefix = []
        first = f"{node.data}.first"
        shutil.copytree(node.data, first)
        for size, pages in ((0, ()), (4096, (0,)), (8192, ()), (8192, (0,)), (8192, (1,)), (None, ()), (None, (0,))):
            path = os.path.join(lineage(node), "store", "data.mdb")
            with open(path, "r+b") as file:
                for page in {0, 1} - set(pages):
                    file.seek(page * 4096)
                    file.write(bytes(4096))
                file.truncate(size if size is not None else os.path.getsize(path))
            node.start()
            wait_for(f"y leads itself after {size} bytes with the pages {pages}", lambda: node.status()["leader"] == "y", 30, PASSING)
            node.stop()
            shutil.rmtree(node.data)
            shutil.copytree(first, node.data)
        print("never made to its end: begun anew", flush=True)

    def alone(self):
        """A node without others: it says what is possible."""
        node = Node(self.world, "z", self.cluster.cloud, scrub_mib_per_s=64)
        node.start()
        wait_for("z leads itself", lambda: node.status()["leader"] == "z", 30, PASSING)
        wait_for("z has written who the members are",
                 lambda: os.path.exists(os.path.join(lineage(node), "contacts")), 30)
        node.stop()
        os.truncate(os.path.join(lineage(node), "store", "data.mdb"), 0)
        node.start()
        wait_for("z is damaged", lambda: is_damaged(node), 30, PASSING)
        text = node.muster("cluster", "rebuild", "--yes", expect=3)
        check("no other member" in text, f"z does not say why it cannot be rebuilt: {text}")
        node.stop()

    def identity_files(self):
        """Not to be had from peers: found, and the file and what helps are named."""
        node = self.victim()
        rows = [("identity", lambda: os.path.join(lineage(node), "identity"), "identity", 1),
                ("CURRENT", lambda: os.path.join(node.data, "CURRENT"), "CURRENT", 1),
                ("root.secret", lambda: os.path.join(node.data, "root.secret"), "root", 78)]
        for name, place, word, _ in rows:
            node.stop()
            path = place()
            with open(path, "rb") as file:
                whole = file.read()
            where = flip(path, self.rng)
            self.forget_log(node)
            node.spawn()
            node.must_live = False

            def said():
                with open(node.log, errors="replace") as file:
                    lines = [line for line in file if word in line and "started" not in line]
                return lines or None
            line = wait_for(f"musterd speaks of {name} ({where})", said, 30)[0]
            print(f"{name}: {where}: {line.strip()[:200]}", flush=True)
            if node.is_running():
                node.terminate()
                node.process.wait(30)
            with open(path, "wb") as file:
                file.write(whole)
            node.start()
            self.wait_role(node)
        check_deep(self.cluster)


def main():
    flips = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    seed = os.environ.get("MUSTER_SEED", "1")
    with World("damage") as world:
        damage = Damage(world, flips, seed)
        damage.files_at_rest()
        damage.mended_by_hand()
        damage.overwritten_pages()
        damage.diverged(damage.victim(), lead=False)
        damage.diverged(damage.cluster.leader(), lead=True)
        damage.killed_on_the_way()
        damage.removed_meanwhile()
        damage.unborn()
        damage.alone()
        damage.identity_files()
        check_replicas(damage.cluster)
        print(f"{damage.found} found, {damage.harmless} in no state")


if __name__ == "__main__":
    main()
