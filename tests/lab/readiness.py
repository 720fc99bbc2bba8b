"""Readiness: health, the service manager and HTTP say the same, whatever is missing. Configurations on
trial, and what DPDK's telemetry tells."""
import contextlib
import glob
import json
import os
import signal
import socket
import tempfile
import time

from labtest import case, expect, expect_true
from netlab import daemons, process

GIT = "git.corp.example"


class Manager:
    """A service manager's socket; what it last heard as STATUS=."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        os.chmod(folder, 0o755)
        os.chmod(self.path, 0o666)
        self.last = ""

    def status(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                for line in self.socket.recv(4096).decode().splitlines():
                    if line.startswith("STATUS="):
                        self.last = line[7:]
        return self.last


@contextlib.contextmanager
def managed(lab, host):
    """The daemon, started as by a service manager."""
    with tempfile.TemporaryDirectory(prefix="sluice-ready-") as folder:
        manager = Manager(folder)
        lab.stop(host)
        process.start(host, "sluice", ["env", f"NOTIFY_SOCKET={manager.path}", daemons.binary("sluice"),
                                       "-c", daemons.config_path(host)])
        try:
            lab.wait_for("ready", lambda: manager.status() == "ready")
            yield manager
        finally:
            lab.stop(host)
            lab.start_again(host, wait=False)
            manager.socket.close()


def http_health(lab, host):
    done = lab.run(host, "curl", "-sS", "-w", "\n%{http_code}", "http://127.0.0.1:9464/health")
    text, _, code = done.out.rpartition("\n")
    return int(code or 0), json.loads(text or "{}")


def all_say(lab, host, manager, words, seconds=45):
    """All three say the same reason, with these words in it; "": they say that all is well."""
    def agree():
        told = lab.try_control(host, "health")
        code, page = http_health(lab, host)
        if not words:
            return told.code == 0 and code == 200 and page["healthy"] and manager.status() == "ready"
        reason = (page.get("reasons") or [""])[0]
        return (told.code == 1 and code == 503 and words in reason
                and told.out.strip() == f"not healthy: {reason}"
                and manager.status() == f"not ready: {reason}")
    try:
        lab.wait_for(f"all to say {words or 'ready'!r}", agree, seconds)
    except Exception:
        lab.note(f"{lab.try_control(host, 'health').out} {http_health(lab, host)} {manager.status()}")
        raise


@case("C7: private DNS down, underlay down, no session, file refused: health, notify and HTTP give the same "
      "reason, of a connector", ends="connector", our_fault=True)
def connector_conditions(lab):
    good = lab.config_of("connector")
    with managed(lab, "connector") as manager:
        lab.set_config("connector", good.replace("resolvers", "resovlers", 1))
        expect_true(lab.try_control("connector", "reload").code != 0, "a refusal")
        all_say(lab, "connector", manager, "the connector has no 'resolvers'")
        lab.set_config("connector", good)
        lab.control("connector", "reload")
        all_say(lab, "connector", manager, "")
        process.shell("underlay", "ip link set connector down")
        all_say(lab, "connector", manager, "link of port underlay is down")
        process.shell("underlay", "ip link set connector up\n"
                      "ip route replace 192.168.101.0/24 dev connector src 192.168.101.1")
        all_say(lab, "connector", manager, "")
        os.kill(process.pid_of("private", "knotd"), signal.SIGSTOP)
        began = time.monotonic()
        try:
            all_say(lab, "connector", manager, "private DNS has not answered")
            lab.note(f"private DNS found silent after {time.monotonic() - began:.0f} s")
        finally:
            os.kill(process.pid_of("private", "knotd"), signal.SIGCONT)
        all_say(lab, "connector", manager, "")
    lab.wait_ready()


@case("C7: underlay down, no session, file refused: health, notify and HTTP give the same reason, of a PoP",
      ends="pop", our_fault=True)
def pop_conditions(lab):
    good = lab.config_of("pop")
    with managed(lab, "pop") as manager:
        lab.set_config("pop", good.replace('groups = ["staff"', 'gruops = ["staff"', 1))
        expect_true(lab.try_control("pop", "reload").code != 0, "a refusal")
        all_say(lab, "pop", manager, "gruops")
        expect(lab.curl("client", f"http://{GIT}/").out, lab.page("private", "git"), "it serves all the same")
        lab.set_config("pop", good)
        lab.control("pop", "reload")
        all_say(lab, "pop", manager, "")
        process.shell("underlay", "ip link set pop down")
        all_say(lab, "pop", manager, "link of port underlay is down")
        process.shell("underlay", "ip link set pop up\n"
                      "ip route replace 198.51.100.0/24 dev pop src 198.51.100.1")
        all_say(lab, "pop", manager, "")
    lab.wait_ready()


# ---- On trial

def without_git(text):
    return text.replace('{ address = "git.corp.example"; tcp = [80, 443]', '{ address = "git.corp.example"; tcp = 443', 1)


@case("configuration on trial: without confirm the one before is in force again by itself, and health says so")
def rolls_back(lab):
    good = lab.config_of("pop")
    address = lab.address_of("client", GIT)
    live = lab.tcp("client", address, 443)
    lab.set_config("pop", without_git(good))
    began = time.monotonic()
    lab.control("pop", "reload", "--confirm", "2")
    expect(lab.tcp("client", address, 80), "ECONNREFUSED", "what the trial forbids")
    again = lab.try_control("pop", "reload")
    expect_true(again.code == 1 and "on trial" in again.err, f"no other reload meanwhile: {again.err}")
    lab.wait_for("the one before", lambda: not isinstance(lab.tcp("client", address, 80), str), 10)
    took = time.monotonic() - began
    expect_true(1.8 < took < 6, f"after 2 s or so, not {took:.1f}")
    lab.wait_for("health to say so", lambda: "not confirmed" in lab.try_control("pop", "health").out, 5)
    expect(live.send(b"x"), 1, "a flow that both allow")
    live.close()
    lab.set_config("pop", good)
    lab.control("pop", "reload")
    lab.wait_for("health", lambda: lab.try_control("pop", "health").code == 0, 5)


@case("configuration on trial: confirm keeps it, rollback takes it back at once, and clients added stay")
def confirm(lab):
    good = lab.config_of("pop")
    address = lab.address_of("client", GIT)
    lab.set_config("pop", without_git(good))
    lab.control("pop", "reload", "--confirm", "30")
    lab.control("pop", "client", "add", "acme/on-trial", "groups=staff")
    lab.control("pop", "rollback")
    expect_true(not isinstance(lab.tcp("client", address, 80), str), "the one before")
    expect_true("on-trial" in lab.control("pop", "client", "show"), "the client added meanwhile")
    lab.control("pop", "client", "remove", "acme/on-trial")
    lab.control("pop", "reload", "--confirm", "1")
    lab.control("pop", "confirm")
    expect_true(lab.try_control("pop", "confirm").code == 1, "nothing on trial any more")
    time.sleep(1.5)
    expect(lab.tcp("client", address, 80), "ECONNREFUSED", "what was confirmed, after its time")
    expect(lab.try_control("pop", "reload", "--confirm", "0").code, 1)
    expect(lab.try_control("pop", "reload", "now").code, 1)


# ---- DPDK's telemetry

def telemetry(host, *commands):
    """The answers of the daemon's telemetry socket."""
    pid = process.pid_of(host, "sluice")
    for path in glob.glob("/var/run/dpdk/*/dpdk_telemetry.v2*"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(5)
            try:
                s.connect(path)
            except OSError:
                continue
            if json.loads(s.recv(65536))["pid"] != pid:
                continue
            found = []
            for command in commands:
                s.send(command.encode())
                found.append(json.loads(s.recv(1 << 20))[command.partition(",")[0]])
            return found
    return None


@case("DPDK's telemetry socket tells health, flows, peers and drops of Sluice")
def dpdk_telemetry(lab):
    sock = lab.tcp("client", lab.address_of("client", GIT), 80)
    lab.tcp("client", lab.address_of("client", GIT), 22)
    told = telemetry("pop", "/", "/sluice/health", "/sluice/flows", "/sluice/peers", "/sluice/peer,connector",
                     "/sluice/peer,nobody", "/sluice/drops")
    expect_true(told, "an answer")
    commands, health, flows, peers, peer, nobody, drops = told
    expect_true({"/sluice/health", "/sluice/peers", "/ethdev/list"} <= set(commands), f"the commands in {commands}")
    expect((health["healthy"], health["reason"]), (1, ""))
    expect_true(flows["used"] >= 1 and flows["limit"] >= 65536, f"flows: {flows}")
    expect((sorted(peers), nobody), (["connector", "connector2"], None))
    expect_true(peer["up"] == 1 and peer["rtt_ns"] > 0 and peer["weight"] == 100, f"the peer: {peer}")
    shown = {r["name"] for r in lab.show("pop", "show", "drops")["rows"]}
    expect_true(drops and set(drops) <= shown, f"drops: {drops}")
    sock.close()
