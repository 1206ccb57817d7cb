#!/usr/bin/env python3
"""The rows of docs/registration.md over real nodes: tokens that the cloud refuses, watching, a device that the portal
suspends or deletes, short-lived certificates, a deregistration that is pending while its leader dies, handing over;
and R6 in full. The cloud's ledger shows one device for one registration all the time.

SPDX-License-Identifier: Apache-2.0
"""
import json
import random
import subprocess

from muster_cluster import Cluster, World
from muster_ledger import Ledger, wait_delivered
from muster_wait import check, check_equal, wait_for

EXIT_USAGE, EXIT_REFUSED, EXIT_UNREACHABLE = 2, 3, 4
REGISTER = ("registration", "register", "--token-file", "-")


class Watch:
    """`muster registration watch`, as it goes on."""

    def __init__(self, node):
        self.process = subprocess.Popen(
            [node.world.program("muster"), "--socket", node.socket, "registration", "watch", "-o", "json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=node.world.environment())

    def end(self, expect):
        out, err = self.process.communicate(timeout=60)
        check_equal(f"how the watch ended: {err.decode()}{out.decode()}", self.process.returncode, expect)
        return [json.loads(line) for line in out.decode().splitlines()]


class Registration:
    def __init__(self, world):
        self.world = world
        self.cluster = Cluster(world, 3, device_heartbeat_s=1)
        self.cloud = self.cluster.cloud
        self.cluster.form()
        self.cluster.add_credentials()
        self.ledger = Ledger(self.cluster)
        self.rng = random.Random(1)
        self.join_token = self.cluster.nodes[0].muster("cluster", "token", "create").strip()

    def audit(self, command):
        lines = self.cluster.call("audit.list", {"limit": 1000})["lines"]
        return [line for line in lines if line["command"] == command]

    def feed(self, count=20):
        self.ledger.submit(self.ledger.reserve(count), self.rng, 0)

    def live(self):
        return [device for device in self.cloud.devices() if device["state"] not in ("gone", "failed")]

    def portal(self, deed):
        self.cloud.post(f"/devices/{self.live()[0]['device_id']}/{deed}", {})

    def wait_code(self, code):
        return wait_for(f"the registration's code is {code!r}", lambda: [
            found for found in [self.cluster.registration()] if found["error_code"] == code], 30)[0]

    # ---- R6, tokens ----

    def machine_mode(self):
        leader, follower = self.cluster.leader(), self.cluster.followers()[0]
        for node, other in ((leader, follower), (follower, leader)):
            for verb in (("enable", "AMERICAS"), ("disable", "--yes"), ("register", "--token-file", "-"),
                         ("deregister", "--yes"), ("deregister", "--forget", "--yes")):
                words = ("registration", *verb)
                helps = "enable AMERICAS" if verb[0] == "enable" else verb[0]
                for mode in ("group", "cluster"):
                    text = node.muster(*words, "--mode", mode, secret="0" * 32, expect=EXIT_REFUSED)
                    check(f"in machine mode only, not in {mode} mode, and you are connected to {node.name}" in text
                          and f"Run on {node.name}: muster registration {helps}" in text, text)
                text = node.muster(*words, "--machine", other.name, secret="0" * 32, expect=EXIT_REFUSED)
                check(f"you are connected to {node.name}, and in machine mode" in text
                      and f"Log in to {other.name} and run there: muster registration {helps}" in text, text)
        check_equal("the state after refusals", self.cluster.registration()["state"], "disabled")

    def refused_tokens(self):
        node = self.cluster.followers()[0]
        node.muster("registration", "enable", "AMERICAS", "--comment", "change 4711")
        lines = self.audit("registration_enable")
        check_equal("comments of the audit", [line["comment"] for line in lines if line["outcome"] == "done"], ["change 4711"])
        self.cloud.post("/tenants/closed", {"disabled": True})
        rows = (({"kind": "unknown"}, "token_invalid"), ({"kind": "expired"}, "token_expired"), ({"kind": "used"}, "token_used"),
                ({"region": "eu"}, "wrong_region"), ({"org": "closed"}, "tenant_disabled"))
        sentences = set()
        for fields, code in rows:
            node.muster(*REGISTER, "--no-wait", secret=self.cloud.registration_token(**fields))
            found = Watch(node).end(EXIT_REFUSED)[-1]
            check_equal(f"code of {fields}", (found["state"], found["error_code"]), ("failed", code))
            sentences.add(found["error"])
        check_equal("sentences", len(sentences), len(rows))
        check_equal("devices after refused tokens", self.live(), [])

    # ---- Registering, watched ----

    def watched(self):
        """The cloud cannot be reached at first; then the reply is lost after the token was used."""
        node = self.cluster.followers()[0]
        self.cloud.fault(family="sse", path="/sim/v1/devices:register", count=2, action="status", status=503)
        self.cloud.fault(family="sse", path="/sim/v1/devices:register", count=1, action="close_after_apply")
        node.muster(*REGISTER, "--no-wait", secret=self.cloud.registration_token())
        lines = Watch(node).end(0)
        check_equal("the last line", lines[-1]["state"], "registered")
        tries = [line["attempt"] for line in lines if line["state"] == "registering"]
        check(tries == sorted(set(tries)) and len(tries) >= 2, f"attempts that were shown: {tries}")
        check(all(line["next_try"] for line in lines if line["error"]), f"lines without a next try: {lines}")
        check(self.cloud.fired() >= 3, "faults did not fire")
        self.cloud.clear_faults()
        check_equal("devices that ever were", len(self.cloud.devices()), 1)
        check_equal("the machine", lines[-1]["machine"], node.name)
        text = self.cluster.leader().muster("registration", "enable", "EUROPE", expect=EXIT_REFUSED)
        check("region cannot be changed" in text, text)
        self.machine = node

    # ---- The portal ----

    def held(self, code):
        self.wait_code(code)
        wait_for("the export holds", lambda: "does not take" in self.cluster.export()["state"], 20)
        self.feed()
        status = self.cluster.leader().status(stale=False)
        check(any("the export holds" in problem["what"] for problem in status["problems"]), f"problems: {status['problems']}")
        check(self.cluster.export()["pending"] >= 20, "records did not wait")
        check_equal("the watch of a device that is not taken", Watch(self.machine).end(EXIT_REFUSED)[-1]["error_code"], code)

    def suspended(self):
        self.feed()
        wait_delivered(self.cluster)
        self.portal("suspend")
        self.held("device_suspended")
        self.portal("resume")
        self.wait_code("")
        wait_delivered(self.cluster)

    def deleted(self):
        self.portal("delete")
        self.held("device_deregistered")
        forget = ("registration", "deregister", "--forget", "--comment", "gone from the portal")
        text = self.machine.muster(*forget, expect=EXIT_USAGE)
        check("--yes" in text, f"forgetting without a yes: {text}")
        check_equal("the state", self.cluster.registration()["state"], "registered")
        self.machine.muster(*forget, "--yes")
        check_equal("comments", [line["comment"] for line in self.audit("registration_forget")], ["gone from the portal"])
        self.cloud.post("/registration", {"certificate_s": 9})
        self.machine.muster(*REGISTER, secret=self.cloud.registration_token())
        self.cloud.post("/registration", {"certificate_s": 0})  # The next one is long.
        wait_delivered(self.cluster)
        check_equal("devices", len(self.live()), 1)

    def renewed(self):
        """Six of nine seconds are over."""
        before = self.cluster.registration()
        wait_for("the certificate is renewed", lambda: self.cluster.registration()["not_after_ms"] > before["not_after_ms"], 30)
        after = self.cluster.registration()
        check_equal("the device", (after["state"], after["device_id"], after["error"]), ("registered", before["device_id"], ""))
        check_equal("renewals that the cloud made", self.live()[0]["renewals"], 1)

    # ---- The end of it ----

    def handed_over(self):
        """The machine leaves, the registration stays."""
        before = self.cluster.registration()
        check_equal("the machine", before["machine"], self.machine.name)
        heir = [node for node in self.cluster.nodes if node is not self.machine][0]
        text = self.machine.muster("cluster", "leave", "--yes", expect=EXIT_REFUSED)
        check("--hand-over" in text, text)
        text = self.machine.muster("cluster", "join", "--token-file", "-", "--yes", secret=self.join_token, expect=EXIT_REFUSED)
        check("in a cluster already" in text and "deregister" not in text, f"a member that joins, registered: {text}")
        self.machine.muster("cluster", "leave", "--hand-over", heir.name, "--yes")
        self.cluster.nodes.remove(self.machine)
        after = self.cluster.registration()
        check_equal("who has it now", after["machine"], heir.name)
        check_equal("the device", (after["device_id"], after["serial"]), (before["device_id"], before["serial"]))
        self.feed()
        wait_delivered(self.cluster)

    def pending(self):
        """The cloud cannot be reached, and the leader dies; the next one ends it."""
        self.cloud.fault(family="sse", method="DELETE", count=1000, action="reset")
        leader = self.cluster.leader()
        leader.muster("registration", "deregister", "--no-wait", "--yes")
        wait_for("the deregistration is pending", lambda: "deregistration pending" in self.cluster.registration()["error"], 30)
        leader.kill()
        self.cloud.clear_faults()
        self.cluster.restart_dead()
        self.cluster.wait_registration("enabled")
        wait_for("the device is gone", lambda: not self.live(), 20)

    def token_stays(self):
        """Without a leader whatever is passed on fails; what is no token is not even passed on."""
        left, leader = self.cluster.followers()[0], self.cluster.leader()
        leader.kill()
        wait_for("nobody leads", lambda: left.status()["leader"] == "" and left.status(), 30)
        text = left.muster(*REGISTER, secret="not a token", expect=EXIT_USAGE)
        check("32 digits" in text, text)
        text = left.muster(*REGISTER, secret=self.join_token, expect=EXIT_USAGE)
        check("32 digits" in text, f"a join token, pasted by mistake: {text}")
        left.muster("--timeout", "2", *REGISTER, secret="0" * 32, expect=EXIT_UNREACHABLE)


def main():
    with World("registration") as world:
        test = Registration(world)
        test.machine_mode()
        test.refused_tokens()
        test.watched()
        test.suspended()
        test.deleted()
        test.renewed()
        test.handed_over()
        test.pending()
        test.token_stays()


if __name__ == "__main__":
    main()
