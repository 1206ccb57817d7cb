#!/usr/bin/env python3
"""Walks the rows of tests/cloudsim/README.md against a running muster-cloudsim, over real TLS.

usage: cloudsim_test.py PATH-TO-muster-cloudsim
Uses the standard library and the openssl command only.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import hashlib
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import traceback
from urllib.parse import urlsplit

DEADLINE_S = 15
SECRET = "correct-horse-battery-staple"
TIME = {"start_time": "2026-01-02T03:04:05.000Z"}


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json["error"]["code"]


def wait_for(what, condition):
    """The value of condition() once it is true; fails after the deadline."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError("waited in vain for " + what)


def expect(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what}: got {actual!r}, expected {expected!r}")


class Cloud:
    def __init__(self, program):
        self.folder = tempfile.mkdtemp(prefix="cloudsim-test-")
        clients = os.path.join(self.folder, "clients.json")
        with open(clients, "w", encoding="ascii") as file:
            json.dump([
                {"id": "full", "password": SECRET, "region": "nam",
                 "scopes": "casebook enrich private-intel response inspect"},
                {"id": "pivot", "password": SECRET, "region": "nam", "scopes": ["enrich", "response"]},
                {"id": "europe", "password": SECRET, "region": "eu", "scopes": "private-intel"},
                {"id": "other-org", "password": SECRET, "region": "nam", "org": "org-2",
                 "scopes": "private-intel"},
            ], file)
        self.process = subprocess.Popen(
            [program, "--directory", self.folder, "--clients", clients],
            stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("ready "), line
        with open(os.path.join(self.folder, "endpoints.json"), encoding="ascii") as file:
            self.endpoints = json.load(file)
        expect(self.endpoints["pid"], self.process.pid, "pid in endpoints.json")

    def stop(self):
        self.process.terminate()
        code = self.process.wait(DEADLINE_S)
        shutil.rmtree(self.folder)
        expect(code, 0, "exit code after SIGTERM")

    def url(self, family, region):
        if family == "admin":
            return self.endpoints["admin"]
        return self.endpoints["regions"][region][family.replace("-", "_")]

    def context(self, certificate=None):
        context = ssl.create_default_context(cafile=self.endpoints["ca"])
        if certificate:
            context.load_cert_chain(*certificate)
        return context

    def connect(self, family, region, certificate=None):
        parts = urlsplit(self.url(family, region))
        if parts.scheme == "http":
            return http.client.HTTPConnection(parts.hostname, parts.port, timeout=DEADLINE_S)
        return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=DEADLINE_S,
                                           context=self.context(certificate))

    def call(self, family, method, path, body=None, headers=None, region="nam", certificate=None,
             connection=None):
        own = connection or self.connect(family, region, certificate)
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        own.request(method, path, body, headers or {})
        answer = own.getresponse()
        reply = Reply(answer.status, answer.headers, answer.read())
        if connection is None:
            own.close()
        return reply

    def admin(self, method, path, body=None):
        reply = self.call("admin", method, path, body)
        expect(reply.status, 200, f"admin {method} {path}: {reply.body!r}")
        return reply

    def fault(self, **script):
        return self.admin("POST", "/faults", script).json["fault_id"]

    def token_reply(self, client="full", password=SECRET, region="nam",
                    form="grant_type=client_credentials", headers=None):
        basic = base64.b64encode(f"{client}:{password}".encode()).decode()
        return self.call("visibility", "POST", "/iroh/oauth2/token", form,
                         headers or {"Authorization": "Basic " + basic,
                                     "Content-Type": "application/x-www-form-urlencoded"},
                         region=region)

    def bearer(self, client="full", region="nam"):
        reply = self.token_reply(client, region=region)
        expect(reply.status, 200, f"token for {client}")
        return {"Authorization": "Bearer " + reply.json["access_token"]}

    def bundle(self, sightings, headers, prefixes="m-", region="nam", **more):
        path = "/ctia/bundle/import?external-key-prefixes=" + prefixes
        body = {"source": "test", "sightings": sightings} | more
        return self.call("private-intel", "POST", path, body, headers, region)

    def summary(self):
        return self.admin("GET", "/sightings/summary").json

    def make_key(self, name):
        key = os.path.join(self.folder, name + ".key")
        csr = subprocess.run(
            ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-keyout", key, "-subj", "/CN=ignored"],
            check=True, capture_output=True, text=True).stdout
        return key, csr

    def reg_token(self, region="nam", **more):
        return self.admin("POST", "/registration-tokens", {"region": region} | more).json["token"]

    def register(self, token, serial, csr, region="nam"):
        return self.call("sse", "POST", "/sim/v1/devices:register",
                         {"token": token, "csr": csr,
                          "device": {"name": serial.lower(), "serial": serial, "model": "C100V",
                                     "version": "15.0.0", "ip": "192.0.2.1"}}, region=region)

    def registration(self, registration_id):
        reply = self.call("sse", "GET", "/sim/v1/registrations/" + registration_id)
        expect(reply.status, 200, "registration " + registration_id)
        return reply.json

    def registered(self, registration_id):
        return wait_for("registration", lambda: (
            lambda r: r if r["status"] != "in_progress" else None)(self.registration(registration_id)))

    def device(self, serial):
        """Register a device; its id and certificate pair."""
        key, csr = self.make_key(serial)
        reply = self.register(self.reg_token(), serial, csr)
        expect(reply.status, 202, f"register {serial}: {reply.body!r}")
        done = self.registered(reply.json["registration_id"])
        path = os.path.join(self.folder, serial + ".pem")
        with open(path, "w", encoding="ascii") as file:
            file.write(done["certificate"])
        return done["device_id"], (path, key)


