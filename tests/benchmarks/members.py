"""What each further member costs the leader: processor time and bytes sent per record.

  tests/bench members [--quick] [--rounds N] [--seconds S] [--every-us N]

Three voters; the rest stand by. One cluster per round grows to 3, 5, 10 and 20 members, and at each
size takes writes of one record each at a fixed rate over the leader's UNIX socket. What the leader
does besides, at the same size without a write, is measured first and said on its own (idle). Bytes are
those of its TCP connections, TLS included: to the other members, for the writer comes by another way.

The rate is low (100/s), so that each record is an entry of its own: at higher ones the leader
puts several into one, more of them the longer it is kept from the processor, and members seem cheaper.
For the same reason the store is committed once a second (flush_delay_ms): at its usual 10 ms that is half
of what a record costs, and less on a busy machine.

SPDX-License-Identifier: Apache-2.0
"""
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

from bench_common import BUILD, say, spread, table
from clusters import BenchError, Muster, wait_for

SIZES = [3, 5, 10, 20]
EVERY_US = 10000


def sent(node):
    """Bytes that went out on the TCP connections it has now: they last as long as it is measured."""
    lines = subprocess.run(["ss", "-tinHOp"], capture_output=True, text=True, check=True).stdout.splitlines()
    mine = [line for line in lines if f"pid={node.process.pid}," in line]
    return sum(int(word.split(":")[1]) for line in mine for word in line.split() if word.startswith("bytes_sent:"))


def processor_s(node):
    """Of all threads, finer than the system's ticks."""
    total = 0
    for path in pathlib.Path(f"/proc/{node.process.pid}/task").glob("*/schedstat"):
        try:
            total += int(path.read_text().split()[0])
        except FileNotFoundError:
            pass
    return total / 1e9


def look(node):
    return {"at": time.monotonic(), "cpu_s": processor_s(node), "bytes": sent(node)}


def between(before, after):
    seconds = after["at"] - before["at"]
    return {"cpu": (after["cpu_s"] - before["cpu_s"]) / seconds, "bytes": (after["bytes"] - before["bytes"]) / seconds,
            "seconds": seconds}


def wait_settled(cluster, size):
    def settled():
        members = cluster.ask("a", "status").get("members", [])
        voters = sum(member["role"] == "voter" for member in members)
        return voters == 3 and sum(member["standing"] == "member" and member["lag"] < 64 for member in members) == size
    wait_for(f"{size} members", settled)


def take_writes(cluster, leader, arguments, run):
    """At a fixed rate; how many were accepted, and how long that was."""
    argv = [BUILD / "tests/benchmarks/failover_probe", "--socket", cluster.socket(leader),
            f"--every-us={arguments.every_us or EVERY_US}", f"--seconds={arguments.seconds:.0f}", f"--run={run}"]
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{argv[0]}: {done.stderr.strip()}")
    return len(done.stdout.splitlines())


def measure(cluster, size, arguments, run):
    leader = cluster.leader()
    node = cluster.node(leader)
    before = look(node)
    time.sleep(arguments.seconds / 2)
    idle = between(before, look(node))
    before = look(node)
    count = take_writes(cluster, leader, arguments, run)
    loaded = between(before, look(node))
    if cluster.leader() != leader:
        raise BenchError("the leader changed while it was measured")
    rate = count / loaded["seconds"]
    return {
        "members": size, "records_per_s": rate, "idle_cpu": idle["cpu"], "idle_bytes_per_s": idle["bytes"],
        "cpu_us": (loaded["cpu"] - idle["cpu"]) / rate * 1e6, "bytes": (loaded["bytes"] - idle["bytes"]) / rate,
    }


def one_round(number, arguments, results):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="muster-bench-", dir=arguments.directory))
    cluster = Muster(BUILD, directory / "muster", ["outbox_max = 100000000", "flush_delay_ms = 1000"])
    try:
        cluster.start()
        for size in SIZES:
            while len(cluster.nodes) < size:
                cluster.grow()
            wait_settled(cluster, size)
            figures = measure(cluster, size, arguments, number * 100 + size)
            results.append({"round": number, **figures})
            say(f"round {number + 1}: {size:2} members: {figures['records_per_s']:6.0f} records/s  "
                f"{figures['cpu_us']:7.1f} us and {figures['bytes']:7.0f} bytes a record, "
                f"idle {100 * figures['idle_cpu']:5.2f} % and {figures['idle_bytes_per_s']:7.0f} bytes/s")
    finally:
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)


def per_member(results, what, number):
    """Least squares over the sizes of one round: what one member more costs, and the base at three."""
    points = [(row["members"], row[what]) for row in results if row["round"] == number]
    middle_x = statistics.mean(x for x, _ in points)
    middle_y = statistics.mean(y for _, y in points)
    slope = (sum((x - middle_x) * (y - middle_y) for x, y in points) /
             sum((x - middle_x) ** 2 for x, _ in points))
    return slope, middle_y + slope * (3 - middle_x)


def report(results, rounds):
    columns = [("cpu_us", 1, "{:,.0f}"), ("bytes", 1, "{:,.0f}"), ("idle_cpu", 100, "{:.1f}"),
               ("idle_bytes_per_s", 1 / 1024, "{:.1f}")]
    rows = []
    for size in SIZES:
        row = [str(size)]
        for what, factor, form in [("records_per_s", 1, "{:,.0f}"), *columns]:
            row.append(spread([factor * r[what] for r in results if r["members"] == size], form))
        rows.append(row)
    for name, pick in (("one more", lambda slope, base: slope), ("of three, %", lambda slope, base: 100 * slope / base)):
        row = [name, ""]
        for what, factor, form in columns:
            values = [pick(*per_member(results, what, number)) for number in range(rounds)]
            row.append(spread([(factor if name == "one more" else 1) * value for value in values],
                              "{:.1f}" if name != "one more" or what != "bytes" else form))
        rows.append(row)
    print("\nThe leader, by the number of members (three vote)\n")
    print(table(["members", "records/s", "processor us a record", "bytes sent a record", "idle: processor %",
                 "idle: KiB/s"], rows))


def run(arguments):
    results = []
    for number in range(arguments.rounds):
        say(f"load average {os.getloadavg()[0]:.1f}")
        one_round(number, arguments, results)
    report(results, arguments.rounds)
    return results
