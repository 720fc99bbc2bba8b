"""Re-resolution: names whose private addresses change, come and go while flows live."""
from labtest import case, expect, expect_true
from labtest.zone import Zone
from netlab import topology

PRIVATE = topology.PRIVATE_ADDRESSES["private"]


def page(lab, name):
    return lab.curl("client", f"http://{name}/").out


def request(sock, name):
    sock.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
    data = b""
    while not data.endswith(b".\n"):
        piece = sock.recv(4096)
        if not piece:
            break
        data += piece
    return data.partition(b"\r\n\r\n")[2].decode()


def queries(capture, name):
    """Questions for the A of a name among the packets of a capture at the private DNS."""
    label = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return sum(label in p.payload.lower() and p.dst == PRIVATE["dns"] and p.ports()[1] == 53
               and p.payload[8 + 12 + len(label) + 1:][:2] == b"\x00\x01"
               for p in capture.packets())


@case("B9: when DNS changes a live flow stays on its host and a new one goes to the present one")
def moved(lab):
    name = "moving.dev.corp.example"
    with Zone(lab) as zone:
        zone.set(f"moving.dev 2 A {PRIVATE['dev']}")
        sock = lab.tcp("client", lab.address_of("client", name), 80)
        expect(request(sock, name), lab.page("private", "dev"))
        zone.set(f"moving.dev 2 A {PRIVATE['git']}")
        lab.wait_for("a new flow to the new address",
                     lambda: page(lab, name) == lab.page("private", "git"))
        expect(request(sock, name), lab.page("private", "dev"), "the flow that stands")
        sock.close()
        expect(lab.address_of("client", name), lab.address_of("client", name), "one address")


@case("B9: a TTL of 0 is honoured: each new flow asks, and follows the very next change")
def ttl_0(lab):
    name = "fleeting.dev.corp.example"
    with Zone(lab) as zone:
        capture = lab.capture("private", "lan")
        for host in ("dev", "git", "dev"):
            zone.set(f"fleeting.dev 0 A {PRIVATE[host]}")
            for _ in range(2):
                expect(page(lab, name), lab.page("private", host))
        expect(queries(capture, name), 6, "questions")


@case("B9: of several answers those that cannot be reached or refuse are skipped")
def several(lab):
    name = "several.dev.corp.example"
    with Zone(lab) as zone:
        zone.set(*(f"several.dev 300 A {a}" for a in
                   (topology.ABSENT, PRIVATE["closed"], PRIVATE["dev"])))
        for i in range(6):
            expect(page(lab, name), lab.page("private", "dev"), f"page {i}")


@case("B9: while the private DNS is silent about an old name, its flows and other names' go on")
def nobody_waits(lab):
    name, other = "stalled.dev.corp.example", "git.corp.example"
    with Zone(lab) as zone:
        zone.set(f"stalled.dev 1 A {PRIVATE['dev']}")
        sock = lab.tcp("client", lab.address_of("client", name), 80)
        expect(request(sock, name), lab.page("private", "dev"))
        expect(page(lab, other), lab.page("private", "git"))
        lab.ok("private", "nft", "add table ip mute; add chain ip mute in "
               "{ type filter hook input priority 0; }; add rule ip mute in udp dport 53 drop; "
               "add rule ip mute in tcp dport 53 drop")
        try:
            # Until the answer is too old; the first that has to ask anew says so.
            lab.wait_for("a new flow to wait in vain", lambda: isinstance(
                lab.tcp("client", lab.address_of("client", name), 80, 5), str))
            waiting = lab.start("client", "curl", "-sS", "--max-time", "10", f"http://{name}/")
            sock.settimeout(2)
            nb = 0
            while waiting.poll() is None and nb < 200:
                expect(request(sock, name), lab.page("private", "dev"), "the flow that stands")
                expect(page(lab, other), lab.page("private", "git"))
                nb += 1
            waiting.communicate()
            expect_true(waiting.returncode != 0 and nb > 5, f"{nb} pages meanwhile")
        finally:
            lab.ok("private", "nft", "delete table ip mute")
        sock.close()