def sighting(name, **more):
    return {"external_ids": [name], "observed_time": TIME} | more


def test_hosts_and_regions_are_apart(cloud):
    expect(cloud.call("private-intel", "GET", "/ctia/status").status, 200, "status")
    expect(cloud.call("private-intel", "GET", "/ctia/version").status, 200, "version")
    for family, path in (("visibility", "/ctia/status"), ("sse", "/ctia/status"),
                         ("private-intel", "/iroh/profile/whoami"), ("visibility", "/nothing")):
        reply = cloud.call(family, "GET", path)
        expect(reply.status, 404, f"{family} {path}")
        assert reply.headers["Content-Type"].startswith("text/html"), reply.headers
    reply = cloud.token_reply("europe")
    expect((reply.status, reply.json["error"]), (400, "invalid_client"), "client of another region")
    reply = cloud.bundle([], cloud.bearer(), region="eu")
    expect((reply.status, reply.json["error"]), (401, "jwt_invalid_signature"), "token of nam in eu")


def test_certificates_verify(cloud):
    host = {("visibility", "eu"): "visibility.eu.amp.cisco.com", ("sse", "nam"): "api-sse.cisco.com"}
    for (family, region), name in host.items():
        parts = urlsplit(cloud.url(family, region))
        for server_name in (name, "localhost", "127.0.0.1"):
            with socket.create_connection((parts.hostname, parts.port)) as raw:
                with cloud.context().wrap_socket(raw, server_hostname=server_name) as tls:
                    assert tls.version() in ("TLSv1.2", "TLSv1.3"), tls.version()
    parts = urlsplit(cloud.url("visibility", "nam"))
    with socket.create_connection((parts.hostname, parts.port)) as raw:
        try:
            cloud.context().wrap_socket(raw, server_hostname="api-sse.cisco.com")
            raise AssertionError("a certificate for another family was accepted")
        except ssl.SSLCertVerificationError:
            pass
    expect(os.stat(os.path.join(cloud.folder, "ca-key.pem")).st_mode & 0o777, 0o600, "key's mode")


def test_token_rows(cloud):
    good = cloud.token_reply()
    expect(good.json["token_type"], "bearer", "token_type")
    expect(good.json["expires_in"], 600, "expires_in")
    assert 1000 < len(good.json["access_token"]) < 2200, len(good.json["access_token"])
    rows = [
        (cloud.token_reply("nobody"), "invalid_client"),
        (cloud.token_reply(password="wrong"), "wrong_client_creds"),
        (cloud.token_reply(form="grant_type=password"), "unsupported_grant_type"),
        (cloud.token_reply(form=""), "invalid_request"),
        (cloud.token_reply(headers={"Content-Type": "application/x-www-form-urlencoded"}),
         "invalid_request"),
        (cloud.token_reply(headers={"Content-Type": "application/json"}), "invalid_request"),
    ]
    for reply, error in rows:
        expect((reply.status, reply.json["error"]), (400, error), "token endpoint")
    whoami = cloud.call("visibility", "GET", "/iroh/profile/whoami", headers=cloud.bearer())
    expect(whoami.json["client-id"], "full", "whoami")
    expect(cloud.call("visibility", "GET", "/.well-known/jwks").json["keys"][0]["alg"], "RS256", "jwks")


