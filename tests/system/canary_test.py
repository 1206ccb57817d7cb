#!/usr/bin/env python3
"""Secrets are planted, the whole main job is done, and then they are looked for everywhere.

A client password, registration tokens and join tokens go in; standalone, join, registration, export,
snapshot, rotation of the cluster key, removal, restart and change of leader happen; then every file that
any program wrote, every argument list that any process had, and everything that the tool said, errors
included, is searched for them, in clear, in base64 at every alignment and in hex, and for the PEM header of
any private key. So is the memory of each musterd that a core would hold: what is neither locked away nor
wiped after use is found there. The search itself is shown to find each of these where it is planted on
purpose.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import os
import resource
import signal
import threading

from muster_cluster import PASSING, Cluster, World
from muster_ledger import Ledger, check_replicas, wait_delivered
from muster_wait import Failure, check, check_equal, wait_for

PASSWORD = "Kanarienvogel-7f3a91c2-client-password"
PEM_WORDS = [b"PRIVATE KEY-----"]


def spellings(secret):
    """The ways in which a secret may stand in a file."""
    found = {secret, secret.hex().encode(), secret.hex().upper().encode()}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            # The digits at both ends depend on the neighbours; those between do not.
            digits = encode(bytes(shift) + secret).rstrip(b"=")
            found.add(digits[(0, 2, 3)[shift]:-1])
    return found


class Search:
    def __init__(self):
        self.needles = {}  # bytes: what it is

    def plant(self, name, secret):
        for spelling in spellings(secret):
            self.needles[spelling] = name

    def of(self, data):
        return sorted({name for needle, name in self.needles.items() if needle in data})

    def of_file(self, path):
        with open(path, "rb") as file:
            data = file.read()
        names = self.of(data)
        if any(word in data for word in PEM_WORDS):
            names.append("a private key in PEM")
        return names

    def of_tree(self, directory):
        found = []
        for folder, _, names in os.walk(directory):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path):
                    found += [f"{what} in {path}" for what in self.of_file(path)]
        return found


def dumped_memory(pid):
    """The memory that a core of the process would hold: private pages that are not left out of dumps (dd)."""
    found, area, size, held = [], None, 0, 0
    with open(f"/proc/{pid}/smaps") as file:
        for line in file:
            word, *rest = line.split()
            if "-" in word and not word.endswith(":"):
                area = [int(end, 16) for end in word.split("-")]
                readable = rest[0].startswith("r")
            elif word == "Anonymous:":
                held = int(rest[0])
            elif word == "VmFlags:" and readable and held > 0 and "dd" not in rest:
                found.append(area)
    pieces = []
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for start, end in found:
            try:
                memory.seek(start)
                size = end - start
                while size > 0:
                    piece = memory.read(min(size, 1 << 26))
                    if not piece:
                        break
                    pieces.append(piece)
                    size -= len(piece)
            except OSError:
                continue
    return b"\0".join(pieces)


def check_no_core(node):
    """Whoever may write cores elsewhere: a musterd that is killed as by a crash leaves none."""
    node.must_live = False
    node.process.send_signal(signal.SIGABRT)
    node.process.wait()
    check_equal(f"{node.name} ended by", node.process.returncode, -signal.SIGABRT)
    cores = [name for folder in (node.directory, node.data, os.getcwd()) for name in os.listdir(folder)
             if name == "core" or name.startswith("core.")]
    check(not cores, f"cores: {cores}")
    with open(node.log) as file:
        check("memory for secrets cannot be locked" not in file.read(), "secrets are not locked in this test")


class Watcher:
    """Looks at the arguments and the environment of all processes while the test runs."""

    def __init__(self):
        self.seen = {}
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def look(self):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            if int(pid) == os.getpid():
                continue
            for name in ("cmdline", "environ"):
                try:
                    with open(f"/proc/{pid}/{name}", "rb") as file:
                        data = file.read()
                except OSError:
                    continue
                if data:
                    self.seen[data] = f"{name} of process {pid}"

    def run(self):
        while not self.stopping.is_set():
            self.look()
            self.stopping.wait(0.005)

    def stop(self):
        self.stopping.set()
        self.thread.join()


def test_search(world):
    """The search finds what is planted in a log, in each spelling, and nothing where nothing is."""
    secret = b"planted-on-purpose-0123456789"
    search = Search()
    search.plant("the plant", secret)
    folder = os.path.join(world.directory, "planted")
    os.mkdir(folder)
    log = os.path.join(folder, "some.log")
    plants = [secret, secret.hex().encode(), secret.hex().upper().encode()]
    plants += [base64.b64encode(b"x" * before + secret + b"y" * after) for before in range(5) for after in range(4)]
    plants += [b"-----BEGIN EC PRIVATE KEY-----", b"-----BEGIN PRIVATE KEY-----"]
    for plant in plants:
        with open(log, "wb") as file:
            file.write(b"\0\1 before " + plant + b" after\n")
        check(search.of_tree(folder), f"the search does not find {plant!r}")
    with open(log, "wb") as file:
        file.write(b"nothing here\n")
    check(not search.of_tree(folder), "the search finds what is not there")
    process = world.spawn(["/bin/cat", "/dev/stdin", secret.decode()], os.path.join(world.directory, "cat.log"))
    process.wait()
    os.remove(os.path.join(world.directory, "cat.log"))
    os.remove(log)
    print(f"search: found {len(plants)} plants")


def test_memory():
    """What stands in a process's memory is found there: in our own."""
    search = Search()
    plant = ("planted in " + "memory 5512").encode()
    search.plant("the plant", plant)
    check(search.of(dumped_memory(os.getpid())) == ["the plant"], "the search does not find what is in memory")


