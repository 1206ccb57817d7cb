#!/usr/bin/env python3
"""Nodes die at the worst moments; nothing that was acknowledged is lost, and nothing happens twice.

    kill_test.py [--rounds N] [--seed S] [--only FAULT]

One cluster of three real nodes lives through all rounds. Each round draws a fault by its seed, feeds
records through all nodes while it strikes, restarts what died, and checks the whole truth: the cloud
holds each acknowledged record exactly once and nothing else, one device is registered, the replicas
agree (rolling digest and deep one), the balance holds, and the audit's chain is good.

To fit the time of a whole test run, one round feeds 20,000 records and the others 2,000.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import os
import random
import signal
import sys
import time

from muster_cluster import PASSING, Cluster, World
from muster_ledger import Ledger, check_replicas, wait_delivered
from muster_wait import check, check_equal, wait_for

SMALL, LARGE = 2000, 20000
GIVE_UP = 0.3  # Of batches whose first try was refused: how many are not tried again, to test the promise.


class Killing:
    def __init__(self, cluster, seed):
        self.cluster = cluster
        self.cloud = cluster.cloud
        self.seed = seed
        self.rng = random.Random(seed)
        self.ledger = Ledger(cluster)
        self.cluster_id = cluster.call("cluster.status")["cluster_id"]
        self.story = []
        self.errors_wanted = 0  # Entities that the cloud was told to refuse, at least.

    def tell(self, text):
        self.story.append(text)

    # ---- Moments ----

    def feed(self, count):
        self.cloud_before = self.cloud.summary()["received_entities"]
        self.count = count
        return self.ledger.feed(count, f"{self.seed}/{len(self.story)}", GIVE_UP)

    def wait_moment(self, feed):
        """Some way into the feeding, or into the export of what was fed."""
        share = self.rng.uniform(0.05, 0.9)
        if self.rng.random() < 0.5:
            feed.wait_taken(int(share * self.count))
            self.tell(f"after {feed.taken()} of {self.count} were taken")
        else:
            target = int(share * self.count)

            def arrived():
                got = self.cloud.summary()["received_entities"] - self.cloud_before
                return got >= target or (not feed.is_running() and got >= feed.taken())
            wait_for(f"{target} records reach the cloud", arrived, 120)
            self.tell(f"after {self.cloud.summary()['received_entities'] - self.cloud_before} of {self.count} "
                      "reached the cloud")

    def kill(self, node, what):
        node.kill()
        self.tell(f"kill -9 {what} {node.name}")

    # ---- Faults ----

    def leader_killed(self, feed):
        self.wait_moment(feed)
        self.kill(self.cluster.leader(), "leader")

    def follower_killed(self, feed):
        self.wait_moment(feed)
        self.kill(self.rng.choice(self.cluster.followers()), "follower")

    def follower_away(self, feed):
        """One that misses everything, and has to fetch an image of the state."""
        away = self.rng.choice(self.cluster.followers())
        self.kill(away, "follower")
        feed.join()
        wait_delivered(self.cluster)
        self.tell(f"{away.name} missed all of the round")

    def all_killed(self, feed):
        self.wait_moment(feed)
        for node in self.cluster.running():
            node.process.kill()
        for node in self.cluster.running():
            self.kill(node, "node")

    def leaders_killed_in_succession(self, feed):
        self.wait_moment(feed)
        first = self.cluster.leader()
        self.kill(first, "leader")
        self.kill(self.cluster.leader(), "its successor")
        first.start()
        self.tell(f"{first.name} is back")
        self.kill(self.cluster.leader(), "the third leader")

    def leader_killed_twice(self, feed):
        self.wait_moment(feed)
        for _ in range(2):
            leader = self.cluster.leader()
            self.kill(leader, "leader")
            leader.start()

    def leader_terminated(self, feed):
        self.wait_moment(feed)
        leader = self.cluster.leader()
        leader.stop()
        self.tell(f"SIGTERM to leader {leader.name}")

    def leader_stopped_for_a_while(self, feed):
        """A leader that is not dead but sleeps, and wakes up deposed."""
        self.wait_moment(feed)
        leader = self.cluster.leader()
        leader.process.send_signal(signal.SIGSTOP)
        self.cluster_without(leader)
        leader.process.send_signal(signal.SIGCONT)
        self.tell(f"SIGSTOP of leader {leader.name} until another led")

    def cluster_without(self, sleeping):
        others = [node for node in self.cluster.nodes if node is not sleeping]

        def another_leads():
            return any(node.status()["leader"] not in ("", sleeping.name) for node in others)
        wait_for("another node leads", another_leads, 30, PASSING)

    def answer_of_the_cloud_lost(self, feed):
        """The cloud takes a bundle, its answer is lost, and the leader dies."""
        action = self.rng.choice(["close_after_apply", "reset_after_apply", "cut_body", "html_200"])
        self.cloud.fault(family="private-intel", method="POST", path="/ctia/bundle/import", action=action, count=2)
        self.wait_moment(feed)
        wait_for("the fault has struck", lambda: self.cloud.fired() > 0, 60)
        self.kill(self.cluster.leader(), "leader")
        self.cloud.clear_faults()
        self.tell(f"{action} twice")

    def entities_refused_by_the_cloud(self, feed):
        """They become dead letters, survive a change of leader, and go out when they are sent again."""
        prefix = f"muster-{self.cluster_id[:8]}-sighting-{self.rng.randrange(16):x}"
        self.cloud.fault(family="private-intel", action="entity_error", external_id_prefix=prefix, count=0)
        self.wait_moment(feed)
        self.kill(self.cluster.leader(), "leader")
        feed.join()
        dead = wait_delivered(self.cluster)["dead_lettered"]
        check(dead > 0, "no entity was refused")
        self.errors_wanted += dead
        self.cloud.clear_faults()
        self.cluster.leader().muster("export", "dead-letters", "retry", "all")
        self.tell(f"{dead} dead letters sent again")

    # ---- Faults of a registration ----

    def registration_interrupted(self, feed, script, moment):
        """Deregister, register anew, and kill the leader at a moment of it."""
        node = self.cluster.leader()
        node.muster("registration", "deregister", "--yes")
        self.cluster.wait_registration("enabled")
        self.wait_nobody_registered()
        since = self.cloud.json("/requests?since=0&limit=1")["next"]
        self.cloud.post("/registration", {"delay_ms": 1500})
        if script:
            self.cloud.fault(family="sse", method="POST", path="/sim/v1/devices:register", **script)
        token = self.cloud.registration_token()
        machine = self.rng.choice(self.cluster.nodes)
        machine.muster("registration", "register", "--no-wait", "--token-file", "-", secret=token)
        moment(since)
        self.kill(self.cluster.leader(), "leader")
        self.tell(f"while {machine.name} was being registered, {moment.__doc__}; fault {script}")
        self.cloud.clear_faults()
        self.cluster.wait_registration("registered")
        self.cloud.post("/registration", {"delay_ms": 300})
        check_equal("the machine that is registered", self.cluster.registration()["machine"], machine.name)
        feed.join()

    def wait_nobody_registered(self):
        def nobody():
            return all(device["state"] in ("gone", "failed") for device in self.cloud.devices())
        wait_for("the cloud has forgotten the device", nobody, 30)

    def asked(self, since, path):
        return any(request["path"].startswith(path) for request in self.cloud.requests("/sim/v1/", since))

    def registration_begun(self, feed):
        def moment(_since):
            """before the cloud answered"""
        self.registration_interrupted(feed, {"action": "delay", "delay_ms": 3000}, moment)

    def registration_answer_lost(self, feed):
        def moment(_since):
            """after the cloud did it and its answer was lost"""
            wait_for("the cloud was asked", lambda: self.cloud.fired() > 0, 30)
        self.registration_interrupted(feed, {"action": self.rng.choice(["close_after_apply", "reset_after_apply"])}, moment)

    def registration_polled(self, feed):
        def moment(since):
            """when the cloud had taken it and was asked how far it is"""
            wait_for("the cloud is asked how far it is", lambda: self.asked(since, "/sim/v1/registrations/"), 30)
        self.registration_interrupted(feed, None, moment)

    def registration_done(self, feed):
        def moment(_since):
            """when the cloud had just finished it"""
            wait_for("the cloud has a device", lambda: self.cloud.devices("registered"), 30)
        self.registration_interrupted(feed, None, moment)

    # ---- Rounds ----

    FAULTS = (leader_killed, follower_killed, follower_away, all_killed, leaders_killed_in_succession, leader_killed_twice,
              leader_terminated, leader_stopped_for_a_while, answer_of_the_cloud_lost,
              entities_refused_by_the_cloud, registration_begun, registration_answer_lost, registration_polled,
              registration_done)

    def check_everything(self):
        export = wait_delivered(self.cluster)
        check_equal("dead letters left", export["dead_lettered"] + export["discarded"], 0)
        index = check_replicas(self.cluster)
        count = self.ledger.check_cloud(self.cluster_id)
        errors = self.cloud.summary()["errors"]
        check(errors >= self.errors_wanted and (errors > 0) == (self.errors_wanted > 0),
              f"{errors} entities were refused, {self.errors_wanted} of them on purpose")
        registered = self.cloud.devices("registered")
        check_equal("devices registered", len(registered), 1)
        busy = [d for d in self.cloud.devices() if d["state"] not in ("registered", "gone", "failed")]
        check(not busy, f"devices in other states: {busy}")
        found = self.cluster.registration()
        check_equal("the device that the cluster knows", found["device_id"], registered[0]["device_id"])
        return index, count

    def round(self, fault, count):
        self.story = []
        feed = self.feed(count)
        fault(self, feed)
        self.cluster.restart_dead()
        feed.join()
        self.ledger.submit_again(self.rng)
        index, total = self.check_everything()
        return f"{', '.join(self.story)}: {total} records, each once; replicas agree at {index}"


def order_of(rounds, seed):
    """Every fault comes once before any comes twice."""
    rng = random.Random(seed)
    order = []
    while len(order) < rounds:
        order += rng.sample(Killing.FAULTS, len(Killing.FAULTS))
    return order[:rounds]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("MUSTER_ROUNDS", "20")))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("MUSTER_SEED", "1")))
    parser.add_argument("--only", choices=[fault.__name__ for fault in Killing.FAULTS])
    options = parser.parse_args()
    again = f"{sys.argv[0]} --rounds {options.rounds} --seed {options.seed}"
    again += f" --only {options.only}" if options.only else ""
    print(f"{options.rounds} rounds of {SMALL} records, one of them of {LARGE}; again with: {again}", flush=True)
    order = [getattr(Killing, options.only)] * options.rounds if options.only else order_of(options.rounds, options.seed)
    with World("kill") as world:
        cluster = Cluster(world, 3, snapshot_after_mib=1)
        cluster.form()
        cluster.register()
        cluster.add_credentials()
        cluster.cloud.post("/latency", {"ms": 50, "jitter_ms": 100, "family": "private-intel"})
        killing = Killing(cluster, options.seed)
        for number, fault in enumerate(order):
            begun = time.monotonic()
            killing.seed = f"{options.seed}/{number}"
            killing.rng = random.Random(killing.seed)
            print(f"round {number + 1} seed {killing.seed} {fault.__name__}: ", end="", flush=True)
            told = killing.round(fault, LARGE if number == options.rounds // 2 else SMALL)
            print(f"{told} ({time.monotonic() - begun:.1f} s)", flush=True)
        print(f"kill_test: {options.rounds} rounds passed; {len(killing.ledger.acknowledged)} records acknowledged, "
              f"{len(killing.ledger.refused)} refused for good and rightly not there, {len(killing.ledger.doubtful)} "
              f"left in doubt, {killing.ledger.unknowns} answers unknown", flush=True)


if __name__ == "__main__":
    main()
