#!/usr/bin/env python3
"""The cluster key is rotated: asked for, with nodes killed at every step; with a member down, another one
joining and the credentials changed meanwhile; by itself when a member is removed or leaves.

After each rotation all members have moved on, the replicas agree, and whoever leads can open what is sealed:
the cloud accepts the password. A recovery key opens the snapshots of its time, and is told from another.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import time

from muster_cluster import PASSING, Cluster, Node, World
from muster_fault import Mortal
from muster_ledger import check_replicas
from muster_wait import check, check_equal, wait_for

REFUSED = 3


def key_of(cluster):
    return cluster.call("cluster.key")


def wait_epoch(cluster, epoch, deadline_s=60):
    """The rotation is over, and every member that runs has only the new key."""
    def reached():
        cluster.check_alive()
        key = key_of(cluster)
        if key["key_epoch"] != epoch or "next_epoch" in key or "reason" in key:
            return False
        for node in cluster.running():
            with open(node.log) as file:
                check("does not have key" not in file.read(), f"{node.name} was left without a key")
        return True
    wait_for(f"cluster key {epoch}", reached, deadline_s, PASSING)


def check_opens(cluster):
    """The CA's key and the client password open: a certificate is issued, the cloud gives a token."""
    def verified():
        cluster.leader().muster("credentials", "verify", "main")
        return True
    wait_for("the password is verified", verified, 30, PASSING)


def problems_of(cluster):
    return " ".join(problem["what"] for problem in cluster.leader().status(stale=False).get("problems", []))


def killed_at_every_step(cluster):
    leader = cluster.leader()
    check_equal("before", key_of(cluster)["key_epoch"], 1)
    told = json.loads(leader.muster("-o", "json", "cluster", "rotate-key", "--check"))
    check("no rotation is under way" in told["message"] and told["key_epoch"] == 1 and told["sealed"] == 3,
          f"the dry run: {told}")
    points = (("key.proposing",) * 3, ("key.proposed", "key.unwrapped", "key.kept"), ("key.retired",) * 3)
    for epoch, row in enumerate(points, 2):
        nodes = [cluster.leader(), *cluster.followers()]
        died = []
        for node, point in zip(nodes, row):
            node.on_death = lambda node, point: died.append(f"{node.name} at {point}")
            node.arm(point)
        nodes[0].call("cluster.rotate_key")
        wait_epoch(cluster, epoch)
        # Who follows comes by the last point a moment after the leader says that it is over.
        if row[0] == "key.retired":
            wait_for("all died once", lambda: (cluster.check_alive(), len(died) == 3)[1], 30)
        for node in nodes:
            node.disarm()
            node.armed = []
        check(died, f"nobody came by {row}")
        cluster.restart_dead()
        check_replicas(cluster)
        check_opens(cluster)
        print(f"  rotated to {epoch}, killed: {', '.join(died)}", flush=True)


def while_one_is_down(cluster, world):
    down = cluster.followers()[0]
    snapshot, old_key = os.path.join(world.directory, "before"), os.path.join(world.directory, "before.key")
    down.kill()
    leader = cluster.leader()
    leader.call("cluster.rotate_key")
    refused = leader.muster("cluster", "rotate-key", "--yes", expect=REFUSED)
    check("being rotated already" in refused, f"two rotations at once: {refused}")
    joiner = Mortal(world, "d", cluster.cloud)
    joiner.start()
    wait_for("d leads itself", lambda: joiner.status()["leader"] == "d", 30, PASSING)
    cluster.nodes.append(joiner)
    cluster.join(joiner)
    wait_for("it waits for the one that is down alone",
             lambda: key_of(cluster)["message"].endswith(f"waiting for {down.name}"), 30, PASSING)
    check_equal("key meanwhile", key_of(cluster)["key_epoch"], 4)
    cluster.PASSWORD = "another password, 5d77"
    cluster.cloud.add_client(cluster.CLIENT_ID, cluster.PASSWORD)
    cluster.leader().muster("credentials", "add", "main", "--client-id", cluster.CLIENT_ID, "--region", "AMERICAS",
                            "--replace", "--password-file", "-", secret=cluster.PASSWORD)
    cluster.leader().muster("snapshot", "save", snapshot)
    cluster.leader().muster("cluster", "recovery-key", old_key)
    down.start()
    wait_epoch(cluster, 5)
    check_replicas(cluster)
    check_opens(cluster)
    check("recovery key" in problems_of(cluster), f"the old recovery key is not told: {problems_of(cluster)}")
    return snapshot, old_key


