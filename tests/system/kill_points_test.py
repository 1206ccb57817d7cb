#!/usr/bin/env python3
"""kill -9 at every fault point of the real musterd, then a restart and a comparison.

    kill_points_test.py                       each point once, at the next visit
    kill_points_test.py --share 6             a sixth of the points of each deed; the seed says which, and
                                              unless it is given it moves with the time (in CI)
    kill_points_test.py --walk [--visits N]   each point in each deed that comes by it, at the visits
                                              0, 1, 2, 4, 8 ... up to N of them (all), compared after each
    kill_points_test.py --walk --deed join    of one deed only; --point wal.sync: of one point only

The deeds are the main job: feed and export, catch up by an image, join, be refused, leave, leave as
leader, be removed, register, verify. While a deed goes on a point is armed on all nodes; whoever comes
by it dies there and is started again, and the deed has to come to its end all the same. Then everything
is compared: balance and cloud, digests, audit, devices, members, folders, tokens, identities.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import contextlib
import os
import random
import subprocess
import sys
import threading
import time

from muster_cluster import PASSING, Cluster, World
from muster_fault import Mortal
from muster_ledger import Ledger, check_replicas, wait_delivered
from muster_wait import Failure, check, check_equal, wait_for

# Which deed meets a point, and in which order they are armed in it: one dies, the next is armed.
DEEDS = {
    "feed": ("alloc", "store.put", "store.commit", "store.committed", "wal.write", "wal.sync", "node.append", "node.propose",
             "peer.send", "call.propose", "call.applied", "forward.send", "export.load", "export.send", "export.answered",
             "export.advance", "export.advanced"),
    "catch_up": ("node.snapshot.take", "store.sync", "node.snapshot.put", "wal.snapshot.stored", "wal.release", "wal.rename",
                 "store.image.write"),  # The file serves whoever needs an image until the next snapshot.
    "join": ("join.locked", "join.ask", "ask.sent", "admit.looked_up", "admit.issued", "admit.applied", "join.admitted",
             "file.make_folder", "file.write", "file.sync", "file.rename", "file.sync_folder", "lineage.staged",
             "lineage.switched", "join.answered", "wal.open", "wal.allocate", "node.change", "node.changed",
             "membership.start", "membership.done", "node.snapshot.get", "image.serve", "image.fetch",
             "image.write", "image.sync", "image.fetched", "store.image.link", "store.image.rename", "store.image.open",
             "store.image.done", "wal.reset", "image.installed"),
    "refused_join": ("join.unlock",),
    "leave": ("leave.ask", "leave.gone", "file.write", "lineage.staged", "leave.left", "daemon.stopping", "daemon.closed", "daemon.restart", "file.remove"),
    "leader_leaves": ("leave.handed_over",),
    "remove": ("remove.applied",),
    "register": ("registrar.call", "registrar.answered", "registrar.propose", "registrar.proposed"),
    "verify": ("verify.ask", "http.start", "verify.propose"),
}
# Truncating a log wants leaders that disagree, and removing a segment wants more spares than a small
# log makes: wal_crash_test and the simulation come by these. Damage, rebuilding and the
# cluster key have tests of their own.
NOT_HERE = ("wal.truncate", "wal.unlink", "store.diverge")
NOT_HERE_PREFIXES = ("rebuild.", "succession.", "key.", "saved.")

REPETITIONS_MAX = 6  # Of a deed in vain, until its points count as not met.
FEEDS_MAX = 12  # Until a follower has taken two snapshots, whoever dies meanwhile.


def lineages(node):
    return sorted(name for name in os.listdir(node.data) if os.path.isdir(os.path.join(node.data, name)))


def check_lineages(node, count):
    """So many whole ones, and nothing besides."""
    wait_for(f"{node.name} has {count} lineages, older saved ones are removed", lambda: len(lineages(node)) == count, 30)
    found = lineages(node)
    for name in found:
        inside = os.listdir(os.path.join(node.data, name))
        check({"identity", "log", "store"} <= set(inside), f"{node.name}/{name} is half a lineage: {inside}")
    strays = set(os.listdir(node.data)) - set(found) - {"CURRENT", "root.secret"}
    check(not strays, f"{node.name} has left over {strays}")


class Office(Cluster):
    """A cluster whose nodes may die at any moment; whoever looks at it starts them again."""

    def check_alive(self):
        for node in self.world.nodes:
            node.check_alive()


class Killing:
    def __init__(self, world, seed):
        self.world = world
        self.cluster = Office(world, 3, kind=Mortal, join_timeout_s=5, snapshot_after_mib=1)
        self.cloud = self.cluster.cloud
        self.cluster.form()
        self.machine = self.cluster.nodes[0]
        self.cluster.add_credentials()
        self.cluster.register(self.machine)
        self.ledger = Ledger(self.cluster)
        self.rng = random.Random(seed)
        self.guest = Mortal(world, "d", self.cloud, join_timeout_s=5, snapshot_after_mib=1)
        self.guest.start()
        wait_for("d leads itself", lambda: self.guest.status()["leader"] == "d", 30, PASSING)
        self.cluster_id = self.machine.status()["cluster_id"]
        self.ids = {node.name: self.node_id(node) for node in world.nodes}
        self.folders = {node.name: 1 for node in world.nodes}
        for node in self.cluster.nodes[1:]:
            self.folders[node.name] = 2  # The newest lineage that it had before it joined stays.
        self.patience = sys.maxsize  # So many half-finished joins are left to the cluster to roll back.
        self.waiting = False
        self.queue = []
        self.dead = []  # (point, node) of this deed, in order.
        for node in world.nodes:
            node.on_death = self.on_death

    @staticmethod
    def node_id(node):
        members = node.call("cluster.members", {"stale": True})["members"]
        return [member["node_id"] for member in members if member["name"] == node.name][0]

    # ---- Arming ----

    def arm_next(self):
        if self.queue:
            point, after = self.queue[0]
            for node in self.world.nodes:
                node.arm(point, after)

    def disarm_all(self):
        for node in self.world.nodes:
            node.disarm()

    def on_death(self, node, point):
        self.dead.append((point, node.name))
        if self.queue and self.queue[0][0] == point:
            self.queue.pop(0)
        self.disarm_all()
        self.arm_next()

    def disarm(self):
        self.queue = []
        self.disarm_all()
        self.cluster.check_alive()

    # ---- Trying until it is so ----

    def until(self, what, is_so, act, deadline_s=120):
        """Act again until it is so; what acts may die, and so may who is asked."""
        def done():
            self.cluster.check_alive()
            if is_so():
                return True
            act()
            return False
        wait_for(what, done, deadline_s, (*PASSING, Failure, IndexError))

    def attempt(self, node, *arguments, secret=None):
        """Run the tool; who dies meanwhile is started again, for the tool may wait for that."""
        log = os.path.join(self.world.directory, "muster.log")
        with open(log, "ab") as file:
            file.write(f"{node.name}: muster {' '.join(arguments)}\n".encode())
            file.flush()
            tool = subprocess.Popen([self.world.program("muster"), "--socket", node.socket, *arguments],
                                    stdin=subprocess.PIPE, stdout=file, stderr=file, env=self.world.environment())
        with contextlib.suppress(BrokenPipeError):
            tool.stdin.write((secret or "").encode())
            tool.stdin.close()

        def ended():
            self.cluster.check_alive()
            return tool.poll() is not None
        try:
            wait_for(f"muster {' '.join(arguments)} on {node.name} ends", ended, 90)
        finally:
            if tool.poll() is None:
                tool.kill()
            tool.wait()
        return tool.returncode == 0

    def ask(self, node, method, params=None):
        """One call, while who dies is started again; true if it was answered well."""
        answers = []

        def call():
            with contextlib.suppress(*PASSING):
                answers.append(node.call(method, params, 60))
        thread = threading.Thread(target=call, daemon=True)
        thread.start()

        def ended():
            self.cluster.check_alive()
            return not thread.is_alive()
        wait_for(f"{node.name} answers {method}", ended, 90)
        return bool(answers)

    def listed(self):
        members = self.cluster.call("cluster.members")["members"]
        return {member["name"]: member["standing"] for member in members if member["standing"] != "removed"}

    def make_member(self, node):
        def is_so():
            return self.listed().get(node.name) == "member" and node.status()["standing"] == "member"

        def act():
            standing, listed = node.status(stale=False)["standing"], self.listed().get(node.name)
            if standing == "standalone" and listed == "joining" and self.patience == 0:
                self.ask(self.cluster.leader(), "cluster.remove", {"name": node.name, "force": True})
            elif standing == "standalone" and listed == "joining" and not self.waiting:
                self.waiting = True  # The cluster forgets it by itself, in time.
                self.patience -= 1
            elif standing == "standalone" and listed is None:
                self.waiting = False
                token = self.cluster.leader().muster("cluster", "token", "create").strip()
                self.ask(node, "cluster.join", {"token": token})
        self.until(f"{node.name} is a member", is_so, act)
        if node not in self.cluster.nodes:
            self.cluster.nodes.append(node)
            self.folders[node.name] = 2

    def make_standalone(self, node):
        def is_so():
            return node.name not in self.listed() and node.status()["standing"] == "standalone"

        def act():
            self.ask(node, "cluster.leave")
        if node in self.cluster.nodes:
            self.cluster.nodes.remove(node)  # Who is asked for the cluster's state is in it.
        self.until(f"{node.name} is standalone", is_so, act)
        wait_for(f"{node.name} leads itself", lambda: node.check_alive() or node.status()["leader"] == node.name, 30, PASSING)

    # ---- The deeds ----

    def feed(self, count=300):
        feed = self.ledger.feed(count, self.rng.random())

        def fed():
            self.cluster.check_alive()
            return not feed.is_running()
        wait_for("everything is fed", fed, 180)
        feed.join()
        wait_delivered(self.cluster)

    def catch_up(self):
        """A follower comes back to a leader that has cut away what it misses. A leader keeps its log for one that it
        heard of just now, a follower does not: so one of those leads then. The guest's joins need an image after it."""
        away, *others = [node for node in self.cluster.followers() if node is not self.guest] + [self.cluster.leader()]
        begun = {}  # Node: its deaths, and its snapshots before. Who starts anew has all of its log again.

        def heirs():  # The second snapshot begins behind what the one that is away has.
            found = []
            for node in others:
                deaths = sum(name == node.name for _, name in self.dead)
                taken = node.table.visits("wal.snapshot.stored")
                if begun.setdefault(node, (deaths, taken))[0] != deaths:
                    begun[node] = (deaths, taken)
                found += [node] if taken > begun[node][1] + 1 else []
            return found
        away.kill()
        for _ in range(FEEDS_MAX):
            deaths = len(self.dead)
            if heirs():
                break
            self.feed(1300)
        check(heirs(), f"no log was cut, by {begun}")
        heir = heirs()[0]
        self.until(f"{heir.name} leads", lambda: self.cluster.leader() is heir,
                   lambda: self.ask(self.cluster.leader(), "cluster.transfer", {"name": heir.name}))
        images = self.images()
        away.start()
        self.level()
        check(self.images() > images or len(self.dead) > deaths, f"{away.name} caught up with {heir.name} without an image")

    def images(self):
        return sum(node.table.visits("store.image.write") for node in self.world.nodes)

    def join(self):
        if self.guest in self.cluster.nodes:
            self.disarmed(lambda: self.make_standalone(self.guest))
        self.make_member(self.guest)

    def disarmed(self, act):
        """Do something that is not this deed's."""
        kept, self.queue = self.queue, []
        self.disarm_all()
        act()
        self.queue = kept
        self.arm_next()

    def refused_join(self):
        def act():
            self.ask(self.guest, "cluster.join", {"token": self.spent})
            self.asked += 1
        if self.guest in self.cluster.nodes:
            self.disarmed(lambda: self.make_standalone(self.guest))
        if not hasattr(self, "spent"):
            self.spent = self.cluster.leader().muster("cluster", "token", "create").strip()
            token_id = [t["token_id"] for t in self.cluster.call("cluster.token.list")["tokens"] if t["state"] == "usable"]
            for name in token_id:
                self.cluster.leader().muster("cluster", "token", "revoke", name, "--yes")
        self.asked = 0
        self.until("d was refused", lambda: self.asked > 0, act)
        self.until("d is not locked", lambda: self.guest.status(stale=False)["standing"] == "standalone", lambda: None)

    def leave(self):
        self.disarmed(lambda: self.make_member(self.guest))
        self.make_standalone(self.guest)

    def machine_follows(self):
        """The registered machine may not leave, so another leads first."""
        self.until("another leads", lambda: self.cluster.leader() is not self.machine,
                   lambda: self.ask(self.machine, "cluster.transfer", {"name": self.cluster.nodes[1].name}))

    def leader_leaves(self):
        self.disarmed(self.machine_follows)
        leader = self.cluster.leader()
        self.make_standalone(leader)
        self.make_member(leader)
        self.cluster.wait_voters(3)

    def remove(self):
        self.disarmed(lambda: self.make_member(self.guest))
        self.cluster.nodes.remove(self.guest)
        self.until("d is removed", lambda: self.guest.name not in self.listed(),
                   lambda: self.ask(self.cluster.leader(), "cluster.remove", {"name": "d"}))
        self.make_standalone(self.guest)

    def register(self):
        """Deregister and register again."""
        token = self.cloud.registration_token()
        epoch = self.cluster.registration().get("epoch", 0)

        def act():
            found = self.cluster.registration()
            if found["state"] == "registered":
                self.attempt(self.machine, "registration", "deregister", "--no-wait", "--yes")
            elif found["state"] in ("enabled", "failed"):
                check(found["state"] == "enabled", f"the registration failed: {found}")
                self.attempt(self.machine, "registration", "register", "--no-wait", "--token-file", "-", secret=token)

        def is_so():
            found = self.cluster.registration()
            return found["state"] == "registered" and found["epoch"] > epoch
        self.until("d is registered again", is_so, act)

    def verify(self):
        self.verified = False

        def act():
            self.verified = self.attempt(self.cluster.leader(), "credentials", "verify", "main")
        self.until("the credentials are verified", lambda: self.verified, act)

    # ---- Comparing ----

    def level(self):
        """A digest stands at the last entry that the store saw; a barrier it sees only at a snapshot, so another
        record is fed until no election came between."""
        for patience_s in (5, 5, 10, 20, 60):
            self.feed(1)
            try:
                check_replicas(self.cluster, patience_s)
                return
            except Failure as problem:
                if "at one index" not in str(problem):
                    raise
                last = problem
        seen = [(node.name, node.status()) for node in self.cluster.running()]
        raise Failure(f"{last}\nafter {self.dead}, armed {self.queue[:1]}: {seen}")

    def check_folders(self):
        for node in self.world.nodes:
            check_lineages(node, self.folders[node.name])

    def check_everything(self):
        wait_delivered(self.cluster)
        names = sorted(node.name for node in self.cluster.nodes)
        wait_for("the members are settled", lambda: self.cluster.check_alive() or self.listed() == dict.fromkeys(names, "member"),
                 60, PASSING)
        self.cluster.wait_voters(3, 60)
        self.level()
        export = self.cluster.export()
        check_equal("delivered of what was produced", export["delivered"], export["produced"])
        check_equal("records acknowledged", self.ledger.check_cloud(self.cluster_id), len(self.ledger.acknowledged))
        registered = self.cloud.devices("registered")
        check_equal("devices registered", len(registered), 1)
        busy = [d for d in self.cloud.devices() if d["state"] not in ("registered", "gone", "failed")]
        check(not busy, f"devices in other states: {busy}")
        check_equal("the device that the cluster knows", self.cluster.registration()["device_id"], registered[0]["device_id"])
        for node in self.world.nodes:
            check_equal(f"the id of {node.name}", self.node_id(node), self.ids[node.name])
            check_equal(f"whether {node.name} is locked", node.status()["standing"],
                        "member" if node in self.cluster.nodes else "standalone")
        self.check_folders()

    # ---- Walking ----

    def chain(self, deed, points):
        """Do the deed, again as long as points are met; the points that were not."""
        self.queue = list(points)
        self.dead = []
        self.arm_next()
        vain = 0
        while vain < REPETITIONS_MAX:
            before = len(self.queue)
            getattr(self, deed)()
            vain = 0 if len(self.queue) < before else vain + 1
            if not self.queue:
                break
            if vain > 0:  # One that is not met now must not hide those behind it.
                self.queue = self.queue[1:] + self.queue[:1]
                self.disarm_all()
                self.arm_next()
        unmet = [point for point, _ in self.queue]
        self.disarm()
        self.check_everything()
        return unmet

    def count(self, deed):
        """How often the deed comes by each point, on whichever node that is most."""
        before = [{point: node.table.visits(point) for point in node.table.offsets} for node in self.world.nodes]
        getattr(self, deed)()
        self.check_everything()
        return {point: most for point in before[0] if (most := max(
            node.table.visits(point) - was[point] for node, was in zip(self.world.nodes, before))) > 0}


