#!/usr/bin/env python3
"""Garbage at every door: the cluster answers or hangs up, goes on working, and its state is untouched.

    bad_input_test.py [--seed S]

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import contextlib
import os
import random
import re
import socket
import ssl
import struct
import subprocess

from muster_cluster import Cluster, World
from muster_ledger import Ledger, check_replicas, wait_delivered, wait_quiet
from muster_rpc import INVALID, UNAUTHORIZED, Lost, RpcClient, RpcError, Unpacker, pack
from muster_wait import check, check_equal

FRAME_SIZE_MAX = 1 << 20
EXIT_CONFIG = 78
REFUSES = (1, 2, 3, 4)  # Invalid, unknown method, not found, unauthorised.


def exchange(stream, data, patience_s=5):
    """Send, and read until the other side hangs up or is silent. What came, or None after a reset."""
    got = b""
    stream.settimeout(patience_s)
    try:
        stream.sendall(data)
        if not isinstance(stream, ssl.SSLSocket):  # Python would go on without TLS.
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_WR)
        while part := stream.recv(65536):
            got += part
    except OSError:
        return got or None
    finally:
        stream.close()
    return got


def garbage(rng):
    """Bytes that are no request, from mere noise to almost one."""
    good = pack([0, 1, "cluster.status", [{}]])
    yield b"\xc1"
    yield b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    yield pack([1, 1, None, {}])  # A response to nothing.
    yield pack([2, "notify", []])
    yield pack([0, 1, "cluster.status"])
    yield pack([0, -1, "cluster.status", [{}]])
    yield pack([0, 1 << 40, "cluster.status", [{}]])
    yield pack([0, 1, 7, [{}]])
    yield pack([0, 1, "", [{}]])
    yield pack([0, 1, "x" * 5000, [{}]])
    yield pack([0, 1, "cluster.status", [{}, {}]])
    yield pack([0, 1, "cluster.status", {}])
    yield pack([0, 1, "cluster.status", [[]]])
    yield pack({})
    yield pack("text")
    yield b"\x93" * 100000  # Arrays in arrays.
    yield b"\x81\xa1a" * 50000
    yield b"\xdd\xff\xff\xff\xff"  # An array of 2^32 - 1.
    yield b"\xdf\xff\xff\xff\xff"
    yield b"\xc6\xff\xff\xff\xff" + b"x" * 1000  # Bytes that never come.
    yield b"\x94\x00\x01\xdb\x7f\xff\xff\xff"
    yield b"\x94\x00\x01\xa2\xff\xfe\x90"  # A method that is not UTF-8.
    yield pack([0, 1, "cluster.status", [{"stale": b"x" * (FRAME_SIZE_MAX + 10)}]])
    yield pack([0, 1, "cluster.status", [{"a": [0] * 200000}]])
    for _ in range(40):
        yield rng.randbytes(rng.randrange(1, 2000))
    for _ in range(120):
        broken = bytearray(good * rng.randrange(1, 3))
        for _ in range(rng.randrange(1, 4)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        yield bytes(broken[:rng.randrange(1, len(broken) + 1)])


def local_garbage(cluster, rng):
    count = 0
    for data in garbage(rng):
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(rng.choice(cluster.nodes).socket)
        exchange(stream, data)
        count += 1
    return f"{count} pieces of garbage at the local socket"


WRONG = [None, True, -1, 1 << 63, 1.5, "x" * 70000, "\0", b"\xff\xfe", [], [1, 2], {}, {"a": 1}, [[[[[[]]]]]]]


def wrong_types(cluster, rng):
    """Each field of each method, with values of other types; and params that are no map."""
    methods = cluster.nodes[0].call("rpc.describe")["methods"]
    kinds = {"number": (int,), "boolean": (bool,), "text": (str,), "bytes": (bytes,), "map": (dict,)}
    asked = 0
    for method in methods:
        for params in ([1], ["x"], [None], [[1]], [{"a": 1}, 2], "x", 5):
            with contextlib.suppress(EOFError, OSError, ValueError):
                expect_refusal(rng.choice(cluster.nodes), method["method"], params)
                asked += 1
        for field in method.get("params", []):
            name, kind = re.match(r"(\w+): (number|boolean|text|bytes|map|list)", field).groups()
            for value in WRONG if name != "reserved" else ():  # Of messages without fields; ignored.
                fits = kind == "list" and isinstance(value, list) or type(value) in kinds.get(kind, ())
                if fits and not (isinstance(value, str) and len(value) > 60000):
                    continue
                expect_refusal(rng.choice(cluster.nodes), method["method"], [{name: value}])
                asked += 1
    return f"{asked} requests with values of wrong types for {len(methods)} methods"


def expect_refusal(node, method, params):
    """An error that says so, or an end of the connection; never success."""
    with RpcClient(node.socket) as client:
        client.stream.sendall(pack([0, 1, method, params]))
        try:
            answer = Unpacker(client.take).value()
        except EOFError:
            return
    check(answer[2] is not None and answer[2][0] in REFUSES, f"{method} {str(params)[:100]}: {str(answer)[:300]}")
    check(answer[2][1], f"{method}: an error without words")


def bad_records(cluster, rng):
    from muster_ledger import record
    node = rng.choice(cluster.nodes)
    good = record("BAD-1", 1)
    rows = [{**good, "serial": ""}, {**good, "last_ms": 0}, {**good, "disposition": "eaten"}, {**good, "recipient_count": 0},
            {**good, "sender_ip": "192.0.2.999"}, {**good, "sender_ip": "::FFFF:1"}, {**good, "mid": 1 << 60},
            {**good, "subject": "x" * 2000}, {**good, "subject": "a\0b"}, {**good, "verdicts": ["x"] * 33},
            {**good, "observables": [{"type": "ip", "value": "host"}]}, {**good, "observables": [{"type": "x", "value": "y"}]},
            {**good, "observables": [{"type": "url", "value": "HTTP://UPPER/"}]}, {}, {"serial": "x"}]
    for row in rows:
        for records in ([row], [good, row], [row] * 3):
            expect_refusal(node, "records.submit", [{"feed": "bad", "records": records}])
    expect_refusal(node, "records.submit", [{"feed": "bad", "records": []}])
    expect_refusal(node, "records.submit", [{"feed": "bad", "records": [good] * 1001}])
    return f"{len(rows)} kinds of bad records"


def unknown_methods(cluster, rng):
    for name in ("", "cluster", "cluster.", "CLUSTER.STATUS", "cluster.status ", "../x", "%s%n", "peer.forward", "x" * 48):
        expect_refusal(rng.choice(cluster.nodes), name, [{}])
    return "unknown methods"


def stream_to(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), 5)


def tls_to(address, certificate=None):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(*certificate)
    return context.wrap_socket(stream_to(address))


def network_garbage(cluster, rng):
    """Both TLS doors: no TLS, half of it, and none of our certificates."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(32)
    count = 0
    for node in cluster.nodes:
        for door in ("rpc_listen", "peer_listen"):
            address = node.settings[door]
            for data in (b"", b"\0", b"GET / HTTP/1.0\r\n\r\n", hello, hello + rng.randbytes(500), rng.randbytes(70000),
                         b"\x16\x03\x01\xff\xff" + bytes(70000), pack([0, 1, "cluster.status", [{}]])):
                exchange(stream_to(address), data, 1)
                count += 1
            halves = [stream_to(address) for _ in range(20)]  # Left open, without a word.
            for half in halves:
                half.sendall(hello[:rng.randrange(1, len(hello))])
            for half in halves:
                half.close()
    return f"{count} pieces of garbage at the network's doors, and halves of handshakes"


