"""Odd packets from a client: each is answered as the RFCs want or dropped under a name, and nothing ends."""
import socket
import struct

from labtest import case, expect
from labtest.packets import in_namespace
from netlab import topology

GIT = "git.corp.example"
CLIENT = topology.CLIENTS["client"]


def scapy():
    """scapy is slow to load and only wanted here."""
    from scapy import all as s
    s.conf.verb = 0
    return s


class Raw:
    """Frames of the client, put onto the PoP's cable: a bridge with a firewall would keep broken ones."""

    def __init__(self, lab):
        self.lab = lab
        lab.ok("client", "ping", "-c", 1, "-n", GIT)
        out = lab.ok("client", "ip", "neigh", "show", "dev", "access")
        self.pop = next(line.split()[2] for line in out.splitlines()
                        if line.startswith(topology.POP_CLIENTS + " "))
        self.own = lab.ok("client", "cat", "/sys/class/net/access/address").strip()
        self.sock = in_namespace("access", self._open)

    def _open(self):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        s.bind(("pop", 0))
        return s

    def send(self, packet):
        s = scapy()
        self.sock.send(bytes(s.Ether(src=self.own, dst=self.pop) / packet))

    def send_octets(self, octets):
        s = scapy()
        self.sock.send(bytes(s.Ether(src=self.own, dst=self.pop, type=0x0800)) + octets)

    def close(self):
        self.sock.close()


def drops(lab):
    return {row["name"]: row["packets"] for row in lab.show("pop", "show", "drops")["rows"]}


def grown(before, after):
    quiet = ("record_input_consumed", "tunnel_pack_joined", "arp_input_learned",
             "wireguard_open_keepalive", "eth_input_bad_type")
    return {n for n in after if after[n] > before.get(n, 0) and n not in quiet}


def broken(octets, at, value):
    return octets[:at] + bytes([value]) + octets[at + 1:]


@case("B1: packets with broken headers, options and lies about their length are dropped by name")
def broken_headers(lab):
    s = scapy()
    address = lab.address_of("client", GIT)
    raw = Raw(lab)
    ip = s.IP(src=CLIENT, dst=address)
    udp = bytes(ip / s.UDP(sport=4000, dport=53) / b"12345678")
    tcp = bytes(ip / s.TCP(sport=4000, dport=80, flags="S"))
    rows = (("ip4_input_checksum", broken(udp, 10, udp[10] ^ 0x55)),
            ("ip4_input_malformed", broken(udp, 0, 0x41)),
            ("ip4_input_malformed", broken(udp, 0, 0x65)),
            ("ip4_input_truncated", bytes(s.IP(src=CLIENT, dst=address, len=900, proto=17)) + udp[20:]),
            ("ip4_input_options", bytes(s.IP(src=CLIENT, dst=address, options=[
                s.IPOption_RR(pointer=4, routers=["0.0.0.0"])]) / s.UDP(sport=4000, dport=53))),
            ("ip4_input_options", bytes(s.IP(src=CLIENT, dst=address, options=[
                s.IPOption_LSRR(routers=["10.20.0.20"])]) / s.UDP(sport=4000, dport=53))),
            ("ip4_input_martian_source", bytes(s.IP(src="127.0.0.1", dst=address) / udp[20:])),
            ("ip4_input_martian_source", bytes(s.IP(src="224.0.0.1", dst=address) / udp[20:])),
            ("ip4_input_martian_source", bytes(s.IP(src="255.255.255.255", dst=address) / udp[20:])),
            ("flow_new_malformed", bytes(ip / s.UDP(sport=4000, dport=53, len=500) / b"short")),
            ("flow_new_malformed", bytes(ip / s.UDP(sport=4000, dport=53, len=7) / b"short")),
            ("flow_new_malformed", bytes(ip / s.TCP(sport=4000, dport=80, dataofs=15))),
            ("flow_new_malformed", bytes(ip / s.TCP(sport=4000, dport=80, dataofs=2))),
            ("flow_new_malformed", bytes(s.IP(src=CLIENT, dst=address, proto=6) / tcp[20:32])))
    try:
        for wanted, octets in rows:
            before = drops(lab)
            raw.send_octets(octets)
            lab.wait_for(f"{wanted} of {octets.hex()}", lambda: grown(before, drops(lab)))
            found = grown(before, drops(lab))
            if wanted == "flow_new_malformed":
                found = {f.replace("flow_forward_malformed", wanted) for f in found}
            expect(found, {wanted}, octets.hex())
    finally:
        raw.close()


