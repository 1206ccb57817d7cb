"""Linearizable reads beside etcd's: one stored record by its key, over the leader and over a follower.

  tests/bench reads [--rounds N] [--seconds S]

For muster a records.search by MID that finds one record of 256 bytes, over the node's UNIX socket;
for etcd a get of one key with a value of 256 bytes over plain TCP, linearizable as is its default.

SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import shutil
import tempfile

from bench_common import BUILD, OUT, Sides, load, say, spread, table

CASES = [(1, "leader"), (32, "leader"), (256, "leader"), (32, "follower")]  # Readers, where.
SEED_RUN = 400  # A run of its own: its first record is what is read.


def endpoint(sides, side, where):
    """Options that name the node to ask."""
    if side == "etcd":
        leader = sides.etcd.leader()
        name = leader if where == "leader" else next(n for n in sides.etcd.clients if n != leader)
        return ["--endpoints", sides.etcd.clients[name]]
    leader = sides.muster.leader()
    name = leader if where == "leader" else next(n for n in "abc" if n != leader)
    return ["--socket", sides.muster.socket(name)]


def program(side, reading):
    if side == "etcd":
        return [OUT / "etcd_load", "--read"] if reading else [OUT / "etcd_load"]
    return [BUILD / "tests/benchmarks/rpc_load", *(["--call", "get"] if reading else [])]


def put_one(sides, side):
    load([*program(side, False), *endpoint(sides, side, "leader"), "--writers=1", "--warm=0",
          "--seconds=0.2", f"--run={SEED_RUN}"])


def one_round(number, arguments, results):
    directory = pathlib.Path(tempfile.mkdtemp(prefix="muster-bench-", dir=arguments.directory))
    sides = Sides(directory, arguments.seconds, arguments.warm)
    try:
        sides.start()
        for side in ("muster", "etcd"):
            put_one(sides, side)
        for readers, where in CASES:
            order = ["muster", "etcd"] if number % 2 == 0 else ["etcd", "muster"]
            for side in order:
                figures = load([*program(side, True), *endpoint(sides, side, where),
                                f"--writers={readers}", f"--warm={arguments.warm}",
                                f"--seconds={arguments.seconds}", f"--run={SEED_RUN}"])
                results.append({"round": number, "side": side, "readers": readers, "where": where,
                                **figures})
                say(f"round {number + 1}: {side:6} {readers:3} readers at the {where:8}: "
                    f"{figures['requests_per_s']:9.0f} reads/s  p50 {figures['p50_ms']:7.2f} ms  "
                    f"p99 {figures['p99_ms']:7.2f} ms")
    finally:
        sides.stop()
        shutil.rmtree(directory, ignore_errors=True)


def report(results):
    def pick(side, case, what):
        return [row[what] for row in results
                if row["side"] == side and (row["readers"], row["where"]) == case]
    rows = []
    for case in CASES:
        muster, etcd = (pick(side, case, "requests_per_s") for side in ("muster", "etcd"))
        ratios = [a / b for a, b in zip(muster, etcd)]
        rows.append([str(case[0]), case[1], spread(muster), spread(etcd), spread(ratios, "{:.2f}"),
                     *(spread(pick(side, case, "p99_ms"), "{:.2f}") for side in ("muster", "etcd"))])
    print("\nLinearizable reads/s: median (least-most) of the rounds\n")
    print(table(["readers", "asked at", "muster", "etcd", "muster / etcd", "muster p99 ms",
                 "etcd p99 ms"], rows))


def run(arguments):
    results = []
    for number in range(arguments.rounds):
        one_round(number, arguments, results)
    report(results)
    return results
