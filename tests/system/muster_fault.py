"""Nodes that die at fault points: the shared table of base/fault.h, and a node that is revived.

SPDX-License-Identifier: Apache-2.0
"""
import mmap
import os
import signal
import struct

from muster_cluster import Node
from muster_wait import Failure, check

ROW = struct.Struct("=32sQQQQ")  # Name, visits, from, times, action.
VISITS_AT, FROM_AT = 32, 40
KILLS = 1


class FaultTable:
    """The points of one musterd, which keeps them in a file that it shares."""

    def __init__(self, path):
        with open(path, "r+b") as file:
            self.rows = mmap.mmap(file.fileno(), os.fstat(file.fileno()).st_size)
        names = [ROW.unpack_from(self.rows, at)[0] for at in range(0, len(self.rows), ROW.size)]
        self.offsets = {name.rstrip(b"\0").decode(): i * ROW.size for i, name in enumerate(names)}
        check(len(self.offsets) == len(names) and "" not in self.offsets, f"names of fault points: {names}")

    def visits(self, point):
        return struct.unpack_from("=Q", self.rows, self.offsets[point] + VISITS_AT)[0]

    def arm(self, point, after=0):
        """Kill at the visit after so many more; gives its number."""
        first = self.visits(point) + after
        struct.pack_into("=QQQ", self.rows, self.offsets[point] + FROM_AT, first, 1, KILLS)
        return first

    def disarm(self, point):
        struct.pack_into("=Q", self.rows, self.offsets[point] + FROM_AT + 8, 0)


class Mortal(Node):
    """A node that may die by its own hand, at a point that was armed, and is then started again."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.table_path = os.path.join(self.directory, "faults")
        self.environment = {"MUSTER_FAULT_TABLE": self.table_path}
        self.armed = []  # (point, visit) since it last started: only there it may die.
        self.on_death = lambda node, point: None

    @property
    def table(self):
        if not hasattr(self, "opened"):
            self.opened = FaultTable(self.table_path)
        return self.opened

    def arm(self, point, after=0):
        self.armed.append((point, self.table.arm(point, after)))

    def disarm(self):
        for point, _ in self.armed:
            self.table.disarm(point)

    def cause_of_death(self):
        if self.process.returncode == -signal.SIGKILL:
            for point, visit in reversed(self.armed):  # Armed last, most likely.
                if self.table.visits(point) > visit:
                    return point
        return None

    def check_alive(self):
        if not self.must_live or self.is_running():
            return
        point = self.cause_of_death()
        if point is None:
            raise Failure(f"{self.name} ended by itself with {self.process.returncode}, not at one of {self.armed}; "
                          f"its log ends:\n{self.tail()}")
        self.disarm()
        self.armed = []
        self.on_death(self, point)
        self.spawn()