def test_common_failures(cloud):
    whoami = "/iroh/profile/whoami"
    reply = cloud.call("visibility", "GET", whoami)
    expect(reply.status, 401, "C1")
    expect(reply.json["error_description"], "No JWT found in HTTP Authorization header", "C1")
    expect(reply.headers["X-Ratelimit-Org-Limit"], None, "C1 has no rate headers")
    bearer = cloud.bearer()
    reply = cloud.call("visibility", "GET", whoami, headers=bearer)
    expect(reply.headers["X-Ratelimit-Org-Limit"], "8000", "C6")
    assert int(reply.headers["X-Ratelimit-Org-Remaining"]) < 8000
    cloud.admin("POST", "/time/advance", {"s": 601})
    reply = cloud.call("visibility", "GET", whoami, headers=bearer)
    expect((reply.status, reply.json["error"]), (401, "invalid_jwt"), "C2")
    assert "max lifetime has expired since" in reply.json["error_description"]
    reply = cloud.bundle([], bearer)
    expect((reply.status, reply.json["error"], reply.json["level"]), (401, "jwt_expired", "warn"), "C2b")
    for how, error in (("revoked", "jwt_revoked"), ("invalid_signature", "jwt_invalid_signature")):
        bearer = cloud.bearer()
        cloud.admin("POST", "/tokens/revoke", {"client_id": "full", "how": how})
        reply = cloud.call("visibility", "GET", whoami, headers=bearer)
        expect((reply.status, reply.json["error"]), (401, error), "C3")
    reply = cloud.bundle([], cloud.bearer("pivot"))
    expect((reply.status, reply.json["error"]), (403, "missing_capability"), "C4 ctia")
    expect(reply.json["capabilities"], "import-bundle", "C4 ctia")
    cloud.admin("POST", "/clients", {"id": "narrow", "password": SECRET, "region": "nam",
                                     "scopes": "casebook"})
    reply = cloud.call("visibility", "GET", "/iroh/iroh-enrich/settings",
                       headers=cloud.bearer("narrow"))
    expect((reply.status, reply.json["missing-scopes"]), (403, ["enrich:read"]), "C4 visibility")


def test_token_lifetime(cloud):
    cloud.admin("POST", "/token-lifetime", {"s": 60})
    expect(cloud.token_reply().json["expires_in"], 60, "shorter life")
    cloud.admin("POST", "/token-lifetime", {"s": 600, "omit": True})
    assert "expires_in" not in cloud.token_reply().json
    cloud.admin("POST", "/token-lifetime", {"s": 600})


def test_quota(cloud):
    bearer, other = cloud.bearer(), cloud.bearer("other-org")
    cloud.admin("POST", "/quota", {"limit": 2, "window_s": 3600, "org": "org-1"})
    expect(cloud.bundle([], bearer).status, 200, "within the quota")
    expect(cloud.call("visibility", "GET", "/iroh/profile/whoami", headers=bearer).status, 200,
           "shared by the families")
    reply = cloud.bundle([], bearer)
    expect((reply.status, reply.body), (429, b'{"error": "Too Many Requests"}'), "C5")
    expect(reply.headers["Content-Length"], "30", "C5")
    assert 3590 <= int(reply.headers["Retry-After"]) <= 3600, reply.headers["Retry-After"]
    expect(cloud.token_reply().status, 429, "token endpoint")
    expect(cloud.bundle([], other).status, 200, "another organisation")
    cloud.admin("POST", "/time/advance", {"s": 3601})
    expect(cloud.bundle([], cloud.bearer()).status, 200, "after the window")
    cloud.admin("POST", "/quota", {})


def test_rate_limit_variants(cloud):
    rows = [("seconds", "42"), ("seconds_s", "42s"), ("none", None), ("message", "42")]
    for variant, retry_after in rows:
        cloud.fault(action="rate_limit", variant=variant, seconds=42, path="/ctia/")
        reply = cloud.call("private-intel", "GET", "/ctia/status")
        expect((reply.status, reply.headers["Retry-After"]), (429, retry_after), variant)
        expect("message" in reply.json, variant == "message", variant)
    cloud.fault(action="rate_limit", variant="date", path="/ctia/")
    reply = cloud.call("private-intel", "GET", "/ctia/status")
    assert reply.headers["Retry-After"].endswith(" GMT"), reply.headers["Retry-After"]


