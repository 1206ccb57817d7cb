#!/usr/bin/env python3
"""A leader that is cut off from the others, but not from the cloud.

Each node lives in a network namespace of its own on one bridge with the simulated cloud. Packets
between nodes are dropped silently, as a broken network does it. The leader that is alone then must
not export, not answer reads that promise to be true, and not accept writes, each time saying why;
its stale answers say how old they are; afterwards all converge.

Needs root. If namespaces cannot be made the test fails and says so.

SPDX-License-Identifier: Apache-2.0
"""
import os
import subprocess
import time

from muster_cloud import Cloud
from muster_cluster import PASSING, Cluster, Node, World
from muster_ledger import Ledger, check_replicas, wait_delivered
from muster_rpc import NO_QUORUM, TIMEOUT, UNREACHABLE, Lost, RpcError
from muster_wait import Failure, check, check_equal, wait_for

ATTEMPTS = 3  # To see a follower come back while the leader leads on.
RULES = """
table inet muster {
    set cut { type ipv4_addr; }
    chain in { type filter hook input priority 0; ip saddr @cut drop; }
    chain out { type filter hook output priority 0; ip daddr @cut drop; }
}
"""


class Network:
    """A bridge of our own, and a namespace for each node."""

    def __init__(self, world, names):
        self.tag = f"mt{os.getpid() % 100000}"
        self.subnet = f"198.18.{world.share + 1}"
        self.names = names
        world.cleanups.append(self.remove)
        self.run("ip", "link", "add", self.tag, "type", "bridge")
        self.run("ip", "addr", "add", f"{self.address(None)}/24", "dev", self.tag)
        self.run("ip", "link", "set", self.tag, "up")
        for name in names:
            self.add(name)

    @staticmethod
    def run(*argv, stdin=""):
        done = subprocess.run(argv, input=stdin.encode(), capture_output=True, check=False)
        if done.returncode != 0:
            raise Failure(f"this test needs network namespaces, and `{' '.join(argv)}` says: {done.stderr.decode()}")

    def space(self, name):
        return f"{self.tag}{name}"

    def address(self, name):
        return f"{self.subnet}.{1 if name is None else 11 + self.names.index(name)}"

    def add(self, name):
        space = self.space(name)
        self.run("ip", "netns", "add", space)
        self.run("ip", "link", "add", f"{space}v", "type", "veth", "peer", "name", "eth0", "netns", space)
        self.run("ip", "link", "set", f"{space}v", "master", self.tag, "up")
        self.run("ip", "-n", space, "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
        self.run("ip", "-n", space, "link", "set", "eth0", "up")
        self.run("ip", "-n", space, "link", "set", "lo", "up")
        self.run(*self.inside(name), "nft", "-f", "-", stdin=RULES)

    def inside(self, name):
        return ["ip", "netns", "exec", self.space(name)]

    def cut(self, name, others):
        """Nothing passes between a node and the others, in neither direction."""
        addresses = ", ".join(self.address(other) for other in others)
        self.run(*self.inside(name), "nft", "add", "element", "inet", "muster", "cut", f"{{ {addresses} }}")

    def heal(self):
        for name in self.names:
            self.run(*self.inside(name), "nft", "flush", "set", "inet", "muster", "cut")

    def remove(self):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", self.space(name)], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", self.tag], capture_output=True, check=False)


def refusal_of(node, method, params):
    """The error of a call that must not succeed; None while it still may."""
    try:
        node.call(method, params)
    except RpcError as problem:
        return problem
    return None


def wait_alone(node):
    """Until the node knows that it is alone, and who is away."""
    def knows():
        problem = refusal_of(node, "export.status", {"deadline_ms": 2000})
        if problem is None:
            return None
        check(problem.code in (NO_QUORUM, UNREACHABLE, TIMEOUT), f"{node.name} alone refuses a read with {problem}")
        return problem if "voters reachable" in problem.message else None
    return wait_for(f"{node.name} knows that it has no quorum, and who is away", knows, 5, (Lost, OSError))


def bundles_of(cloud, node):
    exporters = cloud.json("/exporters")["exporters"]
    return sum(row["bundles"] for row in exporters if f"({node.name})" in row["user_agent"])


def requests_of(cloud, node):
    requests = cloud.requests("/ctia")
    return sum(1 for row in requests if f"({node.name})" in (row["user_agent"] or ""))


def check_says_why(what, problem, others):
    check_equal(f"{what}: error code", problem.code, NO_QUORUM)
    check("no quorum: 1 of 3 voters reachable" in problem.message, f"{what} does not say why: {problem.message}")
    check("down); nothing was changed" in problem.message, f"{what} does not say what is now: {problem.message}")
    for other in others:
        check(other.name in problem.message, f"{what} does not name {other.name}: {problem.message}")


def check_alone(cluster, ledger, alone, others):
    """What a node without the others may not do, and what it still does."""
    check_says_why("a read", wait_alone(alone), others)
    mids = ledger.reserve(10)
    begun = time.monotonic()
    problem = refusal_of(alone, "records.submit", ledger.params(mids))
    check(problem is not None, "a node that is alone accepted records")
    check_says_why("a write", problem, others)
    check(time.monotonic() - begun < 4, "a write without quorum was not refused at once")
    ledger.refused.update(mids)
    for method, params in (("registration.disable", {}), ("cluster.token.create", {}), ("export.pause", {}),
                           ("cluster.status", {}), ("records.search", {"key": "mid", "value": "1"})):
        problem = refusal_of(alone, method, params)
        check(problem is not None, f"{method} was answered without a quorum")
        check_says_why(method, problem, others)
    out = alone.muster("export", "status", expect=4)
    check("no quorum" in out, f"the tool does not say why: {out}")


