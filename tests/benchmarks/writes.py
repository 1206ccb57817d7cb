"""Acknowledged writes beside etcd's: writes/s, latency, processor, memory and disk.

  tests/bench [writes] [--quick] [--rounds N] [--seconds S] [--cases 1x1,256x1]

What a write is: for muster one records.submit with one message record (256 bytes as stored, five
search keys) over the leader's UNIX socket; for etcd one put of a 256-byte value over plain TCP to
its leader. muster's members talk TLS with each other, etcd's do not.

SPDX-License-Identifier: Apache-2.0
"""
import os
import pathlib
import shutil
import statistics
import tempfile

from bench_common import Sides, fsync_cost, say, spread, table

CASES = [(1, 1), (32, 1), (256, 1), (1, 100), (32, 100)]  # Writers, records a write.


def one_round(number, arguments, results):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="muster-bench-", dir=arguments.directory))
    sides = Sides(directory, arguments.seconds, arguments.warm)
    try:
        sides.start()
        results["fsync"].append(fsync_cost(directory, min(arguments.seconds, 2)))
        idle = {"muster": sides.muster.memory(), "etcd": sides.etcd.memory()}
        for writers, batch in arguments.cases:
            order = ["muster", "etcd"] if number % 2 == 0 else ["etcd", "muster"]
            for side in order:
                figures = sides.measure(side, writers, batch)
                results["writes"].append(
                    {"round": number, "side": side, "writers": writers, "batch": batch, **figures})
                say(f"round {number + 1}: {side:6} {writers:3} writers x {batch:3}: "
                    f"{figures['records_per_s']:9.0f} records/s  p50 {figures['p50_ms']:8.2f} ms  "
                    f"p99 {figures['p99_ms']:8.2f} ms")
        results["memory"].append({"idle": idle, "loaded": {"muster": sides.muster.memory(),
                                                            "etcd": sides.etcd.memory()}})
    finally:
        sides.stop()
        shutil.rmtree(directory, ignore_errors=True)


# ---- The tables ----


def pick(results, side, case, what):
    return [row[what] for row in results["writes"]
            if row["side"] == side and (row["writers"], row["batch"]) == case]


def write_tables(results, cases):
    rates, latencies, costs = [], [], []
    for case in cases:
        muster, etcd = (pick(results, side, case, "records_per_s") for side in ("muster", "etcd"))
        ratios = [a / b for a, b in zip(muster, etcd)]
        name = [str(case[0]), str(case[1])]
        rates.append([*name, spread(muster), spread(etcd), spread(ratios, "{:.2f}")])
        latencies.append([*name, *(spread(pick(results, side, case, what), "{:.2f}")
                                   for side in ("muster", "etcd") for what in ("p50_ms", "p99_ms"))])
        costs.append([*name, *(spread(pick(results, side, case, what))
                               for side in ("muster", "etcd")
                               for what in ("written_per_record", "disk_per_record"))])
    print("\nAcknowledged records/s: median (least-most) of the rounds\n")
    print(table(["writers", "records a write", "muster", "etcd", "muster / etcd"], rates))
    print("\nLatency of a write, ms\n")
    print(table(["writers", "records a write", "muster p50", "muster p99", "etcd p50", "etcd p99"],
                latencies))
    print("\nBytes per record on each node: written to the disk, and allocated on it\n")
    print(table(["writers", "records a write", "muster written", "muster allocated",
                 "etcd written", "etcd allocated"], costs))


def memory_table(results):
    rows = []
    for when in ("idle", "loaded"):
        for side in ("muster", "etcd"):
            samples = [entry[when][side] for entry in results["memory"]]
            rows.append([side, when,
                         *(spread([value / 2**20 for sample in samples for value in sample[kind]],
                                  "{:.1f}") for kind in ("own", "mapped"))])
    print("\nMemory of each process, MiB: its own, and mapped files (the system's to take back)\n")
    print(table(["", "", "own", "mapped"], rows))


def report(results, cases):
    fsync = results["fsync"]
    print(f"\nfdatasync of 4 KiB on this disk: {spread([f['p50_ms'] for f in fsync], '{:.2f}')} ms "
          f"median, {spread([f['p99_ms'] for f in fsync], '{:.2f}')} ms p99, "
          f"{spread([f['per_s'] for f in fsync])}/s")
    loads = [row["load"] for row in results["load_average"]]
    print(f"load average when a round began: {spread(loads, '{:.1f}')}")
    write_tables(results, cases)
    memory_table(results)


def run(arguments):
    results = {"fsync": [], "writes": [], "memory": [], "load_average": []}
    for number in range(arguments.rounds):
        results["load_average"].append({"load": os.getloadavg()[0]})
        one_round(number, arguments, results)
    report(results, arguments.cases)
    return results
