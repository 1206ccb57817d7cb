"""Catching up with a large store under a steady load; run by `tests/bench catchup`.

Three nodes on loopback, default configuration. One follower is down while the leader's store is filled
to the size asked for; then it comes back and is sent the whole state, while a writer keeps its pace. In
the middle it is killed with SIGKILL and started again. Then another follower is stopped with SIGSTOP while
writers press as hard as they can, and goes on after some minutes.

What is printed: what was sent, in which time; the longest write without and with the catch-up; the most
memory that each process had for itself (RssAnon). Leader, followers and writers share the machine and
its disk, so pauses are longer here than with a machine each.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/system"))
from clusters import BenchError, Muster, wait_for
from muster_rpc import Lost, RpcClient, RpcError
from steady_load import MemoryWatch, SteadyWriter, own_memory

BUILD = pathlib.Path(os.environ.get("MUSTER_BUILD", ROOT / "build/release"))
TARGETS = ["musterd", "muster", "rpc_load"]
MIB = 1 << 20


def say(text):
    print(text, file=sys.stderr, flush=True)


def build():
    if "MUSTER_BUILD" not in os.environ:
        subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["cmake", "--build", "build/release", "--target", *TARGETS], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL)


def status(cluster, name):
    """What the node itself says; None if it does not answer."""
    try:
        with RpcClient(cluster.socket(name), 10) as client:
            return client.call("cluster.status", {"stale": True}, 10)
    except (OSError, Lost, RpcError):
        return None


def member(found, name):
    return next((row for row in (found or {}).get("members", []) if row["name"] == name), {})


def press(cluster, leader, seconds, run, writers=32, batch=10):
    """Writers that do not wait; gives the running process."""
    return subprocess.Popen(
        [str(BUILD / "tests/benchmarks/rpc_load"), "--socket", cluster.socket(leader), "--warm=0",
         f"--seconds={seconds}", f"--writers={writers}", f"--batch={batch}", f"--run={run}"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(load):
    out, err = load.communicate()
    if load.returncode != 0:
        raise BenchError(f"rpc_load: {err.strip()}")
    return json.loads(out)


def fill(cluster, leader, size):
    run = 100
    while status(cluster, leader)["store_used"] < size:
        finished(press(cluster, leader, 5, run, writers=8, batch=100))
        run += 1
        say(f"filled {status(cluster, leader)['store_used'] / MIB:.0f} MiB")


def caught_up(cluster, leader, name):
    row = member(status(cluster, leader), name)
    own = status(cluster, name)
    return own and row.get("connected") and not row.get("catching_up") and row.get("lag", 1 << 60) < 200


def follow_image(cluster, leader, name, cut_share, figures, watch):
    """Until it has caught up; kill it once when that share of the image is there."""
    node = cluster.node(name)
    cut = cut_share is None
    while not caught_up(cluster, leader, name):
        row = member(status(cluster, leader), name)
        if row.get("image_size"):
            figures["image"] = row["image_size"]
            figures["rate"] = max(figures.get("rate", 0), row["image_rate"])
            figures.setdefault("began", time.monotonic())
            if not cut and row["image_done"] >= cut_share * row["image_size"]:
                cut = True
                say(f"killed at {row['image_done'] / MIB:.0f} MiB")
                node.stop(signal.SIGKILL)
                node.start()
                watch.pids[name] = node.process.pid
        time.sleep(0.1)


def log_lines(cluster, words):
    found = []
    for path in sorted(cluster.directory.rglob("*.log")):
        found += [f"{path.stem}: {line.strip()}" for line in path.read_text(errors="replace").splitlines()
                  if words in line]
    return found


def milliseconds(latencies):
    pick = lambda share: latencies[min(len(latencies) - 1, int(share * len(latencies)))] * 1000
    return f"{pick(0.5):.1f} / {pick(0.99):.0f} / {latencies[-1] * 1000:.0f}"


def catch_up(cluster, leader, late, arguments, rows):
    writer = SteadyWriter(cluster.socket(leader), "STEADY", arguments.batch, arguments.per_s)
    time.sleep(arguments.baseline)
    begin = time.monotonic()
    watch = MemoryWatch({leader: cluster.node(leader).process.pid})
    figures = {}
    cluster.node(late).start()
    watch.pids[late] = cluster.node(late).process.pid
    watch.first[late] = watch.peaks[late] = 0
    try:
        wait_for("it answers", lambda: status(cluster, late))
        follow_image(cluster, leader, late, arguments.cut, figures, watch)
    finally:
        end = time.monotonic()
        peaks = watch.stop()
        time.sleep(1)
        writer.stop()
    rows += [
        ["image", f"{figures.get('image', 0) / MIB:.0f} MiB"],
        ["from the node's start until it had caught up, killed once on the way", f"{end - begin:.1f} s"],
        ["image's rate at most", f"{figures.get('rate', 0) / MIB:.1f} MiB/s"],
        ["steady writes: without / with the catch-up",
         f"{len(writer.latencies(0, begin))} / {len(writer.latencies(begin, end))} of {arguments.batch} records; "
         f"{writer.failures} attempts failed"],
        ["their p50 / p99 / longest without it", milliseconds(writer.latencies(0, begin)) + " ms"],
        ["their p50 / p99 / longest with it", milliseconds(writer.latencies(begin, end)) + " ms"],
        ["leader's own memory before, at most", f"{watch.first[leader] / MIB:.0f}, {peaks[leader] / MIB:.0f} MiB"],
        ["follower's own memory at most", f"{peaks[late] / MIB:.0f} MiB"],
    ]


def stopped_follower(cluster, leader, name, arguments, rows):
    pid = cluster.node(leader).process.pid
    before = own_memory(pid)
    watch = MemoryWatch({leader: pid})
    load = press(cluster, leader, arguments.stopped, 900)
    time.sleep(1)
    os.kill(cluster.node(name).process.pid, signal.SIGSTOP)
    try:
        figures = finished(load)
    finally:
        os.kill(cluster.node(name).process.pid, signal.SIGCONT)
    during = watch.stop()[leader]
    after = own_memory(pid)
    begin = time.monotonic()
    wait_for("the stopped node has caught up", lambda: caught_up(cluster, leader, name), 300)
    rows += [
        [f"load with a follower stopped for {arguments.stopped:.0f} s", f"{figures['records_per_s']:,.0f} records/s, "
         f"p99 {figures['p99_ms']:.0f} ms"],
        ["leader's own memory before, at most, at its end",
         f"{before / MIB:.0f}, {during / MIB:.0f}, {after / MIB:.0f} MiB"],
        ["until it had caught up after SIGCONT", f"{time.monotonic() - begin:.1f} s"],
    ]


def parse(words):
    parser = argparse.ArgumentParser(prog="tests/bench catchup", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, help="MiB of records in the store")
    parser.add_argument("--batch", type=int, default=10, help="records in a steady write")
    parser.add_argument("--per-s", type=float, default=50, help="steady writes a second")
    parser.add_argument("--baseline", type=float, default=30, help="seconds of them before")
    parser.add_argument("--cut", type=float, default=0.5, help="share of the image at which it is killed")
    parser.add_argument("--stopped", type=float, default=120, help="seconds of SIGSTOP")
    parser.add_argument("--rate", type=int, default=32, help="catchup_rate_max_mib")
    parser.add_argument("--directory", default="/var/tmp", help="where the data goes")
    return parser.parse_args(words)


def run(arguments, rows):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="muster-catchup-", dir=arguments.directory))
    cluster = Muster(BUILD, directory / "muster",
                     ["outbox_max = 100000000", f"catchup_rate_max_mib = {arguments.rate}"])
    try:
        cluster.start()
        leader = cluster.leader()
        other, late = [name for name in "abc" if name != leader]
        cluster.node(late).stop()
        fill(cluster, leader, arguments.size * MIB)
        leader = cluster.leader(among=leader + other)
        rows.append(["store", f"{status(cluster, leader)['store_used'] / MIB:.0f} MiB"])
        catch_up(cluster, leader, late, arguments, rows)
        for line in log_lines(cluster, "catching up"):
            say(line)
        stopped_follower(cluster, cluster.leader(), next(n for n in "abc" if n not in (cluster.leader(), late)),
                         arguments, rows)
        wait_for("equal digests", lambda: len({(status(cluster, name) or {}).get("digest") for name in "abc"}) == 1)
        rows.append(["digests of the three", "equal"])
        for line in log_lines(cluster, "role"):
            say(line)
    finally:
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)


def main(words):
    arguments = parse(words)
    build()
    rows = []
    begun = os.getloadavg()[0]
    try:
        run(arguments, rows)
    finally:
        print(f"\nLoad average when it began: {begun:.1f}\n\n| what | figure |\n| --- | --- |")
        for row in rows:
            print("| " + " | ".join(row) + " |")
