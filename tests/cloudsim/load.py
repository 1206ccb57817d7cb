#!/usr/bin/env python3
"""Measures how many sightings a second muster-cloudsim takes, on one connection.

usage: load.py PATH-TO-muster-cloudsim [BUNDLES]
Bundles of 2,000 realistic sightings (about 1 KB each) are made first, then sent one after the other.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import hashlib
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from urllib.parse import urlsplit

ENTITIES = 2000


def observable(kind, value):
    return {"type": kind, "value": value}


def sighting(number):
    name = hashlib.sha256(str(number).encode()).hexdigest()
    mid = observable("cisco_mid", str(number))
    sender = observable("email", f"sender{number}@example.com")
    recipient = observable("email", f"recipient{number}@example.org")
    when = {"start_time": "2026-01-02T03:04:05.000Z"}
    return {
        "type": "sighting", "confidence": "High", "count": 1, "internal": True,
        "sensor": "process.email-service", "source": "Email Security Appliance",
        "title": f"Message {number}", "external_ids": ["muster-sighting-" + name],
        "observed_time": when, "observables": [mid, sender, recipient],
        "relations": [
            {"origin": "ESA", "relation": "Related_To", "related": mid,
             "source": observable("email_messageid", f"<{number}@example.com>")},
            {"origin": "ESA", "relation": "Sent", "source": sender, "related": mid},
            {"origin": "ESA", "relation": "Sent_To", "source": mid, "related": recipient},
            {"origin": "ESA", "relation": "Attached_To", "related": mid,
             "source": observable("file_name", "a.pdf")}],
        "targets": [{"type": "email", "observables": [recipient], "observed_time": when}],
    }


def connect(url, ca):
    parts = urlsplit(url)
    return http.client.HTTPSConnection(parts.hostname, parts.port,
                                       context=ssl.create_default_context(cafile=ca))


def get_bearer(endpoints):
    connection = connect(endpoints["regions"]["nam"]["visibility"], endpoints["ca"])
    connection.request("POST", "/iroh/oauth2/token", "grant_type=client_credentials", {
        "Authorization": "Basic " + base64.b64encode(b"c:p").decode(),
        "Content-Type": "application/x-www-form-urlencoded"})
    return {"Authorization": "Bearer " + json.loads(connection.getresponse().read())["access_token"]}


def used_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    program = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 50
    folder = tempfile.mkdtemp(prefix="cloudsim-load-")
    with open(folder + "/clients.json", "w", encoding="ascii") as file:
        json.dump([{"id": "c", "password": "p", "region": "nam", "scopes": "private-intel"}], file)
    bodies = [json.dumps({"source": "load", "sightings": [
        sighting(bundle * ENTITIES + i) for i in range(ENTITIES)]}).encode() for bundle in range(count)]
    process = subprocess.Popen([program, "--directory", folder, "--clients", folder + "/clients.json"],
                               stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    with open(folder + "/endpoints.json", encoding="ascii") as file:
        endpoints = json.load(file)
    bearer = get_bearer(endpoints)
    connection = connect(endpoints["regions"]["nam"]["private_intel"], endpoints["ca"])
    for label in ("new", "known"):
        begin, cpu = time.monotonic(), used_s(process.pid)
        for body in bodies:
            connection.request("POST", "/ctia/bundle/import?external-key-prefixes=muster-", body, bearer)
            reply = connection.getresponse()
            reply.read()
            assert reply.status == 200, reply.status
        took, cpu = time.monotonic() - begin, used_s(process.pid) - cpu
        total = count * ENTITIES
        size = sum(map(len, bodies))
        print(f"{label}: {total} sightings of {size // total} bytes in {took:.2f} s = "
              f"{total / took:.0f}/s, {size / took / 1e6:.0f} MB/s; simulator's processor {cpu:.2f} s = "
              f"{total / max(cpu, 0.01):.0f}/s on one core")
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        print("simulator's peak memory", *[line.split()[1] + " KB" for line in file if "VmHWM" in line])
    process.terminate()
    process.wait()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
