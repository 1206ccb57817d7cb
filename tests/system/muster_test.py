#!/usr/bin/env python3
"""The `muster` tool against a node that answers by a script: what it prints, where, and its exit
codes. Usage: muster_test.py MUSTER

The node here is an independent reader and writer of the wire: it knows MessagePack-RPC from the
msgpack module and docs/rpc.md, and none of our tables.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import msgpack

FRESH = {"index": 7, "stale": False, "age_ms": 0}
REGISTRATION = {
    "state": "registered", "region": "AMERICAS", "mode": "machine", "machine": "esa1",
    "serial": "A-1", "device_id": "d-1", "tenant": "t", "epoch": 2, "since_ms": 1700000000000,
    "attempt": 1, "next_try_ms": 0, "error_code": "", "error": "", "not_after_ms": 1800000000000,
}
EXPORT = {
    "produced": 1234567, "delivered": 1234500, "pending": 60, "dead_lettered": 5, "discarded": 2,
    "duplicates": 3, "paused": False, "pause_reason": "", "delivered_at_ms": 1700000000000,
    "cloud_pause_until_ms": 0, "cloud_pause_reason": "", "outbox_max": 2000000, "exporter": "esa2",
    "state": "sending", "last_error": "", "bundles_sent": 12, "quota_remaining": 2**64 - 1,
    "freshness": FRESH,
}


def member(name, role, leader=False, itself=False, connected=True, heard=20):
    return {"node_id": 2**62 + len(name), "name": name, "serial": "A-" + name[-1],
            "standing": "member", "role": role, "leader": leader, "self": itself,
            "connected": connected, "version": "0.1.0", "peer_address": "10.0.0.1:7671",
            "rpc_address": "10.0.0.1:7670", "lag": 0, "heard_ms_ago": heard,
            "certificate_not_after_ms": 1800000000000}


STATUS = {
    "cluster_id": "c1", "name": "mail-eu", "standing": "member", "node_name": "esa1",
    "node_id": 2**62 + 1, "leader": "esa2", "term": 7, "quorum": True, "can_lose": 0,
    "commit_index": 99, "applied_index": 99, "last_index": 99, "library": "raft library",
    "version": "0.1.0", "digest": "99:ab",
    "members": [member("esa1", "voter", itself=True), member("esa2", "voter", leader=True),
                member("esa3\x1b[31m", "voter", connected=False, heard=2**64 - 1)],
    "registration": REGISTRATION, "export": EXPORT,
    "problems": [{"what": "esa3 is not reached", "remedy": "Check its power and its network"}],
    "store_used": 4096, "store_max": 2**30, "log_size": 100, "freshness": FRESH,
    "a_field_of_tomorrow": [1, {"x": None}],
}
DONE = {"message": "It is done."}
CREDENTIAL = {"name": "main", "client_id": "client-1", "region": "AMERICAS", "selected": True,
              "verified": True, "verified_at_ms": 1700000000000, "scopes": "casebook", "error": "",
              "put_at_ms": 1700000000000,
              "features": [{"feature": "pivot_menu", "available": False, "missing": "enrich"}]}


class Node:
    """Answers requests by method: a result, an error (a list), or CLOSE."""

    CLOSE = object()

    def __init__(self, folder):
        self.path = os.path.join(folder, "rpc.sock")
        self.answers = {}
        self.seen = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(8)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def answer_of(self, method):
        answer = self.answers.get(method, [2, "no such method"])
        if isinstance(answer, tuple):  # One answer after the other; the last one stays.
            answer, rest = answer[0], answer[1:]
            if rest:
                self.answers[method] = rest
        return answer

    def talk(self, connection):
        unpacker = msgpack.Unpacker(raw=False)
        while True:
            data = connection.recv(65536)
            if not data:
                return
            unpacker.feed(data)
            for kind, number, method, params in unpacker:
                assert kind == 0 and len(params) == 1
                self.seen.append((method, params[0]))
                answer = self.answer_of(method)
                if answer is Node.CLOSE:
                    connection.close()
                    return
                failed = isinstance(answer, list)
                connection.sendall(msgpack.packb(
                    [1, number, answer if failed else None, None if failed else answer]))


class Checker:
    def __init__(self, muster, node, quiet=False):
        self.muster, self.node, self.quiet = muster, node, quiet
        self.failures = self.checks = 0

    def fail(self, name, words):
        self.failures += 1
        if not self.quiet:
            print(f"FAILED {name}: {words}")

    def run(self, name, arguments, code=0, answers=None, stdin="", out=(), err=(), not_out=(),
            environment=None):
        self.checks += 1
        self.node.answers = answers or {}
        self.node.seen = []
        ran = subprocess.run(
            [self.muster, *arguments], input=stdin, text=True, capture_output=True, timeout=60,
            env={**os.environ, "MUSTER_SOCKET": self.node.path, "TZ": "UTC", **(environment or {})},
            start_new_session=True)  # Without a terminal to ask on.
        if ran.returncode != code:
            self.fail(name, f"exit code {ran.returncode}, not {code}: {ran.stderr}{ran.stdout}")
        for words, text, where in [(out, ran.stdout, "stdout"), (err, ran.stderr, "stderr")]:
            for word in words:
                if word not in text:
                    self.fail(name, f"{where} has no {word!r}: {text}")
        for word in not_out:
            if word in ran.stdout + ran.stderr:
                self.fail(name, f"{word!r} is in the output")
        return ran

    def equal(self, name, left, right):
        self.checks += 1
        if left != right:
            self.fail(name, f"{left!r} is not {right!r}")


def check_usage(c):
    for arguments in ([], ["frob"], ["cluster"], ["cluster", "frob"], ["cluster", "init"],
                      ["cluster", "init", "a", "b"], ["status", "-o", "xml"],
                      ["status", "--timeout", "0"], ["status", "--timeout", "x"],
                      ["status", "--nonsense"], ["records", "search", "ip"],
                      ["records", "search", "colour", "red"],
                      ["records", "search", "--since", "yesterday"],
                      ["audit", "list", "--limit", "many"], ["credentials", "add", "x"],
                      ["cluster", "token", "create", "--ttl", "1 week"],
                      ["export", "dead-letters", "retry", "0"],
                      ["export", "dead-letters", "retry", "-1"],
                      ["operator", "add", "../x", "viewer"], ["completion", "tcsh"]):
        c.run("usage: " + " ".join(arguments), arguments, code=2, err=["muster"])
        c.equal("nothing was sent: " + " ".join(arguments), c.node.seen, [])
    for arguments in (["--help"], ["cluster", "--help"], ["cluster", "join", "--help"],
                      ["--version"]):
        c.run("help: " + " ".join(arguments), arguments, out=["muster"])


def check_secrets(c):
    token = "muster1.c2VjcmV0"
    for arguments in (["cluster", "join", token], [token], ["cluster", "join", "--token", token],
                      ["cluster", "join", "--token=" + token],
                      ["registration", "register", "0123456789abcdef0123456789abcdef"],
                      ["cloudserviceconfig", "register", "0123456789abcdef0123456789abcdef"],
                      ["credentials", "add", "main", "hunter2", "--client-id", "x"],
                      ["credentials", "add", "main", "--client-id", "x", "--password=hunter2"]):
        c.run("secret in argv: " + " ".join(arguments), arguments, code=2,
              err=["not taken from the command line", "list of processes"],
              not_out=["hunter2", "c2VjcmV0", "0123456789abcdef"])
        c.equal("nothing was sent", c.node.seen, [])
    c.run("no terminal, no file", ["registration", "register"], code=2, err=["--token-file"])
    c.run("empty secret", ["registration", "register", "--token-file", "-"], stdin=" \n", code=2,
          err=["it is empty"])
    c.run("bad join token", ["cluster", "join", "--yes", "--token-file", "-"], code=2,
          stdin="muster1.AAAA\n", err=["the end is missing"])
    c.run("password from stdin", ["credentials", "add", "main", "--client-id", "client-1",
                                  "--password-file", "-"], stdin="  hunter2\n",
          answers={"credentials.add": CREDENTIAL}, out=["client-1", "missing scopes: enrich"],
          not_out=["hunter2"])
    c.equal("it was sent", c.node.seen[0][1]["password"], "hunter2")


def check_errors(c):
    rows = [([1, "bad"], 2, "invalid: bad"), ([3, "no x"], 3, "not found: no x"),
            ([4, "no"], 5, "not authorised"), ([5, "1 of 3"], 4, "no quorum: 1 of 3"),
            ([6, "away"], 4, "not reachable"), ([7, "lost"], 6, "outcome unknown"),
            ([8, "full"], 1, "busy"), ([9, "late"], 4, "no answer in time"), ([10, "disk"], 1, ""),
            ([11, "bug"], 1, ""), ([999, "new"], 1, "new"),
            ([1005, "[registered] node b is registered\nDeregister it first"], 3,
             "muster: refused: node b is registered\n  what helps: Deregister it first\n")]
    for answer, code, words in rows:
        c.run(f"error {answer[0]}", ["registration", "status"], code=code,
              answers={"registration.status": answer}, err=[words], not_out=["[registered]"])
    ran = c.run("error as JSON", ["registration", "status", "-o", "json"], code=3,
                answers={"registration.status": rows[-1][0]})
    error = json.loads(ran.stderr)
    c.equal("its fields", (error["code"], error["name"], error["message"], error["remedy"]),
            (1005, "registered", "node b is registered", "Deregister it first"))
    c.run("no node", ["status", "--socket", "/nonexistent/s"], code=4, err=["systemctl"])
    c.run("answer lost", ["export", "resume"], code=6, answers={"export.resume": Node.CLOSE},
          err=["before you repeat"])
    c.run("control characters in an error", ["status"], code=1,
          answers={"cluster.status": [11, "a\x1b[2Jb\u009bc"]}, not_out=["\x1b", "\u009b"])


def check_views(c):
    answers = {"cluster.status": STATUS, "registration.status": REGISTRATION,
               "export.status": EXPORT, "credentials.list": {"credentials": [CREDENTIAL],
                                                             "freshness": FRESH}}
    c.run("status", ["status"], answers=answers, not_out=["\x1b"],
          out=["mail-eu", "esa2, term 7", "no voter may fail", "registered, region AMERICAS",
               "1,234,567 produced = 1,234,500 delivered + 60 pending + 5 dead letters + 2 "
               "discarded", "What is wrong", "Check its power", "NOT REACHED", "never"])
    ran = c.run("status as JSON", ["-o", "json", "cluster", "status"], answers=answers)
    status = json.loads(ran.stdout)
    c.equal("node id", status["members"][0]["node_id"], str(2**62 + 4))
    c.equal("time", status["registration"]["since"], "2023-11-14T22:13:20.000Z")
    c.equal("unknown", status["export"]["quota_remaining"], None)
    c.equal("unknown fields are left out", "a_field_of_tomorrow" in status, False)
    c.run("stale", ["cluster", "status", "--stale", "--comment", "looking", "--timeout", "3"],
          answers=answers)
    c.equal("options", {k: c.node.seen[0][1].get(k) for k in ("stale", "comment", "deadline_ms")},
            {"stale": True, "comment": "looking", "deadline_ms": 3000})
    for command in ("registration status", "cloudserviceconfig status"):
        c.run(command, command.split(), answers=answers, out=["2023-11-14 22:13:20", "AMERICAS"])
    c.run("export", ["export", "status"], answers=answers, out=["calls left", "calls an hour at most   ?"])
    c.run("credentials", ["credentials", "list"], answers=answers,
          out=["client-1", "yes", "main\n  pivot menu: not available; missing scopes: enrich"])
    c.run("empty list", ["export", "dead-letters", "list"], out=["no dead letters"],
          answers={"export.dead_letters": {}})
    c.run("incomplete answer", ["registration", "status"], code=1,
          answers={"registration.status": {"state": "registered"}}, err=["registration"])


def check_doctor(c):
    """What the tool itself makes of the cluster: quota, feed, versions, problems; and the exit code by the worst."""
    now_ms = int(time.time() * 1000)
    hour_ms = 3600000

    def run(name, code, words, export=None, stored_ago_ms=1000, lag_ms=1000, own="ok", **status):
        record = {"sequence": 1, "fate": "delivered", "external_id": "x", "stored_at_ms": now_ms - stored_ago_ms,
                  "record": {"serial": "S", "mid": 1, "revision": 1, "start_ms": 1, "disposition": "delivered",
                             "last_ms": now_ms - stored_ago_ms - (lag_ms or 0)}}
        finding = {"group": "disk", "subject": "space", "verdict": own, "code": "x", "what": "w", "remedy": "" if own == "ok" else "r"}
        answers = {"node.check": {"name": "esa1", "findings": [finding], "took_ms": 5},
                   "cluster.status": {**STATUS, "problems": [], "export": {**EXPORT, **(export or {})}, **status},
                   "records.search": {"records": [record] if lag_ms is not None else [], "more": False, "freshness": FRESH}}
        found = json.loads(c.run(name, ["-o", "json", "doctor"], code=code, answers=answers).stdout)["findings"]
        for subject, verdict, kind, text in words:
            seen = [f for f in found if (f["subject"], f["verdict"], f["code"]) == (subject, verdict, kind) and text in f["what"]]
            c.equal(f"{name}: {subject} in {found}", len(seen), 1)
        c.equal(f"{name}: remedies", [f for f in found if (f["verdict"] == "ok") != (f["remedy"] == "")], [])

    run("all is well", 0, [("quorum", "ok", "ok", "esa2 leads"), ("members", "ok", "ok", "of one version"), ("feed", "ok", "ok", "after its message"),
                           ("quota", "ok", "ok", "the cloud does not say how many are left")])
    run("calls left", 0, [("quota", "ok", "ok", "800 calls are left")], {"quota_remaining": 800})
    run("few calls left", 7, [("quota", "warning", "quota-low", "799 calls are left")], {"quota_remaining": 799})
    run("calls made", 0, [("quota", "ok", "ok", "7199 calls in the last hour by this cluster, of 8,000")],
        {"calls_last_hour": 7199, "quota_limit": 8000})
    run("many calls made", 7, [("quota", "warning", "quota-low", "7200 calls")], {"calls_last_hour": 7200, "quota_limit": 8000})
    run("a pause", 7, [("quota", "warning", "paused", "the cloud is left alone until")], {"cloud_pause_until_ms": now_ms + hour_ms})
    run("a pause that is over", 0, [("quota", "ok", "ok", "")], {"cloud_pause_until_ms": now_ms - hour_ms})
    run("no record", 7, [("feed", "warning", "no-records", "")], lag_ms=None)
    run("late records", 7, [("feed", "warning", "feed-lag", "11 min after its message")], lag_ms=660000)
    run("no records any more", 7, [("feed", "warning", "feed-silent", "")], stored_ago_ms=25 * hour_ms)
    run("another version", 7, [("tool", "warning", "version", "the node that answers is 0.0.9")], version="0.0.9")
    problem = {"what": "esa3 is not reached", "remedy": "Check it", "about": "members"}
    run("a problem", 7, [("members", "warning", "problem", "esa3 is not reached")], problems=[problem])
    run("a severe problem", 1, [("members", "failure", "problem", "")], problems=[{**problem, "severe": True}])
    run("the node's own", 7, [("space", "warning", "x", "w")], own="warning")
    run("the worst of both", 1, [("space", "failure", "x", "w"), ("quota", "warning", "quota-low", "")], {"quota_remaining": 0}, own="failure")


def check_changes(c):
    answers = {m: DONE for m in ("cluster.leave", "cluster.remove", "registration.disable",
                                 "credentials.remove", "operator.remove", "export.discard",
                                 "cluster.token.revoke", "registration.enable")}
    for command in ("cluster leave", "cluster remove esa3", "registration disable",
                    "registration deregister", "credentials remove main", "operator remove eve",
                    "export dead-letters discard all", "cluster token revoke 0011"):
        c.run("needs a yes: " + command, command.split(), code=2, answers=answers, err=["--yes"])
        c.equal("nothing was sent: " + command, c.node.seen, [])
        if command == "cluster leave":
            alone = {**STATUS, "standing": "standalone"}
            c.run("leaves", command.split() + ["--yes"], out=["It is done."], err=["Waiting for the node to come back"],
                  answers={**answers, "cluster.status": (STATUS, Node.CLOSE, alone)})
        elif command != "registration deregister":
            c.run("with --yes: " + command, command.split() + ["--yes"], answers=answers,
                  out=["It is done."])
    c.run("settrs", ["cloudserviceconfig", "settrs", "EUROPE"], answers=answers)
    c.equal("is enable", c.node.seen, [("registration.enable", {"region": "EUROPE"})])
    c.run("discard all", ["export", "dead-letters", "discard", "all", "--yes"], answers=answers)
    c.equal("is 0", c.node.seen[0][1].get("sequence", 0), 0)


def check_waiting(c, folder):
    moving = {**REGISTRATION, "state": "registering", "attempt": 2, "error": "try again",
              "next_try_ms": 1700000005000}
    failed = {**REGISTRATION, "state": "failed", "error": "the token expired"}
    token = "0123456789abcdef0123456789abcdef"
    arguments = ["registration", "register", "--token-file", "-"]
    c.run("register and wait", arguments, stdin=token, out=["registered"],
          err=["registering since", "attempt 2", "try again"], not_out=[token],
          answers={"registration.register": moving,
                   "registration.status": (moving, [6, "no leader"], REGISTRATION)})
    c.run("register fails", arguments, stdin=token, code=1, out=["the token expired"],
          answers={"registration.register": moving, "registration.status": failed})
    c.run("register and go", arguments + ["--no-wait"], stdin=token, out=["registering"],
          answers={"registration.register": moving})
    c.run("patience ends", arguments + ["--timeout", "1"], stdin=token, code=6,
          err=["still under way"],
          answers={"registration.register": moving, "registration.status": moving})

    join_token = os.path.join(folder, "token")
    with open(join_token, "w", encoding="ascii") as file:
        file.write(make_join_token())
    os.chmod(join_token, 0o600)
    arguments = ["cluster", "join", "--token-file", join_token, "--yes"]
    problem = {"what": "This node is registered", "remedy": "muster registration deregister"}
    joined = {"check": False, "cluster": "mail-eu", "message": ""}
    c.run("check finds", arguments + ["--check"], code=3, out=["This node is registered",
                                                               "registration deregister"],
          answers={"cluster.join": {**joined, "check": True, "problems": [problem]}})
    c.run("check finds nothing", arguments + ["--check"], out=["would join mail-eu"],
          answers={"cluster.join": {**joined, "check": True}})
    c.run("join", arguments, out=["is a member of mail-eu"], err=["is joining"],
          answers={"cluster.join": joined,
                   "cluster.status": ({**STATUS, "standing": "joining"}, STATUS)})
    c.run("join over a restart", arguments, out=["is a member of mail-eu"],
          err=["Waiting for the node", "is joining"],
          answers={"cluster.join": Node.CLOSE,
                   "cluster.status": (Node.CLOSE, {**STATUS, "standing": "joining"}, STATUS)})
    life = {"lineage": "lineage-1", "folder": "/var/lib/muster/lineage-1", "state": "looking", "saved_at_ms": 1,
            "undelivered": 30, "given": 0}
    c.run("own records kept aside", arguments, out=["is a member of mail-eu"],
          err=["30 of its own records", "/var/lib/muster/lineage-1", "muster node saved submit"],
          answers={"cluster.join": joined, "cluster.status": STATUS,
                   "node.saved.list": ({"lives": [life]}, {"lives": [{**life, "state": "kept"}]})})
    c.run("own records submitted", arguments + ["--keep-records"], out=["is a member of mail-eu"],
          err=["10 of 30 submitted", "All 30"],
          answers={"cluster.join": joined, "cluster.status": STATUS,
                   "node.saved.list": ({"lives": [{**life, "state": "submitting", "given": 10}]},
                                       {"lives": [{**life, "state": "submitted", "given": 30}]})})
    discarded = {"cluster": "mail-eu", "reason": "removed", "items": ["its copy of 5 records"], "message": "reset"}
    c.run("reset says first", ["cluster", "reset", "--yes"], out=["reset"], err=["removed", "its copy of 5 records"],
          answers={"cluster.reset": discarded, "cluster.status": {**STATUS, "standing": "standalone"}})
    c.run("reset asks", ["cluster", "reset"], code=2, err=["its copy of 5 records", "--yes"],
          answers={"cluster.reset": discarded})
    c.run("join undone", arguments, code=3, err=["was undone"],
          answers={"cluster.join": Node.CLOSE,
                   "cluster.status": ({**STATUS, "standing": "joining"},
                                      {**STATUS, "standing": "standalone"})})


def make_join_token():
    import base64
    body = b"\1" * 8 + b"\2" * 32 + b"\3" * 32 + b"\4" * 16 + bytes([11]) + b"10.0.0.1:99"
    crc = 0xFFFFFFFF
    for byte in body:  # CRC-32C, bit by bit.
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    body += (crc ^ 0xFFFFFFFF).to_bytes(4, "big")
    return "muster1." + base64.urlsafe_b64encode(body).decode().rstrip("=") + "\n"


def check_operator(c, folder):
    added = {"certificate": "CERT\n", "key": "KEY\n", "not_after_ms": 1800000000000}
    arguments = ["operator", "add", "eve", "viewer", "--directory", folder]
    c.run("operator add", arguments, answers={"operator.add": added}, out=["eve.crt"],
          not_out=["KEY\n"])
    c.equal("key file", oct(os.stat(os.path.join(folder, "eve.key")).st_mode & 0o777), "0o600")
    c.run("never over a file", arguments, code=2, answers={"operator.add": added})
    c.equal("nothing was sent", c.node.seen, [])


def check_terminal(c):
    """On a terminal: colours, and a secret that is asked for without echo."""
    c.node.answers = {"cluster.status": STATUS, "registration.register": REGISTRATION}

    def run(arguments, typed, environment):
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.update({"MUSTER_SOCKET": c.node.path, "TERM": "xterm", **environment})
            os.execv(c.muster, [c.muster, *arguments])
        out = b""
        while select.select([terminal], [], [], 20)[0]:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                data = b""
            if not data:
                break
            out += data
            if typed and typed[0][0] in out:
                os.write(terminal, typed.pop(0)[1])
        else:
            os.kill(pid, signal.SIGKILL)  # It waits for something that nobody types.
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), out

    code, out = run(["status"], [], {"NO_COLOR": ""})
    c.equal("colours", (code, b"\x1b[" in out, b"esa3\x1b" in out), (0, True, False))
    code, out = run(["status"], [], {"NO_COLOR": "1"})
    c.equal("NO_COLOR", (code, b"\x1b[" in out), (0, False))
    token = b"fedcba9876543210fedcba9876543210"
    code, out = run(["registration", "register"], [(b"token: ", token + b"\n")], {})
    c.equal("prompt", (code, token in out, b"AMERICAS" in out), (0, False, True))
    c.equal("token", c.node.seen[-1][1]["token"], token.decode())
    code, out = run(["cluster", "leave"], [(b"[yes/no] ", b"no\n")], {})
    c.equal("no", (code, b"nothing was changed" in out), (1, True))


def main():
    with tempfile.TemporaryDirectory(prefix="muster-test-") as folder:
        checker = Checker(sys.argv[1], Node(folder))
        check_usage(checker)
        check_secrets(checker)
        check_errors(checker)
        check_views(checker)
        check_doctor(checker)
        check_changes(checker)
        check_waiting(checker, folder)
        check_operator(checker, folder)
        check_terminal(checker)
        # A checker nobody has seen fail is decoration: these must fail.
        bad = Checker(checker.muster, checker.node, quiet=True)
        bad.run("must fail", ["--version"], code=1, out=["nonsense"], not_out=["muster"])
        bad.equal("must fail", 1, 2)
        checker.equal("the checker can fail", bad.failures, 4)
        print(f"{checker.checks} checks, {checker.failures} failed")
        return checker.failures > 0


if __name__ == "__main__":
    sys.exit(main())