def check_stale(alone):
    """A stale answer is given, says that it is one, and grows older."""
    first = alone.status()["freshness"]
    check(first["stale"], f"not said to be stale: {first}")

    def older():
        again = alone.status()["freshness"]
        return again["stale"] and again["age_ms"] > first["age_ms"] and again["age_ms"] > 100
    wait_for("the stale answer grows older", older, 10)
    found = alone.call("records.search", {"key": "mid", "value": "1", "stale": True})
    check(len(found["records"]) == 1 and found["freshness"]["stale"], f"a stale search: {found}")
    reads = [row["method"] for row in alone.call("rpc.describe")["methods"] if row["routing"] == "read"]
    check(len(reads) > 10, f"the reads that the node describes: {reads}")
    for method in reads:
        if method == "cluster.standing":  # Between nodes, and never stale.
            continue
        params = {"key": "mid", "value": "1"} if method == "records.search" else {}
        freshness = alone.call(method, dict(params, stale=True)).get("freshness", {})
        check(freshness.get("stale"), f"{method} does not say that it is stale: {freshness}")
        check(freshness["age_ms"] > 100, f"{method} does not say how old it is: {freshness}")
    status = alone.status()
    check(not status["quorum"], "a node that is alone says that it has a quorum")
    check(status["problems"], "a node that is alone lists no problem")


def cut_leader(cluster, network, ledger, rounds):
    leader = cluster.leader()
    others = [node for node in cluster.nodes if node is not leader]
    feed = ledger.feed(2000, rounds)
    feed.wait_taken(500)
    network.cut(leader.name, [node.name for node in others])
    wait_for("another node leads", lambda: any(
        node.status()["leader"] == node.name for node in others), 30, PASSING)
    check_alone(cluster, ledger, leader, others)
    sent = bundles_of(cluster.cloud, leader)
    asked = requests_of(cluster.cloud, leader)
    check_stale(leader)
    feed.join()
    mine = [node for node in others if node.status()["leader"] == node.name]
    check(mine, "nobody leads the others")
    wait_for("the others export", lambda: mine[0].call("export.status")["pending"] == 0, 60, PASSING)
    check_equal("bundles that the deposed leader sent", bundles_of(cluster.cloud, leader), sent)
    check_equal("requests of the deposed leader", requests_of(cluster.cloud, leader), asked)
    network.heal()
    return f"leader {leader.name} cut off, {mine[0].name} went on"


def cut_all(cluster, network, ledger, rounds):
    """Nobody sees anybody: nobody leads, and nothing moves."""
    names = [node.name for node in cluster.nodes]
    ledger.feed(200, rounds).join()
    for name in names:
        network.cut(name, [other for other in names if other != name])
    for node in cluster.nodes:
        check_says_why(f"{node.name} alone", wait_alone(node), [other for other in cluster.nodes if other is not node])
    before = cluster.cloud.summary()["bundles"]
    mids = ledger.reserve(5)
    for node in cluster.nodes:
        check(refusal_of(node, "records.submit", ledger.params(mids)) is not None, f"{node.name} accepted records")
    ledger.refused.update(mids)
    check_equal("bundles while nobody leads", cluster.cloud.summary()["bundles"], before)
    network.heal()
    return "everybody cut off from everybody"


def cut_follower(cluster, network, ledger, rounds):
    """A follower that comes back does not depose the leader (it asks before it stands). The others may have
    elected another while it was away, and while it comes back, on a machine that is too busy: then once more."""
    for attempt in range(ATTEMPTS):
        told = come_back(cluster, network, ledger, f"{rounds}/{attempt}")
        if told:
            return told
    raise Failure(f"a follower that came back deposed the leader, {ATTEMPTS} times")


def come_back(cluster, network, ledger, rounds):
    """None if the leader was deposed."""
    leader = cluster.leader()
    away = cluster.followers()[0]
    network.cut(away.name, [node.name for node in cluster.nodes if node is not away])
    ledger.feed(2000, rounds).join()
    wait_alone(away)
    check_stale(away)
    leader = wait_for("the others have a leader", lambda: next(
        (node for node in cluster.nodes if node is not away and node.status()["leader"] == node.name), None), 30, PASSING)
    term = leader.status()["term"]
    network.heal()
    wait_for(f"{away.name} follows again", lambda: away.status()["leader"], 30, PASSING)
    if (cluster.leader().name, leader.status()["term"]) != (leader.name, term):
        return None
    return f"follower {away.name} cut off and back, {leader.name} still leads in term {term}"


def main():
    with World("partition") as world:
        names = ["a", "b", "c"]
        network = Network(world, names)
        cluster = Cluster(world, 0, Cloud(world, network.address(None)))
        cluster.nodes = [Node(world, name, cluster.cloud, network.address(name), network.inside(name)) for name in names]
        cluster.form()
        cluster.register()
        cluster.add_credentials()
        ledger = Ledger(cluster)
        cluster_id = cluster.call("cluster.status")["cluster_id"]
        for number, cut in enumerate((cut_leader, cut_follower, cut_all, cut_leader)):
            told = cut(cluster, network, ledger, number)
            wait_delivered(cluster)
            index = check_replicas(cluster)
            count = ledger.check_cloud(cluster_id)
            print(f"{cut.__name__}: {told}; healed: {count} records, each once; replicas agree at {index}", flush=True)
        print("partition_test: passed")


if __name__ == "__main__":
    main()
