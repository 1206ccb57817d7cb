#!/usr/bin/env python3
"""What the cluster must refuse, that it says why and what helps, and that nothing is left of it.

Above all R7: an appliance that is registered on its own, or may be, joins no cluster; and R6: only
the machine that the operator is connected to is registered. Then join tokens, names and serial
numbers, a join that does not finish, leaving and removing.

SPDX-License-Identifier: Apache-2.0
"""
import os
import random
import shutil

from muster_cluster import PASSING, Cluster, Node, World
from muster_ledger import Ledger, check_replicas
from muster_wait import check, check_equal, wait_for

EXIT_USAGE, EXIT_REFUSED = 2, 3


def refused(node, word, *arguments, secret=None, expect=EXIT_REFUSED):
    """The tool must end with that code, say why and what helps."""
    text = node.muster(*arguments, secret=secret, expect=expect)
    check(word in text, f"muster {' '.join(arguments)} on {node.name} does not say {word}: {text}")
    if expect == EXIT_REFUSED:
        check("what helps" in text, f"muster {' '.join(arguments)} on {node.name} says no remedy: {text}")
    return text


def join(node, token):
    node.muster("cluster", "join", "--token-file", "-", "--yes", secret=token)


def lineages(node):
    """The folders of a node's data: one for each cluster or standalone life it has."""
    return sorted(name for name in os.listdir(node.data) if os.path.isdir(os.path.join(node.data, name)))


