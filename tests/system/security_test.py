#!/usr/bin/env python3
"""What a thief gets: the rows of docs/security.md, each played against a real cluster.

    disk       a node's data folder without its root secret, and with it after the node was removed
    operator   certificates of each role, of one that was removed, and of another cluster's operator
    token      a join token that was revoked, or is for another node
    snapshot   a snapshot file without the recovery key
    local      a user of the machine that is neither root nor the daemon's

What the owner may do is done each time by the same code, or the refusals would prove nothing.

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import json
import os
import pwd
import shutil
import ssl
import subprocess

from bad_input_test import make_certificate, tls_to
from canary_test import Search
from muster_cluster import PASSING, Cluster, Node, World
from muster_ledger import check_replicas
from muster_rpc import UNAUTHORIZED, Lost, RpcClient, RpcError
from muster_wait import check, check_equal, wait_for

REFUSED, NOT_AUTHORISED = 3, 5


def sealed_search(cluster):
    search = Search()
    search.plant("the client password", cluster.PASSWORD.encode())
    return search


def steal(node, name, root_secret):
    """A thief's machine with a copy of the node's data folder."""
    thief = Node(node.world, name, node.world.cluster.cloud, serial=node.serial)
    shutil.rmtree(thief.data)
    shutil.copytree(node.data, thief.data)
    thief.settings["name"] = node.name
    if not root_secret:
        os.remove(os.path.join(thief.data, "root.secret"))
    return thief


def disk_without_root_secret(cluster, victim):
    """Nothing stands in clear, and the daemon does not start on it."""
    thief = steal(victim, "t", root_secret=False)
    found = sealed_search(cluster).of_tree(thief.data)
    check(not found, f"in clear on a stolen disk: {found}")
    thief.spawn()
    thief.must_live = False
    code = thief.process.wait(30)
    check(code != 0, "the daemon starts without the root secret of its data")
    check("root" in thief.tail(), f"it does not say what is missing:\n{thief.tail()}")


def disk_after_removal(cluster, victim):
    """The whole machine was stolen, root secret and all. Once it is removed it is nobody."""
    thief = steal(victim, "u", root_secret=True)
    cluster.nodes.remove(victim)
    cluster.leader().muster("cluster", "remove", victim.name, "--force", "--yes")
    before = cluster.call("cluster.status")["term"]
    thief.start()
    wait_for("it is told that it was removed",
             lambda: any("removed" in problem["what"] for problem in thief.status().get("problems", [])), 60, PASSING)
    key = os.path.join(cluster.world.directory, "a.key")
    for arguments in (("cluster", "token", "create"), ("export", "pause"), ("cluster", "recovery-key", key)):
        cluster.leader().muster(*arguments)  # Where it is allowed, just this is answered.
        if os.path.exists(key):
            os.remove(key)
        code, out, err = cluster.world.muster(thief, "--timeout", "5", *arguments)
        check(code != 0, f"muster {arguments} works on a removed node: {out}{err}")
    cluster.leader().muster("export", "resume")
    check_equal("the term", cluster.call("cluster.status")["term"], before)
    thief.stop()


def operator_files(cluster, name, role):
    directory = os.path.join(cluster.world.directory, f"of-{name}")
    os.makedirs(directory, exist_ok=True)
    cluster.leader().muster("operator", "add", name, role, "--directory", directory)
    return os.path.join(directory, f"{name}.crt"), os.path.join(directory, f"{name}.key")


def answer_to(stream, method, params=None):
    """0, or the error's code."""
    try:
        stream.call(method, params)
        return 0
    except RpcError as problem:
        return problem.code


def dial(node, certificate):
    return RpcClient(stream=tls_to(node.settings["rpc_listen"], certificate))


def operators(cluster):
    """Each role may do what its name says, at every node, until it is removed."""
    calls = (("cluster.status", None), ("export.pause", {"reason": "a test"}), ("operator.list", None),
             ("cluster.token.create", {"ttl_s": 60}))
    may = {"viewer": (True, False, True, False), "operator": (True, True, True, False), "admin": (True,) * 4}
    for role, allowed in may.items():
        certificate = operator_files(cluster, f"o-{role}", role)
        open_connections = []
        for node in cluster.running():
            connection = dial(node, certificate)
            open_connections.append(connection)
            for (method, params), permitted in zip(calls, allowed):
                code = answer_to(connection, method, params)
                check((code == 0) == permitted and code in (0, UNAUTHORIZED), f"{method} as {role}: {code}")
        cluster.leader().muster("operator", "remove", f"o-{role}", "--yes")

        def is_refused(node, connection):
            try:
                return answer_to(connection or dial(node, certificate), "cluster.status") == UNAUTHORIZED
            except (Lost, OSError):
                return True
        for node, connection in zip(cluster.running(), open_connections):
            wait_for(f"{role} is refused at {node.name} on the connection that was open",
                     lambda node=node, connection=connection: is_refused(node, connection), 10)
            wait_for(f"{role} is refused at {node.name}", lambda node=node: is_refused(node, None), 10)
            with contextlib.suppress(OSError):
                connection.stream.close()
    cluster.leader().muster("export", "resume")