def test_watcher(world):
    """The watcher sees the arguments of a process that lives only a moment."""
    watcher = Watcher()
    process = world.spawn(["/bin/sleep", "30", "0.0"], os.path.join(world.directory, "sleep.log"))
    wait_for("the watcher sees a process", lambda: any(b"sleep" in data for data in watcher.seen), 5)
    process.terminate()
    process.wait()
    watcher.stop()


def work(world, search):
    """The main job, with every kind of secret."""
    cluster = Cluster(world, 3, snapshot_after_mib=1)
    cluster.PASSWORD = PASSWORD
    search.plant("the client password", PASSWORD.encode())
    tokens = []
    node_muster = world.muster

    def muster(node, *arguments, secret=None, **options):
        code, out, err = node_muster(node, *arguments, secret=secret, **options)
        if arguments[:3] == ("cluster", "token", "create"):
            tokens.append(out.strip())
            world.cli_outputs.pop()  # That a token is shown once is its purpose.
        return code, out, err
    world.muster = muster
    registration_token = cluster.cloud.registration_token

    def new_registration_token(**fields):
        token = registration_token(**fields)
        search.plant("a registration token", token.encode())
        search.plant("a registration token, as bytes", bytes.fromhex(token))
        return token
    cluster.cloud.registration_token = new_registration_token

    cluster.form()
    for token in tokens:
        search.plant("a join token", token.encode())
        raw = base64.urlsafe_b64decode(token.split(".", 1)[1] + "===")
        search.plant("the secret of a join token", raw[8:40])
    cluster.register()
    cluster.add_credentials()
    ledger = Ledger(cluster)
    ledger.feed(6000, 1).join()
    wait_delivered(cluster)
    first = cluster.leader()
    first.kill()
    cluster.leader()
    first.start()
    cluster.call("credentials.verify", {"name": "main"})
    cluster.leader().muster("registration", "deregister", "--yes")
    token = cluster.cloud.registration_token()
    cluster.followers()[0].muster("registration", "register", "--token-file", "-", secret=token)
    cluster.wait_registration("registered")
    ledger.feed(500, 2).join()
    wait_delivered(cluster)
    rotate(cluster, search)
    mistakes(cluster)
    for node in cluster.nodes:
        world.muster(node, "doctor")
        for command in (("status",), ("cluster", "key"), ("describe",), ("cluster", "members"), ("credentials", "list"), ("cluster", "token", "list"), ("audit", "list"),
                        ("registration", "status", "-o", "json"), ("cluster", "status", "-o", "json")):
            node.muster(*command)
    check_replicas(cluster)
    for node in cluster.nodes:
        node.stop()
        node.start()
    check_replicas(cluster)
    return cluster


def rotate(cluster, search):
    """The key is rotated, and once more by itself when a member has gone; it comes back."""
    cluster.leader().muster("cluster", "rotate-key", "--yes")
    gone = cluster.followers()[0]
    if cluster.registration()["machine"] == gone.name:
        gone = cluster.followers()[1]
    gone.muster("cluster", "leave", "--yes")
    others = [node for node in cluster.nodes if node is not gone]
    wait_for("key 3", lambda: others[0].call("cluster.key")["key_epoch"] == 3, 60, PASSING)
    wait_for("it stands alone", lambda: gone.status()["standing"] == "standalone" and gone.status()["leader"] == gone.name,
             30, PASSING)
    cluster.join(gone, others[0])
    cluster.wait_voters(3)
    cluster.call("credentials.verify", {"name": "main"})
    search_memory(cluster, search)


def search_memory(cluster, search):
    found = []
    for node in cluster.nodes:
        memory = dumped_memory(node.process.pid)
        check(node.serial.encode() in memory and b"office" in memory, f"the memory of {node.name} was not read")
        found += [f"{name} in the memory of {node.name}" for name in search.of(memory)]
    if found:
        raise Failure("secrets in memory that a core would hold:\n" + "\n".join(found))


def mistakes(cluster):
    """Wrong uses that are answered with an error: it must not repeat what was given."""
    leader = cluster.leader()
    token = cluster.cloud.registration_token()
    leader.muster("registration", "register", "--token-file", "-", secret=token, expect=3)
    leader.muster("registration", "register", "--token-file", "-", secret=token[:-1] + "g", expect=2)
    leader.muster("credentials", "add", "main", "--client-id", "x", "--password-file", "-", secret=PASSWORD, expect=3)
    leader.muster("credentials", "add", "other", "--client-id", "x", "--region", "NOWHERE", "--password-file", "-",
                  secret=PASSWORD, expect=2)


def main():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with World("canary") as world:
        test_memory()
        test_search(world)
        test_watcher(world)
        search = Search()
        watcher = Watcher()
        cluster = work(world, search)
        watcher.stop()
        found = []
        search_memory(cluster, search)
        check_no_core(cluster.nodes[0])
        for node in cluster.nodes:
            found += search.of_tree(node.directory)
        for data, where in watcher.seen.items():
            found += [f"{name} in the {where}" for name in search.of(data)]
        for arguments, out, err in world.cli_outputs:
            said = (out + err).encode()
            found += [f"{name} in what muster {' '.join(arguments)} said" for name in search.of(said)]
        if found:
            raise Failure("secrets in clear:\n" + "\n".join(found))
        files = sum(len(names) for node in cluster.nodes for _, _, names in os.walk(node.directory))
        print(f"canary_test: passed; {len(search.needles)} spellings of secrets looked for in {files} files, "
              f"{len(watcher.seen)} argument lists and environments, {len(world.cli_outputs)} outputs of the tool")


if __name__ == "__main__":
    main()
