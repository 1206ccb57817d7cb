#!/usr/bin/env python3
"""Rule 7 at the leader: a joiner that lies, and statements that are not its own.

A raw client speaks cluster.admit as a joining node would. The tool's joins ask themselves first, so
only a joiner that does not can show what the cluster makes of a false statement. Each forgery must
be refused with its own reason and leave nothing; an honest statement, made by the same code, must be
admitted, or the refusals would prove nothing.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import copy
import os
import subprocess
import time

from bad_input_test import tls_to
from muster_cluster import PASSING, Cluster, Node, World
from muster_ledger import check_replicas
from muster_rpc import INVALID, REFUSED, UNAUTHORIZED, RpcClient, RpcError, pack
from muster_wait import Failure, check, check_equal, wait_for

CONTEXT = b"muster admit statement 1\0"
NO_TOKEN = "no such join token"
STATED = {"token_id": 1, "name": 4, "serial": 5, "model": 6, "version": 7, "peer_address": 8, "rpc_address": 9,
          "request": 10, "registration": 11, "stated_at_ms": 12}


def openssl(*arguments, data=b""):
    done = subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=False)
    check(done.returncode == 0, f"openssl {arguments[0]}: {done.stderr.decode()}")
    return done.stdout


def statement_of(admit):
    return CONTEXT + pack({tag: admit[name] for name, tag in STATED.items()})


class Joiner:
    """A key, and what it says of itself."""

    def __init__(self, world, name, serial):
        self.name, self.serial = name, serial
        self.key = os.path.join(world.directory, f"{name}.key")
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.key)
        self.request = openssl("req", "-new", "-key", self.key, "-subj", f"/CN={name}").decode()
        self.port = world.free_port()

    def sign(self, admit):
        admit["signature"] = openssl("dgst", "-sha256", "-sign", self.key, data=statement_of(admit))
        return admit

    def admit(self, token, **changes):
        """A whole request, signed; `changes` are stated as if they were true."""
        token_bytes = base64.urlsafe_b64decode(token[len("muster1."):] + "==")
        return self.sign({
            "token_id": token_bytes[:8].hex(), "secret": token_bytes[8:40], "name": self.name, "serial": self.serial,
            "model": "C600V", "version": "0.1.0", "peer_address": f"127.0.0.1:{self.port}",
            "rpc_address": f"127.0.0.1:{self.port}", "request": self.request, "registration": "disabled",
            "stated_at_ms": int(time.time() * 1000), **changes})


class Forging:
    def __init__(self, world):
        self.world = world
        self.cluster = Cluster(world, 2, join_timeout_s=5)
        self.cloud = self.cluster.cloud
        self.cluster.form()
        self.cluster.add_credentials()
        self.joiner = Joiner(world, "mallory", "42MALLORY-1")

    def token(self, *arguments):
        return self.cluster.leader().muster("cluster", "token", "create", *arguments).strip()

    def trace(self):
        members = self.cluster.call("cluster.members")["members"]
        tokens = self.cluster.call("cluster.token.list").get("tokens", [])
        # Of admissions: who is forgotten has the cluster's key rotated, which is audited whenever it is.
        lines = [line for line in self.cluster.call("audit.list", {"limit": 1000})["lines"]
                 if line["command"] == "member_admit"]
        return ([(m["name"], m["standing"]) for m in members], [(t["token_id"], t["state"]) for t in tokens], len(lines))

    def asked(self):
        return self.cloud.lists_asked()

    @staticmethod
    def ask(node, admit):
        with RpcClient(stream=tls_to(node.settings["rpc_listen"])) as client:
            return client.call("cluster.admit", admit)

    def refused(self, what, admit, code, word, is_audited=False):
        """By every node, the followers passing it on. The cloud is asked of every joiner whose token has the right
        secret, for all reasons are to be told at once, and of nobody else's."""
        asks_cloud = code == REFUSED and word != NO_TOKEN
        before, asked = self.trace(), self.asked()
        for node in self.cluster.nodes:
            try:
                self.ask(node, copy.deepcopy(admit))
                raise Failure(f"{what}: {node.name} admitted it")
            except RpcError as problem:
                known = problem.code >= REFUSED if code == REFUSED else problem.code == code
                check(known, f"{what}: {node.name} answers {problem}")
                check(word in problem.message, f"{what}: {node.name} does not say {word!r}: {problem}")
        after = self.trace()
        check_equal(f"{what}: members and tokens", after[:2], before[:2])
        check_equal(f"{what}: lines of the audit", after[2] - before[2], len(self.cluster.nodes) if is_audited else 0)
        check(asks_cloud == (self.asked() > asked), f"{what}: questions to the cloud: {self.asked() - asked}")
        print(f"{what}: refused, {word!r}", flush=True)

    # ---- What the joiner says of itself ----

    def registered_after_all(self):
        """It says "not registered", and the cloud's list has its serial."""
        node = Node(self.world, "y", self.cloud)
        node.start()
        wait_for("y leads itself", lambda: node.status()["leader"] == "y", 30, PASSING)
        node.muster("registration", "enable", "AMERICAS")
        node.muster("registration", "register", "--token-file", "-", secret=self.cloud.registration_token())
        liar = Joiner(self.world, "liar", node.serial)
        token = self.token()
        for said in ("disabled", "enabled"):
            self.refused(f"{said}, and the cloud's list says otherwise", liar.admit(token, registration=said), REFUSED,
                         "still lists the appliance's serial number")
        self.refused("the same, with words that no muster says", liar.admit(token, registration="Disabled"), REFUSED,
                     "not settled")
        node.stop()

    def everything_at_once(self):
        """Name, serial number, registration and the cloud's list: one refusal names them all, with what helps."""
        taken = self.cluster.nodes[0]
        admit = self.joiner.admit(self.token("--for", "someone"), name=taken.name, serial=taken.serial,
                                  registration="registered")
        for word in ("made for a node of another name", "registered with the cloud on its own", "has this name",
                     "with this serial number", "muster registration deregister", "token create --for NAME",
                     "cluster remove NODE --force"):
            self.refused("everything at once", admit, REFUSED, word)

    def honest_about_it(self):
        """What the joiner's own checks and lock would have kept from being said at all."""
        token = self.token()
        for said, word in (("registered", "registered with the cloud on its own"), ("registering", "not settled"),
                           ("deregistering", "not settled")):
            self.refused(f"a statement of {said!r}", self.joiner.admit(token, registration=said), REFUSED, word)
        self.refused("a statement without a word", self.joiner.admit(token, registration=""), REFUSED, "not settled")
        # A joiner that locks itself settles a failure first; only apply knows that this one did not.
        self.refused("a statement of 'failed'", self.joiner.admit(token, registration="failed"), REFUSED, "not settled",
                     is_audited=True)

    # ---- Whose statement it is ----

    def another_key(self):
        token = self.token()
        admit = self.joiner.admit(token)
        Joiner(self.world, "other", "42OTHER-1").sign(admit)
        self.refused("signed with another key", admit, UNAUTHORIZED, "not of this key")
        other = Joiner(self.world, "thief", "42THIEF-1")
        admit = {**self.joiner.admit(token), "request": other.request}
        self.refused("another's certificate request", admit, UNAUTHORIZED, "not of this key")
        admit = {**self.joiner.admit(token), "signature": b"\x30\x06\x02\x01\x01\x02\x01\x01"}
        self.refused("a signature of ones", admit, UNAUTHORIZED, "not of this key")
        self.refused("a signature that is none", {**admit, "signature": b"nonsense"}, UNAUTHORIZED, "not of this key")

    def altered(self):
        token = self.token()
        good = self.joiner.admit(token)
        for name, value in (("registration", "enabled"), ("serial", "42MALLORY-2"), ("name", "mallory2"),
                            ("peer_address", "127.0.0.1:1"), ("rpc_address", "127.0.0.1:1"), ("model", "X"),
                            ("version", "9"), ("stated_at_ms", good["stated_at_ms"] + 1)):
            self.refused(f"{name} altered after signing", {**good, name: value}, UNAUTHORIZED, "not of this key")

    def replayed(self):
        """One's own statement, for another token, of another cluster, of another day."""
        first, second = self.token(), self.token()
        elsewhere = Node(self.world, "z", self.cloud)
        elsewhere.start()
        wait_for("z leads itself", lambda: elsewhere.status()["leader"] == "z", 30, PASSING)
        elsewhere.muster("cluster", "init", "elsewhere")
        foreign = elsewhere.muster("cluster", "token", "create").strip()
        stated, wanted = self.joiner.admit(first), self.joiner.admit(second)
        self.refused("a statement made for another token",
                     {**stated, "token_id": wanted["token_id"], "secret": wanted["secret"]}, UNAUTHORIZED, "not of this key")
        self.refused("a token id with another token's secret", {**stated, "secret": wanted["secret"]}, REFUSED, NO_TOKEN)
        self.refused("a token of another cluster", self.joiner.admit(foreign), REFUSED, NO_TOKEN)
        abroad = self.joiner.admit(foreign)
        self.refused("a statement made for another cluster",
                     {**abroad, "token_id": wanted["token_id"], "secret": wanted["secret"]}, UNAUTHORIZED, "not of this key")
        for hours in (-1, 1):
            stated_at_ms = int(time.time() * 1000) + hours * 3600000
            self.refused(f"stated {hours} h from now", self.joiner.admit(first, stated_at_ms=stated_at_ms), INVALID, "clocks")
        elsewhere.stop()

    # ---- And an honest one ----

    def honest(self):
        """Admitted, never seen, forgotten; and its statement serves no second time."""
        token = self.token()
        before = self.trace()[0]
        admit = self.joiner.admit(token)
        asked = self.asked()
        for only in (True, False):
            answer = self.ask(self.cluster.followers()[0], {**admit, "check": only})
            check_equal("whether the cluster's key is given away", "cluster_key" in answer, not only)
            check_equal("what the cloud said", answer["cloud_check"], "unregistered")
        check(self.asked() > asked, "the cloud was not asked")
        check(("mallory", "joining") in self.trace()[0], "an honest statement is not admitted")
        self.refused("the same again", admit, REFUSED, "was used already")
        wait_for("who never came is forgotten", lambda: [row for row in self.trace()[0] if row[1] != "removed"]
                 == [row for row in before if row[1] != "removed"], 60, PASSING)
        self.refused("the same again, when it is forgotten", admit, REFUSED, "was used already")

    STEPS = (registered_after_all, everything_at_once, honest_about_it, another_key, altered, replayed, honest)


def main():
    with World("forged") as world:
        forging = Forging(world)
        for step in Forging.STEPS:
            step(forging)
        wait_for("the cluster is as it was", lambda: len(forging.cluster.leader().status()["members"]) >= 2, 30, PASSING)
        check_replicas(forging.cluster)
        print("forged_join_test: passed", flush=True)


if __name__ == "__main__":
    main()
