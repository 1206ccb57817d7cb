"""A steady load, and what it costs: a writer that keeps a pace and remembers how long each write took,
and a watch over the memory of a process.

SPDX-License-Identifier: Apache-2.0
"""
import threading
import time

from muster_ledger import record
from muster_rpc import Lost, RpcClient, RpcError


class SteadyWriter:
    """Submits `batch` records `per_s` times a second to one node, one after the other, until stopped. A
    write that is refused or lost is tried again and counts from its first attempt."""

    def __init__(self, socket_path, serial, batch=10, per_s=20.0):
        self.path = socket_path
        self.serial = serial
        self.batch = batch
        self.period_s = 1 / per_s
        self.mid = 0
        self.writes = []  # (when it began, seconds it took)
        self.failures = 0  # Attempts.
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def submit(self, client):
        records = [record(self.serial, self.mid + i) for i in range(1, self.batch + 1)]
        client.call("records.submit", {"feed": "steady", "deadline_ms": 8000, "records": records}, 12)
        self.mid += self.batch

    def run(self):
        client = None
        while not self.ended.is_set():
            began = time.monotonic()
            while not self.ended.is_set():
                try:
                    client = client or RpcClient(self.path, 12)
                    self.submit(client)
                    self.writes.append((began, time.monotonic() - began))
                    break
                except (OSError, Lost, RpcError):
                    self.failures += 1
                    if client is not None:
                        client.stream.close()
                    client = None
                    self.ended.wait(0.05)
            self.ended.wait(max(0.0, began + self.period_s - time.monotonic()))
        if client is not None:
            client.stream.close()

    def stop(self):
        self.ended.set()
        self.thread.join()

    def latencies(self, since=0.0, until=float("inf")):
        """Sorted seconds of the writes that ended within the span."""
        return sorted(took for began, took in list(self.writes) if since <= began + took <= until)


def own_memory(pid):
    """Bytes that the process has for itself: without mapped files, which the system may take back."""
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


class MemoryWatch:
    """The most memory that processes had since the watch began; `pids` by name."""

    def __init__(self, pids):
        self.pids = dict(pids)
        self.first = {name: own_memory(pid) for name, pid in self.pids.items()}
        self.peaks = dict(self.first)
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.ended.wait(0.1):
            for name, pid in list(self.pids.items()):
                try:
                    self.peaks[name] = max(self.peaks[name], own_memory(pid))
                except OSError:
                    pass  # It is being restarted.

    def stop(self):
        self.ended.set()
        self.thread.join()
        return self.peaks
