"""Names: what DNS through Sluice says, and to whom."""
import ipaddress
import socket
import struct

from labtest import case, expect, expect_true, fail
from labtest.packets import dns_question
from netlab import process, topology

GIT = "git.corp.example"


def query(name, kind=1, identity=1, flags=0x0100):
    labels = b"".join(bytes([len(p)]) + p.encode() for p in name.split("."))
    return struct.pack("!HHHHHH", identity, flags, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, kind, 1)


def ask(sock, message, server=topology.RESOLVERS[0]):
    sock.sendto(message, (server, 53))
    try:
        return sock.recv(65535)
    except TimeoutError:
        return b""


def questions(capture):
    """[(source, name)] of the DNS queries a capture saw."""
    return [(p.src, dns_question(p.payload[8:])) for p in capture.packets()
            if p.protocol == 17 and p.ports()[1] == 53]


@case("A2: a granted name is one A record of the pool, its flags qr aa rd ra, ad when asked")
def granted_name(lab):
    answer = lab.dig("client", GIT, "A", "+noadflag", "+noedns")
    expect(answer.status, "NOERROR")
    expect(answer.flags, {"qr", "aa", "rd", "ra"})
    expect(answer.edns, False, "OPT without being asked")
    expect([(o, t, k) for o, t, k, _ in answer.answers], [(GIT + ".", 60, "A")])
    expect_true(ipaddress.ip_address(answer.data()[0]) in topology.POOL, "an address of the pool")
    expect(answer.nb_bytes, 12 + len(GIT) + 2 + 4 + 16, "a compressed owner")
    with_ad = lab.dig("client", GIT, "A", "+adflag", "+edns=0")
    expect(with_ad.flags, {"qr", "aa", "rd", "ra", "ad"})
    expect(with_ad.edns, True, "OPT when asked")
    expect(with_ad.data(), answer.data())


@case("A2: the letter case of the question comes back")
def letter_case(lab):
    answer = lab.dig("client", "GiT.cOrP.eXaMpLe")
    expect(answer.question, "GiT.cOrP.eXaMpLe.")
    expect([o for o, *_ in answer.answers], ["GiT.cOrP.eXaMpLe."])


@case("A3: AAAA of a granted name is NOERROR without data")
def aaaa_is_nodata(lab):
    answer = lab.dig("client", GIT, "AAAA")
    expect((answer.status, answer.answers), ("NOERROR", []))
    fresh = lab.dig("client", "first-aaaa.dev.corp.example", "AAAA")
    expect((fresh.status, fresh.answers), ("NOERROR", []))


@case("A6: a wildcard crosses dots, names get addresses of their own, the apex is not matched")
def wildcard(lab):
    names = ["a.dev.corp.example", "b.dev.corp.example", "x.y.z.dev.corp.example"]
    found = [lab.address_of("client", name) for name in names]
    expect(len(set(found)), 3, "addresses")
    expect([lab.address_of("client", name) for name in names], found, "asked again")
    expect([lab.address_of("client2", name) for name in names], found, "asked by another client")
    expect(lab.dig("client", "dev.corp.example").status, "NXDOMAIN", "the apex")


@case("A13: a name that is not granted and one that does not exist get the same bytes")
def hidden_name(lab):
    with lab.udp("client") as sock:
        for kind in (1, 28, 16):
            hidden = ask(sock, query("payroll.corp.example", kind))
            nothing = ask(sock, query("nothing.corp.example", kind))
            expect_true(len(hidden) > 12, "an answer")
            expect(hidden.replace(b"payroll", b"nothing"), nothing, f"type {kind}")
    expect(lab.dig("client", "payroll.corp.example").status, "NXDOMAIN")
    lab.address_of("client2", "payroll.corp.example")


@case("A14: other names are answered as their server answers them")
def forwarded(lab):
    server = topology.PUBLIC_ADDRESSES["dns"]
    for name, kind in (("www.public.example", "A"), ("nope.public.example", "A"),
                       ("www.public.example", "AAAA"), ("public.example", "SOA")):
        direct = lab.dig("public", name, kind, server=server)
        through = lab.dig("client", name, kind)
        expect(through.status, direct.status, f"{name} {kind}")
        without_ttl = [[(o, k, d) for o, _, k, d in a.answers] for a in (through, direct)]
        expect(without_ttl[0], without_ttl[1], f"{name} {kind}")
    expect(lab.dig("client", "www.public.example").data(), [topology.PUBLIC_ADDRESSES["www"]])
    expect(lab.dig("client", "nope.public.example").status, "NXDOMAIN")