def test_import(cloud):
    bearer = cloud.bearer()
    before = cloud.summary()
    first = cloud.bundle([sighting("m-1"), sighting("m-2", id="transient:2"), sighting("x-3")], bearer)
    results = first.json["results"]
    expect([r["external_ids"][0] for r in results], ["x-3", "m-2", "m-1"], "another order")
    expect({r["result"] for r in results}, {"created"}, "all are new")
    expect([r.get("original_id") for r in results], [None, "transient:2", None], "original_id")
    assert first.headers["X-RateLimit-GROUP-Limit"]
    ids = {r["external_ids"][0]: r["id"] for r in results}
    assert ids["m-1"].startswith("https://private.intel.amp.cisco.com:443/ctia/sighting/sighting-")
    again = cloud.bundle([sighting("m-1"), sighting("m-2", count=7), sighting("x-3"),
                          sighting("m-4")], bearer).json["results"]
    expect([(r["external_ids"][0], r["result"]) for r in again],
           [("m-4", "created"), ("x-3", "created"), ("m-2", "exists"), ("m-1", "exists")], "again")
    expect({r["id"] for r in again if r["result"] == "exists"}, {ids["m-1"], ids["m-2"]}, "same ids")
    after = cloud.summary()
    grown = {key: after[key] - before[key] for key in after if isinstance(after[key], int)}
    expect(grown, {"bundles": 2, "received_entities": 7, "created": 5, "exists": 2, "errors": 0,
                   "distinct_external_ids": 3, "duplicates_within": 2, "same_id_different_body": 1,
                   "doubled": 0, "without_external_id": 2, "other_entities": 0}, "summary")
    lines = cloud.admin("GET", "/sightings/external-ids").body.decode().split()
    assert {"m-1", "m-2", "m-4"} <= set(lines) and "x-3" not in lines, lines
    last = cloud.admin("GET", "/sightings/last?count=2").json
    expect([s["external_ids"] for s in last], [["m-4"], ["x-3"]], "last")


def test_import_refused(cloud):
    bearer = cloud.bearer()
    before = cloud.summary()["created"]
    rows = [
        (cloud.bundle([sighting("m-%d" % i) for i in range(2001)], bearer),
         b"Bundle max nb of entities: 2000"),
        (cloud.bundle([], bearer, casebooks=[]), b'{"errors":{"casebooks":"disallowed-key"}}'),
        (cloud.bundle([{"external_ids": ["m-9"]}], bearer),
         b'{"errors":{"sightings":[{"observed_time":"missing-required-key"}]}}'),
        (cloud.call("private-intel", "POST", "/ctia/bundle/import", {"sightings": []}, bearer),
         b'{"errors":{"source":"missing-required-key"}}'),
        (cloud.call("private-intel", "POST", "/ctia/bundle/import", "{", bearer),
         b'{"type":"json-parse-exception","message":"Malformed JSON"}'),
    ]
    for reply, body in rows:
        expect((reply.status, reply.body), (400, body), "refused bundle")
    reply = cloud.call("private-intel", "POST", "/ctia/bundle/import", "x",
                       bearer | {"Content-Encoding": "gzip"})
    expect(reply.status, 415, "compressed body")
    expect(cloud.summary()["created"], before, "nothing was imported")


def test_entity_errors(cloud):
    bearer = cloud.bearer()
    cloud.fault(action="entity_error", external_id_prefix="m-bad", error_type="es-error")
    long_title = sighting("m-long", title="\U0001F600" * 513)
    reply = cloud.bundle([sighting("m-bad-1"), sighting("m-good-1"), long_title], bearer)
    expect(reply.status, 200, "partly refused")
    by_id = {r["external_ids"][0]: r for r in reply.json["results"]}
    expect(by_id["m-good-1"]["result"], "created", "good one")
    expect((by_id["m-bad-1"]["result"], by_id["m-bad-1"]["error"]), ("error", {"type": "es-error"}), "bad")
    expect(by_id["m-long"]["error"], {"type": "spec-validation-error"}, "long title")
    retried = cloud.bundle([sighting("m-bad-1")], bearer).json["results"]
    expect(retried[0]["result"], "created", "it was not stored before")


def test_refresh_delay(cloud):
    bearer = cloud.bearer()
    before = cloud.summary()["doubled"]
    cloud.admin("POST", "/refresh", {"delay_ms": 60000, "wait_for": False})
    for _ in range(2):
        result = cloud.bundle([sighting("m-slow")], bearer).json["results"][0]
        expect(result["result"], "created", "not found yet")
    expect(cloud.summary()["doubled"] - before, 1, "doubled")
    cloud.admin("POST", "/time/advance", {"s": 60})
    result = cloud.bundle([sighting("m-slow")], bearer).json["results"][0]
    expect(result["result"], "exists", "found at last")
    cloud.admin("POST", "/refresh", {"delay_ms": 0})


