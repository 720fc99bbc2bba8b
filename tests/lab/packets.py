"""Packets of every size and kind: fragments, large pings, small paths, ICMP errors, failures."""
import hashlib
import re

from labtest import case, expect, expect_true
from netlab import topology

GIT = "git.corp.example"
PERF = "perf.corp.example"


def echoed(lab, address, sizes):
    """Datagrams to the echo server and back; some are asked for again, since UDP may lose one."""
    with lab.udp("client", timeout_s=2) as sock:
        for size in sizes:
            data = hashlib.shake_128(str(size).encode()).digest(size)
            got = None
            for _ in range(3):
                sock.sendto(data, (address, 7))
                try:
                    got, source = sock.recvfrom(65535)
                    break
                except TimeoutError:
                    continue
            expect(source if got else None, (address, 7), f"{size} bytes")
            expect_true(got == data, f"{size} bytes unaltered")


def open_dev(lab):
    """All ports of the names below dev are granted until the case ends."""
    granted = '{ address = "*.dev.corp.example"; tcp = [80, 443]; udp = 53; '
    text = lab.config_of("pop")
    expect_true(granted in text, "the resource in the configuration")
    lab.set_config("pop", text.replace(granted, '{ address = "*.dev.corp.example"; tcp = "all"; udp = "all"; '))
    lab.control("pop", "reload")


@case("B7: datagrams of 4 to 64 kB come back unaltered, in fragments both ways")
def large_datagrams(lab):
    address = lab.address_of("client", PERF)
    capture = lab.capture("client", "access")
    echoed(lab, address, (1472, 1473, 4000, 4096, 9000, 20000, 65000))
    sizes = [len(p.payload) for p in capture.packets() if p.src == address]
    expect_true(max(sizes) <= 1480, "no packet above the client's MTU")


@case("B7: the same over an underlay of 1280")
def large_datagrams_small_underlay(lab):
    address = lab.address_of("client", PERF)
    lab.fault("mtu", 1280)
    lab.ok("client", "ping", "-c", 3, "-i", 0.2, "-n", address)
    echoed(lab, address, (1200, 1300, 1472, 4096, 9000, 65000))
    wanted = lab.ok("private", "sh", "-c", f"curl -sS http://{GIT}/blob | sha256sum")
    got = lab.ok("client", "sh", "-c", f"curl -sS --max-time 60 http://{GIT}/blob | sha256sum")
    expect(got, wanted)


@case("B6: a ping of 64 kB by name is answered with its payload")
def large_ping(lab):
    lab.ok("client", "ping", "-c", 1, "-n", GIT)
    for size in (2000, 65000):
        out = lab.ok("client", "ping", "-c", 4, "-i", 0.2, "-s", size, "-n", GIT)
        expect_true(" 0% packet loss" in out and "wrong data" not in out, f"{size} bytes: {out}")
    # The longest there is, too long for the record that opens its flow.
    out = lab.run("client", "ping", "-c", 4, "-i", 0.3, "-s", 65507, "-n", GIT).out
    expect(int(re.search(r"(\d+) received", out)[1]), 4, out)


@case("B2 B12: an absent host is reported unreachable, by TCP and by UDP")
def absent_host(lab):
    open_dev(lab)
    address = lab.address_of("client", "absent.dev.corp.example")
    capture = lab.capture("client", "access")
    expect(lab.tcp("client", address, 80, 8), "EHOSTUNREACH")
    lab.udp_error("client", address, 4000)  # no system tells a datagram's sender of 3/1; the capture does
    errors = [p for p in capture.packets() if p.icmp() and p.src == address]
    expect({p.icmp() for p in errors}, {(3, 1)})
    expect({p.payload[8 + 9] for p in errors}, {6, 17}, "protocols of the packets they are about")


@case("B2: a closed UDP port is reported by the host's own ICMP 3/3, from the assigned address")
def closed_udp(lab):
    open_dev(lab)
    address = lab.address_of("client", "closed.dev.corp.example")
    capture = lab.capture("client", "access")
    expect_true(isinstance(lab.udp_error("client", address, 4000), int), "an error")
    found = {p.icmp() for p in capture.packets() if p.icmp() and p.src == address}
    expect(found, {(3, 3)})


@case("B6: traceroute by UDP, ICMP and TCP ends at the host and shows no private hop")
def traceroute(lab):
    open_dev(lab)
    # Linux sends few unreachables a second to one host, and earlier cases have asked for some.
    lab.ok("private", "sh", "-c", "echo 0 >/proc/sys/net/ipv4/icmp_ratelimit")
    address = lab.address_of("client", "www.dev.corp.example")
    for how in (["-U"], ["-I"], ["-T", "-p", "80"], []):
        out = lab.ok("client", "traceroute", "-n", "-q", 1, "-w", 2, "-m", 6, *how, address)
        hops = [line.split()[1] for line in out.splitlines()[1:]]
        expect(hops[-1], address, f"{how}: {out}")
        expect_true(set(hops) <= {address, topology.POP_CLIENTS, "*"}, f"{how}: {hops}")


@case("B6 B7: tracepath finds the path's MTU and ends at the host")
def tracepath(lab):
    open_dev(lab)
    address = lab.address_of("client", "www.dev.corp.example")
    out = lab.ok("client", "tracepath", "-n", "-m", 6, address)
    found = re.search(r"Resume: pmtu (\d+)", out)
    # An earlier case may have narrowed the underlay to 1280, which a lane remembers for a while.
    expect_true(found and 1200 < int(found[1]) < 1500, out)
    expect_true("reached" in out, out)


@case("B2: nmap through Sluice finds what it finds from the connector's side")
def scan(lab):
    open_dev(lab)
    private = topology.PRIVATE_ADDRESSES["private"]
    lab.ok("private", "nft", "add table ip filtered; add chain ip filtered in "
           "{ type filter hook input priority 0; }; "
           "add rule ip filtered in tcp dport 1234 drop")
    try:
        for how in ("-sT", "-sS"):
            states = []
            for host, target in (("client", lab.address_of("client", "www.dev.corp.example")),
                                 ("private", private["dev"])):
                out = lab.ok(host, "nmap", "-Pn", "-n", how, "--max-retries", 2, "-p",
                             "22,80,443,1234", "-oG", "-", target)
                states.append(re.search(r"Ports: (.*)", out)[1].split("\t")[0]
                              if "Ports:" in out else out)
            expect(states[0], states[1], how)
    finally:
        lab.ok("private", "nft", "delete table ip filtered")


@case("B6 B7: a WireGuard client's large pings are put together and cut inside its session")
def large_through_wireguard(lab):
    lab.ok("client2", "ping", "-c", 2, "-i", 0.2, "-n", GIT)
    for size in (1400, 2000, 4000, 65000):
        out = lab.ok("client2", "ping", "-c", 4, "-i", 0.2, "-s", size, "-n", GIT)
        expect_true(" 0% packet loss" in out and "wrong data" not in out, f"{size} bytes: {out}")
