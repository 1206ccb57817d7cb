#!/usr/bin/env python3
"""A thousand connections that say nothing and ten thousand that say rubbish, at every door of a cluster that
works: memory stays bounded, nobody loses leadership, and a good client is served all the while.

    flood_test.py [--unlimited]

With --unlimited the nodes have no limits for one address: a control, which is to fail.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import contextlib
import os
import resource
import socket
import ssl
import threading
import time

from bad_input_test import tls_to
from muster_cluster import Cluster, World
from muster_ledger import check_replicas
from muster_rpc import RpcClient, pack
from muster_wait import check, check_equal, wait_for
from steady_load import MemoryWatch, SteadyWriter

IDLE = 1000
GARBAGE = 10000
THREADS = 4
MEMORY_MAX = 48 << 20  # Bytes that a node may need besides, at the worst moment.
OPEN_MAX = 700         # Connections of one node's admin RPC at once.
WRITE_MAX_S = 6.0      # The longest that a record's writer may wait, sanitized and on a busy machine.
TIMES = {"election_timeout_ms": 1000, "heartbeat_ms": 100}  # The product's own.
SETTINGS = {"connections_per_address_max": 32, "connections_per_s_max": 40, **TIMES}
UNLIMITED = {"connections_per_address_max": 65536, "connections_per_s_max": 0, **TIMES}

PIECES = (b"", b"\xc1", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(80),
          b"\xdd\xff\xff\xff\xff", bytes(3000))


def connect_from(source, address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), 5, (source, 0))


def attacker(number):
    """Half of all come from two addresses, the others from forty; none of them is a member's."""
    return f"127.0.1.{1 + number // 2 % 2}" if number % 4 < 2 else f"127.0.2.{1 + number // 4 % 40}"


def doors(cluster):
    return [node.settings[door] for node in cluster.nodes for door in ("rpc_listen", "peer_listen")]


def open_idle(cluster):
    """Silent connections: without a word of TLS, after its handshake, and at the sockets."""
    held = []
    addresses = doors(cluster)
    for number in range(IDLE):
        with contextlib.suppress(OSError):
            if number % 10 == 0:
                stream = socket.socket(socket.AF_UNIX)
                stream.connect(cluster.nodes[number % 3].socket)
                held.append(stream)
            else:
                stream = connect_from(attacker(number), addresses[number % len(addresses)])
                held.append(stream)
                if number % 48 == 2:  # At the first node's admin RPC.
                    held[-1] = shake_hands(stream)
    return held


def shake_hands(stream):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(stream)