def test_keep_alive_chunks_and_continue(cloud):
    bearer = cloud.bearer()
    connection = cloud.connect("private-intel", "nam")
    parts = (json.dumps({"source": "s", "sightings": [sighting("m-chunk")]})[i:i + 7].encode()
             for i in range(0, 200, 7))
    connection.request("POST", "/ctia/bundle/import?external-key-prefixes=m-",
                       (part for part in parts if part), bearer, encode_chunked=True)
    answer = connection.getresponse()
    expect(json.loads(answer.read())["results"][0]["result"], "created", "chunked request")
    local = connection.sock.getsockname()
    reply = cloud.call("private-intel", "GET", "/ctia/status", connection=connection)
    expect((reply.status, connection.sock.getsockname()), (200, local), "same connection")
    connection.close()
    parts = urlsplit(cloud.url("admin", None))
    with socket.create_connection((parts.hostname, parts.port), DEADLINE_S) as raw:
        raw.sendall(b"POST /latency HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n")
        expect(raw.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n", "100-continue")
        raw.sendall(b'{"ms":0}')
        assert raw.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
        raw.sendall(b"GET /healthz HTTP/1.1\r\n\r\nGET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")
        text = b""
        while piece := raw.recv(1000):
            text += piece
        expect(text.count(b"HTTP/1.1 200 OK"), 2, "pipelined")


def broken(cloud, connection=None, **call):
    """How a call failed: the exception's class."""
    try:
        cloud.call("private-intel", "GET", "/ctia/status", **call)
    except (OSError, http.client.HTTPException) as error:
        return type(error)
    return None


def test_faults_on_the_wire(cloud):
    for action, kinds in (
            ("reset", (ConnectionResetError,)),
            ("close", (http.client.RemoteDisconnected,)),
            ("cut_body", (http.client.IncompleteRead,)),
            ("wrong_certificate", (ssl.SSLCertVerificationError,)),
            ("tls_failure", (ssl.SSLError, ConnectionResetError))):
        cloud.fault(action=action, family="private-intel")
        kind = broken(cloud)
        assert kind is not None and issubclass(kind, kinds), (action, kind)
        expect(broken(cloud), None, "only once: " + action)


def test_faults_in_the_reply(cloud):
    def status(**script):
        cloud.fault(path="/ctia/status", **script)
        return cloud.call("private-intel", "GET", "/ctia/status")

    whole = {"status": "ok"}
    reply = status(action="status", status=503, body="html", retry_after="7")
    expect((reply.status, reply.headers["Retry-After"]), (503, "7"), "html 503")
    assert reply.body.startswith(b"<!DOCTYPE html>")
    reply = status(action="status", status=500)
    expect((reply.status, reply.json["type"]), (500, "unknown-exception"), "C7")
    expect(status(action="status", status=502, body="empty").body, b"", "empty")
    expect(status(action="truncate_json").body, b'{"statu', "truncated")
    reply = status(action="html_200")
    expect((reply.status, reply.headers["Content-Type"][:9]), (200, "text/html"), "html 200")
    reply = status(action="chunked")
    expect((reply.headers["Transfer-Encoding"], reply.json), ("chunked", whole), "chunked")
    reply = status(action="large_body", size=1000000)
    assert len(reply.body) > 1000000 and reply.json["status"] == "ok"
    import gzip
    reply = status(action="gzip")
    expect((reply.headers["Content-Encoding"], json.loads(gzip.decompress(reply.body))),
           ("gzip", whole), "gzip")
    reply = status(action="unauthorized", error="jwt_revoked")
    expect((reply.status, reply.json["error"]), (401, "jwt_revoked"), "unauthorized")
    for script in ({"action": "stall", "stall_ms": 200}, {"action": "delay", "delay_ms": 200}):
        begin = time.monotonic()
        expect(status(**script).json, whole, script["action"])
        assert time.monotonic() - begin >= 0.19, script
    expect([f["fired"] for f in cloud.admin("GET", "/faults").json["faults"]][-2:], [1, 1], "fired")


def test_lost_reply_after_import(cloud):
    bearer = cloud.bearer()
    for action in ("close_after_apply", "reset_after_apply"):
        name = "m-" + action
        cloud.fault(action=action, path="/ctia/bundle/import")
        try:
            cloud.bundle([sighting(name)], bearer)
            raise AssertionError("a reply came")
        except (OSError, http.client.HTTPException):
            pass
        result = cloud.bundle([sighting(name)], bearer).json["results"][0]
        expect(result["result"], "exists", "it was applied")
    lost = cloud.admin("GET", "/requests?path=/ctia/bundle&limit=100000").json["requests"][-2]
    expect((lost["status"], lost["fault"]), (0, "reset_after_apply"), "record of a lost reply")


def test_register(cloud):
    key, csr = cloud.make_key("reg")
    token = cloud.reg_token()
    first = cloud.register(token, "SERIAL-1", csr)
    expect((first.status, first.json["status"]), (202, "in_progress"), "register")
    resumed = cloud.register(token, "SERIAL-1", csr)
    expect(resumed.json["registration_id"], first.json["registration_id"], "resumed")
    done = cloud.registered(first.json["registration_id"])
    expect((done["status"], done["tenant"]["id"]), ("registered", "org-1"), "registered")
    late = cloud.register(token, "SERIAL-1", csr)
    expect((late.status, late.json), (200, done), "resumed when done")
    text = subprocess.run(["openssl", "x509", "-noout", "-subject", "-pubkey"], check=True,
                          input=done["certificate"], capture_output=True, text=True).stdout
    assert done["device_id"] in text, text
    public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout"], check=True,
                            capture_output=True, text=True).stdout
    assert public in text
    _, csr2 = cloud.make_key("reg2")
    rows = [
        (cloud.register(token, "SERIAL-1", csr2), 409, "token_used"),
        (cloud.register("0" * 31, "S", csr2), 400, "token_malformed"),
        (cloud.register(cloud.reg_token(kind="malformed"), "S", csr2), 400, "token_malformed"),
        (cloud.register(cloud.reg_token(kind="unknown"), "S", csr2), 401, "token_invalid"),
        (cloud.register(cloud.reg_token(kind="expired"), "S", csr2), 401, "token_expired"),
        (cloud.register(cloud.reg_token(kind="used"), "S", csr2), 409, "token_used"),
        (cloud.register(cloud.reg_token("eu"), "S", csr2), 403, "wrong_region"),
        (cloud.register(cloud.reg_token(), "S", "no csr"), 400, "csr_invalid"),
        (cloud.register(cloud.reg_token(), "S", csr), 409, "key_in_use"),
        (cloud.register(cloud.reg_token(), "SERIAL-1", csr2), 409, "device_registered"),
        (cloud.call("sse", "POST", "/sim/v1/devices:register", "["), 400, "malformed_json"),
        (cloud.call("sse", "POST", "/sim/v1/devices:register", {"token": "x"}), 400,
         "invalid_request"),
        (cloud.call("sse", "GET", "/sim/v1/registrations/reg-0"), 404, "registration_not_found"),
    ]
    for reply, status, code in rows:
        expect((reply.status, reply.code), (status, code), "register")
    expect(rows[9][0].json["error"]["device_id"], done["device_id"], "device_id of the other")
    cloud.admin("POST", "/tenants/org-9", {"disabled": True})
    reply = cloud.register(cloud.reg_token(org="org-9"), "S", csr2)
    expect((reply.status, reply.code), (403, "tenant_disabled"), "tenant")
    cloud.admin("POST", "/tenants/org-9", {"disabled": False})
    expect(cloud.register(cloud.reg_token(org="org-9"), "S", csr2).status, 202, "tenant enabled")


