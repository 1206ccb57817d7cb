"""The quorum is lost for good: a survivor goes on alone, and the old members are told.

Budget in CI: 90 seconds. Everything waits on conditions.

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import json
import os
import random
import subprocess
import time

from muster_cluster import PASSING, Cluster, Node, World
from muster_ledger import Ledger, check_replicas, record, wait_delivered
from muster_wait import check, check_equal, wait_for

ANY_ERROR, USAGE, REFUSED = 1, 2, 3  # Exit codes.
RECORDS = 300


def wait_leaderless(node):
    wait_for(f"{node.name} knows no leader", lambda: not node.status()["quorum"] and not node.status()["leader"], 30,
             PASSING)


def plan_of(node, expect=0):
    out = node.muster("-o", "json", "cluster", "recover", expect=expect)
    return json.loads(out)


def problems_of(plan):
    return " | ".join(problem["what"] for problem in plan.get("problems", []))


def wait_log(node, words, deadline_s=30):
    def written():
        with open(node.log, errors="replace") as file:
            return any(all(word in line for word in words) for line in file)
    wait_for(f"{node.name}'s log says {words}", written, deadline_s)


def check_audit(node, words):
    lines = [line for line in node.call("audit.list", {"limit": 1000})["lines"] if line["command"] == "cluster_recover"]
    check(lines, "there is no audit line of the recovery")
    for word in words:
        check(word in lines[-1]["target"] + lines[-1]["actor"], f"{word} is not in the audit line {lines[-1]}")
    check(node.call("audit.verify")["good"], "the audit's chain is broken")


def only(cluster, node):
    """The cluster as it is seen by tests from now on."""
    cluster.nodes = [node]
    wait_for(f"{node.name} leads alone", lambda: node.status()["leader"] == node.name and node.status()["quorum"], 30, PASSING)


def leave_and_join(cluster, node, through):
    wait_for(f"{node.name} was told", lambda: node.status()["standing"] == "removed", 60, PASSING)
    told = " ".join(problem["what"] for problem in node.status().get("problems", []))
    check("recovered at" in told and "without this node" in told, f"{node.name} was not told why: {told}")
    node.muster("cluster", "leave", "--yes")
    wait_for(f"{node.name} is standalone", lambda: node.status()["standing"] == "standalone"
             and node.status()["leader"] == node.name, 30, PASSING)
    cluster.nodes.append(node)
    cluster.join(node, through)


def killed_half_way(cluster, survivor, rng):
    """kill -9 at every step: the node comes back as it was, and can be told again."""
    steps = ["stage the identity", "copy the state", "read the log", "take the cluster over", "begin its log"]
    for step in rng.sample(steps, 2):
        before = open(survivor.log).read().count(step)
        survivor.call("cluster.recover", {"proceed": True, "cluster": "office", "deadline_ms": 30000}, 40)

        def reached():
            with open(survivor.log) as file:
                return file.read().count(step) > before
        wait_for(f"it is about to {step}", reached, 30)
        survivor.kill()
        survivor.start()
        lineage = survivor.status()["lineage"]
        print(f"  killed when it began to {step}: lineage {lineage}", flush=True)
        if lineage == 2:
            return True
        wait_leaderless(survivor)
    return False


def two_of_three(seed):
    rng = random.Random(seed)
    with World("recover-3") as world:
        cluster = Cluster(world, 3)
        cluster.form()
        cluster.register()
        cluster.add_credentials()
        ledger = Ledger(cluster)
        cluster_id = cluster.call("cluster.status")["cluster_id"]
        refused = plan_of(cluster.leader(), REFUSED)
        check("there is a quorum" in problems_of(refused), f"a healthy cluster would be recovered: {refused}")
        cluster.leader().muster("export", "pause", "--reason", "so that some are pending")
        ledger.feed(RECORDS, seed).join()
        check_replicas(cluster)
        survivor = rng.choice(cluster.followers())
        old = [node for node in cluster.nodes if node is not survivor]
        for node in old:
            node.kill()
        wait_leaderless(survivor)
        plan = plan_of(survivor)
        check_equal("problems", problems_of(plan), "")
        check_equal("lineage that would begin", plan["lineage"], 2)
        check_equal("lineage now", survivor.status()["lineage"], 1)
        done = killed_half_way(cluster, survivor, rng)
        if not done:
            out = survivor.muster("cluster", "recover", "--yes")
            check("lineage 2" in out, f"the tool does not say what became of it: {out}")
        only(cluster, survivor)
        status = survivor.status()
        check_equal("lineage", status["lineage"], 2)
        check_equal("cluster id", status["cluster_id"], cluster_id)
        check("at least 3 members" in " ".join(p["what"] for p in status.get("problems", [])), f"no alarm: {status}")
        check_audit(survivor, ["lineage 2", survivor.name, "uid"])
        check_equal("records kept", survivor.call("export.status")["produced"], RECORDS)
        survivor.muster("export", "resume")
        wait_delivered(cluster)
        check_equal("records in the cloud", ledger.check_cloud(cluster_id), RECORDS)
        old[0].start()
        leave_and_join(cluster, old[0], survivor)
        old[1].start()
        leave_and_join(cluster, old[1], survivor)
        cluster.wait_voters(3)
        wait_for("the alarm has gone", lambda: "at least 3 members" not in str(cluster.leader().status().get("problems")), 30, PASSING)
        ledger.feed(RECORDS, seed + 1).join()
        wait_delivered(cluster)
        index = check_replicas(cluster)
        total = ledger.check_cloud(cluster_id)
        check_equal("devices registered", len(cluster.cloud.devices("registered")), 1)
        print(f"two of three lost: lineage 2, {total} records, each once; replicas agree at {index}", flush=True)


def three_of_five(seed):
    """Two survive, one of them knows more. The three were only away, and come back as a quorum."""
    with World("recover-5") as world:
        cluster = Cluster(world, 5)
        cluster.start()
        first = cluster.nodes[0]
        wait_for("the first node leads itself", lambda: first.status()["leader"] == first.name, 30, PASSING)
        first.muster("cluster", "init", "office")
        first.muster("cluster", "set", "voters", "5")
        for node in cluster.nodes[1:]:
            cluster.join(node)
        cluster.wait_voters(5)
        ledger = Ledger(cluster)
        cluster_id = cluster.call("cluster.status")["cluster_id"]
        behind, ahead = cluster.followers()[:2]
        away = [node for node in cluster.nodes if node not in (behind, ahead)]
        ledger.feed(RECORDS, seed).join()
        check_replicas(cluster)
        everybody, cluster.nodes = cluster.nodes, [node for node in cluster.nodes if node is not behind]
        behind.kill()
        ledger.feed(RECORDS, seed + 1).join()
        check_replicas(cluster)
        for node in away:
            node.kill()
        behind.start()
        wait_leaderless(ahead)
        wait_leaderless(behind)
        refused = plan_of(behind, REFUSED)
        check(f"{ahead.name} has more" in problems_of(refused), f"the survivor with less would go on: {problems_of(refused)}")
        told = behind.muster("cluster", "recover", "--yes", expect=REFUSED)
        check("Recover on that node" in told, f"it does not say which node to recover: {told}")
        check_equal("lineage of who was refused", behind.status()["lineage"], 1)
        ahead.muster("cluster", "recover", "--yes", "--comment", "three are gone")
        only(cluster, ahead)
        check_equal("records kept", ahead.call("export.status")["produced"], 2 * RECORDS)
        leave_and_join(cluster, behind, ahead)
        # The old majority elects a leader of its own; it is told all the same, and acts no more.
        for node in away:
            node.spawn()
        for node in away:
            node.wait_ready()
        for node in away:
            wait_for(f"{node.name} was told", lambda node=node: node.status()["standing"] == "removed", 90, PASSING)
            told = " ".join(problem["what"] for problem in node.status().get("problems", []))
            check("recovered at" in told, f"{node.name} was not told why: {told}")
        outcome = ledger.try_submit(away[0], ledger.reserve(10))
        check_equal("records offered to the side that was left behind", outcome, "refused")
        leave_and_join(cluster, away[0], ahead)
        cluster.wait_voters(3)
        cluster.register()
        cluster.add_credentials()
        wait_delivered(cluster)
        index = check_replicas(cluster)
        total = ledger.check_cloud(cluster_id)
        check_equal("records in the cloud", total, 2 * RECORDS)
        print(f"three of five lost, and back as a quorum: told; {total} records, each once; replicas agree at {index}",
              flush=True)


def flipped(path, offset, out):
    with open(path, "rb") as file:
        data = bytearray(file.read())
    data[offset] ^= 0x10
    with open(out, "wb") as file:
        file.write(data)
    return out


def reseal(path, offset, out):
    """A change that the checksum does not show: a forger computes it anew."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    data[offset] ^= 0x10
    data[-32:] = hashlib.sha256(data[:-32]).digest()
    with open(out, "wb") as file:
        file.write(data)
    return out


