"""packets: captures at hosts, and the rule about addresses that clients may see (B1)."""
import ctypes
import ipaddress
import os
import signal
import socket
import struct
import subprocess
from dataclasses import dataclass

from netlab import process, topology, wireguard

SNAP_BYTES = 1600
ETHERTYPE_MARK = 0x88B5  # for local experiments (IEEE 802)
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def in_namespace(host, function):
    """Call function() with this thread in the namespace of host; sockets made there stay there."""
    def enter(fd):
        if _libc.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{process.namespace(host)}", os.O_RDONLY)
    try:
        enter(there)
        return function()
    finally:
        enter(home)
        os.close(there)
        os.close(home)


@dataclass
class Packet:
    """An IPv4 packet of a capture, as far as it is parsed."""
    time_s: float
    src: str
    dst: str
    protocol: int
    payload: bytes  # what follows the IPv4 header; empty for a later fragment
    to_us: bool  # by its destination MAC
    ttl: int = 0
    tos: int = 0

    def ports(self):
        return struct.unpack_from("!HH", self.payload) if len(self.payload) >= 4 else (0, 0)

    def tcp_flags(self):
        return self.payload[13] if self.protocol == 6 and len(self.payload) >= 14 else 0

    def icmp(self):
        """(type, code), or None."""
        return tuple(self.payload[:2]) if self.protocol == 1 and len(self.payload) >= 2 else None


def parse_ip4(data, time_s=0.0, to_us=True):
    if len(data) < 20 or data[0] >> 4 != 4:
        return None
    header = (data[0] & 15) * 4
    offset = struct.unpack_from("!H", data, 6)[0] & 0x1FFF
    return Packet(time_s, socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20]), data[9],
                  data[header:] if offset == 0 else b"", to_us, data[8], data[1])


def records(data):
    """(time, frame) of the records of a pcap file's bytes, header left out; a cut last one too."""
    at = 0
    while at + 16 <= len(data):
        seconds, micros, kept, _ = struct.unpack_from("<IIII", data, at)
        yield seconds + micros / 1e6, data[at + 16:at + 16 + kept]
        at += 16 + kept


class Capture:
    """tcpdump at one interface of one host. What it saw is asked for piece by piece; a marker
    frame that goes nowhere tells when all that came before it is in the file."""

    def __init__(self, host, interface, path):
        self.host, self.interface, self.path = host, interface, path
        self.offset = 24
        self.marks = 0
        self.tcpdump = subprocess.Popen(
            process.argv_in(host, ["tcpdump", "-i", interface, "-Z", "root", "-s", str(SNAP_BYTES),
                                   "-B", "16384", "--immediate-mode", "-U", "-w", path]),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while b"listening on" not in (line := self.tcpdump.stderr.readline()):
            if not line:
                raise process.LabError(f"tcpdump on {host} does not start")
        self.socket = in_namespace(host, self._open)
        self.mac = self.socket.getsockname()[4]  # b"": packets without an Ethernet header
        self.address = wireguard.address(host) if not self.mac else None

    def _open(self):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        s.bind((self.interface, 0))
        return s

    def frames(self):
        """[(time, frame)] since the last call."""
        self.marks += 1
        marker = self.mac + self.mac + struct.pack("!HI", ETHERTYPE_MARK, self.marks)
        self.socket.send(marker)
        found = []

        def arrived():
            with open(self.path, "rb") as f:
                f.seek(self.offset)
                data = f.read()
            if marker not in data:
                return False
            found.extend(records(data))
            self.raw = data
            self.offset += len(data)
            return True
        process.wait_for(f"the capture at {self.host}", arrived, every_s=0.01)
        at = 2 * len(self.mac)
        return [(t, frame) for t, frame in found
                if frame[at:at + 2] != struct.pack("!H", ETHERTYPE_MARK)]

    def packets(self):
        """The IPv4 packets since the last call."""
        found = []
        for time_s, frame in self.frames():
            if not self.mac:
                packet = parse_ip4(frame, time_s)
                if packet:
                    packet.to_us = packet.dst == self.address
                    found.append(packet)
            elif frame[12:14] == b"\x08\x00":
                packet = parse_ip4(frame[14:], time_s, frame[:6] == self.mac)
                if packet:
                    found.append(packet)
        return found

    def save(self, path):
        """Write what the last call saw as a file of its own."""
        with open(self.path, "rb") as f:
            header = f.read(24)
        with open(path, "wb") as f:
            f.write(header + self.raw)

    def close(self):
        self.socket.close()
        self.tcpdump.send_signal(signal.SIGINT)
        self.tcpdump.wait()
        self.tcpdump.stderr.close()


def _skip_name(data, at):
    while at < len(data):
        if data[at] == 0:
            return at + 1
        if data[at] >= 0xC0:
            return at + 2
        at += data[at] + 1
    raise IndexError


def dns_addresses(message):
    """Every address in the A and AAAA records of a DNS message."""
    found = []
    try:
        nb_questions, *counts = struct.unpack_from("!HHHH", message, 4)
        at = 12
        for _ in range(nb_questions):
            at = _skip_name(message, at) + 4
        for _ in range(sum(counts)):
            at = _skip_name(message, at)
            kind, _, _, length = struct.unpack_from("!HHIH", message, at)
            if kind in (1, 28):
                found.append(ipaddress.ip_address(message[at + 10:at + 10 + length]))
            at += 10 + length
    except (struct.error, IndexError, ValueError):
        pass  # cut by the capture, or not DNS
    return found


def dns_question(message):
    """The name asked for, lower case, without the last dot; "" when there is none."""
    labels, at = [], 12
    while at < len(message) and 0 < message[at] < 64:
        labels.append(message[at + 1:at + 1 + message[at]].decode("latin-1").lower())
        at += message[at] + 1
    return ".".join(labels)


def _secret(address):
    address = ipaddress.ip_address(address)
    if address.version == 6:
        return address in ipaddress.ip_network("fd00:20::/32")
    if any(address in network for network in topology.MORE_SOURCES):
        return False  # granted as an address: the client used it itself
    return any(address in network for network in topology.SECRET_NETWORKS)


def private_addresses(client, packets):
    """What a client must never see, as sentences: headers with other sources than the pool, the
    resolvers and the PoP, and private addresses inside ICMP errors and DNS answers."""
    own = topology.CLIENTS[client]
    inner = {wireguard.address(client)} if client in topology.WIREGUARD_CLIENTS else set()
    allowed = {own, *inner, topology.POP_CLIENTS, *topology.RESOLVERS}
    bad = []
    for packet in packets:
        if not packet.to_us or packet.src == own:
            continue
        if packet.src not in allowed:
            source = ipaddress.ip_address(packet.src)
            if any(source in n for n in (topology.POOL, *topology.MORE_SOURCES)):
                allowed.add(packet.src)
            else:
                bad.append(f"{client} got a packet from {packet.src}")
        if packet.icmp() and packet.icmp()[0] in (3, 5, 11, 12):
            inner = parse_ip4(packet.payload[8:])
            if inner and (_secret(inner.src) or _secret(inner.dst)):
                bad.append(f"{client} got an ICMP error about {inner.src} > {inner.dst}")
        if packet.protocol == 17 and packet.ports()[0] == 53:
            bad += [f"{client} got {a} in a DNS answer"
                    for a in dns_addresses(packet.payload[8:]) if _secret(a)]
    return bad
