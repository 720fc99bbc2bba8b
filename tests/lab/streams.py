"""DNS over TCP and TLS: the same answers as by UDP, long ones whole, and bounds on what a client costs."""
import socket
import struct
import time

from labtest import case, expect, expect_true
from names import GIT, ask, query
from netlab import topology

RESOLVER = topology.RESOLVERS[0]


def framed(message):
    return struct.pack("!H", len(message)) + message


def read_exactly(sock, nb):
    data = b""
    while len(data) < nb:
        piece = sock.recv(nb - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def read_message(sock):
    return read_exactly(sock, struct.unpack("!H", read_exactly(sock, 2))[0])




@case("A2 A3 A14: over TCP and TLS every resolver gives the answers it gives over UDP")
def same_answers(lab):
    for name, kind in ((GIT, "A"), (GIT, "AAAA"), (GIT, "TXT"), ("w1.dev.corp.example", "A"),
                       ("payroll.corp.example", "A"), ("nothing.corp.example", "A"),
                       ("www.public.example", "A"), ("use-application-dns.net", "A")):
        udp = lab.dig("client", name, kind)
        for server in topology.RESOLVERS:
            tcp = lab.dig("client", name, kind, "+tcp", server=server)
            expect((tcp.status, tcp.flags), (udp.status, udp.flags), f"{name} {kind} at {server}")
            expect([(o, k, d) for o, _, k, d in tcp.answers],
                   [(o, k, d) for o, _, k, d in udp.answers], f"{name} {kind} at {server}")
    address = lab.address_of("client", GIT)
    text = lab.ok("client", "kdig", "+tls", "+short", f"@{RESOLVER}", GIT)
    expect(text.split(), [address], "over TLS")
    expect(lab.ok("client", "drill", "-t", GIT, f"@{RESOLVER}").count(address), 1, "drill -t")


@case("A13: over TCP a name that is not granted and one that does not exist get the same bytes")
def hidden_name(lab):
    with lab.tcp("client", RESOLVER, 53) as sock:
        for kind in (1, 28, 16):
            sock.sendall(framed(query("payroll.corp.example", kind)))
            hidden = read_message(sock)
            sock.sendall(framed(query("nothing.corp.example", kind)))
            expect(hidden.replace(b"payroll", b"nothing"), read_message(sock), f"type {kind}")


@case("A14: an answer too long for UDP comes whole over TCP, by the stub's own second try")
def long_answer(lab):
    direct = lab.dig("public", "big.public.example", "TXT", "+tcp",
                     server=topology.PUBLIC_ADDRESSES["dns"])
    for options in ((), ("+tcp",)):
        through = lab.dig("client", "big.public.example", "TXT", *options)
        expect(through.status, "NOERROR")
        expect(sorted(through.data("TXT")), sorted(direct.data("TXT")))
        expect_true(through.nb_bytes > 1500, "more than a packet holds")
    text = lab.ok("client", "kdig", "+tls", "+short", f"@{RESOLVER}", "big.public.example", "TXT")
    expect(len(text.splitlines()), len(direct.answers), "over TLS")


@case("A4: a long answer of the private DNS comes whole over TCP, from the connector's own second try")
def long_private_answer(lab):
    direct = lab.dig("private", "long.dev.corp.example", "TXT", "+tcp",
                     server=topology.PRIVATE_ADDRESSES["private"]["dns"])
    expect(len(direct.answers), 60)
    through = lab.dig("client", "long.dev.corp.example", "TXT")
    expect(through.status, "NOERROR")
    expect(sorted(through.data("TXT")), sorted(direct.data("TXT")))


@case("A14: questions behind each other on one connection are all answered, in any order")
def pipelined(lab):
    names = [f"pipe-{i}.dev.corp.example" for i in range(20)] + [GIT] * 20 + \
            [f"p{i}.public.example" for i in range(20)]
    with lab.tcp("client", RESOLVER, 53) as sock:
        sock.sendall(b"".join(framed(query(n, identity=i)) for i, n in enumerate(names)))
        sock.shutdown(socket.SHUT_WR)  # and no more is said: the answers come all the same
        got = {}
        for _ in names:
            answer = read_message(sock)
            got[struct.unpack_from("!H", answer)[0]] = answer
        expect(sorted(got), list(range(len(names))))
        for i, name in enumerate(names):
            expect_true(name.encode().split(b".")[0] in got[i], f"{name} in its answer")
        expect(sock.recv(1), b"", "the end, after the last answer")


@case("A14: a question cut anywhere between segments is one question")
def dribbled(lab):
    message = framed(query(GIT))
    with lab.tcp("client", RESOLVER, 53) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(message)):
            sock.sendall(message[i:i + 1])
        expect(read_message(sock)[:2], message[2:4])