def strangers(cluster, rng):
    """TLS without a certificate: the RPC answers only that it does not."""
    node = rng.choice(cluster.nodes)
    methods = [row["method"] for row in node.call("rpc.describe")["methods"] if row["role"] != "anyone"]
    for method in methods:
        with RpcClient(stream=tls_to(node.settings["rpc_listen"])) as client:
            try:
                client.call(method)
                raise AssertionError(f"a stranger was answered {method}")
            except RpcError as problem:
                check_equal(f"{method} by a stranger", problem.code, UNAUTHORIZED)
    for method, params in (("cluster.admit", {}), ("cluster.admit", {"token_id": "x" * 16}), ("cluster.standing", {}),
                           ("cluster.admit", {"request": "x" * 40000})):
        with RpcClient(stream=tls_to(node.settings["rpc_listen"])) as client:
            try:
                client.call(method, params)
                raise AssertionError(f"a stranger was answered {method} {str(params)[:40]}")
            except RpcError as problem:
                check_equal(f"{method} by a stranger", problem.code, INVALID)
    big = exchange(tls_to(node.settings["rpc_listen"]), pack([0, 1, "cluster.admit", [{"request": "x" * 70000}]]))
    check(big is None or b"at most" in big, f"a stranger's large frame: {big}")
    for data in garbage(rng):
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            exchange(tls_to(node.settings["rpc_listen"]), data, 0.1)
    return f"{len(methods)} methods refused to strangers"


