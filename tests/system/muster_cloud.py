"""The simulated cloud as the tests use it: started, told what to do, asked what it saw.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import subprocess
import urllib.request

from muster_wait import wait_for

# Everything that the widgets and the export need.
SCOPES = "private-intel casebook inspect:read enrich:read response"


class Cloud:
    def __init__(self, world, listen="127.0.0.1"):
        self.world = world
        self.directory = os.path.join(world.directory, "cloud")
        os.mkdir(self.directory)
        endpoints = os.path.join(self.directory, "endpoints.json")
        self.process = world.spawn(
            [world.program("muster-cloudsim"), "--directory", self.directory, "--listen", listen],
            os.path.join(world.directory, "cloud.log"))
        wait_for("the simulated cloud listens", lambda: os.path.exists(endpoints), 20)
        with open(endpoints) as file:
            self.endpoints = json.load(file)
        self.admin = self.endpoints["admin"]
        # The organisation's quota is not what these tests are about.
        self.post("/quota", {"limit": 1000000})

    def get(self, path):
        with urllib.request.urlopen(self.admin + path, timeout=30) as reply:
            return reply.read().decode()

    def json(self, path):
        return json.loads(self.get(path))

    def post(self, path, body, method="POST"):
        request = urllib.request.Request(
            self.admin + path, json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.loads(reply.read() or b"{}")

    def add_client(self, client_id, password, region="nam", scopes=SCOPES):
        self.post("/clients", {"id": client_id, "password": password, "region": region, "scopes": scopes})

    def registration_token(self, **fields):
        return self.post("/registration-tokens", {"region": "nam", **fields})["token"]

    def fault(self, **script):
        return self.post("/faults", script)["fault_id"]

    def clear_faults(self):
        urllib.request.urlopen(urllib.request.Request(self.admin + "/faults", method="DELETE"), timeout=30).close()

    def fired(self):
        """How often the fault scripts that are set have fired."""
        return sum(fault["fired"] for fault in self.json("/faults")["faults"])

    def summary(self):
        return self.json("/sightings/summary")

    def external_ids(self):
        return self.get("/sightings/external-ids").split()

    def devices(self, state=None):
        return [device for device in self.json("/devices")["devices"] if state in (None, device["state"])]

    def requests(self, path, since=0):
        return self.json(f"/requests?since={since}&limit=100000&path={path}")["requests"]

    def lists_asked(self):
        """How often anyone asked for the list of devices."""
        return sum(request["method"] == "GET" and request["path"] == "/sim/v1/devices"
                   for request in self.requests("/sim/v1/devices"))
