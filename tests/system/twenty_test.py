#!/usr/bin/env python3
"""Twenty nodes: joining, roles, dying, leaving and removing, while records are fed all the time.

    twenty_test.py [--rounds N] [--seed S]

A cluster of three grows to twenty: one after the other, five at once, and while a voter is dead. The
number of voters is raised and lowered. Voters and leaders die and come back, leaders and others leave,
the dead are removed. Two swap their addresses, most move at once, all move at once. In between there is always a time at which all must be right again: so many
voters, all of them up, everybody else standing by. At the end each record that was acknowledged is in
the cloud exactly once, and twenty replicas agree.

A round is the part after the growing; --rounds 10 is the longer form, with another order and choice of
nodes in each.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import os
import random
import threading
import time

from muster_cluster import PASSING, Cluster, Node, World
from muster_ledger import Ledger, check_replicas, wait_delivered
from muster_rpc import RpcError
from muster_wait import Failure, check, check_equal, wait_for

NODES = 20
VOTERS = 3
BATCH = 10
PAUSE_S = 0.25  # Between two batches of one feeder: they are to be there all the time, not to load.
SETTINGS = {"election_timeout_ms": 600, "heartbeat_ms": 100, "join_timeout_s": 60, "voters": VOTERS, "log_level": "info",
            "snapshot_after_mib": 1}
REFUSED = 3


class Feeder:
    """Two threads that submit small batches through any member until they are told to stop."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.over = threading.Event()
        self.batches = [0, 0]  # Done by each.
        self.problems = []
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(2)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        rng = random.Random(number)
        try:
            while not self.over.wait(PAUSE_S):
                self.ledger.submit(self.ledger.reserve(BATCH), rng, 0.0)
                self.batches[number] += 1
        except BaseException as problem:  # Told to the test's own thread by check().
            self.problems.append(problem)

    def wait_turn(self):
        """Until no batch is under way that was begun before."""
        before = list(self.batches)

        def all_done():
            self.check()
            return all(now > then for now, then in zip(self.batches, before))
        wait_for("the feeders have begun new batches", all_done, 120)

    def check(self):
        if self.problems:
            raise self.problems[0]

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(120)
            check(not thread.is_alive(), "a feeder does not end")
        self.check()


