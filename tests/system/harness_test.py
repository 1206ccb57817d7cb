#!/usr/bin/env python3
"""The checkers of these tests, each seen to fail: a test that cannot fail proves nothing.

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import io
import os
import shutil
import socket
import subprocess
import sys

import flood_test
from muster_cluster import World, fail_in_time
from muster_ledger import Ledger, balance_of, external_id
from muster_rpc import pack, unpack
from muster_wait import Failure, check, wait_for
from steady_load import MemoryWatch

CLUSTER_ID = "0123456789abcdef0123456789abcdef"


class FakeCloud:
    """A cloud that says what it is told to."""

    def __init__(self, ids, **summary):
        self.ids = ids
        self.numbers = {"created": len(set(ids)), "distinct_external_ids": len(set(ids)), "same_id_different_body": 0,
                        "doubled": 0, "without_external_id": 0, "errors": 0, **summary}

    def external_ids(self):
        return self.ids

    def summary(self):
        return self.numbers


class FakeCluster:
    def __init__(self, cloud):
        self.cloud = cloud


def must_fail(what, action, word):
    try:
        action()
    except Failure as problem:
        check(word in str(problem), f"{what}: failed with other words: {problem}")
        print(f"{what}: seen to fail")
        return
    raise Failure(f"{what}: was not noticed")


def name(mid):
    return external_id(CLUSTER_ID, "FEED-1", mid, 1)


def books(ids, **summary):
    ledger = Ledger(FakeCluster(FakeCloud(ids, **summary)))
    ledger.acknowledged = {1, 2, 3}
    ledger.refused = {4}
    ledger.doubtful = {5}
    return lambda: ledger.check_cloud(CLUSTER_ID)


def test_books():
    good = [name(1), name(2), name(3)]
    check(books(good)() == 3, "good books")
    check(books(good + [name(5)])() == 3, "what is in doubt may be there")
    must_fail("a lost record", books([name(1), name(3)]), "are not in the cloud: MIDs [2]")
    must_fail("a refused record that arrived", books(good + [name(4)]), "nothing was changed")
    must_fail("an entity that nobody submitted", books(good + [name(6)]), "nobody submitted")
    must_fail("an external id listed twice", books(good + [name(1)]), "listed twice")
    must_fail("a record created twice", books(good, created=4), "created and distinct")
    must_fail("one id with two bodies", books(good, same_id_different_body=1), "same_id_different_body")
    must_fail("a doubled entity", books(good, doubled=1), "doubled")


def test_balance():
    export = {"produced": 10, "delivered": 5, "pending": 2, "dead_lettered": 2, "discarded": 1}
    balance_of(export)
    must_fail("a balance that is off by one", lambda: balance_of({**export, "produced": 11}), "balance")


def test_waiting():
    must_fail("a condition that never holds", lambda: wait_for("pigs fly", lambda: False, 0.1), "pigs fly")
    must_fail("a condition that only throws",
              lambda: wait_for("it answers", lambda: 1 // 0, 0.1, (ZeroDivisionError,)), "division")


def test_codec():
    values = [None, True, False, 0, 127, 128, 255, 256, 65536, 1 << 32, (1 << 64) - 1, -1, -32, -33, -(1 << 40), "",
              "x" * 31, "x" * 32, "x" * 256, "x" * 65536, "\u00e9", b"", b"y" * 300, [], list(range(20)), {},
              {str(i): [i, {"deep": None}] for i in range(20)}, 1.5]
    for value in values:
        check(unpack(pack(value)) == value, f"codec: {value!r}")
    with contextlib.suppress(EOFError):
        unpack(pack("cut short")[:-1])
        raise Failure("a value that is cut short was read")


GREEDY = "import sys; sys.stdin.readline(); held = b'x' * (%d << 20); print(len(held), flush=True); sys.stdin.readline()"


def memory_of_one_that_takes(size_mib):
    """What the watch saw of a process, first and at most."""
    with subprocess.Popen([sys.executable, "-c", GREEDY % size_mib], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        watch = MemoryWatch({"greedy": process.pid})
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()
        wait_for("it is seen", lambda: watch.peaks["greedy"] >= watch.first["greedy"] + (size_mib << 20), 20)
        peaks = watch.stop()
        process.stdin.close()
    return watch.first, peaks


def test_flood():
    silent, end = socket.socketpair()
    must_fail("one that says nothing and is not cut", lambda: flood_test.check_cut("silence", [silent], 0.1), "silence is cut")
    end.close()
    flood_test.check_cut("silence", [silent], 5)
    silent.close()

    flood_test.check_memory(*memory_of_one_that_takes(8))
    must_fail("memory without a bound", lambda: flood_test.check_memory(*memory_of_one_that_takes(80)), "memory grew by")

    before = {"leader": "a", "term": 7}
    flood_test.check_leadership(before, {"a": before, "b": before})
    must_fail("another leader", lambda: flood_test.check_leadership(before, {"a": before, "b": {"leader": "b", "term": 7}}), "by b")
    must_fail("another term", lambda: flood_test.check_leadership(before, {"a": {"leader": "a", "term": 8}}), "by a")
    must_fail("a flood that was let in", lambda: flood_test.check_turned_away(
        {"connections_refused": 5}, {"connections_refused": 900}), "turned away")
    must_fail("a client that was not served", lambda: flood_test.check_served(0, None), "a good client")
    must_fail("a client that was cut", lambda: flood_test.check_served(9, OSError("reset")), "reset")


def ended_with_failure(world, plant):
    """Run a world in which something goes wrong; true if its end noticed."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        try:
            with world:
                plant(world)
        except SystemExit as problem:
            return problem.code == 1, errors.getvalue()
        finally:
            shutil.rmtree(world.directory, ignore_errors=True)
    return False, errors.getvalue()


def test_world():
    def plant_report(world):
        with open(os.path.join(world.directory, "x.log"), "w") as file:
            file.write("fine\n==1==ERROR: AddressSanitizer: heap-use-after-free\n")

    def plant_process(world):
        process = subprocess.Popen(["/bin/sh", "-c", f"echo; read x # {world.directory}"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        strangers.append(process)
        process.stdout.readline()  # It bears its arguments only some time after Popen returns.

    def plant_problem(_world):
        raise Failure("planted")

    def plant_log(world):
        with open(os.path.join(world.directory, "x.log"), "w") as file:
            file.writelines(f"line {i}\n" for i in range(10000))
            file.write("what the node said last\n")
        raise Failure("planted")

    def hang(_world):
        os.environ["MUSTER_TIMEOUT_S"] = "1"
        fail_in_time()
        wait_for("pigs fly", lambda: False, 60, (Failure,))

    strangers = []
    for what, plant, word in (("a report of a sanitizer", plant_report, "heap-use-after-free"),
                              ("a process that is left over", plant_process, "left over"),
                              ("a failure of the test itself", plant_problem, "planted"),
                              ("what the log of a failed node says", plant_log, "\nwhat the node said last\n"),
                              ("a test that hangs", hang, "takes longer than")):
        failed, errors = ended_with_failure(World("harness"), plant)
        check(failed and word in errors, f"{what} was not noticed: {errors}")
        print(f"{what}: seen to fail")
    for process in strangers:
        process.stdin.close()
        process.stdout.close()
        process.wait()
    failed, errors = ended_with_failure(World("harness"), lambda world: None)
    check(not failed, f"a world where nothing happened: {errors}")


def main():
    test_codec()
    test_waiting()
    test_books()
    test_balance()
    test_flood()
    test_world()
    print("harness_test: every checker was seen to fail", file=sys.stdout)


if __name__ == "__main__":
    main()
