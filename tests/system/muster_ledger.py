"""The books of a test: which records were acknowledged, and what must be found in the cloud for them.

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import random
import threading
import time

from muster_cluster import PASSING
from muster_rpc import BUSY, INVALID, PROMISES_NOTHING, Lost, RpcClient, RpcError
from muster_wait import Failure, check, check_equal, wait_for

BATCH = 50
START_MS = 1767225600000  # 2026-01-01


def record(serial, mid, revision=1):
    """A message as muster-feed would submit it; the same arguments give the same bytes."""
    rng = random.Random(f"{serial}/{mid}/{revision}")
    start_ms = START_MS + mid * 1000
    host = f"host{rng.randrange(1000)}.example.com"
    return {
        "serial": serial, "mid": mid, "revision": revision, "start_ms": start_ms,
        "last_ms": start_ms + rng.randrange(5000), "complete": True, "disposition": "delivered",
        "response": "2.0.0 OK", "direction": "incoming", "icid": rng.randrange(1 << 40),
        "sender": f"s{rng.randrange(100)}@{host}", "recipients": [f"r{i}@example.org" for i in range(rng.randrange(1, 4))],
        "recipient_count": 4, "subject": f"Offer {rng.randrange(10**9)} \u00e9", "message_id": f"<{rng.getrandbits(64):x}@{host}>",
        "size": rng.randrange(100000), "sender_ip": f"192.0.2.{rng.randrange(1, 255)}", "sender_host": host,
        "policy": "DEFAULT", "verdicts": ["CASE spam negative"],
        "observables": [{"type": "url", "value": f"http://{host}/{rng.getrandbits(32):x}"}],
    }


def external_id(cluster_id, serial, mid, revision):
    """What the record is called in the cloud: the promise that makes sending twice harmless."""
    def part(text):
        return f"{len(text.encode())}:{text}"
    key = f"{part(cluster_id)},1,{part(serial)},{part(str(mid))},{revision}"
    return f"muster-{cluster_id[:8]}-sighting-{hashlib.sha256(key.encode()).hexdigest()}"


class Ledger:
    """Submits batches and keeps what the answers promised. Used by several threads."""

    def __init__(self, cluster, serial="FEED-1"):
        self.cluster = cluster
        self.serial = serial
        self.lock = threading.Lock()
        self.next_mid = 1
        self.acknowledged = set()  # MIDs
        self.refused = set()  # An answer promised that nothing was changed, and they were not sent again.
        self.doubtful = set()  # Outcome unknown, and not sent again.
        self.unknowns = 0  # Answers that did not tell, before the batch was sent again.

    def reserve(self, count):
        with self.lock:
            first = self.next_mid
            self.next_mid += count
            return list(range(first, first + count))

    def params(self, mids):
        return {"feed": "test", "deadline_ms": 8000, "records": [record(self.serial, mid) for mid in mids]}

    def try_submit(self, node, mids):
        """One attempt. "acknowledged", "refused" or "unknown"; nothing is booked."""
        try:
            with RpcClient(node.socket, 12) as client:
                answer = client.call("records.submit", self.params(mids), 12)
        except ConnectionRefusedError:
            return "refused"
        except RpcError as problem:
            if problem.code == INVALID:
                raise Failure(f"records.submit: {problem}") from problem
            return "refused" if problem.code in PROMISES_NOTHING or problem.code >= 1000 else "unknown"
        except (Lost, OSError):
            return "unknown"
        check_equal("accepted and duplicates", answer["accepted"] + answer["duplicates"], len(mids))
        return "acknowledged"

    def submit(self, mids, rng, give_up, stop=None):
        """Through a node drawn by lot, again until acknowledged; with the probability `give_up` a first
        refusal is left at that, so that its promise can be checked."""
        first = True

        def taken():
            nonlocal first
            nodes = self.cluster.nodes
            outcome = self.try_submit(rng.choice(nodes), mids)
            if outcome == "acknowledged":
                with self.lock:
                    self.acknowledged.update(mids)
                return True
            with self.lock:
                self.unknowns += outcome == "unknown"
            if first and rng.random() < give_up:
                with self.lock:
                    (self.refused if outcome == "refused" else self.doubtful).update(mids)
                return True
            first = False
            return stop is not None and stop.is_set()
        wait_for(f"records {mids[0]} to {mids[-1]} are taken", taken, 90)

    def submit_again(self, rng):
        """What was acknowledged, a second time: harmless, and counted as duplicates."""
        mids = rng.sample(sorted(self.acknowledged), min(BATCH, len(self.acknowledged)))
        answer = self.cluster.call("records.submit", self.params(mids))
        check_equal("accepted of records that were known", answer["accepted"], 0)

    def feed(self, count, seed, give_up=0.0, threads=2):
        """Submit so many records in the background; join() the result."""
        return Feed(self, count, seed, give_up, threads)

    def expected(self, cluster_id, mids):
        return {external_id(cluster_id, self.serial, mid, 1): mid for mid in mids}

    def check_cloud(self, cluster_id):
        """Every acknowledged record is there exactly once, nothing else is, except what was in doubt."""
        ids = self.cluster.cloud.external_ids()
        found = set(ids)
        check_equal("external ids listed twice", len(ids), len(found))
        expected = self.expected(cluster_id, self.acknowledged)
        missing = sorted(expected[name] for name in expected.keys() - found)
        check(not missing, f"{len(missing)} acknowledged records are not in the cloud: MIDs {missing[:20]}")
        refused = self.expected(cluster_id, self.refused)
        broken = sorted(refused[name] for name in refused.keys() & found)
        check(not broken, f"{len(broken)} records arrived although an answer said that nothing was changed: "
                          f"MIDs {broken[:20]}")
        strangers = found - expected.keys() - self.expected(cluster_id, self.doubtful).keys()
        check(not strangers, f"{len(strangers)} entities in the cloud that nobody submitted: {sorted(strangers)[:5]}")
        summary = self.cluster.cloud.summary()
        check_equal("created and distinct", summary["created"], summary["distinct_external_ids"])
        for name in ("same_id_different_body", "doubled", "without_external_id"):
            check_equal(name, summary[name], 0)
        return len(expected)


class Feed:
    """Threads that feed batches until all are taken."""

    def __init__(self, ledger, count, seed, give_up, threads):
        self.problems = []
        self.acknowledged_before = len(ledger.acknowledged)
        self.ledger = ledger
        batches = [ledger.reserve(min(BATCH, count - at)) for at in range(0, count, BATCH)]
        self.threads = [
            threading.Thread(target=self.run, args=(batches[i::threads], random.Random(f"{seed}/{i}"), give_up), daemon=True)
            for i in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self, batches, rng, give_up):
        try:
            for mids in batches:
                self.ledger.submit(mids, rng, give_up)
        except BaseException as problem:  # Told to the test's own thread by join().
            self.problems.append(problem)

    def taken(self):
        return len(self.ledger.acknowledged) - self.acknowledged_before

    def is_running(self):
        return any(thread.is_alive() for thread in self.threads)

    def wait_taken(self, count, deadline_s=60):
        """Until so many are acknowledged, or all that will be."""
        wait_for(f"{count} records are taken", lambda: self.taken() >= count or not self.is_running(), deadline_s)

    def join(self, deadline_s=180):
        wait_for("everything is fed", lambda: not self.is_running(), deadline_s)
        if self.problems:
            raise self.problems[0]


def balance_of(export):
    settled = export["delivered"] + export["pending"] + export["dead_lettered"] + export["discarded"]
    check_equal(f"balance {export}: produced and the sum of its fates", export["produced"], settled)
    return export


def wait_delivered(cluster, deadline_s=120):
    """Until nothing is pending; the balance holds at every look on the way."""
    def empty():
        export = balance_of(cluster.export())
        return export if export["pending"] == 0 else None
    return wait_for("everything is exported", empty, deadline_s)


QUIET_S = 12  # Two checkpoints follow the last change, at most five seconds apart: then nothing is written any more.


def wait_quiet(cluster, deadline_s=60):
    """Until no replica's state has moved for so long that it will not by itself."""
    seen = {"digests": None, "since": time.monotonic()}

    def quiet():
        cluster.check_alive()
        digests = [node.call("node.digest") for node in cluster.running()]
        if digests != seen["digests"]:
            seen.update(digests=digests, since=time.monotonic())
        return digests if time.monotonic() - seen["since"] > QUIET_S else None
    return wait_for("the replicas are quiet", quiet, deadline_s, PASSING)


