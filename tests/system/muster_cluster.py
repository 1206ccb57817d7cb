"""A cluster of real musterd processes and a simulated cloud, for tests that break things.

    with World("kill") as world:
        cluster = Cluster(world, 3)
        cluster.form()
        cluster.register()

A World owns a scratch folder and every process; when it ends, all of them must be gone, must have
ended as they were told to, and must not have left a report of a sanitizer. On failure the end of every
log is printed, and the folder is kept and its path printed. A test that hangs fails as any other: after
MUSTER_TIMEOUT_S seconds, which is less than ctest gives it, Late is raised where it stands.

SPDX-License-Identifier: Apache-2.0
"""
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

from muster_cloud import Cloud
from muster_rpc import Lost, RpcClient, RpcError
from muster_wait import Failure, check, wait_for

STOP_S = 30  # For musterd to drain and end after SIGTERM, sanitized and on a busy machine.
SANITIZER_WORDS = (b"ERROR: AddressSanitizer", b"ERROR: LeakSanitizer", b"runtime error:",
                   b"WARNING: ThreadSanitizer", b"Assertion `", b"stack smashing")
ELECTIONS_S = 30  # Until there must be a leader who can act.
TAIL_LINES = 200  # Of all logs together, when a test has failed.
TAIL_LINES_LEAST = 15  # Of one of them.
LINE_SIZE_MAX = 500
BEGUN_S = time.monotonic()
# Several tests may run at once: each has a share of its own of whatever all of them must choose from.
SHARES = 34
PORTS_FIRST, PORTS_EACH = 15000, 500  # Below the kernel's own choices, so that a restarted node finds its port free.

# What a call to a node that is starting, stopping or electing may meet.
PASSING = (OSError, Lost, RpcError)


def build_directory():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return os.environ.get("MUSTER_BUILD", os.path.join(root, "build", "asan"))


def last_lines(path, count):
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - count * LINE_SIZE_MAX))
        lines = file.read().decode(errors="replace").splitlines()
    return [line[:LINE_SIZE_MAX] for line in lines[-count:]]


def claim_share():
    """The number of a share that no other test has, and the socket that keeps it until this process ends."""
    for number in random.SystemRandom().sample(range(SHARES), SHARES):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0muster-test-share-{number}")
        except OSError:
            claim.close()
            continue
        return number, claim
    raise Failure(f"{SHARES} tests run at once")


class Late(Exception):
    """No Failure: nothing that waits may take it for one that passes."""


def fail_in_time():
    """Before ctest kills this process and what it knows."""
    def late(_number, _frame):
        raise Late(f"the test takes longer than {limit_s} s")
    limit_s = int(os.environ.get("MUSTER_TIMEOUT_S", "0"))
    if limit_s > 0:
        signal.signal(signal.SIGALRM, late)
        signal.alarm(max(1, round(BEGUN_S + limit_s - time.monotonic())))


