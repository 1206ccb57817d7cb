"""`muster doctor` (R4): each thing that can be wrong is made wrong, and its sentence and remedy are read.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import socket
import threading

from muster_cloud import Cloud
from muster_cluster import PASSING, Node, World
from muster_wait import check, wait_for

OK, FAILURE, WARNING, NO_ANSWER, NO_SUCH = 0, 1, 7, 4, 3


def doctor(node, expect, *arguments):
    """Findings by (group, subject); what was not ok must come with what helps."""
    code, out, err = node.world.muster(node, "-o", "json", "doctor", *arguments)
    check(code in expect, f"muster doctor: exit {code}, not one of {expect}\n{out}{err}")
    found = {}
    for finding in json.loads(out)["findings"]:
        check((finding["verdict"] == "ok") == (finding["remedy"] == ""), f"what helps? {finding}")
        found[finding["group"], finding["subject"]] = finding
    verdicts = {finding["verdict"] for finding in found.values()}
    worst = FAILURE if "failure" in verdicts else WARNING if "warning" in verdicts else OK
    check(code in (worst, NO_ANSWER), f"exit {code} for {verdicts}")
    return found


def expect_code(found, group, subject, code, words):
    finding = found.get((group, subject))
    check(finding is not None and finding["code"] == code and words in finding["what"] + finding["remedy"],
          f"{group}, {subject}: {finding}, not {code} with \"{words}\"; all: {json.dumps(found_list(found), indent=1)}")
    return finding


def found_list(found):
    return list(found.values())


def host_of(url):
    return url.removeprefix("https://")


class Proxy:
    """An HTTP proxy that answers every CONNECT with one code."""

    def __init__(self, code):
        self.code = code
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % self.code)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # Or accept() would take one more.
        self.listener.close()


def restart(node, **settings):
    if node.is_running():
        node.stop()
    node.settings.update(settings)
    node.start()
    wait_for("it leads itself", lambda: node.status()["leader"] == node.name, 30, PASSING)


def all_well(node, cloud):
    found = doctor(node, (WARNING, FAILURE))  # A busy disk may be one.
    expect_code(found, "cloud", "region", "no-region", "muster registration enable")
    found = doctor(node, (WARNING, FAILURE), "--region", "AMERICAS")
    for url in cloud.endpoints["regions"]["nam"].values():
        expect_code(found, "cloud", host_of(url), "ok", "name, TCP and TLS are good")
    expect_code(found, "cloud", "clock", "ok", "the cloud's")
    expect_code(found, "files", "data folder", "ok", "0700")
    expect_code(found, "files", "root secret", "ok", "0600")
    expect_code(found, "node", "part", "ok", "takes part")
    expect_code(found, "node", "libraft", "ok", "guarded")
    expect_code(found, "cluster", "quorum", "ok", "leads")
    expect_code(found, "cluster", "feed", "no-records", "muster-feed")
    refused = node.world.muster(node, "doctor", "--region", "APJC")
    check(refused[0] != 0 and "Asia-Pacific" in refused[2], f"APJC: {refused}")
    text = node.muster("doctor", "--region", "EUROPE", expect=WARNING)
    check("what helps: " in text and "\ncluster\n" in text, f"the tree: {text}")


def broken_hosts(node, cloud):
    urls = cloud.endpoints["regions"]["nam"]
    closed = f"https://127.0.0.1:{node.world.free_port()}"
    restart(node, visibility_url="https://no-such-host.invalid", ctia_url=closed)
    cloud.fault(family="sse", action="wrong_certificate", count=1)
    found = doctor(node, (FAILURE,), "--region", "AMERICAS")
    expect_code(found, "cloud", "no-such-host.invalid:443", "name", "/etc/resolv.conf")
    expect_code(found, "cloud", host_of(closed), "connection", "the port is closed")
    expect_code(found, "cloud", host_of(urls["sse"]), "certificate-name", "Something else answers")
    expect_code(found, "cloud", "clock", "clock-unknown", "no host told its time")

    cloud.fault(family="sse", action="tls_failure", count=1)
    found = doctor(node, (FAILURE,), "--region", "AMERICAS")
    expect_code(found, "cloud", host_of(urls["sse"]), "tls", "ends TLS")

    cloud.post("/time/advance", {"s": 900})
    os.chmod(node.data, 0o770)
    found = doctor(node, (FAILURE,), "--region", "AMERICAS")
    os.chmod(node.data, 0o700)
    expect_code(found, "cloud", host_of(urls["sse"]), "ok", "TLS are good")
    expect_code(found, "cloud", "clock", "clock", "s behind the cloud's")
    expect_code(found, "files", "data folder", "mode", "chmod 0700")


def credentials(node, cloud):
    """Whoever adds an API client reads at once what it may do, or why the cloud does not take it (R11, R12)."""
    for name, scopes in (("full", "casebook enrich private-intel response inspect"), ("casebook", "casebook private-intel inspect"),
                         ("pivot", "enrich response")):
        cloud.add_client(f"client-{name}", name, scopes=scopes)
    add = ("credentials", "add", "main", "--region", "AMERICAS", "--password-file", "-", "--client-id")
    text = node.muster("credentials", "verify", expect=NO_SUCH)
    check("there is no API client" in text and "muster credentials add NAME" in text, text)
    text = node.muster(*add, "client-full", secret="not this", expect=FAILURE)
    check("wrong client password (region AMERICAS)" in text and "missing" not in text, text)
    found = doctor(node, (FAILURE,), "--region", "AMERICAS")
    expect_code(found, "cluster", "export", "problem", "the cloud refuses the API client main: wrong client password")
    rows = (("full", "casebook: available\n  pivot menu: available\n  export: available\n"),
            ("pivot", "casebook: not available; missing scopes: casebook private-intel inspect:read\n  pivot menu: available\n"
             "  export: not available; missing scopes: private-intel:write\n"),
            ("casebook", "casebook: available\n  pivot menu: not available; missing scopes: enrich:read response\n"
             "  export: available\n"))
    for name, words in rows:
        text = node.muster(*add, f"client-{name}", "--replace", secret=name)
        check(words in text and words in node.muster("credentials", "list"), f"{name}: {text}")
    found = doctor(node, (WARNING, FAILURE), "--region", "AMERICAS")
    expect_code(found, "cluster", "export", "ok", "not registered")
    cloud.fault(family="visibility", path="/iroh/oauth2/token", action="status", status=503, count=1000)
    code, out, err = node.world.muster(node, *add, "client-full", "--replace", secret="full")
    check(code == OK and "client-full" in out and "stored, but not verified yet" in err, f"no cloud: {code} {out} {err}")
    cloud.clear_faults()


def wrong_ca_and_full_disk(node, cloud):
    """The system's CAs do not know this cloud's; and no disk has what is to be kept back of this one."""
    urls = cloud.endpoints["regions"]["nam"]
    restart(node, visibility_url=urls["visibility"], ctia_url=urls["private_intel"], cloud_ca_file="",
            disk_reserve_mib=1048576)
    found = doctor(node, (FAILURE,), "--region", "AMERICAS")
    expect_code(found, "cloud", host_of(urls["visibility"]), "certificate-issuer", "cloud_ca_file")
    expect_code(found, "disk", "space", "full", "Free space")


def behind_a_proxy(node, cloud):
    urls = cloud.endpoints["regions"]["nam"]
    proxy = Proxy(407)
    restart(node, cloud_ca_file=cloud.endpoints["ca"], disk_reserve_mib=64, cloud_proxy=proxy.address)
    found = doctor(node, (FAILURE,), "--region", "AMERICAS")
    proxy.close()
    expect_code(found, "cloud", host_of(urls["visibility"]), "proxy-refusal", "answered 407")
    found = doctor(node, (FAILURE,), "--region", "AMERICAS")
    expect_code(found, "cloud", host_of(urls["visibility"]), "proxy-connection", "cloud_proxy")


def from_outside(node):
    node.kill()  # Its socket stays behind.
    os.environ["PATH"] = os.path.dirname(node.binary) + ":" + os.environ["PATH"]
    found = doctor(node, (NO_ANSWER,), "--config", node.config)
    expect_code(found, "musterd", "socket", "not-listening", "systemctl status musterd")
    expect_code(found, "musterd", "configuration", "ok", "good")
    os.unlink(node.socket)
    node.settings["cloud_proxy"] = "http://bob:hunter2@192.0.2.1:3128"
    node.write_config()
    found = doctor(node, (NO_ANSWER,), "--config", node.config)
    finding = expect_code(found, "musterd", "configuration", "configuration", "asks for one is not supported")
    check("hunter2" not in json.dumps(finding), f"the password is shown: {finding}")
    node.settings["cloud_proxy"] = ""
    node.write_config()
    with open(node.config, "a") as file:
        file.write('heartbeat_ms = "never"\n')
    found = doctor(node, (NO_ANSWER,), "--config", node.config)
    expect_code(found, "musterd", "socket", "no-socket", "systemctl start musterd")
    expect_code(found, "musterd", "configuration", "configuration", "heartbeat_ms")


def main():
    with World("doctor") as world:
        cloud = Cloud(world)
        node = Node(world, "a", cloud)
        os.chmod(node.data, 0o700)
        restart(node)
        all_well(node, cloud)
        credentials(node, cloud)
        broken_hosts(node, cloud)
        wrong_ca_and_full_disk(node, cloud)
        behind_a_proxy(node, cloud)
        from_outside(node)


if __name__ == "__main__":
    main()