@case("A17: broken questions over TCP get what they get over UDP")
def broken(lab):
    cases = (query(GIT, flags=0x2100), query(GIT)[:-1], query(GIT) + b"x",
             query(GIT)[:4] + b"\0\2" + query(GIT)[6:], query(GIT)[:-2] + b"\0\3")
    for message in cases:
        with lab.udp("client") as sock:
            by_udp = ask(sock, message)
        with lab.tcp("client", RESOLVER, 53) as sock:
            sock.sendall(framed(message))
            expect(read_message(sock), by_udp)
    with lab.tcp("client", RESOLVER, 53) as sock:
        sock.sendall(framed(query(GIT) + bytes(65000)))  # the longest there is
        expect(read_message(sock)[3] & 15, 1, "FORMERR")
        sock.sendall(framed(query(GIT)))
        expect(read_message(sock)[3] & 15, 0, "and the connection goes on")


@case("A17: of TCP a resolver serves 53 and 853, and nothing else of the host")
def other_ports(lab):
    for port in (22, 80, 443, 9090, 52, 54, 10000, 10001):
        expect(lab.tcp("client", RESOLVER, port), "ECONNREFUSED", f"port {port}")
    for port in (53, 853):
        lab.tcp("client", RESOLVER, port).close()


@case("A14: who connects and says nothing, or little, is let go; others are served meanwhile")
def idle_and_slow(lab):
    idle = lab.tcp("client", RESOLVER, 53, timeout_s=20)
    slow = lab.tcp("client", RESOLVER, 53, timeout_s=20)
    began = time.monotonic()
    slow.sendall(b"\0\x20")
    while time.monotonic() - began < 4:
        slow.sendall(b"\0")
        expect(lab.dig("client2", GIT, "A", "+tcp").status, "NOERROR")
        time.sleep(0.3)
    with slow, idle:
        try:
            expect(slow.recv(1), b"", "the slow one")
        except ConnectionResetError:
            pass
        expect_true(time.monotonic() - began < 9, "the slow one after 5 s")
        expect(idle.recv(1), b"", "the idle one")
        expect_true(9 < time.monotonic() - began < 16, "the idle one after 10 s")


@case("A14: one client's flood of connections leaves other clients served")
def flood(lab):
    held = []
    try:
        for _ in range(300):
            sock = lab.tcp("client", RESOLVER, 53, timeout_s=2)
            if not isinstance(sock, str):
                held.append(sock)
        for _ in range(5):
            expect(lab.dig("client2", GIT, "A", "+tcp").status, "NOERROR")
        alive = 0
        for sock in held:
            try:
                sock.sendall(framed(query(GIT)))
                read_message(sock)
                alive += 1
            except (OSError, EOFError):
                pass
        expect_true(1 <= alive <= 64, f"at most 64 of a client, {alive} live")
    finally:
        for sock in held:
            sock.close()
    lab.wait_for("a place for another", lambda: lab.dig("client", GIT, "A", "+tcp").status == "NOERROR")


@case("A14: a client that does not read its answers costs little and is let go")
def unread(lab):
    sock = lab.tcp("client", RESOLVER, 53, timeout_s=5)
    with sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        many = b"".join(framed(query("big.public.example", 16, identity=i)) for i in range(200))
        began = time.monotonic()
        try:
            while time.monotonic() - began < 20:
                sock.sendall(many)
        except (TimeoutError, OSError):
            pass
        expect_true(time.monotonic() - began < 19, "an end")
    expect(lab.dig("client", GIT, "A", "+tcp").status, "NOERROR")
