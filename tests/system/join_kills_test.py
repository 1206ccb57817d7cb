#!/usr/bin/env python3
"""A joiner is killed at every step of its join, and what comes of it is told for each.

Each step is its death once, of each file every write. What stands in CURRENT at that moment decides:

    before the switch   standalone again, unlocked, and the cluster lists it no more. Until the request had left, the token
                        is good and the same join is done with it; after the answer it is used, and another is asked for
    after the switch    a member, without another word; a second join is refused

Everything ends with a member that leaves and is as at the beginning: nothing wants work by hand, no folder is left over.
Pairs of a cluster of one and its joiner work at once, each with its share of the steps. The steps of a joiner that is sent an
image are kill_points_test's.

    join_kills_test.py [--point NAME] [--pairs N]

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import concurrent.futures
import contextlib
import itertools
import os
import queue
import threading
import time

from admission_test import token_bytes
from kill_points_test import check_lineages
from muster_cloud import Cloud
from muster_cluster import PASSING, Node, World
from muster_fault import Mortal
from muster_rpc import RpcError
from muster_wait import check, check_equal, wait_for

ROLLED_BACK_S = 5  # join_timeout_s, where the joiner does not come. Where it does, the cluster waits for it:
COMES_S = 120
UNTOUCHED = ("join.locked", "join.ask")  # Nothing was asked yet.
ADMITTED = ("join.admitted", "lineage.staged")
BEFORE = ("node.propose", "node.append", "wal.write", "wal.sync", "store.put", "store.commit", "store.committed", "ask.sent",
          *UNTOUCHED, *ADMITTED)  # The first are of the lock.
FILES = {"file.make_folder": 2, "file.write": 3, "file.sync": 3, "file.rename": 3, "file.sync_folder": 3}  # Until the switch, at least.
AFTER = ("lineage.switched", "join.answered", "daemon.stopping", "daemon.closed", "daemon.restart")
STARTING = ("wal.open", "wal.write", "node.append", "store.commit")  # As a member, for the first time; it had died at the last of AFTER.


class Pair:
    def __init__(self, world, cloud, number, patience_s):
        self.host = Node(world, f"host{number}", cloud, join_timeout_s=patience_s)
        self.node = Mortal(world, f"guest{number}", cloud, join_timeout_s=ROLLED_BACK_S)
        for node in (self.host, self.node):
            node.start()
            self.lead(node)
        self.host.muster("cluster", "init", "office")

    @staticmethod
    def lead(node):
        def leads():
            status = node.status(stale=False)
            return status["standing"] == "standalone" and status["leader"] == node.name
        wait_for(f"{node.name} is standalone and leads itself", leads, 40, PASSING)

    # ---- What is seen ----

    def current(self):
        with open(os.path.join(self.node.data, "CURRENT"), encoding="ascii") as file:
            return file.read()

    def listed(self):
        members = self.host.call("cluster.members")["members"]
        return [member["standing"] for member in members if member["name"] == self.node.name and member["standing"] != "removed"]

    def token_state(self, token):
        token_id = token_bytes(token)[:8].hex()
        return [row["state"] for row in self.host.call("cluster.token.list")["tokens"] if row["token_id"] == token_id][0]

    def wait_member(self):
        wait_for(f"{self.node.name} is a member",
                 lambda: self.node.status()["standing"] == "member" and self.listed() == ["member"], 60, PASSING)

    def wait_alone(self):
        self.lead(self.node)
        wait_for(f"{self.node.name} is forgotten", lambda: self.listed() == [], 60, PASSING)
        wait_for("the lives of before are looked at, which writes files", lambda: not [
            life for life in self.node.call("node.saved.list").get("lives", []) if life["state"] == "looking"], 30, PASSING)

    # ---- What is done ----

    def token(self):
        return self.host.call("cluster.token.create", {})["token"]

    def join(self, token):
        """The answer, or the error."""
        try:
            return self.node.call("cluster.join", {"token": token}, 60)
        except (RpcError, *PASSING) as problem:
            return problem

    def leave(self):
        self.node.call("cluster.leave", None, 60)
        self.wait_alone()
        check_lineages(self.node, 2)  # And the newest one of before.

    def join_and_die(self, point, visit, token):
        """Whether the new life was switched to."""
        before = self.current()
        self.node.arm(point, visit)
        self.node.must_live = False
        asking = threading.Thread(target=self.join, args=(token,), daemon=True)
        asking.start()
        self.wait_dead(point)
        asking.join()
        return self.current() != before

    def wait_dead(self, point):
        wait_for(f"the joiner dies at {point}", lambda: not self.node.is_running(), 60)
        check_equal("cause of death", self.node.cause_of_death(), point)
        self.node.disarm()
        self.node.armed = []

    def start(self, dying_at=None):
        if dying_at is not None:
            self.node.arm(dying_at)
            self.node.spawn()
            self.node.must_live = False
            self.wait_dead(dying_at)
        self.node.spawn()
        self.node.wait_ready()

    # ---- What must hold ----

    def refused(self, token, *words):
        def answered():  # Not by a node that is starting, or not unlocked yet.
            answer = str(self.join(token))
            return any(word in answer for word in words) and answer
        wait_for(f"another join is refused as {words}", answered, 30)

    def check_back(self, point, token):
        """It died before the switch."""
        state = self.token_state(token)
        if point in UNTOUCHED or state == "usable":
            check(point not in ADMITTED, f"{point}: admitted, and the token is {state}")
            check_equal("the cluster lists it as", self.listed(), [])
            self.lead(self.node)
        else:
            check_equal("the token", state, "used")
            self.refused(token, "was used already")
            self.wait_alone()
            token = self.token()
        answer = self.join(token)
        check(isinstance(answer, dict), f"joining again after {point}, the token was {state}: {answer}")
        return state

    def check_through(self, token):
        """It died after the switch."""
        self.wait_member()
        self.refused(token, "already_member")
        return "used"

    def kill(self, point, visit, switches, dying_at=None):
        token = self.token()
        visits = {name: self.node.table.visits(name) for name in FILES}
        switched = self.join_and_die(point, visit, token)
        check_equal("whether the new life was switched to", switched, switches)
        few = {name: count for name, count in FILES.items() if self.node.table.visits(name) - visits[name] < count}
        check(not (switched and few), f"a join does less than {FILES}: mend the list")
        self.start(dying_at)
        state = self.check_through(token) if switched else self.check_back(point, token)
        self.wait_member()
        self.leave()
        return state


def steps_before():
    return [(point, 0, False) for point in BEFORE] + [(point, visit, False) for point, count in FILES.items() for visit in range(count)]


def steps_after():
    return [(point, 0, True) for point in AFTER] + [(AFTER[-1], 0, True, point) for point in STARTING]


def work(make, steps):
    """A pair takes steps until there are none; gives how many it took."""
    pair, taken = make(), 0
    with contextlib.suppress(queue.Empty):
        while True:
            step = steps.get_nowait()
            begun = time.monotonic()
            token = pair.kill(*step)
            print(f"{step}: as it must be, the token {token} ({time.monotonic() - begun:.1f} s)", flush=True)
            taken += 1
    return taken


def shift(executor, make, pairs, steps):
    left = queue.SimpleQueue()
    for step in steps:
        left.put(step)
    return [executor.submit(work, make, left) for _ in range(pairs)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--point")
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    before, after = [[step for step in steps if options.point in (None, step[0])] for steps in (steps_before(), steps_after())]
    with World("joinkills") as world:
        cloud = Cloud(world)
        numbers = itertools.count()

        def pair(patience_s):
            return Pair(world, cloud, next(numbers), patience_s)
        with concurrent.futures.ThreadPoolExecutor(options.pairs + 1) as executor:
            shifts = (shift(executor, lambda: pair(ROLLED_BACK_S), options.pairs, before)
                      + shift(executor, lambda: pair(COMES_S), 1, after))
            taken = sum(one.result() for one in concurrent.futures.as_completed(shifts))
        check_equal("steps at which the joiner died", taken, len(before + after))
        print("join_kills_test: passed", flush=True)


if __name__ == "__main__":
    main()