def test_registration_time_and_faults(cloud):
    cloud.admin("POST", "/registration", {"delay_ms": 120000})
    _, csr = cloud.make_key("slow")
    slow = cloud.register(cloud.reg_token(), "SLOW", csr).json["registration_id"]
    expect(cloud.registration(slow)["status"], "in_progress", "slow")
    listed = cloud.call("sse", "GET", "/sim/v1/devices?serial=SLOW", headers=cloud.bearer()).json
    expect([(d["status"], d["device_id"]) for d in listed["devices"]], [("registering", None)], "list")
    cloud.admin("POST", "/time/advance", {"s": 120})
    expect(cloud.registration(slow)["status"], "registered", "after the delay")
    cloud.admin("POST", "/registration", {"delay_ms": 300})
    cloud.fault(action="stuck")
    _, csr = cloud.make_key("stuck")
    stuck = cloud.register(cloud.reg_token(), "STUCK", csr).json["registration_id"]
    cloud.admin("POST", "/time/advance", {"s": 600})
    expect(cloud.registration(stuck)["status"], "in_progress", "stuck")
    cloud.fault(action="registration_failed")
    token, (_, csr) = cloud.reg_token(), cloud.make_key("failed")
    failed = cloud.register(token, "FAILED", csr).json["registration_id"]
    expect(cloud.registered(failed)["error"]["code"], "enrolment_failed", "failed")
    expect(cloud.register(token, "FAILED", csr).json["status"], "failed", "failed stays failed")
    _, csr = cloud.make_key("failed2")
    expect(cloud.register(cloud.reg_token(), "FAILED", csr).status, 202, "a new token helps")
    cloud.fault(action="close_after_apply", path="/sim/v1/devices:register")
    token, (_, csr) = cloud.reg_token(), cloud.make_key("lost")
    try:
        cloud.register(token, "LOST", csr)
        raise AssertionError("a reply came")
    except (OSError, http.client.HTTPException):
        pass
    cloud.admin("POST", "/time/advance", {"s": 7200})
    reply = cloud.register(token, "LOST", csr)
    expect((reply.status, reply.json["status"]), (200, "registered"), "lost reply, expired token")
    count = [d for d in cloud.admin("GET", "/devices").json["devices"] if d["serial"] == "LOST"]
    expect(len(count), 1, "one device")