def told_of(node, path):
    """What `snapshot status` says of a file that it must not take."""
    code, out, err = node.world.muster(node, "snapshot", "status", path)
    check(code in (ANY_ERROR, USAGE), f"a damaged snapshot is taken: {code} {out}{err}")
    check("snapshot" in err, f"it does not say what is wrong: {err}")
    return err


def damaged_files(node, path):
    size = os.path.getsize(path)
    rng = random.Random(7)
    for offset in [0, 9, 40, 200, size // 2, size - 40, size - 1] + [rng.randrange(size) for _ in range(20)]:
        told_of(node, flipped(path, offset, path + ".bad"))
    with open(path, "rb") as file:
        data = file.read()
    for cut in (0, 5, 11, 100, size // 2, size - 1):
        with open(path + ".bad", "wb") as file:
            file.write(data[:cut])
        told_of(node, path + ".bad")
    with open(path + ".bad", "wb") as file:
        file.write(data + b"x")
    check("appended" in told_of(node, path + ".bad"), "something appended is not told as such")
    with open(path + ".bad", "wb") as file:
        file.write(os.urandom(5000))
    check("not a snapshot" in told_of(node, path + ".bad"), "noise is not told as such")


def restore(node, path, key, *arguments, expect=0):
    return node.muster("snapshot", "restore", path, "--recovery-key-file", key, *arguments, expect=expect)


def all_burnt(seed):
    """A snapshot is saved under load; every node is lost; a fresh one goes on with it."""
    with World("restore") as world:
        cluster = Cluster(world, 3)
        cluster.form()
        cluster.register()
        cluster.add_credentials()
        ledger = Ledger(cluster)
        cluster_id = cluster.call("cluster.status")["cluster_id"]
        path, key = os.path.join(world.directory, "office.snapshot"), os.path.join(world.directory, "recovery.key")
        ledger.feed(RECORDS, seed).join()
        feed = ledger.feed(5 * RECORDS, seed + 1)
        feed.wait_taken(RECORDS)
        saver = random.Random(seed).choice(cluster.followers())
        header = json.loads(saver.muster("-o", "json", "snapshot", "save", path))
        saver.muster("cluster", "recovery-key", key)
        feed.join()
        check_equal("mode of the snapshot", os.stat(path).st_mode & 0o777, 0o600)
        check_equal("mode of the key", os.stat(key).st_mode & 0o777, 0o600)
        check(not os.path.exists(path + ".tmp"), "the temporary file was left")
        check_equal("what status says", json.loads(saver.muster("-o", "json", "snapshot", "status", path)), header)
        check_equal("cluster id in the header", header["cluster_id"], cluster_id)
        check(RECORDS <= header["produced"] <= 6 * RECORDS, f"records in the header: {header}")
        with open(path, "rb") as file:
            content = file.read()
        for secret in (b"s1@host", b"Offer", cluster.PASSWORD.encode(), b"BEGIN CERTIFICATE", b"FEED-1"):
            check(secret not in content, f"{secret} stands in the snapshot in clear")
        told = restore(cluster.leader(), path, key, expect=REFUSED)
        check("own cluster" in told, f"a member would restore its own cluster: {told}")
        damaged_files(saver, path)

        wait_delivered(cluster)
        exported = len(cluster.cloud.external_ids())
        # Another cluster, and a node that has records of its own.
        other = Node(world, "x", cluster.cloud)
        other.start()
        wait_for("x leads itself", lambda: other.status()["leader"] == "x", 30, PASSING)
        other.muster("cluster", "init", "elsewhere")
        other.call("records.submit", {"feed": "own", "records": [record("X-1", 1)]})
        told = restore(other, path, key, "--yes", expect=REFUSED)
        check("is of office" in told and "elsewhere" in told and "records of its own" in told,
              f"not every reason is told: {told}")
        for node in cluster.nodes:
            node.kill()

        fresh = Node(world, "n", cluster.cloud)
        fresh.start()
        wait_for("n leads itself", lambda: fresh.status()["leader"] == "n", 30, PASSING)
        wrong = os.path.join(world.directory, "wrong.key")
        other.muster("cluster", "recovery-key", wrong)
        told = restore(fresh, path, wrong, "--yes", expect=REFUSED)
        check("not the one of this snapshot" in told, f"a foreign key: {told}")
        told = restore(fresh, reseal(path, os.path.getsize(path) // 2, path + ".bad"), key, "--yes", expect=ANY_ERROR)
        check("was changed or moved" in told, f"a forged piece: {told}")
        told = restore(fresh, path, key)
        check("Nothing was changed" in told and f"entry {header['index']}" in told, f"the dry run: {told}")
        check_equal("lineage before", fresh.status()["standing"], "standalone")
        killed = begin_and_kill(fresh, path, key, "take the cluster over")
        if not killed:
            restore(fresh, path, key, "--yes")
        only(cluster, fresh)
        status = fresh.status()
        check_equal("cluster id", status["cluster_id"], cluster_id)
        check_equal("lineage", status["lineage"], 2)
        check_audit(fresh, ["lineage 2 on n from the snapshot of " + saver.name, "uid"])
        check_equal("records", fresh.call("export.status")["produced"], header["produced"])
        check_equal("registration", fresh.call("registration.status")["state"], "registered")
        check_equal("its machine", fresh.call("registration.status")["machine"], "n")
        wait_delivered(cluster)
        check_equal("nothing was doubled", len(cluster.cloud.external_ids()), exported)
        mids = ledger.reserve(50)
        check_equal("records go on", ledger.try_submit(fresh, mids), "acknowledged")
        ledger.acknowledged.update(mids)
        wait_delivered(cluster)
        total = ledger.check_cloud(cluster_id)
        left = [name for name in os.listdir(fresh.data) if name.endswith((".work", ".part"))]
        check(not left, f"left in the data folder: {left}")
        old = world.nodes[0]
        old.start()
        told = refusal_of(fresh, old)
        print(f"all burnt: restored at {header['index']} with {header['produced']} of {total - 50} records; "
              f"{total} in the cloud, each once; {told}", flush=True)


def begin_and_kill(fresh, path, key, step):
    """kill -9 in the middle of a restoration: the node is as fresh as before. True if it was done all the same."""
    before = open(fresh.log).read().count(step)
    tool = subprocess.Popen([fresh.world.program("muster"), "--socket", fresh.socket, "snapshot", "restore", path, "--yes",
                             "--recovery-key-file", key], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, env=fresh.world.environment())
    wait_for(f"it is about to {step}", lambda: open(fresh.log).read().count(step) > before, 60)
    fresh.kill()
    tool.kill()
    tool.wait()
    fresh.start()
    wait_for("n leads again", lambda: fresh.status()["leader"] == "n", 30, PASSING)
    done = fresh.status()["standing"] == "member"
    print(f"  killed when it began to {step}: {'done' if done else 'as before'}", flush=True)
    return done


def refusal_of(fresh, old):
    """What the new lineage says of a member of before."""
    answer = fresh.call("cluster.standing", {"node_id": old.status()["node_id"]})
    check_equal("standing of an old member", answer["standing"], "removed")
    check("recovered at" in answer["reason"] and answer["lineage"] == 2, f"it is not told why: {answer}")
    return answer["reason"]


def main():
    begun = time.monotonic()
    two_of_three(1)
    three_of_five(11)
    all_burnt(21)
    print(f"recover_test passed in {time.monotonic() - begun:.1f} s", flush=True)


if __name__ == "__main__":
    main()
