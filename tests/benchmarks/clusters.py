"""Three nodes of muster and three of etcd on loopback, for tests/bench.

Everything lies under one directory; every process is stopped by its pid.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import time

WAIT_S = 60  # For anything that should come within a second.


class BenchError(Exception):
    pass


def wait_for(what, condition, deadline_s=WAIT_S):
    """Return condition()'s first true answer."""
    end = time.monotonic() + deadline_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise BenchError(f"waited too long: {what}")
        time.sleep(0.02)


PORTS = range(15000, 32000)  # Below the kernel's own choices: a node that starts again finds its port free.


def free_ports(count):
    sockets = []
    while len(sockets) < count:
        one = socket.socket()
        try:
            one.bind(("127.0.0.1", random.choice(PORTS)))
        except OSError:
            one.close()
            continue
        sockets.append(one)
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def disk_bytes(path):
    """Allocated bytes of all files below a path."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


class Node:
    """One process and what the system counts of it."""

    def __init__(self, name, directory, argv):
        self.name = name
        self.directory = pathlib.Path(directory)
        self.argv = argv
        self.process = None

    def start(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        with open(self.directory.parent / f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(self.argv, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)

    def stop(self, how=signal.SIGTERM):
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _proc(self, name):
        return pathlib.Path(f"/proc/{self.process.pid}/{name}").read_text()

    def rss_bytes(self, part="RssAnon"):
        """RssAnon: memory of its own. RssFile: mapped files, which the system may take back."""
        for line in self._proc("status").splitlines():
            if line.startswith(part + ":"):
                return int(line.split()[1]) * 1024
        return 0

    def written_bytes(self):
        for line in self._proc("io").splitlines():
            if line.startswith("write_bytes:"):
                return int(line.split()[1])
        return 0

    def cpu_s(self):
        fields = self._proc("stat").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Cluster:
    """What both kinds have in common."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.nodes = []

    def node(self, name):
        return next(node for node in self.nodes if node.name == name)

    def counters(self):
        return {
            "cpu_s": [node.cpu_s() for node in self.nodes],
            "written": [node.written_bytes() for node in self.nodes],
            "disk": [disk_bytes(node.directory) for node in self.nodes],
        }

    def memory(self):
        return {
            "own": [node.rss_bytes("RssAnon") for node in self.nodes],
            "mapped": [node.rss_bytes("RssFile") for node in self.nodes],
        }

    def stop(self):
        for node in self.nodes:
            node.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class Muster(Cluster):
    """A formed cluster of three voters. `extra` are lines of the configuration."""

    def __init__(self, build, directory, extra=()):
        super().__init__(directory)
        self.build = pathlib.Path(build)
        self.extra = list(extra)
        self.ports = set()
        self.rpc = {}
        for name in "abc":
            self._add(name)

    def _add(self, name):
        ports = free_ports(2)
        while self.ports.intersection(ports):  # Of a node that has not started yet.
            ports = free_ports(2)
        self.ports.update(ports)
        folder = self.directory / name
        folder.mkdir(parents=True)
        self.rpc[name] = f"127.0.0.1:{ports[0]}"
        lines = [f'name = "{name}"', f'serial = "BENCH-{name}"',
                 f'data_directory = "{folder}/data"', f'socket = "{folder}/rpc.sock"',
                 f'rpc_listen = "{self.rpc[name]}"',
                 f'peer_listen = "127.0.0.1:{ports[1]}"', *self.extra]
        config = self.directory / f"{name}.conf"
        config.write_text("\n".join(lines) + "\n")
        self.nodes.append(Node(name, folder / "data",
                               [str(self.build / "server/musterd"), "--config", str(config)]))

    def grow(self):
        """One more member, which stands by."""
        name = chr(ord("a") + len(self.nodes))
        self._add(name)
        self._start(self.nodes[-1])
        self.leader(name)
        self._join(name)

    def _start(self, node):
        node.start()
        wait_for(f"{node.name} answers", lambda: self.cli(node.name, "version", check=False))

    def _join(self, name):
        token_file = self.directory / "join-token"
        token_file.write_text(self.ask("a", "cluster", "token", "create")["token"])
        self.cli(name, "cluster", "join", "--yes", "--token-file", str(token_file))

    def socket(self, name):
        return str(self.directory / name / "rpc.sock")

    def cli(self, name, *words, check=True):
        done = subprocess.run([str(self.build / "client/muster"), "--socket", self.socket(name),
                               *words], capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise BenchError(f"muster {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout if done.returncode == 0 else ""

    def ask(self, name, *words):
        """The answer as JSON; {} if there was none."""
        return json.loads(self.cli(name, *words, "-o", "json", check=False) or "{}")

    def leader(self, among="abc"):
        def find():
            for name in among:
                leader = self.ask(name, "status", "--stale").get("leader")
                if leader:
                    return leader
            return None
        return wait_for("a leader of muster", find)

    def start(self):
        for node in self.nodes:
            self._start(node)
        self.leader("a")
        self.cli("a", "cluster", "init", "bench")
        for name in "bc":
            self._join(name)
        wait_for("three voters", lambda: self.voters() == 3)  # There are never two.
        return self

    def voters(self):
        members = self.ask("a", "status").get("members", [])
        return sum(m.get("role") == "voter" and m.get("standing") == "member" for m in members)

    def operator(self):
        """Options of rpc_load for TLS as an administrator."""
        if not (self.directory / "bench.key").exists():
            self.cli("a", "operator", "add", "--directory", str(self.directory), "bench", "admin")
        ca = next(iter(sorted(self.directory.glob("*ca*"))), self.directory / "bench.crt")
        return ["--ca", str(ca), "--certificate", str(self.directory / "bench.crt"),
                "--key", str(self.directory / "bench.key")]


class Etcd(Cluster):
    """Three members in plain HTTP, as Debian packages it, nothing tuned."""

    def __init__(self, directory):
        super().__init__(directory)
        ports = free_ports(6)
        self.clients = {f"n{i}": f"127.0.0.1:{ports[2 * i]}" for i in range(3)}
        peers = {f"n{i}": f"http://127.0.0.1:{ports[2 * i + 1]}" for i in range(3)}
        everyone = ",".join(f"{name}={url}" for name, url in peers.items())
        for name, peer in peers.items():
            client = f"http://{self.clients[name]}"
            folder = self.directory / name
            self.nodes.append(Node(name, folder, [
                "etcd", "--name", name, "--data-dir", str(folder),
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--initial-cluster", everyone, "--initial-cluster-state", "new",
                # Its default of 2 GiB is a safeguard that a long run could reach.
                "--quota-backend-bytes", str(8 << 30), "--log-level", "error"]))

    def leader(self):
        def find():
            for name, address in self.clients.items():
                done = subprocess.run(
                    ["etcdctl", "--endpoints", address, "endpoint", "status", "-w", "json"],
                    env=dict(os.environ, ETCDCTL_API="3"), capture_output=True, text=True,
                    check=False)
                if done.returncode == 0:
                    status = json.loads(done.stdout)[0]["Status"]
                    if status.get("leader") and status["leader"] == status["header"]["member_id"]:
                        return name
            return None
        return wait_for("a leader of etcd", find)

    def start(self):
        for node in self.nodes:
            node.start()
        self.leader()
        return self
