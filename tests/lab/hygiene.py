"""What resolvers are held to: RFC 8906's list of queries, who is no client, and a pool that is full."""
import random
import re
import socket

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1Q, Ether

from labtest import case, expect, expect_true
from labtest.packets import in_namespace
from names import GIT, ask, query
from netlab import process, topology

RESOLVER = topology.RESOLVERS[0]
OTHER = "www.public.example"


def ends(text):
    """Of dig's text: flags with what is reserved, EDNS version, and flags, and the options that came back."""
    flags = re.search(r";; flags: ([^;]*);", text)[1].split()
    opt = re.search(r"; EDNS: version: (\d+), flags:([^;]*);", text)
    return flags, opt and int(opt[1]), opt[2].split() if opt else [], re.findall(
        r"; (NSID|OPT=\d+|EXPIRE|CLIENT-SUBNET|COOKIE|PAD|TCP KEEPALIVE)", text)


# RFC 8906 section 8, of its tests those that are about a resolver: options of dig; rcode; EDNS or not.
PROBES = (
    ("8.1.1 plain", "+noedns +noad", "NOERROR", None),
    ("8.1.3.1 CD", "+noedns +noad +cd", "NOERROR", None),
    ("8.1.3.2 AD", "+noedns +ad", "NOERROR", None),
    ("8.1.3.3 reserved bit", "+noedns +noad +zflag", "NOERROR", None),
    ("8.1.3.4 recursive", "+noedns +noad +rec", "NOERROR", None),
    ("8.1.3.4 not recursive", "+noedns +noad +norec", None, None),
    ("8.1.4 unknown opcode", "+noedns +noad +header-only +opcode=15", "NOTIMP", None),
    ("8.1.5 TCP", "+noedns +noad +tcp", "NOERROR", None),
    ("8.2.1 EDNS", "+edns=0 +noad +nocookie", "NOERROR", 0),
    ("8.2.2 EDNS version 1", "+edns=1 +noednsneg +noad +nocookie", "BADVERS", 0),
    ("8.2.3 unknown option", "+edns=0 +noad +nocookie +ednsopt=100", "NOERROR", 0),
    ("8.2.4 unknown flag", "+edns=0 +noad +nocookie +ednsflags=0x40", "NOERROR", 0),
    ("8.2.5 version 1 and unknown flag", "+edns=1 +noednsneg +noad +nocookie +ednsflags=0x40", "BADVERS", 0),
    ("8.2.6 version 1 and unknown option", "+edns=1 +noednsneg +noad +nocookie +ednsopt=100", "BADVERS", 0),
    ("8.2.7 small buffer", "+edns=0 +noad +nocookie +bufsize=512 +dnssec +ignore", "NOERROR", 0),
    ("8.2.8 DO", "+edns=0 +noad +nocookie +dnssec", "NOERROR", 0),
    ("8.2.9 version 1 and DO", "+edns=1 +noednsneg +noad +nocookie +dnssec", "BADVERS", 0),
    ("8.2.10 several options", "+edns=0 +noad +cookie +nsid +expire +subnet=192.0.2.0/24", "NOERROR", 0),
)


@case("A17: every probe of RFC 8906 has the answer it wants, about granted and other names, by UDP and TCP")
def rfc8906(lab):
    for name in (GIT, OTHER):
        for what, options, rcode, version in PROBES:
            for more in ((), ("+tcp",)):
                answer = lab.dig("client", name, "A", *options.split(), *more)
                about = f"{what} of {name} {more}"
                expect_true(answer.status != "none", f"an answer: {about}")
                if rcode:
                    expect(answer.status, rcode, about)
                flags, found, edns_flags, options_back = ends(answer.text)
                expect(found, version, f"EDNS version, {about}")
                expect_true("MBZ" not in answer.text, f"reserved bits are zero, {about}: {answer.text}")
                expect("do" in edns_flags, "+dnssec" in options, f"DO comes back, {about}")
                expect("cd" in flags, "+cd" in options, f"CD comes back, {about}")
                expect_true({*options_back} <= {"COOKIE"}, f"no option comes back unasked, {about}: {options_back}")
                if rcode:
                    expect(answer.answers != [], rcode == "NOERROR", about)
    for kind in ("TYPE1000", "TYPE65280"):
        for name in (GIT, OTHER):
            answer = lab.dig("client", name, kind)
            expect((answer.status, answer.answers), ("NOERROR", []), f"{name} {kind}")


