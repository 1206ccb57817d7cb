"""Waiting for conditions, with deadlines: the tests' only way to let time pass.

SPDX-License-Identifier: Apache-2.0
"""
import time

POLL_S = 0.02


class Failure(Exception):
    """The product did not keep a promise, or a deadline passed."""


def check(condition, what):
    if not condition:
        raise Failure(what)


def check_equal(what, left, right):
    if left != right:
        raise Failure(f"{what}: {left!r} is not {right!r}")


def wait_for(what, condition, deadline_s=30, ignore=()):
    """The first true value of condition(). Exceptions of the kinds in `ignore` count as not yet."""
    end = time.monotonic() + deadline_s
    last = None
    while True:
        try:
            last = condition()
            if last:
                return last
        except ignore as problem:
            last = problem
        if time.monotonic() > end:
            raise Failure(f"waited {deadline_s} s in vain until {what}; last seen: {str(last)[:2000]}")
        time.sleep(POLL_S)