class World:
    def __init__(self, name):
        fail_in_time()
        self.directory = tempfile.mkdtemp(prefix=f"muster-{name}-")
        self.build = build_directory()
        self.processes = []
        self.nodes = []
        self.cleanups = []  # Called, last first, when everything is stopped.
        self.cli_outputs = []  # (arguments, stdout, stderr)
        self.ports = set()  # Given away.
        self.share, self.claim = claim_share()
        self.allowed_words = []  # Sanitizer words that a test provokes on purpose: none so far.

    def program(self, name):
        folder = {"musterd": "server", "muster-cloudsim": "tests/cloudsim"}.get(name, "client")
        path = os.path.join(self.build, folder, name)
        check(os.path.exists(path), f"{path} is not built")
        return path

    def free_port(self, address="127.0.0.1"):
        while True:
            port = PORTS_FIRST + self.share * PORTS_EACH + random.SystemRandom().randrange(PORTS_EACH)
            with socket.socket() as trial:
                try:
                    trial.bind((address if address.startswith("127.") else "", port))
                except OSError:
                    continue
            if port not in self.ports:
                self.ports.add(port)
                return port

    def environment(self):
        kept = {key: value for key, value in os.environ.items() if not key.startswith("MUSTER_")}
        kept.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0")
        kept.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        return kept

    def spawn(self, argv, log_path, environment=None, **options):
        with open(log_path, "ab") as log:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       env={**self.environment(), **(environment or {})}, **options)
        self.processes.append(process)
        return process

    def muster(self, node, *arguments, secret=None, timeout_s=150):
        """Run the tool against a node; the secret goes in by standard input. (exit code, out, err)"""
        done = subprocess.run([self.program("muster"), "--socket", node.socket, *arguments],
                              input=(secret or "").encode(), capture_output=True, timeout=timeout_s,
                              env=self.environment(), check=False)
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        self.cli_outputs.append((arguments, out, err))
        return done.returncode, out, err

    def leftovers(self):
        """Processes that name our folder in their arguments, whoever started them."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    line = file.read()
            except OSError:
                continue
            if self.directory.encode() in line and int(pid) != os.getpid():
                found.append(f"{pid}: {line.replace(bytes(1), b' ').decode(errors='replace')}")
        return found

    def logs(self):
        for folder, _, names in os.walk(self.directory):
            yield from (os.path.join(folder, name) for name in names if name.endswith(".log"))

    def print_logs(self):
        paths = sorted(self.logs())
        for path in paths:
            print(f"---- the end of {os.path.relpath(path, self.directory)}:", file=sys.stderr)
            print("\n".join(last_lines(path, max(TAIL_LINES // len(paths), TAIL_LINES_LEAST))), file=sys.stderr)

    def sanitizer_reports(self):
        found = []
        for path in self.logs():
            with open(path, "rb") as file:
                lines = file.read().split(b"\n")
            for number, line in enumerate(lines):
                if any(word in line for word in SANITIZER_WORDS):
                    report = b"\n".join(lines[number:number + 40]).decode(errors="replace")
                    found.append(f"{path}:{number + 1}\n{report}")
                    break
        return found

    def stop_all(self):
        problems = []
        for node in self.nodes:
            if node.process is not None and node.process.poll() is None:
                node.process.send_signal(signal.SIGCONT)
                node.process.send_signal(signal.SIGTERM)
        for node in self.nodes:
            problems += node.reap(STOP_S)
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                problems.append(f"{process.args[0]} did not end after SIGTERM")
                process.kill()
                process.wait()
        return problems

    def __enter__(self):
        return self

    def __exit__(self, kind, problem, trace):
        signal.alarm(0)
        problems = self.stop_all()
        self.claim.close()
        problems += [f"left over: {line}" for line in self.leftovers()]
        problems += self.sanitizer_reports()
        for cleanup in reversed(self.cleanups):
            cleanup()
        if kind is None and not problems:
            shutil.rmtree(self.directory)
            return False
        self.print_logs()
        if kind is not None:
            traceback.print_exception(kind, problem, trace)
        for line in problems:
            print(f"FAILED: {line}", file=sys.stderr)
        print(f"FAILED: the scratch folder is kept: {self.directory}", file=sys.stderr, flush=True)
        sys.exit(1)


class Node:
    """One musterd with its configuration and data."""

    def __init__(self, world, name, cloud, address="127.0.0.1", prefix=(), **settings):
        self.world = world
        self.name = name
        self.prefix = list(prefix)
        self.directory = os.path.join(world.directory, name)
        self.data = os.path.join(self.directory, "data")
        self.socket = os.path.join(self.directory, "sock")
        self.log = os.path.join(self.directory, "musterd.log")
        self.config = os.path.join(self.directory, "musterd.conf")
        os.makedirs(self.data)
        region = cloud.endpoints["regions"]["nam"]
        self.serial = settings.get("serial", f"42{name.upper()}-{os.path.basename(world.directory)[-6:]}")
        self.settings = {
            "name": name,
            "serial": self.serial,
            "model": "C600V",
            "data_directory": self.data,
            "socket": self.socket,
            "rpc_listen": f"{address}:{world.free_port(address)}",
            "peer_listen": f"{address}:{world.free_port(address)}",
            "visibility_url": region["visibility"],
            "ctia_url": region["private_intel"],
            "sse_url": region["sse"],
            "cloud_ca_file": cloud.endpoints["ca"],
            "log_level": "debug",
            "election_timeout_ms": 500,  # Half of the default: two busy processors must not cause elections.
            "heartbeat_ms": 50,
            "join_timeout_s": 10,
            **settings,
        }
        self.binary = world.program("musterd")
        self.process = None
        self.environment = {}  # More of it, for a test build's fault points.
        self.must_live = False  # Its end would be a surprise.
        world.nodes.append(self)

    def write_config(self):
        with open(self.config, "w") as file:
            for key, value in self.settings.items():
                file.write(f'{key} = "{value}"\n')

    def spawn(self):
        self.write_config()
        argv = [*self.prefix, self.binary, "--config", self.config]
        self.process = self.world.spawn(argv, self.log, self.environment)
        self.must_live = True

    def start(self):
        self.spawn()
        self.wait_ready()

    def wait_ready(self, deadline_s=30):
        def answers():
            self.check_alive()
            return self.call("node.version", timeout_s=5)
        wait_for(f"{self.name} answers", answers, deadline_s, PASSING)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def check_alive(self):
        if self.must_live and not self.is_running():
            raise Failure(f"{self.name} ended by itself with {self.process.returncode}; its log ends:\n{self.tail()}")

    def tail(self, lines=30):
        with open(self.log, errors="replace") as file:
            return "".join(file.readlines()[-lines:])

    def kill(self):
        self.must_live = False
        self.process.kill()
        self.process.wait()

    def terminate(self):
        """Ask it to end; reap() waits for it."""
        self.process.send_signal(signal.SIGTERM)

    def reap(self, deadline_s=STOP_S):
        """Problems with how it ended after SIGTERM."""
        if self.process is None:
            return []
        try:
            code = self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return [f"{self.name} did not end within {deadline_s} s of SIGTERM; its log ends:\n{self.tail()}"]
        wrong = self.must_live and code != 0
        self.must_live = False
        return [f"{self.name} ended with {code}; its log ends:\n{self.tail()}"] if wrong else []

    def stop(self):
        self.terminate()
        for problem in self.reap():
            raise Failure(problem)

    def call(self, method, params=None, timeout_s=15):
        with RpcClient(self.socket, timeout_s) as client:
            return client.call(method, params, timeout_s)

    def status(self, stale=True):
        return self.call("cluster.status", {"stale": stale})

    def muster(self, *arguments, secret=None, expect=0, timeout_s=150):
        """Run the tool here and expect an exit code; gives its output, or its errors if one was expected.
        Again while an election is under way, which a busy machine may cause at any time."""
        end = time.monotonic() + ELECTIONS_S
        while True:
            code, out, err = self.world.muster(self, *arguments, secret=secret, timeout_s=timeout_s)
            if expect != 0 or not err.startswith("muster: no quorum:") or time.monotonic() > end:
                break
        if code != expect:
            self.check_alive()
            raise Failure(f"muster {' '.join(arguments)} on {self.name}: exit {code}, not {expect}\n{out}{err}")
        return out if expect == 0 else out + err


class Cluster:
    """Nodes a, b, c ... of one cluster, and their cloud."""

    CLIENT_ID = "client-7d1f3a"
    PASSWORD = "a password of the client, 81c0"

    def __init__(self, world, count=3, cloud=None, kind=Node, **settings):
        self.world = world
        self.cloud = cloud or Cloud(world)
        self.nodes = [kind(world, chr(ord("a") + i), self.cloud, **settings) for i in range(count)]

    def start(self):
        for node in self.nodes:
            node.spawn()
        for node in self.nodes:
            node.wait_ready()

    def restart_dead(self):
        dead = [node for node in self.nodes if not node.is_running()]
        for node in dead:
            node.spawn()
        for node in dead:
            node.wait_ready()

    def running(self):
        return [node for node in self.nodes if node.is_running()]

    def check_alive(self):
        for node in self.nodes:
            node.check_alive()

    def leader_now(self):
        """The node that leads and can prove it, or None."""
        for node in self.running():
            try:
                status = node.status()
                if status["leader"] == node.name and node.call("export.status", timeout_s=3):
                    return node
            except PASSING:
                continue
        return None

    def leader(self, deadline_s=30):
        def found():
            self.check_alive()
            return self.leader_now()
        return wait_for("there is a leader", found, deadline_s)

    def followers(self):
        leader = self.leader()
        return [node for node in self.running() if node is not leader]

    def form(self):
        """Start all, make the first a cluster, and let the others join it with the tool."""
        self.start()
        first = self.nodes[0]
        wait_for("the first node leads itself", lambda: first.status()["leader"] == first.name, 30, PASSING)
        first.muster("cluster", "init", "office")
        for node in self.nodes[1:]:
            self.join(node)
        self.wait_voters(len(self.nodes) if len(self.nodes) % 2 == 1 else len(self.nodes) - 1)

    def join(self, node, through=None):
        token = (through or self.leader()).muster("cluster", "token", "create").strip()
        node.muster("cluster", "join", "--token-file", "-", "--yes", secret=token)
        self.wait_member(node)

    def wait_member(self, node, deadline_s=30):
        def joined():
            self.check_alive()
            return node.status()["standing"] == "member"
        wait_for(f"{node.name} is a member", joined, deadline_s, PASSING)

    def wait_voters(self, count, deadline_s=30):
        def settled():
            self.check_alive()
            members = self.leader().status(stale=False)["members"]
            return sum(member["role"] == "voter" for member in members) == count
        wait_for(f"{count} nodes vote", settled, deadline_s, PASSING)

    def call(self, method, params=None, deadline_s=30):
        """Ask any node until one answers: for calls that may be repeated."""
        def answered():
            self.check_alive()
            for node in self.running():
                try:
                    return [node.call(method, params)]
                except RpcError as problem:
                    if problem.code >= 1000:
                        raise Failure(f"{method}: {problem}") from problem
                    last = problem
                except PASSING as problem:
                    last = problem
            raise last
        return wait_for(f"{method} is answered", answered, deadline_s, PASSING)[0]

    def add_credentials(self, through=None):
        self.cloud.add_client(self.CLIENT_ID, self.PASSWORD)
        node = through or self.leader()
        node.muster("credentials", "add", "main", "--client-id", self.CLIENT_ID, "--region", "AMERICAS",
                    "--password-file", "-", secret=self.PASSWORD)
        node.muster("credentials", "verify", "main")

    def register(self, through=None):
        node = through or self.leader()
        token = self.cloud.registration_token()
        node.muster("registration", "enable", "AMERICAS")
        node.muster("registration", "register", "--token-file", "-", secret=token)
        self.wait_registration("registered")
        return node

    def registration(self):
        return self.call("registration.status")

    def wait_registration(self, state, deadline_s=60):
        def reached():
            found = self.registration()
            if found["state"] == "failed" and state != "failed":
                raise Failure(f"the registration failed: {found}")
            return found if found["state"] == state else None
        return wait_for(f"the registration is {state}", reached, deadline_s)

    def export(self):
        return self.call("export.status")