@case("A17: a client's address on another VLAN, or on the wrong side, gets no byte")
def wrong_way(lab):
    address = topology.CLIENTS["client"]
    lab.address_of("client", GIT)
    mac = re.search(r"lladdr (\S+)", lab.ok("client", "ip", "neigh", "show", topology.POP_CLIENTS))[1]
    message = query(GIT)
    wire = in_namespace("client", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
    wire.bind(("access", 0))
    seen = lab.capture("client", "access")
    inner = IP(src=address, dst=RESOLVER) / UDP(sport=40001, dport=53) / message
    syn = IP(src=address, dst=RESOLVER) / TCP(sport=40001, dport=53, flags="S")
    with wire:
        for tag in (7, 4094):
            for packet in (inner, syn):
                wire.send(bytes(Ether(src=wire.getsockname()[4], dst=mac) / Dot1Q(vlan=tag) / packet))
        # The same without a tag is answered, and behind the others.
        wire.send(bytes(Ether(src=wire.getsockname()[4], dst=mac) / inner))

    def answers():
        got.extend(p for p in seen.packets() if p.to_us and p.src == RESOLVER)
        return got
    got = []
    lab.wait_for("the answer on the client's own way", answers)
    expect([(p.protocol, p.payload[8:10]) for p in got], [(17, message[:2])], "packets to the client")
    # From the underlay: the public host says that it is the client.
    process.shell("public", f"ip address add {address}/32 dev underlay; "
                            f"ip route add {RESOLVER} via 192.0.2.1")
    process.shell("underlay", f"ip route add {RESOLVER} via {topology.POP_UNDERLAY}; "
                              f"ip route add {address} via 192.0.2.80")
    try:
        seen = lab.capture("public", "underlay")
        with lab.udp("public", timeout_s=1) as sock:
            sock.bind((address, 0))
            expect(ask(sock, query(GIT)), b"", "the answer on the wrong port")
        expect([p for p in seen.packets() if p.to_us and p.dst == address], [], "packets to it")
    finally:
        process.shell("underlay", f"ip route del {RESOLVER}; ip route del {address}")
        process.shell("public", f"ip route del {RESOLVER}; ip address del {address}/32 dev underlay")


@case("A12: when the pool is used up, a new name is SERVFAIL with an extended error, counted; the others stay",
      ends="pop")
def used_up(lab):
    before = lab.config_of("pop")
    lab.set_config("pop", before.replace('"100.96.0.0/12"', '"100.96.0.0/27"').replace(
        "names = 16384", "names = 16").replace("limits = { flows", "limits = { tenant = { client_names = 16; }; flows"))
    lab.stop("pop")
    lab.start_again("pop")
    lab.wait_ready()
    try:
        mark, held, refused = f"{random.randrange(1 << 32):x}", {}, []
        for i in range(40):
            name = f"u{mark}x{i}.dev.corp.example"
            answer = lab.dig("client", name, "A", "+edns=0")
            if answer.status == "NOERROR":
                held[name] = answer.data()
            else:
                refused.append(name)
                expect((answer.status, answer.answers), ("SERVFAIL", []), name)
                expect_true("EDE: 0" in answer.text, f"an extended error: {answer.text}")
        expect_true(len(held) >= 5 and len(refused) >= 5, f"{len(held)} held, {len(refused)} refused")
        for name, data in held.items():
            expect(lab.dig("client", name).data(), data, "a name that has its address")
        lab.address_of("client", GIT)
        lab.address_of("client3", GIT)  # the other tenant has addresses of its own
        expect(lab.dig("client", refused[0], "A", "+tcp").status, "SERVFAIL", "by TCP")
        stats = {(r["part"], r["counter"]): r["value"] for r in lab.show("pop", "show", "stats")["rows"]}
        expect_true(int(stats["names acme", "refused: table or pool full"]) >= len(refused), "the count")
        text = lab.ok("pop", "curl", "-sS", "http://127.0.0.1:9464/metrics")
        counted = re.search(r'sluice_names_refused_total\{tenant="acme",why="full"\} (\d+)', text)[1]
        expect_true(int(counted) >= len(refused), "the metric")
    finally:
        lab.set_config("pop", before)
        lab.stop("pop")
        lab.start_again("pop")