def recovery_keys(cluster, world, old_snapshot, old_key):
    snapshot, key = os.path.join(world.directory, "after"), os.path.join(world.directory, "after.key")
    cluster.leader().muster("snapshot", "save", snapshot)
    cluster.leader().muster("cluster", "recovery-key", key)
    check("recovery key" not in problems_of(cluster), "the new recovery key was taken, and the alarm stays")
    fresh = Node(world, "n", cluster.cloud)
    fresh.start()
    wait_for("n leads itself", lambda: fresh.status()["leader"] == "n", 30, PASSING)

    def restore(path, recovery_key, expect=0):
        return fresh.muster("snapshot", "restore", path, "--recovery-key-file", recovery_key, expect=expect)
    for path, recovery_key in ((old_snapshot, old_key), (snapshot, key)):
        check("Nothing was changed" in restore(path, recovery_key), "a snapshot and the key of its time")
    for path, recovery_key, epoch in ((old_snapshot, key, 4), (snapshot, old_key, 5)):
        told = restore(path, recovery_key, REFUSED)
        check("not the one of this snapshot" in told and "of office" in told and f"cluster key {epoch}" in told,
              f"it does not say whose snapshot it is: {told}")
    fresh.stop()


def when_members_go(cluster):
    """Removed while a rotation waits for it: that one ends, and another begins, for it knew that key, too."""
    gone = cluster.followers()[0]
    gone.kill()
    leader = cluster.leader()
    leader.call("cluster.rotate_key")
    wait_for("it waits", lambda: "waiting for" in key_of(cluster)["message"], 30, PASSING)
    told = leader.muster("cluster", "remove", gone.name, "--force", "--yes")
    check("renew them in the cloud's portal" in told, f"no advice to renew the credentials: {told}")
    cluster.nodes.remove(gone)
    wait_epoch(cluster, 7)
    check(f"{gone.name}, which is no member any more, could read the password of main" in problems_of(cluster),
          f"no advice in the status: {problems_of(cluster)}")
    cluster.leader().muster("credentials", "add", "main", "--client-id", cluster.CLIENT_ID, "--region", "AMERICAS",
                            "--replace", "--password-file", "-", secret=cluster.PASSWORD)
    check("could read the password" not in problems_of(cluster), "the password was renewed, and the alarm stays")
    leaver = cluster.followers()[0]
    leaver.muster("cluster", "leave", "--yes")
    cluster.nodes.remove(leaver)
    wait_epoch(cluster, 8)
    check_replicas(cluster)
    check_opens(cluster)
    lines = cluster.call("audit.list", {"limit": 1000})["lines"]
    targets = [line["target"] for line in lines if line["command"] == "key_rotate" and line["outcome"] == "done"]
    check_equal("rotations in the audit", len(targets), 7)
    check(f"key epoch 7: {gone.name} is no member any more" in targets and
          f"key epoch 8: {leaver.name} is no member any more" in targets, f"reasons: {targets}")


def main():
    begun = time.monotonic()
    with World("rotate") as world:
        cluster = Cluster(world, 3, kind=Mortal)
        cluster.form()
        cluster.register()
        cluster.add_credentials()
        killed_at_every_step(cluster)
        old_snapshot, old_key = while_one_is_down(cluster, world)
        recovery_keys(cluster, world, old_snapshot, old_key)
        when_members_go(cluster)
    print(f"rotate_test passed in {time.monotonic() - begun:.1f} s", flush=True)


if __name__ == "__main__":
    main()
