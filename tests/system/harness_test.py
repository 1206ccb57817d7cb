#!/usr/bin/env python3
"""The checkers of these tests, each seen to fail: a test that cannot fail proves nothing.

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import io
import os
import shutil
import subprocess
import sys

from muster_cluster import World, fail_in_time
from muster_ledger import Ledger, balance_of, external_id
from muster_rpc import pack, unpack
from muster_wait import Failure, check, wait_for

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
    test_world()
    print("harness_test: every checker was seen to fail", file=sys.stdout)


if __name__ == "__main__":
    main()