@case("B1: protocols other than TCP, UDP and echo are refused with 3/2, and what is no question is not answered")
def other_protocols(lab):
    s = scapy()
    address = lab.address_of("client", GIT)
    raw = Raw(lab)
    capture = lab.capture("client", "access")
    try:
        for protocol in (2, 4, 41, 47, 50, 51, 89, 103, 132, 136, 255):
            raw.send(s.IP(src=CLIENT, dst=address, proto=protocol) / b"12345678")
        found = []

        def all_refused():
            found.extend(p.icmp() for p in capture.packets() if p.icmp() and p.src == address)
            return len(found) >= 11
        lab.wait_for("refusals", all_refused)
        expect(set(found), {(3, 2)})
        # None of ICMP but an echo request begins anything.
        for kind in (0, 5, 9, 10, 13, 15, 17, 30, 40, 42):
            before = drops(lab)
            raw.send(s.IP(src=CLIENT, dst=address) / s.ICMP(type=kind, id=7, seq=1) / b"12345678")
            lab.wait_for(f"the drop of ICMP {kind}", lambda: grown(before, drops(lab)))
            expect(grown(before, drops(lab)), {"flow_forward_not_carried"}, f"ICMP {kind}")
    finally:
        raw.close()


@case("B1: odd flags of TCP make no flow, or one that a RST ends; odd packets never end the PoP")
def odd_flags(lab):
    s = scapy()
    address = lab.address_of("client", GIT)
    raw = Raw(lab)
    try:
        port = 20000
        for flags in range(256):
            port += 1
            raw.send(s.IP(src=CLIENT, dst=address) / s.TCP(sport=port, dport=80, flags=flags, seq=77))
        for ttl in (0, 1, 2, 255):
            raw.send(s.IP(src=CLIENT, dst=address, ttl=ttl) / s.UDP(sport=4001, dport=53) / b"x")
        for bits in ("evil", "MF", "DF", "MF+DF"):
            raw.send(s.IP(src=CLIENT, dst=address, flags=bits) / s.UDP(sport=4002, dport=53) / b"xxxxxxxx")
        raw.send(s.IP(src=address, dst=address) / s.TCP(sport=80, dport=80, flags="S"))
        raw.send(s.IP(src=CLIENT, dst=CLIENT) / s.TCP(sport=80, dport=80, flags="S"))
        raw.send(s.IP(src=CLIENT, dst=topology.POP_CLIENTS) / s.TCP(sport=80, dport=80, flags="S"))
        raw.send(s.IP(src=CLIENT, dst="10.1.0.255") / s.UDP(sport=80, dport=7) / b"x")
        raw.send(s.IP(src=CLIENT, dst="255.255.255.255") / s.UDP(sport=68, dport=67) / b"x")
        raw.send(s.IP(src=CLIENT, dst="224.0.0.251") / s.UDP(sport=5353, dport=5353) / b"x")
        raw.send(s.IP(src=CLIENT, dst=address) / s.TCP(sport=4003, dport=80, flags="S", options=[
            ("MSS", 0), ("WScale", 255), ("SAckOK", b""), (254, b"x" * 8)]))
        raw.send(s.IP(src=CLIENT, dst=address) / s.TCP(sport=4004, dport=80, flags="S", chksum=1))
        for length in range(0, 60, 7):
            raw.send_octets(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + length, 1, 0, 64, 6, 0,
                                        socket.inet_aton(CLIENT), socket.inet_aton(address))[:20]
                            + bytes(length))
        expect(lab.curl("client", f"http://{GIT}/").out, lab.page("private", "git"))
    finally:
        raw.close()
