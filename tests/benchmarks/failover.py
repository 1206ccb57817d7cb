"""Failover beside etcd's: the leader is killed with SIGKILL under load, again and again.

  tests/bench failover [--kills N] [--every-us N]

Both clusters have an election time-out of 1,000 ms and a heartbeat of 100 ms, the defaults of both.
Each of the two other members is sent a write every few milliseconds, whether the ones before were
answered or not; the time is from the kill to the first answer to a write that was sent after it and
accepted. The killed member is then started again, and the next kill waits until it has caught up.
Turn by turn, one kill of either side.

SPDX-License-Identifier: Apache-2.0
"""
import os
import pathlib
import signal
import shutil
import statistics
import subprocess
import tempfile
import time

from bench_common import BUILD, OUT, Sides, say, table
from clusters import BenchError, wait_for

BEFORE_S = 1.0  # Load before the kill.
PROBE_S = 6     # Load in all: twice what the slowest took.


def survivors(sides, side, leader):
    if side == "etcd":
        others = [address for name, address in sides.etcd.clients.items() if name != leader]
        return [OUT / "etcd_probe", f"--endpoints={','.join(others)}"]
    argv = [BUILD / "tests/benchmarks/failover_probe"]
    for name in "abc":
        if name != leader:
            argv += ["--socket", sides.muster.socket(name)]
    return argv


def wait_caught_up(sides, side, name):
    if side == "etcd":
        wait_for(f"etcd {name} is healthy", lambda: subprocess.run(
            ["etcdctl", "--endpoints", sides.etcd.clients[name], "endpoint", "health"],
            env=dict(os.environ, ETCDCTL_API="3"), capture_output=True, check=False).returncode == 0)
        return

    def caught_up():
        leader = sides.muster.leader()
        here = sides.muster.ask(name, "status", "--stale").get("freshness", {}).get("index", 0)
        there = sides.muster.ask(leader, "status", "--stale").get("freshness", {}).get("index", 0)
        return 0 < there <= here
    wait_for(f"muster {name} has caught up", caught_up)


def one_kill(sides, side, number, arguments):
    cluster = sides.muster if side == "muster" else sides.etcd
    leader = cluster.leader()
    node = cluster.node(leader)
    argv = [*survivors(sides, side, leader), f"--every-us={arguments.every_us or 2000}",
            f"--seconds={PROBE_S}", f"--run={number}"]
    with subprocess.Popen([str(word) for word in argv], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as probe:
        time.sleep(BEFORE_S)
        killed_us = time.clock_gettime_ns(time.CLOCK_REALTIME) // 1000
        node.stop(signal.SIGKILL)
        out, errors = probe.communicate()
    if probe.returncode != 0:
        raise BenchError(f"{argv[0]}: {errors.strip()}")
    accepted = [tuple(int(word) for word in line.split()) for line in out.splitlines()]
    before = sum(answered < killed_us for _, answered in accepted)
    after = [answered for sent, answered in accepted if sent > killed_us]
    if before == 0 or not after:
        raise BenchError(f"{side}: {before} writes accepted before the kill, {len(after)} after it")
    node.start()
    wait_caught_up(sides, side, leader)
    return (min(after) - killed_us) / 1000


def run(arguments):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="muster-bench-", dir=arguments.directory))
    sides = Sides(directory, 0, 0)
    times = {"muster": [], "etcd": []}
    try:
        sides.start()
        for number in range(arguments.kills):
            for side in ("muster", "etcd") if number % 2 == 0 else ("etcd", "muster"):
                times[side].append(one_kill(sides, side, number, arguments))
                say(f"kill {number + 1}: {side:6} {times[side][-1]:8.0f} ms")
    finally:
        sides.stop()
        shutil.rmtree(directory, ignore_errors=True)
    rows = [[side, str(len(values)), *(f"{value:,.0f}" for value in (
        min(values), statistics.median(values), max(values)))] for side, values in times.items()]
    print("\nFrom kill -9 of the leader to the first accepted write, ms\n")
    print(table(["", "kills", "least", "median", "worst"], rows))
    print(f"\nratio of the medians: "
          f"{statistics.median(times['muster']) / statistics.median(times['etcd']):.2f}")
    return times