def from_elsewhere(cluster):
    """The tool with the two files that `operator add` wrote, and nothing else."""
    node = cluster.leader()
    certificate, key = operator_files(cluster, "o-far", "viewer")
    far = ("--address", node.settings["rpc_listen"], "--certificate", certificate, "--key")
    code, out, err = cluster.world.muster(node, *far, key, "cluster", "members")
    check(code == 0 and node.name in out, f"a viewer far away: {code} {out}{err}")
    code, _, err = cluster.world.muster(node, *far, key, "export", "pause")
    check_equal(f"what a viewer may not: {err}", code, NOT_AUTHORISED)
    code, _, err = cluster.world.muster(node, *far, "/nowhere.key", "cluster", "members")
    check(code == 2 and "/nowhere.key: No such file" in err, f"a file that is not there: {code} {err}")
    cluster.leader().muster("operator", "remove", "o-far", "--yes")


def strangers(cluster, other):
    """An admin of another cluster, and of a CA that nobody knows."""
    theirs = operator_files(other, "their-admin", "admin")
    with dial(other.nodes[0], theirs) as client:
        check_equal("at home", answer_to(client, "cluster.token.create", {"ttl_s": 60}), 0)
    for certificate in (theirs, make_certificate(cluster.world, "mallory")):
        try:
            with dial(cluster.nodes[0], certificate) as client:
                check_equal("a strange admin", answer_to(client, "cluster.status"), UNAUTHORIZED)
        except (Lost, OSError, ssl.SSLError):
            pass  # Hung up on: as good.


def tokens(cluster, other):
    """For whom it is for, and until it is revoked."""
    leader = cluster.leader()

    def join(node, token, expect):
        return node.muster("cluster", "join", "--token-file", "-", "--yes", secret=token, expect=expect)
    newcomer = other.nodes[0]
    bound = leader.muster("cluster", "token", "create", "--for", "somebody").strip()
    check("another name" in join(newcomer, bound, REFUSED), "a token for another node is accepted")
    revoked = json.loads(leader.muster("-o", "json", "cluster", "token", "create"))
    leader.muster("cluster", "token", "revoke", revoked["token_id"], "--yes")
    told = join(newcomer, revoked["token"], REFUSED)
    check("no such join token" in told or "revoked" in told, f"a revoked token: {told}")


def snapshot(cluster):
    path = os.path.join(cluster.world.directory, "stolen.snapshot")
    cluster.leader().muster("snapshot", "save", path)
    found = sealed_search(cluster).of_file(path)
    check(not found, f"in clear in a snapshot: {found}")
    with open(path, "rb") as file:
        check(b"BEGIN CERTIFICATE" not in file.read(), "a snapshot shows certificates")


def local_user(cluster):
    """Neither the socket, nor the data, nor the process's memory."""
    node = cluster.leader()
    os.chmod(node.directory, 0o755)  # As /run/muster is: the socket itself must say no.
    nobody = pwd.getpwnam("nobody")

    def as_nobody(*argv):
        # Within the folder, as those above it may be closed to others.
        return subprocess.run(argv, capture_output=True, user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[],
                              cwd=node.directory, env=cluster.world.environment(), timeout=60, check=False)
    tool = shutil.copy(cluster.world.program("muster"), os.path.join(node.directory, "muster"))
    os.chmod(tool, 0o755)
    done = as_nobody("./muster", "--socket", "sock", "cluster", "status")
    check_equal(f"nobody's exit code ({done.stderr.decode()})", done.returncode, NOT_AUTHORISED)
    check(as_nobody("/bin/ls", "data").returncode == 0, "nobody cannot even look at what is open to all")
    paths = [os.path.join("data", name) for name in os.listdir(node.data)]
    for path in (*paths, *(f"/proc/{node.process.pid}/{name}" for name in ("environ", "mem", "fd"))):
        is_folder = os.path.isdir(os.path.join(node.directory, path))
        done = as_nobody("/bin/ls" if is_folder else "/bin/cat", path)
        check(done.returncode != 0, f"nobody can read {path}")
    with open(f"/proc/{node.process.pid}/limits") as file:
        core = next(line for line in file if line.startswith("Max core file size"))
    check_equal("size of a core", core.split()[4:6], ["0", "0"])


def main():
    with World("security") as world:
        world.cluster = cluster = Cluster(world, 3)
        cluster.form()
        cluster.register()
        cluster.add_credentials()
        other = Cluster(world, 0, cloud=cluster.cloud)
        other.nodes = [Node(world, "x", cluster.cloud)]
        other.start()
        wait_for("x leads itself", lambda: other.nodes[0].status()["leader"] == "x", 30, PASSING)
        snapshot(cluster)
        local_user(cluster)
        operators(cluster)
        from_elsewhere(cluster)
        tokens(cluster, other)
        other.nodes[0].muster("cluster", "init", "elsewhere")
        strangers(cluster, other)
        victim = cluster.followers()[0]
        victim.kill()
        disk_without_root_secret(cluster, victim)
        disk_after_removal(cluster, victim)
        check_replicas(cluster)
    print("security_test passed", flush=True)


if __name__ == "__main__":
    main()