@case("A14: an answer over the client's size is cut with TC")
def forwarded_big(lab):
    cut = lab.dig("client", "big.public.example", "TXT", "+ignore", "+bufsize=1232")
    expect_true("tc" in cut.flags, "TC over UDP")
    expect_true(cut.nb_bytes <= 1232, "at most 1232 bytes over UDP")


@case("A15: A and AAAA sent back to back on one socket are both answered")
def back_to_back(lab):
    for nb in range(50):
        name = f"pair-{nb}.dev.corp.example" if nb % 2 else GIT
        with lab.udp("client") as sock:
            for kind in (1, 28):
                sock.sendto(query(name, kind, identity=kind), (topology.RESOLVERS[0], 53))
            got = set()
            try:
                while len(got) < 2:
                    got.add(struct.unpack_from("!H", sock.recv(4096))[0])
            except TimeoutError:
                fail(f"{name}: only {got} of the types 1 and 28 were answered")


@case("A18: a granted name that public DNS knows too goes through the connector, unasked there")
def granted_beats_public(lab):
    public = lab.capture("public", "underlay")
    address = lab.address_of("client2", "both.public.example")
    expect(lab.curl("client2", "http://both.public.example/").out, lab.page("private", "both"))
    expect(lab.address_of("client2", "both.public.example"), address)
    lab.dig("client2", "both.public.example", "AAAA")
    lab.dig("client2", GIT)
    expect([q for q in questions(public) if q[1] in ("both.public.example", GIT)], [])
    # For who is not granted it, it is a public name.
    expect(lab.dig("client", "both.public.example").data(), [topology.PUBLIC_ADDRESSES["both"]])


@case("A19: a query causes none at the private DNS; the first packet does, from the connector")
def lazy_resolution(lab):
    private = lab.capture("private", "lan")
    name = "lazy.dev.corp.example"
    lab.address_of("client", name)
    lab.dig("client", name, "AAAA")
    expect([q for q in questions(private) if q[1] == name], [], "queries before the first packet")
    expect(lab.curl("client", f"http://{name}/").out, lab.page("private", "dev"))
    seen = [q for q in questions(private) if q[1] == name]
    expect_true(seen, "a query after the first packet")
    expect({source for source, _ in seen}, {topology.CONNECTOR_PRIVATE}, "who asks")


@case("A19: all four resolver addresses answer")
def all_resolvers(lab):
    found = [lab.dig("client", GIT, server=s).data() for s in topology.RESOLVERS]
    expect(found, [found[0]] * 4)
    expect(len(found[0]), 1)


@case("A17: who is no client gets no byte")
def no_client(lab):
    stranger = "10.1.0.99"
    process.shell("client", f"ip address add {stranger}/32 dev access")
    try:
        capture = lab.capture("client", "access")
        with lab.udp("client", timeout_s=1) as sock:
            sock.bind((stranger, 0))
            expect(ask(sock, query(GIT)), b"", "the answer")
        address = lab.address_of("client", GIT)
        lab.run("client", "ping", "-c", 1, "-W", 1, "-I", stranger, address)
        got = [p for p in capture.packets() if p.dst == stranger and p.to_us]
        expect(got, [], "packets to who is no client")
    finally:
        process.shell("client", f"ip address del {stranger}/32 dev access")


@case("A17: odd queries get the answer that RFC 8906 wants, broken ones harm nothing")
def odd_queries(lab):
    expect(lab.dig("client", GIT, "A", "+opcode=15", "+noedns").status, "NOTIMP")
    expect(lab.dig("client", GIT, "A", "+edns=1", "+noednsnegotiation").status, "BADVERS")
    good = query(GIT)
    two = good[:4] + struct.pack("!H", 2) + good[6:] + good[12:]
    loop = good[:12] + b"\xc0\x0c" + good[-4:]
    with lab.udp("client", timeout_s=1) as sock:
        expect(ask(sock, two)[3] & 15, 1, "the rcode for two questions")
        for broken in (loop, good[:-1], good[:13], b"\x00", b""):
            answer = ask(sock, broken)
            expect_true(len(answer) <= len(broken) + 11, "an answer no larger than the query and OPT")
    lab.address_of("client", GIT)


@case("A5: PTR names an assigned address to its tenant's client; to others it does not exist")
def reverse(lab):
    address = lab.address_of("client", GIT)
    pointer = ".".join(reversed(address.split("."))) + ".in-addr.arpa"
    expect(lab.dig("client", pointer, "PTR").data("PTR"), [GIT + "."])
    hidden = lab.dig("client3", pointer, "PTR")
    free = lab.dig("client3", "254.255.111.100.in-addr.arpa", "PTR")
    expect((hidden.status, hidden.answers), ("NXDOMAIN", []))
    expect((free.status, free.answers, len(free.authority)),
           ("NXDOMAIN", [], len(hidden.authority)))