def make_certificate(world, name):
    """Of a CA that nobody here knows."""
    key, certificate = (os.path.join(world.directory, f"{name}.{end}") for end in ("key", "crt"))
    done = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                           "-days", "2", "-subj", f"/CN={name}", "-keyout", key, "-out", certificate],
                          capture_output=True, check=False)
    check(done.returncode == 0, f"openssl: {done.stderr.decode()}")
    return certificate, key


def peers(cluster, rng):
    """The door between members: nobody but members, and nothing but their protocol."""
    world = cluster.world
    cluster.leader().muster("operator", "add", "oscar", "viewer", "--directory", world.directory)
    operator = (os.path.join(world.directory, "oscar.crt"), os.path.join(world.directory, "oscar.key"))
    for certificate in (None, make_certificate(world, "mallory"), operator):
        for node in cluster.nodes:
            for _ in range(5):
                data = rng.choice([b"", rng.randbytes(1000), b"\0" * 5000, struct.pack(">I", 0xFFFFFFFF) * 10])
                with contextlib.suppress(OSError):
                    answer = exchange(tls_to(node.settings["peer_listen"], certificate), data, 0.5)
                    check(not answer or b"muster" not in answer.lower(), f"a peer's door answered {str(answer)[:100]}")
    with RpcClient(stream=tls_to(cluster.nodes[0].settings["rpc_listen"], operator)) as client:
        check_equal("an operator's reading", client.call("cluster.status")["name"], "office")
        for method in ("export.pause", "cluster.leave", "records.submit", "peer.forward", "cluster.token.create"):
            try:
                client.call(method, {"records": []})
                raise AssertionError(f"a viewer was answered {method}")
            except RpcError as problem:
                check_equal(f"{method} by a viewer", problem.code, UNAUTHORIZED)
    with contextlib.suppress(ssl.SSLError, ConnectionError, Lost):
        with RpcClient(stream=tls_to(cluster.nodes[0].settings["rpc_listen"], make_certificate(world, "eve"))) as client:
            try:
                client.call("cluster.status")
                raise AssertionError("a certificate of a strange CA was accepted")
            except RpcError as problem:
                check_equal("cluster.status with a strange certificate", problem.code, UNAUTHORIZED)
    return "strange certificates, and a viewer's, at the doors of members"


