"""crowd: many connections of a client at once, and a second connector or PoP to send them by."""
import contextlib
import json
import os
import socket
import time

from netlab import daemons, extras, process, topology

from . import expect, fail
from .packets import in_namespace

NAME = "closed.dev.corp.example"  # an address of the private network where nothing listens
PORT = 443
_SCRIPT = os.path.join(os.path.dirname(process.__file__), "crowd.py")


class Crowd:
    """`nb` connections that are held open; see crowd.py of netlab."""

    def __init__(self, lab, nb, client="client"):
        self.server = lab.start("private", "python3", "-B", _SCRIPT, "serve",
                                topology.PRIVATE_ADDRESSES["private"]["closed"], PORT)
        self.server.stdout.readline()
        self.address = lab.address_of(client, NAME)
        argv = ["python3", "-B", _SCRIPT, "hold", self.address, PORT, nb]
        self.holder = process.popen(client, [str(a) for a in argv])
        self.first = json.loads(self.holder.stdout.readline() or "{}")
        expect((self.first.get("open"), self.first.get("failed")), (nb, 0), "connections opened")

    def tell(self, word):
        self.holder.stdin.write(word + "\n")
        self.holder.stdin.flush()
        return json.loads(self.holder.stdout.readline())

    def state(self):
        return self.tell("state")

    def ask(self):
        """Have each send an octet and wait for it."""
        return self.tell("ask")

    def close(self):
        for p in (self.holder, self.server):
            p.terminate()
            p.communicate()


@contextlib.contextmanager
def crowd(lab, nb, client="client"):
    held = Crowd(lab, nb, client)
    try:
        yield held
    finally:
        held.close()


@contextlib.contextmanager
def second_connector(lab, weight=100, first=100):
    """connector-b beside connector, by these weights; ended afterwards. The runner puts the PoP's
    configuration back."""
    key = extras.start("connector-b")
    try:
        lab.set_config("pop", extras.with_connector(lab.config_of("pop"), "connector-b", key, weight,
                                                    first))
        lab.control("pop", "reload")
        daemons.wait_ready(["connector-b"])
        lab.wait_for("the PoP to have both", lambda: peers(lab).get("connector-b", {}).get("state")
                     == peers(lab)["connector"]["state"] == "up")
        yield
    finally:
        extras.stop("connector-b")


def peers(lab, host="pop"):
    """{peer: row} of show peers."""
    return {row["peer"]: row for row in lab.show(host, "show", "peers")["rows"]}


def flows_by_connector(lab):
    """{connector: flows of the crowd}; a crowd before this one may still be closing, or be told of as
    failed."""
    rows = lab.show("pop", "show", "flows", NAME, "all")["rows"]
    found = {}
    for row in rows:
        if row["state"] == "established":
            found[row["session"]] = found.get(row["session"], 0) + 1
    return found


class Attempts:
    """Connections begun one after the other, whose fates are told apart."""

    def __init__(self, client, address, port):
        self.client, self.to = client, (address, port)
        self.under_way, self.done = [], []

    def begin(self):
        s = in_namespace(self.client, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        s.setblocking(False)
        s.connect_ex(self.to)
        self.under_way.append((time.monotonic(), s))

    def look(self):
        """Note those that have come to an end: (began, took, error)."""
        now, left = time.monotonic(), []
        for began, s in self.under_way:
            try:
                s.getpeername()
                self.done.append((began, now - began, 0))
            except OSError:
                error = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not error and now - began < 8:
                    left.append((began, s))
                    continue
                self.done.append((began, now - began, error or -1))
            s.close()
        self.under_way = left

    def run(self, seconds, every_s=0.02):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.begin()
            time.sleep(every_s)
            self.look()
        deadline = time.monotonic() + 10
        while self.under_way and time.monotonic() < deadline:
            time.sleep(0.01)
            self.look()
        if self.under_way:
            fail(f"{len(self.under_way)} connections came to no end")
        return sorted(self.done)