def check_deep(cluster, deadline_s=60):
    """Everything in every store, read afresh. Checkpoints come for some seconds after the last change, so
    the looks are repeated until they are of one index."""
    def level():
        cluster.check_alive()
        views = [node.call("node.digest", {"deep": True}, 60) for node in cluster.running()]
        return views if len({view["index"] for view in views}) == 1 else None
    views = wait_for("all replicas are read at one index", level, deadline_s, PASSING)
    check_equal("deep digests", len({view["digest"] for view in views}), 1)


def check_replicas(cluster, deadline_s=60):
    """All nodes at one index, with one digest, rolling and deep, and one balance."""
    def level():
        cluster.check_alive()
        views = [node.call("node.digest") for node in cluster.running()]
        return views if len({view["index"] for view in views}) == 1 else None
    views = wait_for("all replicas are at one index", level, deadline_s, PASSING)
    check_equal("rolling digests", len({view["digest"] for view in views}), 1)
    check_deep(cluster, deadline_s)

    def balances():
        """Of one index: where the export goes on, a replica is asked a moment after the other."""
        before = level()
        exports = [balance_of(node.call("export.status", {"stale": True})) for node in cluster.running()]
        return exports if before is not None and level() == before else None
    exports = wait_for("the balances are read at one index", balances, deadline_s, PASSING)
    for name in ("produced", "delivered", "pending", "dead_lettered", "discarded"):
        check_equal(f"{name} on all replicas", len({export[name] for export in exports}), 1)
    audit = cluster.call("audit.verify")
    check(audit["good"], f"audit: {audit}")
    return views[0]["index"]