def bad_tokens(cluster, rng):
    node = cluster.nodes[0]
    token = cluster.leader().muster("cluster", "token", "create").strip()
    tried = ["", "muster1.", "muster1." + "A" * 1000, "muster1." + "=" * 50, token[:-1], token + "A", token.upper()]
    for _ in range(60):
        letters = list(token)
        letters[rng.randrange(8, len(letters))] = rng.choice("ABCxyz019-_")
        tried.append("".join(letters))
    for text in set(tried) - {token}:
        for check_only in (True, False):
            try:
                node.call("cluster.join", {"token": text, "check": check_only})
                raise AssertionError(f"a broken join token was taken: {text[:20]}...")
            except RpcError as problem:
                check(text not in problem.message or not text, "the error repeats the token")
    return f"{len(tried)} broken join tokens"


def bad_configurations(cluster, _rng):
    """Exit code 78, and words that lead to the line."""
    node = cluster.nodes[0]
    rows = [("election_timeout_ms", "fast"), ("election_timeout_ms", "5"), ("election_timeout_ms", "-300"),
            ("heartbeat_ms", "299"), ("voters", "2"), ("voters", "99"), ("name", "two words"), ("name", "x" * 70),
            ("serial", ""), ("data_directory", "relative/path"), ("rpc_listen", "nowhere"), ("rpc_listen", "::1:80"),
            ("rpc_listen", "127.0.0.1:99999"), ("peer_listen", ""), ("visibility_url", "http://plain.example.com"),
            ("log_level", "loud"), ("store_size_max_mib", "99999999999999999999"), ("socket", "x"), ("colour", "red"),
            ("cloud_ca_file", "ca.pem")]
    for key, value in rows:
        path = os.path.join(cluster.world.directory, "bad.conf")
        with open(path, "w") as file:
            for name, good in {**node.settings, key: value}.items():
                file.write(f'{name} = "{value if name == key else good}"\n')
        refuse_configuration(cluster.world, path, key, f"{key} = {value}")
    for text, word in (("name = ", "line 1"), ("x x x", "line 1"), ('name = "a"\n\nvoters = {', "line 3"), ("\0\1\2", "not text"),
                       ('name = "unfinished', "line")):
        with open(path, "w") as file:
            file.write(text)
        refuse_configuration(cluster.world, path, word, repr(text))
    refuse_configuration(cluster.world, os.path.join(cluster.world.directory, "none.conf"), "none.conf", "no file")
    return f"{len(rows) + 6} bad configurations"


def refuse_configuration(world, path, word, what):
    done = subprocess.run([world.program("musterd"), "--config", path], capture_output=True, timeout=20,
                          env=world.environment(), check=False)
    said = done.stderr.decode(errors="replace")
    check_equal(f"exit code for {what}: {said}", done.returncode, EXIT_CONFIG)
    check(word in said, f"the complaint about {what} does not say {word!r}: {said}")


DOORS = (local_garbage, unknown_methods, wrong_types, bad_records, network_garbage, strangers, bad_configurations)
DOORS_WITH_TRACES = (peers, bad_tokens)  # An operator and a join token are made for them.


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=int(os.environ.get("MUSTER_SEED", "1")))
    seed = parser.parse_args().seed
    rng = random.Random(seed)
    with World("bad-input") as world:
        cluster = Cluster(world, 3)
        cluster.form()
        cluster.register()
        cluster.add_credentials()
        ledger = Ledger(cluster)
        ledger.feed(200, seed).join()
        wait_delivered(cluster)
        check_replicas(cluster)
        before = wait_quiet(cluster)
        term = cluster.leader().status()["term"]
        for door in DOORS + DOORS_WITH_TRACES:
            told = door(cluster, rng)
            cluster.check_alive()
            if door in DOORS:
                check_equal("the state", [node.call("node.digest") for node in cluster.nodes], before)
            print(f"{door.__name__}: {told}", flush=True)
        check_equal("the term", cluster.leader().status()["term"], term)
        ledger.feed(500, seed + 1).join()
        wait_delivered(cluster)
        check_replicas(cluster)
        count = ledger.check_cloud(cluster.call("cluster.status")["cluster_id"])
        print(f"bad_input_test: passed; {count} records, each once, afterwards")


if __name__ == "__main__":
    main()
