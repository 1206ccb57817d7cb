"""What the benchmarks of tests/bench share: building, loads, the two clusters, tables.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

from clusters import BenchError, Etcd, Muster

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MUSTER_BUILD", ROOT / "build/release"))
OUT = ROOT / "build/bench"
TARGETS = ["musterd", "muster", "muster-feed", "rpc_load", "failover_probe", "fsync_bench"]
VALUE_SIZE = 256


def say(text):
    print(text, file=sys.stderr, flush=True)


def build():
    subprocess.run([ROOT / "deploy/packages", "bench"], check=True)
    if "MUSTER_BUILD" not in os.environ:
        subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL)
        subprocess.run(["cmake", "--build", "build/release", "--target", *TARGETS], cwd=ROOT,
                       check=True, stdout=subprocess.DEVNULL)
    OUT.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ, GO111MODULE="off", GOPATH="/usr/share/gocode",
                       GOCACHE=str(OUT / "go-cache"))
    for name in ("etcd_load", "etcd_probe"):
        subprocess.run(["go", "build", "-o", OUT / name, ROOT / f"tests/benchmarks/{name}.go"],
                       env=environment, check=True)


def load(argv):
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{argv[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return json.loads(done.stdout)


def fsync_cost(directory, seconds):
    return load([BUILD / "tests/benchmarks/fsync_bench", directory, seconds])


class Sides:
    """The two clusters of one round, and a load on either."""

    def __init__(self, directory, seconds, warm):
        self.muster = Muster(BUILD, directory / "muster", ["outbox_max = 100000000"])
        self.etcd = Etcd(directory / "etcd")
        self.timing = {"seconds": seconds, "warm": warm}
        self.runs = 0

    def start(self):
        self.etcd.start()
        self.muster.start()

    def stop(self):
        self.muster.stop()
        self.etcd.stop()

    def measure(self, side, writers, batch, where="leader"):
        self.runs += 1
        cluster = self.muster if side == "muster" else self.etcd
        common = [f"--{name}={value}" for name, value in
                  {**self.timing, "writers": writers, "batch": batch, "run": self.runs}.items()]
        before = cluster.counters()
        if side == "etcd":
            leader = cluster.leader()
            argv = [OUT / "etcd_load", "--endpoints", cluster.clients[leader],
                    f"--size={VALUE_SIZE}", *common]
        elif where == "leader":
            leader = cluster.leader()
            argv = [BUILD / "tests/benchmarks/rpc_load", "--socket", cluster.socket(leader), *common]
        else:
            leader = cluster.leader()
            follower = next(name for name in "abc" if name != leader)
            argv = [BUILD / "tests/benchmarks/rpc_load", "--tls", cluster.rpc[follower],
                    *cluster.operator(), *common]
        figures = load(argv)
        after = cluster.counters()
        figures["server_cpu_s"] = sum(after["cpu_s"]) - sum(before["cpu_s"])
        records = figures["records_per_s"] * sum(self.timing.values())  # Warm-up included.
        for what in ("written", "disk"):
            grown = [b - a for a, b in zip(before[what], after[what])]
            figures[f"{what}_per_record"] = statistics.mean(grown) / max(records, 1)
        time.sleep(0.5)  # What the load left to do should not fall into the other side's turn.
        return figures


def spread(values, form="{:,.0f}"):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{form.format(middle)} ({form.format(low)}-{form.format(high)})"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
