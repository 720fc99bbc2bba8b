"""WireGuard: client2 is wireguard-go, set up by wg-quick from what `sluicectl client add` printed."""
import json
import os
import re
import signal
import struct
import time

from labtest import case, expect, expect_true, qr
from netlab import process, topology, wireguard

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


def started(host):
    return process.log_tail(host, "sluice", 1000).count(" started: ")


@case("C2 D1: a PoP killed in mid-transfer of a device is talked to again within 2 s of its restart",
      ends="pop")
def restart(lab):
    address = lab.address_of("client2", GIT)
    transfer = Transfer(lab, 8)
    time.sleep(2)  # of transfer

    before, killed = started("pop"), time.monotonic()
    lab.stop("pop", signal.SIGKILL)
    lab.start_again("pop", wait=False)
    lab.wait_for("the PoP to serve", lambda: started("pop") > before)
    began = time.monotonic()
    lab.wait_for("a ping", lambda: lab.run(
        "client2", "ping", "-n", "-c", 1, "-W", 0.2, address).code == 0)
    took_s = time.monotonic() - began
    stood_s = transfer.end() - (began - killed)
    expect_true(took_s < 2, f"an answered ping within 2 s of the restart, not {took_s:.2f}")
    expect_true(stood_s < 2, f"the transfer to go on within 2 s of the restart, not {stood_s:.2f}")


@case("C2 D1: a PoP killed in mid-download of a device: what it fetches comes on within 2 s, be it that the "
      "device keeps talking or that it has only to listen", ends="pop")
def restart_download(lab):
    got = os.path.join(lab.logs, "device-download")
    for url, what in ((f"http://{GIT}/blob", ("--limit-rate", "700k")), (f"http://{GIT}/slow", ())):
        if os.path.exists(got):
            os.unlink(got)

        def size():
            return os.path.getsize(got) if os.path.exists(got) else 0
        curl = lab.start("client2", "curl", "-sS", "--max-time", "60", *what, "-o", got, url)
        # The device has acknowledged all there was, and says no more of its own accord.
        lab.wait_for("the first part", lambda: size() > 300_000)
        lab.stop("pop", signal.SIGKILL)
        starts = started("pop")
        lab.start_again("pop", wait=False)
        lab.wait_for("the PoP to serve", lambda: started("pop") > starts)
        began, before = time.monotonic(), size()
        lab.wait_for("more of the page", lambda: size() > before)
        took_s = time.monotonic() - began
        out, err = curl.communicate(timeout=70)
        expect((curl.returncode, err), (0, ""))
        expect(lab.ok("client2", "sha256sum", got).split()[0],
               lab.ok("private", "sh", "-c", f"curl -sS http://{GIT}/blob | sha256sum").split()[0])
        expect_true(took_s < 2, f"{url} to come on within 2 s of the restart, not {took_s:.2f}")


# ---- sluicectl client


def shown(lab, name):
    return [row for row in lab.show("pop", "client", "show")["rows"] if row["client"] == name]


@case("D3: what client add prints is a wg-quick configuration, and its QR code reads the same")
def printed_twice(lab):
    done = lab.run("pop", "sluicectl", "client", "add", "acme/phone", "groups=staff", "psk")
    try:
        expect(done.code, 0, done.err)
        expect([text.rstrip("\n") for text in qr.read(done.err)], [done.out.rstrip("\n")])
        wireguard.write_config("client2", done.out, "phone")
        stripped = lab.ok("client2", "wg-quick", "strip", wireguard.config_path("client2", "phone"))
        of_wg_quick = ("Address", "DNS", "MTU")
        expect([line for line in stripped.splitlines() if line],
               [line for line in done.out.splitlines() if line and not line.startswith(of_wg_quick)])
        for key, wanted in (("MTU", "1420"), ("DNS", ", ".join(topology.RESOLVERS)),
                            ("Endpoint", f"{topology.POP_CLIENTS}:51820")):
            expect(re.search(rf"^{key} = (.*)$", done.out, re.M)[1], wanted, key)
    finally:
        lab.control("pop", "client", "remove", "acme/phone")


@case("D3: a client can be added with its own key and address, is there after a kill, and is removed",
      ends="pop")
def own_key(lab):
    private = lab.ok("client2", "wg", "genkey").strip()
    public = lab.ok("client2", "sh", "-c", f"echo {private} | wg pubkey").strip()
    told = lab.show("pop", "client", "add", "acme/tablet", "groups=staff", f"key={public}",
                    "address=10.90.0.77")
    expect((told["name"], told["address"], told["public_key"]), ("tablet", "10.90.0.77", public))
    expect_true("PrivateKey = the one of" in told["config"], "no private key where none is known")
    lab.stop("pop", signal.SIGKILL)
    lab.start_again("pop")
    lab.wait_ready()
    row, = shown(lab, "tablet")
    expect((row["address"], row["public key"]), ("10.90.0.77", public))
    lab.control("pop", "client", "remove", "acme/tablet")
    expect(shown(lab, "tablet"), [])


@case("D3: client remove acts at once and touches nobody else; added again the device goes on")
def remove_at_once(lab):
    address = lab.address_of("client2", GIT)
    other = lab.tcp("client", lab.address_of("client", GIT), 80)
    row, = shown(lab, "client2")
    ping = ("ping", "-n", "-c", 1, "-W", 1, address)
    expect(lab.run("client2", *ping).code, 0, "a ping")
    lab.control("pop", "client", "remove", "acme/client2")
    expect(lab.run("client2", *ping).code, 1, "a ping after the removal")
    other.sendall(b"GET / HTTP/1.1\r\nHost: git.corp.example\r\n\r\n")
    expect_true(other.recv(4096), "the other client's connection to go on")
    other.close()
    lab.control("pop", "client", "add", "acme/client2", "groups=staff,finance",
                f"key={row['public key']}", f"address={row['address']}")
    lab.wait_for("pings again", lambda: lab.run("client2", *ping).code == 0)


@case("D3: what client add cannot do it says, with the remedy, and does nothing")
def wrong_words(lab):
    zero = "A" * 43 + "="
    for words, wanted in ((["acme/client2"], "taken"), (["nobody/new"], "tenant"),
                          (["acme/new", "groups=stuff"], "group"), (["acme/new", "key=abc"], "key"),
                          (["acme/new", f"key={zero}"], "key"), (["acme/new", "address=x"], "address"),
                          (["acme/a b"], "name"), (["acme/client"], "file"), (["acme/new", "x=y"], "option")):
        done = lab.try_control("pop", "client", "add", *words)
        expect(done.code, 1, " ".join(words))
        expect_true(wanted in done.err and "\n" in done.err.strip(),
                    f"'{wanted}' and a remedy in {done.err!r}")
    expect(shown(lab, "new"), [])