def test_device_life(cloud):
    device, pair = cloud.device("LIFE")
    other, other_pair = cloud.device("OTHER")
    path = "/sim/v1/devices/" + device

    def ask(method, tail="", body=None, certificate=pair):
        return cloud.call("sse", method, path + tail, body, certificate=certificate)

    reply = ask("GET")
    expect((reply.status, reply.json["status"], reply.json["serial"]), (200, "registered", "LIFE"), "GET")
    expect(ask("POST", ":heartbeat").status, 204, "heartbeat")
    assert ask("GET").json["last_seen"]
    expect((ask("GET", certificate=None).status, ask("GET", certificate=None).code),
           (401, "certificate_required"), "no certificate")
    reply = ask("GET", certificate=other_pair)
    expect((reply.status, reply.code), (403, "wrong_device"), "another device")
    for caller in ({"certificate": pair}, {"headers": cloud.bearer()}):
        listed = cloud.call("sse", "GET", "/sim/v1/devices?serial=LIFE", **caller).json["devices"]
        expect([d["device_id"] for d in listed], [device], "list by serial")
    for headers, code in (({}, "authentication_required"), ({"Authorization": "Bearer x"},
                                                            "bearer_invalid")):
        reply = cloud.call("sse", "GET", "/sim/v1/devices?serial=LIFE", headers=headers)
        expect((reply.status, reply.code), (401, code), "list")
    listed = cloud.call("sse", "GET", "/sim/v1/devices", headers=cloud.bearer("other-org")).json
    expect(listed["devices"], [], "another tenant sees none")
    cloud.admin("POST", f"/devices/{device}/suspend")
    expect(ask("GET").json["status"], "suspended", "suspended")
    expect(ask("POST", ":heartbeat").code, "device_suspended", "suspended heartbeat")
    cloud.admin("POST", f"/devices/{device}/resume")
    cloud.admin("POST", "/registration", {"deregistration_delay_ms": 60000})
    for _ in range(2):
        reply = ask("DELETE")
        expect((reply.status, reply.json["status"]), (202, "deleting"), "DELETE")
    cloud.admin("POST", "/time/advance", {"s": 60})
    for method, tail, status, code in (("GET", "", 404, "device_not_found"),
                                       ("DELETE", "", 404, "device_not_found"),
                                       ("POST", ":heartbeat", 410, "device_deregistered")):
        reply = ask(method, tail)
        expect((reply.status, reply.code), (status, code), "gone")
    cloud.admin("POST", f"/devices/{other}/delete")
    reply = cloud.call("sse", "POST", f"/sim/v1/devices/{other}:heartbeat", certificate=other_pair)
    expect((reply.status, reply.code), (410, "device_deregistered"), "deleted in the portal")
    cloud.device("LIFE")
    again = [d for d in cloud.admin("GET", "/devices").json["devices"] if d["serial"] == "LIFE"]
    expect([d["registrations"] for d in again], [2, 2], "registered twice, one after the other")
    cloud.admin("POST", "/registration", {"deregistration_delay_ms": 300})


