#!/usr/bin/env python3
"""Joining when something else happens at once, what becomes of the joiner's own records, and reset.

Each race is run on real processes, both sides at the same moment; whoever wins, one side only does.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import os
import pty
import select
import socket
import ssl
import subprocess
import sys
import threading
import time

from forged_join_test import openssl
from muster_cluster import PASSING, Cluster, Node, World
from muster_fault import Mortal
from muster_ledger import check_replicas, external_id, record
from muster_rpc import RpcError
from muster_wait import Failure, check, check_equal, wait_for

OWN_RECORDS = 1200


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return (crc ^ 0xFFFFFFFF).to_bytes(4, "big")


def token_bytes(token):
    return base64.urlsafe_b64decode(token[len("muster1."):] + "==")


def at_once(*acts):
    """All at the same moment, each in a thread; what each gave, or the error it raised."""
    results = [None] * len(acts)
    barrier = threading.Barrier(len(acts))

    def run(i):
        barrier.wait()
        try:
            results[i] = acts[i]()
        except (RpcError, *PASSING) as problem:
            results[i] = problem
    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class Imposter:
    """Listens where the cluster should, with a certificate of its own, and keeps what it is told."""

    def __init__(self, world):
        key, certificate = (os.path.join(world.directory, f"imposter.{kind}") for kind in ("key", "crt"))
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
                "-out", certificate, "-subj", "/CN=imposter", "-days", "2")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.heard = b""
        self.connections = 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                plain, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            try:
                with self.context.wrap_socket(plain, server_side=True) as stream:
                    self.heard += stream.recv(65536)
            except OSError:
                pass


class Admission:
    def __init__(self, world):
        self.world = world
        self.cluster = Cluster(world, 3, join_timeout_s=5)
        self.cluster.form()
        self.cluster_id = self.cluster.nodes[0].status()["cluster_id"]

    def node(self, name, kind=Node, **settings):
        node = kind(self.world, name, self.cluster.cloud, join_timeout_s=5, **settings)
        node.start()
        self.lead(node)
        return node

    @staticmethod
    def lead(node):
        def leads():
            node.check_alive()
            status = node.status(stale=False)
            return status["standing"] == "standalone" and status["leader"] == node.settings["name"]
        wait_for(f"{node.name} is standalone and leads itself", leads, 40, PASSING)

    def token(self, *arguments):
        return self.cluster.leader().muster("cluster", "token", "create", *arguments).strip()

    def listed(self):
        members = self.cluster.call("cluster.members")["members"]
        return [(member["name"], member["standing"]) for member in members if member["standing"] != "removed"]

    def settle(self, *nodes):
        """Each is a member and listed, or standalone and not; gives who are members."""
        def settled():
            listed = dict(self.listed())
            for node in nodes:
                node.check_alive()
                standing = node.status()["standing"]
                if (standing, listed.get(node.name)) not in (("member", "member"), ("standalone", None)):
                    return None
            return [[node for node in nodes if node.name in listed]]
        return wait_for(f"{[node.name for node in nodes]} are settled", settled, 60, PASSING)[0]

    @staticmethod
    def join(node, token, **params):
        return node.call("cluster.join", {"token": token, **params}, 60)

    def leave(self, *nodes):
        for node in nodes:
            node.muster("cluster", "leave", "--yes")
            self.lead(node)

    # ---- The token ----

    def ready_command(self):
        """On a terminal the token comes as a command; pasted on the other node, it joins it. Elsewhere it is the token
        alone, so that a script can hand it on."""
        leader = self.cluster.leader()
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(self.world.program("muster"), ["muster", "--socket", leader.socket, "cluster", "token", "create"],
                      self.world.environment())
        text = b""
        while select.select([terminal], [], [], 20)[0]:
            try:
                part = os.read(terminal, 4096)
            except OSError:
                break
            if not part:
                break
            text += part
        os.close(terminal)
        check_equal("exit of token create", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        lines = text.decode().replace("\r", "").split("\n")
        start = [i for i, line in enumerate(lines) if line.startswith(" muster cluster join")]  # Not for the history.
        check(len(start) == 1, f"no ready command: {lines}")
        command = "\n".join(lines[start[0]:start[0] + 3]) + "\n"
        check("muster1." not in lines[start[0]], f"the token is an argument: {command}")
        d = self.node("d")
        folder = os.path.dirname(self.world.program("muster"))
        done = subprocess.run(["sh"], input=command.replace("muster cluster", f"muster --socket {d.socket} cluster", 1),
                              capture_output=True, text=True, check=False, timeout=90,
                              env={**self.world.environment(), "PATH": f"{folder}:{os.environ['PATH']}"})
        check(done.returncode == 0, f"the ready command: {done.returncode} {done.stdout}{done.stderr}")
        check("could not be asked" in done.stderr, f"nothing says that the cloud could not be asked: {done.stderr}")
        check_equal("who joined", self.settle(d), [d])
        audit = [line for line in self.cluster.call("audit.list", {"limit": 1000})["lines"]
                 if line["command"] == "member_admit"]
        check("could not be asked" in audit[-1]["target"], f"the audit does not say so: {audit[-1]}")
        token = self.cluster.call("cluster.token.list")["tokens"][0]
        check_equal("a token's life by default", token["expires_at_ms"] - token["created_at_ms"] <= 3600000, True)
        self.leave(d)
        self.d = d

    def imposters(self):
        """Neither a false CA nor another cluster behind the right one gets the secret, or a node."""
        token = token_bytes(self.token())
        imposter = Imposter(self.world)
        address = imposter.address.encode()

        def forge(cluster_id, *addresses):
            body = token[:72] + cluster_id + b"".join(bytes([len(where)]) + where for where in addresses)
            return "muster1." + base64.urlsafe_b64encode(body + crc32c(body)).decode().rstrip("=")
        check_equal("the cluster's id in its token", token[72:88].hex(), self.cluster_id)
        gone = f"127.0.0.1:{self.world.free_port()}".encode()
        for count, addresses in enumerate(((address,), (address, gone), (gone, address)), 1):
            self.lead(self.d)  # Whoever did not answer besides hides nothing.
            text = self.d.muster("cluster", "join", "--yes", "--token-file", "-", secret=forge(token[72:88], *addresses), expect=4)
            check(all(words in text for words in (imposter.address, "another one than was expected", "nothing secret was sent",
                                                  "Check that address", "a new token")), f"of a false CA: {text}")
            check("root" not in text, f"a false CA is taken for a lack of rights: {text}")
            wait_for("somebody connected to the imposter", lambda count=count: imposter.connections >= count)
        check_equal(f"what the imposter heard ({text})", imposter.heard, b"")
        checked = self.d.muster("cluster", "join", "--check", "--token-file", "-", secret=forge(token[72:88], address), expect=4)
        check("nothing secret was sent" in checked, f"of a false CA, checked: {checked}")
        imposter.socket.close()
        self.lead(self.d)
        real = self.cluster.leader().settings["rpc_listen"].encode()
        error = at_once(lambda: self.join(self.d, forge(bytes(16), real)))[0]
        check("another cluster" in str(error), f"a token that names another cluster: {error}")
        check_equal("who is a member", self.settle(self.d), [])

    # ---- Two at once ----

    def one_token_twice(self):
        self.e = self.node("e")
        token = self.token()
        at_once(lambda: self.join(self.d, token), lambda: self.join(self.e, token))
        winners = self.settle(self.d, self.e)
        check_equal(f"who joined with one token: {[node.name for node in winners]}", len(winners), 1)
        self.leave(*winners)

    def twins(self, folders, **settings):
        """Two nodes that are configured alike, but for their addresses, with records of their own."""
        nodes = []
        for folder in folders:
            node = Node(self.world, folder, self.cluster.cloud, join_timeout_s=5)
            node.settings.update(settings)
            node.start()
            self.lead(node)
            self.own_records(node, f"OWN-{folder}", 3)
            nodes.append(node)
        return nodes

    def race(self, nodes, reason, remedy):
        """They join at the same moment, each with a token: one does, the other is told, and is as it was. (winner, loser,
        its token)"""
        tokens = [self.token(), self.token()]
        lives = [os.listdir(node.data) for node in nodes]
        results = at_once(*[lambda i=i: self.join(nodes[i], tokens[i]) for i in range(2)])
        won = [isinstance(result, dict) for result in results]
        check_equal(f"who was admitted: {results}", sorted(won), [False, True])
        at = won.index(False)
        loser, winner, error = nodes[at], nodes[1 - at], str(results[at])
        check(reason in error and remedy in error, f"the reason or what helps is not said: {error}")
        self.cluster.wait_member(winner)
        self.lead(loser)
        names = [name for name, _ in self.listed()]
        check_equal("members of this name", names.count(winner.settings["name"]), 1)
        check_equal("the loser's lives", sorted(os.listdir(loser.data)), sorted(lives[at]))
        check_equal("the loser's own records", loser.call("export.status")["pending"], 3)
        return winner, loser, tokens[at]

    def one_name_twice(self):
        """The loser keeps its token, and joins with it under another name."""
        winner, loser, token = self.race(self.twins("vw", name="twin"), "[name_exists]", "option `name`")
        loser.stop()
        loser.settings["name"] = "other"
        loser.start()
        self.lead(loser)
        self.join(loser, token)
        self.cluster.wait_member(loser)
        check({("twin", "member"), ("other", "member")} <= set(self.listed()), f"members: {self.listed()}")
        for node in (winner, loser):
            self.leave(node)
            node.stop()

    def one_serial_twice(self):
        """It is no other node by another name. Once the winner has left, the loser joins."""
        winner, loser, token = self.race(self.twins("tu", serial="42TWIN"), "[serial_exists]", "muster cluster remove")
        self.leave(winner)
        self.join(loser, token)
        check_equal("who joined when the other had left", self.settle(winner, loser), [loser])
        self.leave(loser)
        for node in (winner, loser):
            node.stop()

    def register_and_join(self):
        """On the joiner, at the same moment: a member that is registered on its own must never come of it."""
        self.d.muster("registration", "enable", "AMERICAS")
        for _ in range(2):
            cloud_token, token = self.cluster.cloud.registration_token(), self.token()
            at_once(lambda: self.join(self.d, token),
                    lambda: self.d.call("registration.register", {"token": cloud_token}))
            joined = self.settle(self.d)
            devices = [device for device in self.cluster.cloud.devices() if device["serial"] == self.d.serial
                       and device["state"] != "gone"]
            check(not (joined and devices), f"a member, and registered on its own: {devices}")
            if joined:
                self.leave(self.d)
                self.d.muster("registration", "enable", "AMERICAS")
                continue
            wait_for("the registration is settled",
                     lambda: self.d.call("registration.status")["state"] in ("registered", "enabled"), 30, PASSING)
            if self.d.call("registration.status")["state"] == "registered":
                self.d.muster("registration", "deregister", "--yes")

    def leader_changes(self):
        """The join is admitted by one leader, or refused without a trace; the next goes on with it."""
        for _ in range(2):
            leader, token = self.cluster.leader(), self.token()
            at_once(lambda: self.join(self.d, token), lambda: leader.call("cluster.transfer", {"name": ""}))
            if self.settle(self.d):
                self.leave(self.d)

    # ---- Own records ----

    def own_records(self, node, serial, count, first=1):
        for at in range(first, first + count, 200):
            node.call("records.submit", {"feed": "own", "records": [
                record(serial, mid) for mid in range(at, min(at + 200, first + count))]})

    def found(self, serial, mid):
        rows = self.cluster.leader().call("records.search", {"key": "mid", "value": str(mid)}).get("records", [])
        return [row for row in rows if row["record"]["serial"] == serial]

    def keep_records(self):
        """Submitted to the cluster, each once, though the joiner is killed after batches were taken."""
        f = self.node("f", Mortal)
        self.own_records(f, "OWN-F", OWN_RECORDS)
        produced = self.cluster.export()["produced"]
        deaths = []

        def on_death(_node, point):
            deaths.append(point)
            if len(deaths) < 2:
                f.arm("saved.taken", 0)
        f.on_death = on_death
        f.arm("saved.taken", 0)
        said = self.join(f, self.token(), keep_records=True)
        check_equal("undelivered records that the answer counts", said["undelivered"], OWN_RECORDS)
        check(os.path.isdir(said["saved"]), f"the path that is said: {said}")

        def submitted():
            f.check_alive()
            lives = f.call("node.saved.list").get("lives", [])
            return [life["state"] for life in lives] == ["submitted"] and lives
        life = wait_for("all are submitted", submitted, 60, PASSING)[0]
        check_equal("records of the saved life", (life["undelivered"], life["folder"]), (OWN_RECORDS, said["saved"]))
        check_equal("deaths", deaths, ["saved.taken"] * 2)
        check_equal("records that the cluster took", self.cluster.export()["produced"] - produced, OWN_RECORDS)
        for mid in (1, OWN_RECORDS // 2, OWN_RECORDS):
            rows = self.found("OWN-F", mid)
            check_equal(f"record {mid} in the cluster", [row["external_id"] for row in rows],
                        [external_id(self.cluster_id, "OWN-F", mid, 1)])
        wait_for("status speaks of them no more", lambda: not [
            problem for problem in f.status(stale=False).get("problems", []) if "before f" in problem["what"]], 30, PASSING)
        self.settle(f)
        self.f = f

    def saved_aside(self):
        """Without the flag they stay in a folder that is said, until somebody decides; and there are never many."""
        self.own_records(self.d, "OWN-D", 30)
        code, out, err = self.world.muster(self.d, "cluster", "join", "--yes", "--token-file", "-", secret=self.token())
        check(code == 0, f"join: {code} {out}{err}")
        life = self.d.call("node.saved.list")["lives"][-1]
        check(life["folder"] in err and "30 of its own records" in err, f"the path is not said: {err}")
        check_equal("what is kept", (life["state"], life["undelivered"]), ("kept", 30))
        check_equal("in the cluster", self.found("OWN-D", 7), [])
        wait_for("status says so, whoever is asked", lambda: [
            problem for problem in self.cluster.nodes[0].status(stale=False).get("problems", [])
            if "30 records from before d joined" in problem["what"]], 30, PASSING)
        self.leave(self.d)
        self.own_records(self.d, "OWN-D", 5, 101)
        self.join(self.d, self.token())
        self.settle(self.d)

        def lives():
            found = self.d.call("node.saved.list").get("lives", [])
            return found if all(life["state"] != "looking" for life in found) else None
        found = wait_for("the lives are looked at", lives, 30, PASSING)
        check_equal("what is kept of two lives", [entry["undelivered"] for entry in found], [30, 5])
        self.d.muster("node", "saved", "discard", found[1]["lineage"], "--yes")
        self.d.muster("node", "saved", "submit")
        wait_for("the older one is submitted", lambda: [e["state"] for e in self.d.call("node.saved.list")["lives"]]
                 == ["submitted"], 30, PASSING)
        check(self.found("OWN-D", 7) and not self.found("OWN-D", 101), "the wrong records were submitted")
        folders = [name for name in os.listdir(self.d.data) if name.startswith("lineage-")]
        check_equal("folders", len(folders), 2)

    # ---- Reset ----

    def reset(self):
        """Removed while it was down; one command makes it standalone, and it joins again."""
        refused = self.f.muster("cluster", "reset", "--yes", expect=3)
        check("has not removed this node" in refused, f"a member was reset: {refused}")
        self.f.on_death = lambda node, point: None
        self.f.kill()
        wait_for("f is removed", lambda: self.cluster.leader().muster("cluster", "remove", "f", "--force", "--yes") or True,
                 30, Failure)
        self.f.start()
        wait_for("f knows", lambda: self.f.status()["standing"] == "removed", 30, PASSING)
        told = self.f.muster("cluster", "reset", "--check")
        check("nothing was changed" in told, f"reset --check: {told}")
        self.f.muster("cluster", "reset", "--yes")
        self.lead(self.f)
        self.join(self.f, self.token())
        check_equal("who joined after a reset", self.settle(self.f), [self.f])

    STEPS = (ready_command, imposters, one_token_twice, one_name_twice, one_serial_twice, register_and_join, leader_changes,
             keep_records, saved_aside, reset)


def main():
    with World("admission") as world:
        admission = Admission(world)
        for step in Admission.STEPS:
            began = time.monotonic()
            step(admission)
            print(f"{step.__name__}: as it must be, {time.monotonic() - began:.1f} s", flush=True)
        admission.cluster.nodes += [admission.d, admission.f]
        check_replicas(admission.cluster)
        print("admission_test: passed")


if __name__ == "__main__":
    sys.exit(main())