class Refusals:
    def __init__(self, world):
        self.world = world
        self.cluster = Cluster(world, 2, join_timeout_s=5)
        self.cloud = self.cluster.cloud
        self.cluster.form()
        self.cluster.add_credentials()
        self.a = self.cluster.nodes[0]
        self.short_lived = self.token("--ttl", "60")

    def node(self, name, **settings):
        node = Node(self.world, name, self.cloud, join_timeout_s=5, **settings)
        node.start()
        wait_for(f"{name} leads itself", lambda: node.status()["leader"] == node.name, 30, PASSING)
        return node

    def token(self, *arguments):
        return self.cluster.leader().muster("cluster", "token", "create", *arguments).strip()

    def token_states(self):
        tokens = self.cluster.call("cluster.token.list").get("tokens", [])
        return sorted((token["token_id"], token["state"]) for token in tokens)

    def members(self):
        """Who is listed, apart from those who were removed."""
        members = self.cluster.call("cluster.members")["members"]
        return sorted((member["name"], member["standing"]) for member in members if member["standing"] != "removed")

    UNUSED = {"usable": "unused", "expired": "unused"}  # The token of a minute may run out between two looks.

    def trace(self, node):
        """Everything that a refused join might leave behind, on either side."""
        status = wait_for(f"{node.name} tells what it is", lambda: node.status(stale=False), 10, PASSING)
        return {
            "standing": status["standing"], "registration": status["registration"]["state"],
            "cluster of the node": status["cluster_id"], "folders": lineages(node),
            "members": self.members(), "tokens": [(name, self.UNUSED.get(state, state)) for name, state in self.token_states()],
        }

    def refused_without_trace(self, node, word, token, expect=EXIT_REFUSED):
        before = self.trace(node)
        refused(node, word, "cluster", "join", "--token-file", "-", "--yes", secret=token, expect=expect)
        # The node unlocks itself with an entry of its own, a moment later.
        wait_for("nothing is left of a refused join", lambda: self.trace(node) == before, 10)

    def checked(self, node, token, word=None):
        """`join --check` tells the same, and changes nothing at all, on either side. The cluster's own checkpoints may
        fall between two looks, at most twice after a change; what the check itself changed would show each time."""
        def whole():
            return (self.trace(node), node.call("node.digest"), self.cluster.leader().call("node.digest"))
        for _ in range(4):
            before = whole()
            text = node.muster("cluster", "join", "--check", "--token-file", "-", secret=token,
                               expect=EXIT_REFUSED if word else 0)
            check(word is None or word in text, f"join --check does not say {word}: {text}")
            after = whole()
            if after == before:
                return
        check_equal("the state after join --check", after, before)

    # ---- R7 ----

    def registered_joiner(self):
        x = self.node("x")
        token = self.token("--for", "x")
        self.checked(x, token)
        self.cloud.post("/registration", {"delay_ms": 4000, "deregistration_delay_ms": 4000})
        x.muster("registration", "enable", "AMERICAS")
        x.muster("registration", "register", "--no-wait", "--token-file", "-", secret=self.cloud.registration_token())
        check_equal("registration of x", x.call("registration.status")["state"], "registering")
        self.refused_without_trace(x, "registration or deregistration of the appliance is not settled", token)
        wait_for("x is registered", lambda: x.call("registration.status")["state"] == "registered", 30)
        audit = self.cluster.call("audit.list", {"limit": 1000})["lines"]
        asked = self.cloud.lists_asked()
        self.refused_without_trace(x, "is registered with the cloud on its own", token)
        check_equal("audit lines of the cluster", self.cluster.call("audit.list", {"limit": 1000})["lines"], audit)
        check_equal("questions to the cloud", self.cloud.lists_asked(), asked)
        self.checked(x, token, "registered with the cloud on its own")
        x.muster("registration", "deregister", "--no-wait", "--yes")
        check_equal("registration of x", x.call("registration.status")["state"], "deregistering")
        self.refused_without_trace(x, "registration or deregistration of the appliance is not settled", token)
        wait_for("x is not registered", lambda: x.call("registration.status")["state"] == "enabled", 30)
        self.cloud.post("/registration", {"delay_ms": 300, "deregistration_delay_ms": 300})
        wait_for("the cloud has forgotten x", lambda: not [
            d for d in self.cloud.devices() if d["serial"] == x.serial and d["state"] != "gone"], 20)
        self.checked(x, token)
        join(x, token)
        self.cluster.wait_member(x)
        self.cluster.nodes.append(x)

    def joiner_that_the_cloud_lists(self):
        """An appliance that was set up anew says in good faith that it is not registered."""
        y = self.node("y")
        y.muster("registration", "enable", "AMERICAS")
        y.muster("registration", "register", "--token-file", "-", secret=self.cloud.registration_token())
        y.stop()
        shutil.rmtree(y.data)
        os.mkdir(y.data)
        y.start()
        wait_for("y leads itself", lambda: y.status()["leader"] == "y", 30, PASSING)
        check_equal("registration of y", y.call("registration.status")["state"], "disabled")
        token = self.token()
        self.checked(y, token, "still lists the appliance's serial number")
        self.refused_without_trace(y, "still lists the appliance's serial number", token)
        device = [d for d in self.cloud.devices("registered") if d["serial"] == y.serial][0]
        self.cloud.post(f"/devices/{device['device_id']}/delete", {})
        join(y, token)
        self.cluster.wait_member(y)
        self.cluster.nodes.append(y)

    # ---- Tokens, names, serial numbers ----

    def tokens(self):
        z = self.node("z")
        used = [entry for entry in self.token_states() if entry[1] == "used"]
        check(len(used) == 3, f"tokens that were used: {self.token_states()}")
        token = self.token()
        self.refused_without_trace(z, "made for a node of another name", self.token("--for", "someone"))
        before = dict(self.token_states())
        revoked = self.token()
        token_id = (dict(self.token_states()).keys() - before.keys()).pop()
        self.cluster.leader().muster("cluster", "token", "revoke", token_id, "--yes")
        self.refused_without_trace(z, "was revoked", revoked)
        middle = len(token) // 2
        mistyped = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1:]
        for wrong in (mistyped, token[:-5], "muster2." + token[8:], "nonsense", token + token):
            self.refused_without_trace(z, "", wrong, EXIT_USAGE)
        stranger = self.node("stranger")
        stranger.muster("cluster", "init", "elsewhere")
        foreign = stranger.muster("cluster", "token", "create").strip()
        stranger.stop()
        code, out, err = self.world.muster(z, "cluster", "join", "--token-file", "-", "--yes", secret=foreign)
        check_equal(f"joining a cluster that does not answer: {out}{err}", code, 4)
        # It unlocks itself with an entry of its own, a moment after its answer.
        wait_for("z is standalone", lambda: z.status()["standing"] == "standalone", 10)
        join(z, token)
        self.cluster.wait_member(z)
        self.cluster.nodes.append(z)
        for node in (z, self.a):
            refused(node, "in a cluster already", "cluster", "join", "--token-file", "-", "--yes", secret=self.token())
        late = self.node("late")
        self.refused_without_trace(late, "was used already", token)
        late.stop()

    def names(self):
        twin = Node(self.world, "twin", self.cloud, join_timeout_s=5)
        twin.settings["name"] = "b"
        twin.start()
        wait_for("the twin leads itself", lambda: twin.status()["leader"] == "b", 30, PASSING)
        token = self.token()
        self.checked(twin, token, "has this name")
        self.refused_without_trace(twin, "has this name", token)
        twin.stop()
        copy = self.node("copy", serial=self.a.serial)
        self.refused_without_trace(copy, "with this serial number exists", token)
        copy.stop()

    def join_that_does_not_finish(self):
        """Admitted, but its address is wrong: rolled back on both sides, and then it works."""
        far = self.node("far")
        far.stop()
        address = far.settings.pop("peer_address", None)
        far.settings["peer_address"] = f"127.0.0.1:{self.world.free_port()}"
        shutil.rmtree(far.data)
        os.mkdir(far.data)
        far.start()
        wait_for("far leads itself", lambda: far.status()["leader"] == "far", 30, PASSING)
        before = (self.members(), lineages(far))
        token = self.token()
        code, out, err = self.world.muster(far, "cluster", "join", "--token-file", "-", "--yes", secret=token,
                                           timeout_s=60)
        check(code in (0, EXIT_REFUSED, 6), f"a join that cannot finish: {code} {out}{err}")
        wait_for("the join is rolled back", lambda: far.status()["standing"] == "standalone"
                 and far.status(stale=False)["standing"] == "standalone", 60, PASSING)
        wait_for("nothing is left of it", lambda: (self.members(), lineages(far)) == before, 30)
        far.stop()
        far.settings.pop("peer_address")
        if address:
            far.settings["peer_address"] = address
        far.start()
        wait_for("far leads itself", lambda: far.status()["leader"] == "far", 30, PASSING)
        self.refused_without_trace(far, "was used already", token)
        far.stop()

    # ---- R6, and one registration only ----

    def machine_mode(self):
        leader = self.cluster.leader()
        follower = self.cluster.followers()[0]
        token = self.cloud.registration_token()
        refused(leader, "is not enabled", "registration", "register", "--token-file", "-", secret=token)
        text = leader.muster("registration", "enable", "APJC", expect=EXIT_REFUSED)
        check("APJC is not supported" in text, f"APJC: {text}")
        leader.muster("registration", "enable", "MARS", expect=EXIT_USAGE)
        leader.muster("registration", "enable", "AMERICAS")
        register = ("registration", "register", "--token-file", "-")
        for mode in ("group", "cluster", "MACHINE"):
            refused(leader, "machine mode only", *register, "--mode", mode, secret=token)
        for node, other in ((leader, follower), (follower, leader)):
            text = refused(node, f"you are connected to {node.name}", *register, "--machine", other.name, secret=token)
            check(f"Log in to {other.name}" in text, f"the remedy does not name the machine: {text}")
        leader.muster(*register, secret="ABC", expect=EXIT_USAGE)
        check_equal("devices after refusals", self.cloud.devices("registered"), [])
        follower.muster(*register, "--mode", "machine", "--machine", follower.name, secret=token)
        found = self.cluster.wait_registration("registered")
        check_equal("the machine that is registered", found["machine"], follower.name)
        refused(leader, "there can be only one", *register, secret=self.cloud.registration_token())
        refused(leader, "region cannot be changed", "registration", "enable", "EUROPE")
        refused(leader, "there can be only one", "registration", "disable", "--yes")
        check_equal("devices that are registered", len(self.cloud.devices("registered")), 1)
        refused(follower, "registered with the cloud through this node", "cluster", "leave", "--yes")
        refused(leader, "registered with the cloud through this node", "cluster", "remove", follower.name, "--yes")
        self.machine = follower

    # ---- Leaving ----

    def leave(self, node):
        with open(os.path.join(node.data, "CURRENT")) as file:
            lived_in = file.read().strip()
        check(lived_in in lineages(node), f"{node.name} lives in {lived_in}, which is none of {lineages(node)}")
        node.muster("cluster", "leave", "--yes")
        self.cluster.nodes.remove(node)
        wait_for(f"{node.name} is standalone", lambda: node.status(stale=False)["standing"] == "standalone", 30, PASSING)
        wait_for(f"{node.name} is not listed", lambda: node.name not in dict(self.members()), 30)
        status = node.status()
        check_equal("members that the leaver knows", [m["name"] for m in status["members"]], [node.name])
        check_equal("registration of the leaver", status["registration"]["state"], "disabled")
        check("credentials" not in node.call("credentials.list"), "the leaver still has credentials")
        check(lived_in not in lineages(node), "the leaver still has the cluster's data")
        check_equal("the cluster's registration", self.cluster.registration()["state"], "registered")

    def leaving(self):
        Ledger(self.cluster).submit([1, 2, 3], random.Random(1), 0)
        follower = [node for node in self.cluster.followers() if node is not self.machine][0]
        self.leave(follower)
        if self.cluster.leader() is self.machine:
            self.machine.muster("cluster", "transfer")
            wait_for("another leads", lambda: self.cluster.leader() is not self.machine, 30)
        leader = self.cluster.leader()
        self.leave(leader)
        self.cluster.leader()
        join(leader, self.token())
        self.cluster.wait_member(leader)
        self.cluster.nodes.append(leader)
        follower.stop()

    def reset(self, node):
        """A node that was removed learns it, says so, and can be made standalone."""
        def knows():
            return any("remove" in problem["what"] for problem in node.status().get("problems", []))
        wait_for(f"{node.name} says that it was removed", knows, 30, PASSING)
        node.muster("cluster", "reset", "--yes")
        wait_for(f"{node.name} is standalone", lambda: node.status(stale=False)["standing"] == "standalone", 30, PASSING)

    def dead_node(self):
        victim = [node for node in self.cluster.followers() if node is not self.machine][0]
        self.cluster.wait_voters(3)
        victim.kill()
        self.cluster.leader().muster("cluster", "remove", victim.name, "--force", "--yes")
        self.cluster.nodes.remove(victim)
        wait_for(f"{victim.name} is not listed", lambda: victim.name not in dict(self.members()), 30)
        term = self.cluster.leader().status()["term"]
        victim.start()
        self.reset(victim)
        check("credentials" not in victim.call("credentials.list"), "the removed node still has credentials")
        check(victim.name not in dict(self.members()), f"{victim.name} is back")
        check_equal("the term after a removed node came back", self.cluster.leader().status()["term"], term)
        join(victim, self.token())
        self.cluster.wait_member(victim)
        self.cluster.nodes.append(victim)

    def live_node_removed(self):
        """It is told by nobody, and finds out."""
        victim = [node for node in self.cluster.followers() if node is not self.machine][0]
        self.cluster.leader().muster("cluster", "remove", victim.name, "--yes")
        self.cluster.nodes.remove(victim)

        def let_go():
            code, out, err = self.world.muster(victim, "cluster", "reset", "--yes")
            check(code == 0 or "has not removed this node" in out + err, f"reset: {code} {out}{err}")
            return code == 0
        wait_for(f"{victim.name} can be reset, as soon as it has no leader", let_go, 30)
        wait_for(f"{victim.name} is standalone", lambda: victim.status(stale=False)["standing"] == "standalone", 30,
                 PASSING)
        wait_for(f"{victim.name} is not listed", lambda: victim.name not in dict(self.members()), 30)

    def last_node(self):
        while len(self.cluster.nodes) > 1:
            self.leave([node for node in self.cluster.nodes if node is not self.machine][0])
        refused(self.machine, "registered with the cloud", "cluster", "leave", "--yes")
        self.machine.muster("registration", "deregister", "--yes")
        self.machine.muster("cluster", "leave", "--yes")
        wait_for("the last node is standalone", lambda: self.machine.status(stale=False)["standing"] == "standalone",
                 30, PASSING)

    def expired_token(self):
        late = self.node("later")
        wait_for("a token of a minute has expired", lambda: "expired" in dict(self.token_states()).values(), 70)
        self.refused_without_trace(late, "has expired", self.short_lived)
        late.stop()

    STEPS = (registered_joiner, joiner_that_the_cloud_lists, tokens, names, join_that_does_not_finish, machine_mode,
             expired_token, leaving, dead_node, live_node_removed, last_node)


def main():
    with World("refusal") as world:
        refusals = Refusals(world)
        for step in Refusals.STEPS:
            step(refusals)
            if len(refusals.cluster.nodes) > 1:
                check_replicas(refusals.cluster)
            print(f"{step.__name__}: as it must be", flush=True)
        print("refusal_test: passed")


if __name__ == "__main__":
    main()
