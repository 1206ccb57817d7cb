#!/usr/bin/env python3
"""A rolling upgrade: nodes of this version and of one that pretends to be the next, in one cluster.

The next version is this tree built with MUSTER_NEXT: one more command, a higher level, a higher
version of the peer protocol. One node after the other is upgraded while records are fed and exported;
the new command must be refused until the last one is, and a node of the version before is refused
from then on.

SPDX-License-Identifier: Apache-2.0
"""
import os
import subprocess

from muster_cluster import PASSING, Cluster, Node, World
from muster_ledger import Ledger, check_replicas, wait_delivered
from muster_rpc import RpcError
from muster_wait import Failure, check, check_equal, wait_for

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UNKNOWN_METHOD = 2
EXIT_ERROR = 1


def build_next():
    """Where the next version's musterd is; built if need be."""
    for argv in (["cmake", "--preset", "next"], ["cmake", "--build", "build/next", "--target", "musterd"]):
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, check=False)
        if done.returncode != 0:
            raise Failure(f"{' '.join(argv)}: {done.stdout.decode()[-2000:]}{done.stderr.decode()[-2000:]}")
    return os.path.join(ROOT, "build/next/server/musterd")


def upgrade(node, binary):
    node.stop()
    node.binary = binary
    node.start()
    wait_for(f"{node.name} follows", lambda: node.status()["leader"], 30, PASSING)


def probe(node, text):
    """None, or the error of the command that only the next version knows."""
    try:
        node.call("next.probe", {"name": text})
    except RpcError as problem:
        return problem
    return None


def level_of(cluster):
    return cluster.leader().status(stale=False)["level"]


def lead(cluster, node):
    def leads():
        if cluster.leader().name != node.name:
            cluster.leader().muster("cluster", "transfer", node.name)
        return cluster.leader().name == node.name
    wait_for(f"{node.name} leads", leads, 60, (*PASSING, Failure))


def check_mixed(cluster, upgraded, older):
    """Two versions: nothing new is used, and status says who is behind."""
    lead(cluster, upgraded)
    problem = probe(upgraded, "too early")
    check(problem is not None and "[level]" in problem.message, f"the new command, not known to all: {problem}")
    check_equal("the level while one node is older", level_of(cluster), 1)

    def said():
        problems = [entry["what"] for entry in upgraded.status(stale=False)["problems"]]
        return any("still runs 0.1.0" in what and "-next" in what for what in problems) or None
    wait_for("status says that two versions run", said, 30, PASSING)
    lead(cluster, older)
    problem = probe(upgraded, "passed on to an older leader")
    check(problem is not None, "an older leader carried out a command that it cannot know")


def check_old_one_is_kept_out(cluster, world, old):
    """Neither a new node of the version before, nor a member that went back to it."""
    late = Node(world, "e", cluster.cloud)
    late.start()
    wait_for("the late node leads itself", lambda: late.status()["leader"] == "e", 30, PASSING)
    token = cluster.leader().muster("cluster", "token", "create").strip()
    said = late.muster("cluster", "join", "--token-file", "-", "--yes", secret=token, expect=3)
    check("older than what the cluster uses" in said, f"an older node was refused without the reason: {said}")
    back = cluster.followers()[0]
    back.stop()
    new = back.binary
    back.binary = old
    back.spawn()
    back.must_live = False
    code = back.process.wait(60)
    check(code != 0 and "install a newer one" in back.tail(), f"the older program on new data: {code}\n{back.tail()}")
    back.binary = new
    back.start()


def join_and_leave(cluster, world, new):
    """A new node of the next version joins a cluster of this one, which goes on using what all know."""
    newer = Node(world, "n", cluster.cloud)
    newer.binary = new
    newer.start()
    wait_for("the newer node leads itself", lambda: newer.status()["leader"] == "n", 30, PASSING)
    cluster.join(newer)
    check_equal("the level with a newer member", level_of(cluster), 1)
    problem = probe(newer, "passed on to a leader of this version")
    check(problem is not None, "a leader of this version carried out a command that it cannot know")
    newer.muster("cluster", "leave", "--yes")
    wait_for("the newer node is standalone", lambda: newer.status(stale=False)["standing"] == "standalone", 30, PASSING)
    newer.stop()


def main():
    new = build_next()
    with World("upgrade") as world:
        cluster = Cluster(world)
        old = world.program("musterd")
        cluster.form()
        cluster.register()
        cluster.add_credentials()
        ledger = Ledger(cluster)
        cluster_id = cluster.call("cluster.status")["cluster_id"]
        feed = ledger.feed(3000, "upgrade")
        check_equal("the level of this version", level_of(cluster), 1)
        join_and_leave(cluster, world, new)
        order = [*cluster.followers(), cluster.leader()]
        upgrade(order[0], new)
        upgrade(order[1], new)
        check_mixed(cluster, order[0], order[2])
        joiner = Node(world, "d", cluster.cloud)  # Of this version, while the next one leads.
        lead(cluster, order[1])
        joiner.start()
        wait_for("d leads itself", lambda: joiner.status()["leader"] == "d", 30, PASSING)
        cluster.nodes.append(joiner)
        cluster.join(joiner, through=order[1])
        upgrade(order[2], new)
        upgrade(joiner, new)
        wait_for("the level is raised when the last one is upgraded", lambda: level_of(cluster) == 2, 60, PASSING)

        def probed():
            problem = probe(cluster.leader(), "now")
            check(problem is None or problem.code < 1000, f"the new command, known to all: {problem}")
            return problem is None
        wait_for("the new command is carried out", probed, 30, PASSING)
        check_old_one_is_kept_out(cluster, world, old)
        feed.join()
        wait_delivered(cluster)
        index = check_replicas(cluster)
        count = ledger.check_cloud(cluster_id)
        lines = [line["command"] for line in cluster.call("audit.list", {"limit": 1000})["lines"]]
        check_equal("lines of the new command in the audit", lines.count("next_probe"), 1)
        check("level_raise" in lines, f"the audit does not say that the level was raised: {lines}")
        print(f"upgraded under load: {count} records, each once; replicas agree at {index}")
        print("upgrade_test: passed")


if __name__ == "__main__":
    main()