def visits_to_try(count, limit):
    """0, 1, 2, 4, 8 ... below the count."""
    visits = [0] + [1 << i for i in range(40) if 1 << i < count]
    return visits[:limit]


def once_each(killing, options):
    unmet = []
    killing.patience = 2
    for number, (deed, points) in enumerate(DEEDS.items()):
        points = points[(options.seed + number) % options.share::options.share]
        if options.deed not in (None, deed) or not points:
            continue
        begun = time.monotonic()
        unmet += killing.chain(deed, [(point, 0) for point in points])
        told = ", ".join(f"{point} ({node})" for point, node in killing.dead)
        print(f"{deed}: {told} ({time.monotonic() - begun:.1f} s)", flush=True)
    check(not unmet, f"fault points that were not met: {unmet}")


def walk(killing, options):
    runs = 0
    for deed in [options.deed] if options.deed else DEEDS:
        counts = killing.count(deed)
        print(f"{deed} comes by {len(counts)} points: "
              + ", ".join(f"{point} {count}" for point, count in counts.items()), flush=True)
        for point, count in counts.items():
            if options.point in (None, point):
                for visit in visits_to_try(count, options.visits):
                    begun = time.monotonic()
                    unmet = killing.chain(deed, [(point, visit)])
                    runs += 1
                    who = ", ".join(f"{died} ({node})" for died, node in killing.dead)
                    print(f"{deed} {point}:{visit}: {'not met' if unmet else who} ({time.monotonic() - begun:.1f} s)", flush=True)
    print(f"kill_points_test: {runs} runs", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--walk", action="store_true")
    parser.add_argument("--visits", type=int, default=40)
    parser.add_argument("--deed", choices=DEEDS)
    parser.add_argument("--point")
    parser.add_argument("--share", type=int, default=1)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("MUSTER_SEED", time.time() / 60)))
    options = parser.parse_args()
    print(f"kill_points_test.py --share {options.share} --seed {options.seed}", flush=True)
    with World("killpoints") as world:
        killing = Killing(world, options.seed)
        listed = {point for points in DEEDS.values() for point in points} | set(NOT_HERE)
        points = [point for point in killing.machine.table.offsets if not point.startswith(NOT_HERE_PREFIXES)]
        check_equal("points in the table and here", sorted(points), sorted(listed))
        killing.check_everything()
        if options.walk:
            walk(killing, options)
        else:
            once_each(killing, options)
        print("kill_points_test: passed", flush=True)


if __name__ == "__main__":
    sys.exit(main())
