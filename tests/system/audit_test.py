"""The audit of real nodes: filters, a chain that survives trimming, the journal's copy, and who took a snapshot.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os

from muster_cluster import PASSING, Cluster, World
from muster_wait import check, wait_for

AUDIT_MAX = 100
USAGE, DENIED = 2, 5


def journal_lines(node):
    """Sequences of the lines that the node wrote to its log, as they came."""
    with open(node.log, errors="replace") as file:
        lines = [json.loads(line) for line in file if '"event":"audit"' in line]
    return [line["sequence"] for line in lines], lines


def listed(node, *arguments):
    return json.loads(node.muster("-o", "json", "audit", "list", *arguments))


def verified(node):
    return json.loads(node.muster("-o", "json", "audit", "verify"))


def filters(cluster):
    leader = cluster.leader()
    leader.muster("--comment", "for the test", "export", "pause")
    leader.muster("export", "resume")
    lines = listed(leader, "--method", "export_pause", "--since", "1h")["lines"]
    check([line["target"] for line in lines] == ["pause", "resume"], f"by method: {lines}")
    check(lines[0]["comment"] == "for the test" and lines[0]["outcome"] == "done", f"the comment: {lines[0]}")
    check(not listed(leader, "--actor", "nobody")["lines"], "lines of nobody")
    check(not listed(leader, "--until", "1h")["lines"], "lines of an hour ago")
    text = leader.muster("audit", "list", "--method", "export.pause", expect=USAGE)
    check("no method export.pause" in text and "WHAT" in text, text)
    first = listed(leader, "--limit", "1")
    check(len(first["lines"]) == 1 and first["next"] == first["lines"][0]["sequence"], f"a page: {first}")


def who(cluster, world):
    """Each appliance has a root of its own. Who may not is no line, but is told of by the node that was asked."""
    leader, node = cluster.leader(), cluster.followers()[0]
    node.muster("export", "resume")
    lines = listed(leader, "--method", "export_pause")["lines"]
    check([line["origin"] for line in lines] == [f"local on {name}" for name in (leader.name, leader.name, node.name)], f"from where: {lines}")
    leader.muster("operator", "add", "vera", "viewer", "--directory", world.directory)
    files = [os.path.join(world.directory, f"vera.{end}") for end in ("crt", "key")]
    before = verified(leader)["lines"]
    for _ in range(2):
        text = leader.muster("--address", leader.settings["rpc_listen"], "--certificate", files[0], "--key", files[1],
                           "export", "pause", expect=DENIED)
        check("export.pause needs the role operator, and operator vera has viewer" in text, text)
    with open(leader.log) as file:
        told = [json.loads(line) for line in file if "a call was not authorised" in line]
    check(told and told[0]["method"] == "export.pause" and told[0]["actor"] == "operator vera" and "127.0.0.1:" in told[0]["origin"],
          f"what was denied: {told}")
    check(verified(leader)["lines"] == before, "a denied call made a line")


def snapshot(cluster, world):
    """Taken at a follower; written down by the leader, in the name of who took it."""
    node = cluster.followers()[0]
    node.muster("snapshot", "save", os.path.join(world.directory, "a.snapshot"))
    lines = listed(node, "--method", "snapshot_take")["lines"]
    check([line["target"] for line in lines] == [node.name], f"who took it: {lines}")
    check(lines[0]["actor"].startswith("uid "), f"who took it: {lines}")


def trimming(cluster):
    leader = cluster.leader()

    def trimmed():
        for paused in (True, False) * 20:
            leader.call("export.pause" if paused else "export.resume")
        return verified(leader)["trimmed"]
    wait_for("the oldest lines were let go", trimmed, 60, PASSING)
    wait_for("the tenth has gone", lambda: verified(leader)["lines"] <= AUDIT_MAX, 60, PASSING)
    for node in cluster.nodes:
        found = json.loads(node.muster("-o", "json", "--stale", "audit", "verify"))
        check(found["good"] and found["trimmed"] > 0 and len(found["anchor"]) == 64, f"{node.name}: {found}")
        check(not found["error"], f"{node.name}: {found}")
    lines = listed(leader, "--method", "audit_trim")["lines"]
    check(lines and lines[-1]["actor"] == "muster", f"the trimming itself: {lines}")
    text = leader.muster("audit", "verify")
    check("the chain is whole" in text and "were let go" in text, f"in words: {text}")


def journal(cluster):
    """Each line once on the node that writes them, also over restarts; none on the others."""
    writer, other = cluster.nodes[0], cluster.nodes[1]
    newest = listed(writer, "--limit", "1000")["lines"][-1]

    def has_come():
        found, lines = journal_lines(writer)
        return found and found[-1] >= newest["sequence"] and lines
    lines = wait_for("the lines are in the journal", has_come, 30)
    copy = next(line for line in lines if line["sequence"] == newest["sequence"])
    for of_journal, of_audit in (("method", "command"), ("actor", "actor"), ("hash", "hash"), ("target", "target")):
        check(copy[of_journal] == newest[of_audit], f"{copy} is not {newest}")
    writer.stop()
    writer.start()
    cluster.leader().call("export.pause")
    last = listed(cluster.leader(), "--limit", "1000")["lines"][-1]["sequence"]
    wait_for("the new line is there too", lambda: last in journal_lines(writer)[0], 30)
    found, _ = journal_lines(writer)
    check(found == list(range(1, len(found) + 1)), f"each line once, in order: {found}")
    check(not journal_lines(other)[0], "lines in a journal that was not asked for")


def main():
    with World("audit") as world:
        cluster = Cluster(world, 2, audit_max=AUDIT_MAX)
        cluster.nodes[0].settings["audit_journal"] = 1
        cluster.form()
        filters(cluster)
        who(cluster, world)
        snapshot(cluster, world)
        trimming(cluster)
        journal(cluster)


if __name__ == "__main__":
    main()