def test_renewal(cloud):
    device, old = cloud.device("RENEW")
    path = f"/sim/v1/devices/{device}/certificate:renew"
    pairs = [old]
    for number in range(2):
        key, csr = cloud.make_key("renew%d" % number)
        reply = cloud.call("sse", "POST", path, {"csr": csr}, certificate=pairs[-1])
        expect(reply.status, 200, "renewal")
        again = cloud.call("sse", "POST", path, {"csr": csr}, certificate=pairs[-1])
        expect(again.json, reply.json, "the same request gives the same certificate")
        name = os.path.join(cloud.folder, f"renew{number}.pem")
        with open(name, "w", encoding="ascii") as file:
            file.write(reply.json["certificate"])
        pairs.append((name, key))
    status = "/sim/v1/devices/" + device
    replies = [cloud.call("sse", "GET", status, certificate=pair) for pair in pairs]
    expect([r.status for r in replies], [401, 200, 200], "the last two are good")
    expect(replies[0].code, "certificate_unknown", "replaced twice")
    _, taken = cloud.device("RENEW2")
    _, csr = cloud.make_key("renew3")
    csr_of_other = subprocess.run(["openssl", "req", "-new", "-key", taken[1], "-subj", "/CN=x"],
                                  check=True, capture_output=True, text=True).stdout
    reply = cloud.call("sse", "POST", path, {"csr": csr_of_other}, certificate=pairs[-1])
    expect((reply.status, reply.code), (409, "key_in_use"), "another device's key")
    cloud.admin("POST", f"/devices/{device}/revoke")
    reply = cloud.call("sse", "GET", status, certificate=pairs[-1])
    expect((reply.status, reply.code), (401, "certificate_revoked"), "revoked")
    cloud.admin("POST", "/time/advance", {"s": 366 * 86400})
    reply = cloud.call("sse", "GET", "/sim/v1/devices", certificate=taken)
    expect((reply.status, reply.code), (401, "certificate_expired"), "expired")
    own_key, _ = cloud.make_key("own")
    own = os.path.join(cloud.folder, "own.pem")
    subprocess.run(["openssl", "req", "-x509", "-key", own_key, "-subj", "/CN=" + device, "-out", own],
                   check=True, capture_output=True)
    reply = cloud.call("sse", "GET", status, certificate=(own, own_key))
    expect((reply.status, reply.code), (401, "certificate_unknown"), "forged")


def test_exporters(cloud):
    bearer = cloud.bearer()
    for number, agent in enumerate(["muster/1 (a)", "muster/1 (a)", "muster/1 (b)", "muster/1 (a)"]):
        cloud.bundle([sighting("m-e%d" % number)], bearer | {"User-Agent": agent})
    told = cloud.admin("GET", "/exporters").json
    ours = {e["user_agent"]: e["bundles"] for e in told["exporters"] if "muster" in e["user_agent"]}
    expect(ours, {"muster/1 (a)": 3, "muster/1 (b)": 1}, "exporters")
    expect([r["bundles"] for r in told["runs"] if "muster" in r["user_agent"]], [2, 1, 1], "runs")


def test_record_keeps_no_secret(cloud):
    bearer = cloud.bearer()
    token = cloud.reg_token()
    _, csr = cloud.make_key("secret")
    cloud.register(token, "SECRET", csr)
    cloud.bundle([], bearer)
    record = cloud.admin("GET", "/requests?limit=100000")
    text = record.body.decode()
    raw = bearer["Authorization"].split()[1]
    for secret in (SECRET, token, raw):
        assert secret not in text
        assert hashlib.sha256(secret.encode()).hexdigest() in text
    last = record.json["next"]
    cloud.call("private-intel", "GET", "/ctia/status", headers={"User-Agent": "x/1"})
    later = cloud.admin("GET", f"/requests?since={last}").json["requests"]
    expect([(r["family"], r["method"], r["path"], r["status"], r["user_agent"]) for r in later],
           [("private-intel", "GET", "/ctia/status", 200, "x/1")], "since")


def main():
    program = sys.argv[1]
    failures = 0
    cloud = Cloud(program)
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    for name, test in tests:
        begin = time.monotonic()
        try:
            cloud.admin("DELETE", "/faults")
            test(cloud)
            verdict = "ok"
        except Exception:  # pylint: disable=broad-except
            traceback.print_exc()
            verdict, failures = "FAILED", failures + 1
            if cloud.process.poll() is not None:
                print("the simulator is gone:", cloud.process.returncode)
                break
        print(f"{verdict:6} {name} {time.monotonic() - begin:.2f} s", flush=True)
    if cloud.process.poll() is None:
        cloud.stop()
    print(f"{len(tests)} tests, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
