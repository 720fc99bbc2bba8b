"""WireGuard: client2 is wireguard-go, set up by wg-quick from what `sluicectl client add` printed."""
import json
import re
import signal
import struct
import time

from labtest import case, expect, expect_true
from netlab import topology, wireguard

GIT = "git.corp.example"
PERF = "perf.corp.example"
OTHER = "10.1.0.21"  # client2's second underlay address
OUTER_MOST = 1420 + 20 + 8 + 16 + 16


def iperf3(lab, *options):
    told = json.loads(lab.run("client2", "iperf3", "-J", "-c", PERF, *options).out)
    expect(told.get("error"), None, "iperf3's error")
    return told["end"]


class Transfer:
    """An iperf3 of client2 that goes on in the background; how long it ever stood still."""

    def __init__(self, lab, seconds, *options):
        self.process = lab.start("client2", "iperf3", "-J", "-i", "0.25", "-t", str(seconds), "-b", "20M",
                                 "-c", PERF, *options)
        self.lab = lab

    def end(self):
        told = json.loads(self.process.communicate(timeout=60)[0])
        expect(told.get("error"), None, "iperf3's error")
        longest = now = 0.0
        for interval in told["intervals"]:
            now = 0.0 if interval["sum"]["bytes"] else now + interval["sum"]["seconds"]
            longest = max(longest, now)
        return longest


def pinging(lab, seconds):
    """Ten pings a second in the background."""
    return lab.start("client2", "ping", "-n", "-i", "0.1", "-c", str(10 * seconds), "-W", "1", GIT)


def lost(ping):
    out = ping.communicate(timeout=60)[0]
    sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", out).groups())
    return sent - received


@case("D1 D3: a device set up by wg-quick from client add looks up, fetches and pings by name")
def device(lab):
    expect(lab.dig("client2", GIT).status, "NOERROR")
    expect(lab.curl("client2", f"http://{GIT}/").out, lab.page("private", "git"))
    expect(lab.curl("client2", f"https://{GIT}/", "--cacert", lab.certificate()).out,
           lab.page("private", "git"))
    expect(lab.curl("client2", f"http://{GIT}/whoami").out, topology.CONNECTOR_PRIVATE + "\n")
    out = lab.ok("client2", "ping", "-n", "-c", 5, "-i", 0.2, GIT)
    expect_true(" 0% packet loss" in out, out)
    wanted = lab.ok("private", "sh", "-c", f"curl -sS http://{GIT}/blob | sha256sum")
    got = lab.ok("client2", "sh", "-c", f"curl -sS --max-time 60 http://{GIT}/blob | sha256sum")
    expect(got, wanted)


def outer_datagrams(capture):
    """[(bytes, is a fragment, do not fragment)] of the WireGuard datagrams that a capture saw."""
    found = []
    for _, frame in capture.frames():
        if frame[12:14] == b"\x08\x00" and frame[23] == 17:
            total, _, flags = struct.unpack_from("!HHH", frame, 16)
            found.append((total, bool(flags & 0x3fff), bool(flags & 0x4000)))
    return found


@case("B7 D1: iperf3 and full-size UDP both ways through a device of MTU 1420: nothing is fragmented")
def never_fragments(lab):
    outer = lab.capture("client2", "access")
    inner = lab.capture("client2", wireguard.DEVICE)
    for way in ([], ["-R"]):
        end = iperf3(lab, "-t", "1", *way)
        expect_true(end["sum_received"]["bytes"] > 1 << 20, "megabytes received")
        iperf3(lab, "-u", "-b", "10M", "-t", "1", "-l", str(1420 - 28), *way)
    sizes = [len(packet) for _, packet in inner.frames()]
    expect(max(sizes), 1420, "the largest packet inside")
    seen = outer_datagrams(outer)
    expect(len([s for s in seen if s[1]]), 0, "fragments")
    expect(max(s[0] for s in seen), OUTER_MOST, "the largest datagram outside")


def endpoint(lab):
    row, = [r for r in lab.show("pop", "client", "show")["rows"] if r["client"] == "client2"]
    return row["endpoint"]


def rebind(lab, port):
    """Sockets anew, as the apps of phones do when the network changes. Else wireguard-go sticks to the
    source address by which it last heard its peer, be it gone, until it misses answers for 15 s."""
    lab.ok("client2", "wg", "set", wireguard.DEVICE, "listen-port", port)


def move(lab, old, new):
    """Another underlay address instead of the one it has."""
    port = lab.ok("client2", "wg", "show", wireguard.DEVICE, "listen-port").strip()
    lab.ok("client2", "sh", "-ec", topology.device_path(new) + f"\nip address delete {old}/32 dev access")
    rebind(lab, port)
    lab.wait_for(f"the endpoint {new}:{port}", lambda: endpoint(lab) == f"{new}:{port}", 5)


@case("C4 D1: a device whose NAT gives it another port in mid-transfer goes on at once")
def rebinding(lab):
    transfer, ping = Transfer(lab, 3), pinging(lab, 3)
    lab.wait_for("the transfer", lambda: lab.address_of("client2", PERF))
    rebind(lab, "41414")
    lab.wait_for("the new port", lambda: endpoint(lab).endswith(":41414"), 5)
    expect_true(lost(ping) <= 2, "at most what was on its way to the old port to be lost")
    expect_true(transfer.end() < 1, "the transfer to stand still for less than a second")


@case("C4 D1: a device that gets another address in mid-transfer, and the old one back, goes on at once")
def roaming(lab):
    home = topology.CLIENTS["client2"]
    try:
        for way in ([], ["-R"]):
            transfer, ping = Transfer(lab, 5, *way), pinging(lab, 4)
            lab.wait_for("the transfer", lambda: lab.address_of("client2", PERF))
            move(lab, home, OTHER)
            time.sleep(1)  # of transfer there
            move(lab, OTHER, home)
            nb_lost, stood_s = lost(ping), transfer.end()
            expect_true(nb_lost <= 6, f"at most three pings to be lost by each move, not {nb_lost}")
            expect_true(stood_s < 1.5, f"the transfer to go on within a second, not {stood_s:.2f}")
    finally:
        lab.ok("client2", "sh", "-ec", topology.device_path(home)
               + f"\nip address delete {OTHER}/32 dev access 2>/dev/null || true")


@case("C2 D1: a PoP killed in mid-transfer of a device is talked to again within 2 s of its restart",
      ends="pop")
def restart(lab):
    address = lab.address_of("client2", GIT)
    transfer = Transfer(lab, 8)
    time.sleep(2)  # of transfer
    lab.stop("pop", signal.SIGKILL)
    began = time.monotonic()
    lab.start_again("pop", wait=False)
    lab.wait_for("a ping", lambda: lab.run(
        "client2", "ping", "-n", "-c", 1, "-W", 0.2, address).code == 0)
    took_s = time.monotonic() - began
    stood_s = transfer.end()
    expect_true(took_s < 2, f"an answered ping within 2 s of the restart, not {took_s:.2f}")
    expect_true(stood_s < 2.5, f"the transfer to stand still for at most 2 s, not {stood_s:.2f}")