def at_once(actions):
    """Run them in threads; the first problem of any is raised."""
    problems = []

    def run(action):
        try:
            action()
        except BaseException as problem:
            problems.append(problem)
    threads = [threading.Thread(target=run, args=(action,), daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
        check(not thread.is_alive(), "something that was begun at once with others does not end")
    if problems:
        raise problems[0]


class Twenty:
    def __init__(self, world, seed):
        self.world = world
        self.rng = random.Random(seed)
        self.cluster = Cluster(world, VOTERS, **SETTINGS)
        self.cluster.form()
        self.cluster.register()
        self.cluster.add_credentials()
        self.machine = self.cluster.registration()["machine"]
        self.ledger = Ledger(self.cluster)
        self.feeder = Feeder(self.ledger)
        self.names = iter("defghijklmnopqrstuvwxyz" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        self.voters = VOTERS

    # ---- What is so ----

    def members(self):
        members = self.cluster.call("cluster.members", deadline_s=60)["members"]
        return [member for member in members if member["standing"] != "removed"]

    def problem(self):
        """Why it is not settled, or None."""
        members = self.members()
        names = {node.name for node in self.cluster.nodes}
        up = {node.name for node in self.cluster.running()}
        voters = {member["name"] for member in members if member["role"] == "voter"}
        if {member["name"] for member in members} != names:
            return f"members: {sorted(member['name'] for member in members)}"
        if any(member["standing"] != "member" or member["role"] not in ("voter", "standby") for member in members):
            return f"standing and role: {[(m['name'], m['standing'], m['role']) for m in members]}"
        if len(voters) != self.voters or voters - up:
            return f"voters: {sorted(voters)}; down: {sorted(names - up)}"
        places = {node.name: (node.settings["peer_listen"], node.settings["rpc_listen"]) for node in self.cluster.nodes}
        moved = [member["name"] for member in members if member["name"] in up
                 and (member["peer_address"], member["rpc_address"]) != places[member["name"]]]
        if moved:
            return f"not where they are: {moved}"
        away = [member["name"] for member in members if member["name"] in up and not member["connected"]]
        return f"not connected: {away}" if away else None

    def wait_settled(self, what, deadline_s=90):
        last = "nothing was seen"

        def settled():
            nonlocal last
            self.cluster.check_alive()
            self.feeder.check()
            last = self.problem()
            return last is None
        try:
            wait_for(f"{what}: all is right again", settled, deadline_s, PASSING)
        except Failure as problem:
            raise Failure(f"{problem}; {last}") from problem
        self.wait_fed()

    def wait_fed(self):
        """Records are acknowledged now, not only before."""
        before = len(self.ledger.acknowledged)
        wait_for("records are taken", lambda: len(self.ledger.acknowledged) > before, 60)
        self.feeder.check()

    def role(self, role):
        """Nodes of that role, without the leader and the registered machine."""
        leader = self.cluster.leader().name
        names = [member["name"] for member in self.members()
                 if member["role"] == role and member["name"] not in (leader, self.machine)]
        return [node for node in self.cluster.running() if node.name in names]

    # ---- Joining ----

    def new_nodes(self, count):
        names = [next(self.names) for _ in range(count)]
        nodes = [Node(self.world, name, self.cluster.cloud, serial=f"SERIAL-{name}", **SETTINGS) for name in names]
        for node in nodes:
            node.spawn()
        for node in nodes:
            node.wait_ready()
            wait_for(f"{node.name} leads itself", lambda n=node: n.status()["leader"] == n.name, 30, PASSING)
        return nodes

    def token(self):
        def made():
            return self.cluster.call("cluster.token.create")["token"]
        return wait_for("a token is made", made, 60, PASSING)

    def join(self, nodes):
        tokens = [self.token() for _ in nodes]

        def join_one(node, token):
            node.muster("cluster", "join", "--token-file", "-", "--yes", secret=token, timeout_s=200)
            self.cluster.wait_member(node, 60)
        at_once([lambda pair=pair: join_one(*pair) for pair in zip(nodes, tokens)])
        self.cluster.nodes.extend(nodes)

    def grow(self):
        for node in self.new_nodes(2):
            self.join([node])
        self.wait_settled("two joined one after the other")
        self.join(self.new_nodes(5))
        self.wait_settled("five joined at once")
        self.join(self.new_nodes(5))
        victim = self.role("voter")[0]
        victim.kill()
        self.join(self.new_nodes(NODES - len(self.cluster.nodes)))
        self.wait_settled("five joined while a voter was dead")
        victim.start()
        self.wait_settled("it came back")
        check(victim not in self.role("voter"), f"{victim.name} votes again, and so another was sent away for it")

    # ---- Steps of a round ----

    def set_voters(self, count):
        self.cluster.call("cluster.set", {"voters": count})
        self.voters = count
        self.wait_settled(f"{count} vote")

    def settings(self):
        """Raised and lowered, on the way there and back."""
        text = self.rng.choice(self.cluster.nodes).muster("cluster", "set", "voters", "4", expect=REFUSED)
        check("1, 3, 5 or 7" in text and "what helps" in text, f"cluster set voters 4: {text}")
        for count in self.rng.sample([1, 5, 7], 2):
            self.set_voters(count)
        self.set_voters(VOTERS)
        text = self.cluster.nodes[0].muster("cluster", "settings")
        check(str(VOTERS) in text, f"cluster settings: {text}")

    def dead_leader(self):
        leader = self.cluster.leader()
        leader.kill()
        self.wait_settled("the leader was killed")
        leader.start()
        self.wait_settled("the old leader came back")

    def dead_removed(self):
        """A voter and a standby die and are removed before anybody takes their place; others come."""
        victims = [self.rng.choice(self.role("voter") or self.role("standby")), self.rng.choice(self.role("standby"))]
        for victim in victims:
            victim.kill()
        for victim in victims:
            self.remove(victim)
            self.cluster.nodes.remove(victim)
        self.join(self.new_nodes(2))
        self.wait_settled("two dead ones were removed and two others joined")

    def remove(self, victim):
        """Again while the answer promises that nothing was changed: an election may be under way."""
        def removed():
            try:
                return [self.cluster.call("cluster.remove", {"name": victim.name, "force": True})]
            except (Failure, RpcError):
                if victim.name not in {member["name"] for member in self.members()}:
                    return True
                raise
        wait_for(f"{victim.name} is removed", removed, 60, (*PASSING, Failure))

    def leave(self, node):
        node.muster("cluster", "leave", "--yes", timeout_s=200)
        wait_for(f"{node.name} is standalone", lambda: node.status(stale=False)["standing"] == "standalone", 60, PASSING)

    def leaving(self):
        """The leader and two standbys leave at once, and come back at once."""
        leader = self.cluster.leader()
        out = leader.muster("cluster", "transfer", self.role("standby")[0].name, expect=3)
        check("has no vote" in out, f"a standby is refused in other words: {out}")
        if leader.name == self.machine:
            target = self.role("voter")[0]
            leader.muster("cluster", "transfer", target.name)
            leader = wait_for("another leads", lambda: [self.cluster.leader()], 30)[0]
        leavers = [leader] + self.rng.sample([node for node in self.role("standby") if node is not leader], 2)
        for node in leavers:
            self.cluster.nodes.remove(node)
        self.feeder.wait_turn()  # What they are fed once they are standalone would not be the cluster's.
        at_once([lambda node=node: self.leave(node) for node in leavers if node.name != self.machine])
        self.wait_settled("three left at once, the leader among them")
        self.join(leavers)
        self.wait_settled("they came back at once")

    # ---- Addresses ----

    ADDRESSES = ("peer_listen", "rpc_listen")

    def move(self, nodes, contact=None):
        """Other ports for all of them, while they are down."""
        for node in nodes:
            node.terminate()
        for node in nodes:
            for problem in node.reap():
                raise Failure(problem)
        for node in nodes:
            for setting in self.ADDRESSES:
                node.settings[setting] = f"127.0.0.1:{self.world.free_port()}"
        for node in nodes:
            if contact is not None and node is not contact:
                node.settings["contact"] = contact.settings["rpc_listen"]
            node.spawn()
        for node in nodes:
            node.wait_ready()
            node.settings.pop("contact", None)

    def swapped(self):
        """A voter and a standby find each other where they were themselves."""
        one, other = self.rng.choice(self.role("voter") or self.role("standby")), self.rng.choice(self.role("standby"))
        for node in (one, other):
            node.stop()
        for setting in self.ADDRESSES:
            one.settings[setting], other.settings[setting] = other.settings[setting], one.settings[setting]
        for node in (one, other):
            node.start()
        self.wait_settled("two swapped their addresses")

    def most_moved(self):
        """All voters and more than half of all: the few that stayed lead the others to each other."""
        voters = [member["name"] for member in self.members() if member["role"] == "voter"]
        movers = [node for node in self.cluster.nodes if node.name in voters]
        movers += self.rng.sample([node for node in self.cluster.nodes if node not in movers], NODES // 2)
        self.move(movers)
        self.wait_settled(f"{len(movers)} of {NODES} moved at once")

    def all_moved(self):
        """Nobody is where anybody knows: the configuration names one."""
        self.move(list(self.cluster.nodes), contact=self.rng.choice(self.cluster.nodes))
        self.wait_settled("all moved at once, one is named to the others")

    STEPS = (settings, dead_leader, dead_removed, leaving, swapped, most_moved, all_moved)

    def finish(self):
        self.feeder.stop()
        check_equal("nodes", len(self.cluster.running()), NODES)
        wait_delivered(self.cluster)
        self.ledger.submit_again(self.rng)
        index = check_replicas(self.cluster, 120)
        count = self.ledger.check_cloud(self.cluster.call("cluster.status")["cluster_id"])
        return f"{count} records, each once; {NODES} replicas agree at {index}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("MUSTER_SEED", "1")))
    options = parser.parse_args()
    begun = time.monotonic()

    def tell(what):
        print(f"{what} ({time.monotonic() - begun:.0f} s)", flush=True)
    with World("twenty") as world:
        twenty = Twenty(world, options.seed)
        tell("three nodes are up and fed")
        twenty.grow()
        tell(f"{NODES} nodes")
        for number in range(options.rounds):
            steps = list(Twenty.STEPS)
            if number > 0:
                twenty.rng.shuffle(steps)
            for step in steps:
                step(twenty)
                tell(f"round {number + 1}: {step.__name__}: as it must be")
        tell(twenty.finish())
    tell(f"twenty_test: {options.rounds} rounds passed")


if __name__ == "__main__":
    main()