def throw_garbage(cluster, thread, sent):
    addresses = doors(cluster) + [node.socket for node in cluster.nodes]
    for number in range(thread, GARBAGE, THREADS):
        address = addresses[number // THREADS % len(addresses)]
        with contextlib.suppress(OSError):
            if address.startswith("/"):
                stream = socket.socket(socket.AF_UNIX)
                stream.connect(address)
            else:
                stream = connect_from(attacker(number), address)
            with stream:
                stream.sendall(PIECES[number % len(PIECES)])
                sent[thread] += 1


class GoodClient:
    """An operator at the TLS port, from an address of his own, once a moment; and root at the socket."""

    def __init__(self, cluster, certificate):
        self.cluster = cluster
        self.certificate = certificate
        self.served = 0
        self.open_max = 0
        self.problem = None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        turn = 0
        while not self.ended.wait(0.25):
            node = self.cluster.nodes[turn % 3]
            turn += 1
            try:
                with RpcClient(stream=tls_to(node.settings["rpc_listen"], self.certificate)) as client:
                    check_equal("an operator's reading", client.call("cluster.status")["name"], "office")
                self.open_max = max(self.open_max, node.call("node.status").get("connections", 0))
                self.served += 1
            except Exception as problem:  # pylint: disable=broad-except
                self.problem = self.problem or problem

    def stop(self):
        self.ended.set()
        self.thread.join()


def begin_stuck(node):
    """One that begins a message and does not end it, and one that asks much and does not read."""
    half, deaf = (socket.socket(socket.AF_UNIX) for _ in range(2))
    half.connect(node.socket)
    half.sendall(pack([0, 1, "cluster.status", [{}]])[:-3])
    deaf.connect(node.socket)
    deaf.sendall(b"".join(pack([0, i, "rpc.describe", [{}]]) for i in range(1, 100)))
    return half, deaf


def is_cut(stream):
    """Has the other side ended it? What came before is read on the way."""
    stream.setblocking(False)
    try:
        while True:
            if not stream.recv(65536):
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True


# ---- What must hold; harness_test.py sees each of these fail ----

def check_cut(what, streams, deadline_s=30):
    wait_for(f"{what} is cut", lambda: all(is_cut(stream) for stream in streams), deadline_s)


def check_memory(first, peaks):
    grown = {name: (peaks[name] - first[name]) >> 20 for name in peaks}
    check(max(grown.values()) <= MEMORY_MAX >> 20, f"memory grew by {grown} MiB")
    return grown


def check_leadership(before, after):
    """By what each node says of it, `after` by its name."""
    for name, status in after.items():
        check_equal(f"the leader and the term by {name}", (status["leader"], status["term"]), (before["leader"], before["term"]))


def check_turned_away(before, after):
    check(after["connections_refused"] > before["connections_refused"] + IDLE, f"turned away: {before} {after}")


def check_served(times, problem):
    check(problem is None and times >= 3, f"a good client: {times} times, {problem!r}")


def totals(cluster):
    views = [node.call("node.status") for node in cluster.nodes]
    return {name: sum(view.get(name, 0) for view in views)
            for name in ("connections", "connections_refused", "connections_cut")}


def flood(cluster, good):
    before = totals(cluster)
    stuck = begin_stuck(cluster.nodes[0])
    began = time.monotonic()
    held = open_idle(cluster)
    opened_s = time.monotonic() - began
    served = good.served
    sent = [0] * THREADS
    throwers = [threading.Thread(target=throw_garbage, args=(cluster, i, sent)) for i in range(THREADS)]
    began = time.monotonic()
    for thrower in throwers:
        thrower.start()
    for thrower in throwers:
        thrower.join()
    print(f"{len(held)} silent connections in {opened_s:.1f} s, {sum(sent)} of {GARBAGE} pieces of garbage in "
          f"{time.monotonic() - began:.1f} s; a good client was served {good.served - served} times meanwhile", flush=True)
    check(len(held) >= IDLE * 9 // 10, "most idle connections were made")
    # Silent without a handshake: 5 s. With one, but nobody: 60 s, unless others need the place.
    tcp = [stream for stream in held if stream.family != socket.AF_UNIX and not isinstance(stream, ssl.SSLSocket)]
    check_cut("who says nothing", tcp)
    check_cut("the half message", stuck[:1])
    wait_for("who does not read is cut", lambda: totals(cluster)["connections_cut"] >= before["connections_cut"] + 2, 30)
    for stream in (*held, *stuck):
        stream.close()
    after = totals(cluster)
    check_turned_away(before, after)
    wait_for("the connections are gone", lambda: totals(cluster)["connections"] <= before["connections"] + 20, 30)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--unlimited", action="store_true")
    settings = UNLIMITED if parser.parse_args().unlimited else SETTINGS
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with World("flood") as world:
        cluster = Cluster(world, 3, **settings)
        for node in cluster.nodes:  # What is freed is to be gone from the memory that is measured.
            node.environment["ASAN_OPTIONS"] = "detect_leaks=1:abort_on_error=0:quarantine_size_mb=4"
        cluster.form()
        cluster.leader().muster("operator", "add", "otto", "viewer", "--directory", world.directory)
        status = cluster.leader().status()
        watch = MemoryWatch({node.name: node.process.pid for node in cluster.nodes})
        writer = SteadyWriter(cluster.followers()[0].socket, "FLOOD-1", 10, 10)
        good = GoodClient(cluster, tuple(os.path.join(world.directory, f"otto.{end}") for end in ("crt", "key")))
        flood(cluster, good)
        good.stop()
        writer.stop()
        peaks = watch.stop()
        slowest = max(writer.latencies())
        print(f"memory grew by {check_memory(watch.first, peaks)} MiB at most; at most {good.open_max} connections at a node; {len(writer.writes)} writes, "
              f"the slowest {slowest:.2f} s, {writer.failures} tried again", flush=True)
        check_served(good.served, good.problem)
        check(slowest < WRITE_MAX_S and writer.failures == 0 and len(writer.writes) > 10, "the writes")
        check(good.open_max <= OPEN_MAX, f"{good.open_max} connections at once")
        check_leadership(status, {node.name: node.status() for node in cluster.nodes})
        check_replicas(cluster)
        print("flood_test: passed")


if __name__ == "__main__":
    main()
