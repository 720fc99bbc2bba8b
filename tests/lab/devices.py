"""Devices: WireGuard clients beside client2, behind a NAT of their own, under floods, over rekeys."""
import contextlib
import hashlib
import os
import re
import secrets
import socket
import statistics
import struct
import subprocess
import threading
import time

from labtest import case, expect, expect_true
from labtest.packets import in_namespace
from netlab import process, topology, wireguard
from netlab.process import namespace

GIT = "git.corp.example"
PERF = "perf.corp.example"
NAT = "10.1.0.40"  # the home router's address on the clients' network
DEVICES = ("one", "two")
ATTEMPTS = 3


def shown(lab, name):
    return [row for row in lab.show("pop", "client", "show")["rows"] if row["client"] == name]


# ---- A home network: two devices behind one address


def _nat():
    return f"""
echo 1 >/proc/sys/net/ipv4/ip_forward
ip address add {NAT}/32 dev access
ip route add {topology.POP_CLIENTS} dev access
nft 'add table ip nat; add chain ip nat post {{ type nat hook postrouting priority 100; }}
add rule ip nat post oifname "access" masquerade random'
"""


def device_name(host):
    return f"{process.PREFIX}{host}"[:15]


def _device_up(lab, host, text):
    keys = re.sub(r"^(Address|DNS|MTU|PersistentKeepalive) = .*\n", "", text, flags=re.M)
    path = os.path.join(process.folder(host), "wg.conf")
    with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
        f.write(keys)
    name = device_name(host)
    address = re.search(r"^Address = ([0-9.]+)", text, re.M)[1]
    process.start(host, "wireguard-go", ["env", "LOG_LEVEL=error", "WG_PROCESS_FOREGROUND=1", "wireguard-go", "-f", name])
    lab.wait_for(f"{name}", lambda: process.run(host, ["ip", "link", "show", name]).returncode == 0)
    routes = "\n".join(f"ip route add {to} dev {name}" for to in (*topology.RESOLVERS, topology.POOL))
    process.shell(host, f"""
wg setconf {name} {path}
ip address add {address}/32 dev {name}
ip link set {name} mtu 1420 up
{routes}""")
    return address


@contextlib.contextmanager
def home(lab):
    """Two devices without a persistent keepalive behind one NAT, the first with a preshared key."""
    hosts = ("router", *DEVICES)
    added = []
    try:
        for host in hosts:
            os.makedirs(process.folder(host), exist_ok=True)
            process.root(["ip", "netns", "add", namespace(host)])
            process.shell(host, "ip link set lo up")
        process.root(["ip", "link", "add", "access", "netns", namespace("router"), "type", "veth",
                      "peer", "name", "home", "netns", namespace("access")])
        process.shell("access", "ip link set home master lan up; ethtool -K home tx off gso off gro off >/dev/null")
        process.shell("router", "ethtool -K access tx off gso off gro off >/dev/null; ip link set access up\n" + _nat())
        for i, host in enumerate(DEVICES):
            process.root(["ip", "link", "add", host, "netns", namespace("router"), "type", "veth",
                          "peer", "name", "lan", "netns", namespace(host)])
            process.shell("router", f"ip address add 192.168.{i}.1/24 dev {host}; ip link set {host} up")
            process.shell(host, f"ip address add 192.168.{i}.2/24 dev lan; ip link set lan up\n"
                                f"ip route add default via 192.168.{i}.1")
            options = ["groups=staff", *(["psk"] if i == 0 else [])]
            text = lab.control("pop", "client", "add", f"acme/{host}", *options)
            added.append(host)
            expect("PresharedKey" in text, i == 0, "a preshared key where one was asked for")
            _device_up(lab, host, text)
        yield
    finally:
        for host in added:
            lab.try_control("pop", "client", "remove", f"acme/{host}")
        for host in hosts:
            if topology.exists(host):
                process.kill_all([host])
                subprocess.run(["ip", "netns", "delete", namespace(host)], capture_output=True)
            process.remove_folder(process.folder(host))


def new_mappings():
    """What a home router does when it starts anew: every connection gets another port."""
    process.shell("router", f"ip link set access down\nip link set access up\nip route add {topology.POP_CLIENTS} dev access")


def pings(lab, host, address, nb=1):
    return lab.run(host, "ping", "-n", "-c", nb, "-i", 0.2, "-W", 1, address).code == 0


@case("D1 C4: two devices behind one NAT address, one with a preshared key, go on when it gives both other ports, "
      "without a persistent keepalive")
def behind_nat(lab):
    address = lab.address_of("client2", GIT)
    with home(lab):
        for host in DEVICES:
            expect_true(pings(lab, host, address), f"{host} to be answered")
            lab.ok(host, "curl", "-sS", "--max-time", 10, "-o", "/dev/null", "-H", f"Host: {GIT}",
                   f"http://{address}/")
        before = {host: shown(lab, host)[0]["endpoint"] for host in DEVICES}
        expect([e.split(":")[0] for e in before.values()], [NAT, NAT])
        expect_true(before["one"] != before["two"], f"two ports in {before}")
        for _ in range(3):
            new_mappings()
            for host in DEVICES:
                expect_true(pings(lab, host, address), f"{host} to be answered at once from another port")
        lab.wait_for("new ports", lambda: all(shown(lab, h)[0]["endpoint"] != before[h] for h in DEVICES))
        blob = os.path.join(process.folder("private"), "nginx", "git", "blob")
        put = [lab.start(host, "curl", "-sS", "--max-time", 60, "--limit-rate", "1M", "-T", blob, "-H", f"Host: {GIT}",
                         f"http://{address}/put/{host}") for host in DEVICES]
        time.sleep(1)  # of upload
        new_mappings()
        for host, curl in zip(DEVICES, put):
            out, err = curl.communicate(timeout=70)
            expect((curl.returncode, err), (0, ""))
            lab.ok("private", "cmp", blob, os.path.join(os.path.dirname(blob), "put", host))


# ---- sluicectl client, and everybody else


class Stream:
    """Numbered datagrams to the private echo, at a steady rate, and which of them did not come back."""

    def __init__(self, lab, host, rate=500):
        self.lab, self.rate, self.sent_at, self.back = lab, rate, [], set()
        self.socket = lab.udp(host, 0.2)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.to = (lab.address_of(host, PERF), 7)
        self.is_over = False
        self.threads = [threading.Thread(target=self._send), threading.Thread(target=self._receive)]
        for thread in self.threads:
            thread.start()

    def _send(self):
        began = time.monotonic()
        while not self.is_over:
            now = time.monotonic()
            while len(self.sent_at) < (now - began) * self.rate:
                self.socket.sendto(struct.pack("!I", len(self.sent_at)).ljust(200, b"."), self.to)
                self.sent_at.append(now)
            time.sleep(0.002)  # the rate is the clock's, whatever this takes

    def _receive(self):
        silent = 0
        while silent < 5:
            try:
                self.back.add(struct.unpack_from("!I", self.socket.recv(2048))[0])
                silent = 0
            except TimeoutError:
                silent += self.is_over

    def end(self):
        """When those were sent that never came back."""
        self.is_over = True
        for thread in self.threads:
            thread.join()
        self.socket.close()
        return [at for n, at in enumerate(self.sent_at) if n not in self.back]


def attempts(what, once):
    """A busy machine loses a datagram now and then; what is asked for must be seen in one of three."""
    for _ in range(ATTEMPTS):
        found = once()
        if not found:
            return
    expect((len(found), found[:3]), (0, []), what)


@case("D3: adding and removing clients touches nobody else: not a datagram of a device's stream is lost")
def touches_nobody(lab):
    def once():
        stream = Stream(lab, "client2")
        time.sleep(0.5)  # of stream before
        for i in range(10):
            lab.control("pop", "client", "add", f"acme/passing{i}", "groups=staff", "psk")
        for i in range(10):
            lab.control("pop", "client", "remove", f"acme/passing{i}")
        time.sleep(0.5)  # and after
        return stream.end()
    attempts("datagrams lost", once)


@case("D3: a key or name that is taken, an address that is, an unknown name or tenant: each is refused with the "
      "remedy, and nobody is changed")
def refused(lab):
    row, = shown(lab, "client2")
    before = lab.show("pop", "client", "show")["rows"]
    inner = row["address"]
    for words, wanted in (
            (["add", "acme/copy", f"key={row['public key']}"], "key"),
            (["add", "acme/copy", f"address={inner}"], "address"),
            (["add", "acme/client2", "groups=staff"], "taken"),
            (["add", "acme/copy", "groups=staff,nobody"], "group"),
            (["remove", "acme/nobody"], "no such client"),
            (["remove", "nothere/client2"], "tenant"),
            (["remove", "acme/client"], "file")):
        done = lab.try_control("pop", "client", *words)
        expect(done.code, 1, " ".join(words))
        expect_true(wanted in done.err, f"'{wanted}' in {done.err!r}")
    after = lab.show("pop", "client", "show")["rows"]
    expect([(r["client"], r["address"], r["public key"]) for r in after],
           [(r["client"], r["address"], r["public key"]) for r in before])


@case("D3: when the pool is used up client add says so and how to widen it; one removed makes room again", ends="pop")
def pool_is_full(lab):
    text = lab.config_of("pop")
    pool = re.search(r'wireguard = \{[^}]*?pool = ("[^"]*");', text)
    expect_true(pool, "a wireguard.pool in the PoP's configuration")
    lab.set_config("pop", text.replace(pool[1], '"10.91.0.0/29"'))
    lab.stop("pop")
    lab.start_again("pop")
    added = []
    try:
        for i in range(20):
            done = lab.try_control("pop", "client", "add", f"acme/full{i}", "groups=staff")
            if done.code != 0:
                break
            added.append(f"acme/full{i}")
        expect_true(6 <= len(added) <= 8, f"all of a /29 to be given, not {len(added)}")
        expect_true("no address is left" in done.err and "wireguard.pool" in done.err, done.err)
        lab.control("pop", "client", "remove", added.pop())
        lab.control("pop", "client", "add", "acme/fits", "groups=staff")
        added.append("acme/fits")
    finally:
        for name in added:
            lab.try_control("pop", "client", "remove", name)


# ---- Floods


def public_key_of_pop(lab):
    import base64
    text = lab.ok("client2", "wg", "show", wireguard.DEVICE, "peers").split()[0]
    return base64.b64decode(text)


class Flood:
    """Initiations from random sources, with a right mac1 or a wrong one: to the WireGuard port, or to the tunnel's."""
    # Host and interface they leave by, port of the PoP's, its address and UDP port, type, octets before mac1, label,
    # and how many a second: of devices more than are worked off, of a tunnel more than a PoP has connectors.
    WIREGUARD = ("client", "access", "clients", topology.POP_CLIENTS, 51820, 1, 116, b"mac1----", 24000)
    TUNNEL = ("underlay", "pop", "underlay", topology.POP_UNDERLAY, 4501, 5, 148, b"sluice-1", 4000)

    def __init__(self, lab, public, is_right, way=WIREGUARD):
        self.nb_sent, self.is_over, self.way = 0, False, way
        host, interface, port = way[:3]
        ports = lab.show("pop", "show", "ports")["tables"][0]["rows"]
        address = [row for row in ports if row["name"] == port][0]["mac"]
        self.frames = [self._frame(bytes.fromhex(address.replace(":", "")), public, is_right) for _ in range(500)]
        self.socket = in_namespace(host, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
        in_namespace(host, lambda: self.socket.bind((interface, 0)))
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _frame(self, to, public, is_right):
        _, _, _, address, port, kind, nb_bytes, label, _ = self.way
        message = bytes([kind, 0, 0, 0]) + secrets.token_bytes(nb_bytes - 4)
        key = hashlib.blake2s(label + public).digest()
        mac1 = hashlib.blake2s(message, key=key, digest_size=16).digest()
        message += (mac1 if is_right else bytes(16)) + bytes(16)
        source = bytes([172, 16]) + secrets.token_bytes(2)
        udp = struct.pack("!HHHH", 1024 + secrets.randbelow(60000), port, 8 + len(message), 0) + message
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, source,
                           socket.inet_aton(address))
        total = sum(struct.unpack("!10H", head))
        total = (total & 0xffff) + (total >> 16)
        head = head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + head[12:]
        return to + b"\x02\0\0\0\0\x77" + b"\x08\0" + head + udp

    def _run(self):
        began = time.monotonic()
        while not self.is_over:
            while self.nb_sent < (time.monotonic() - began) * self.way[-1]:
                with contextlib.suppress(OSError):
                    self.socket.send(self.frames[self.nb_sent % len(self.frames)])
                self.nb_sent += 1
            time.sleep(0.002)  # the rate is the clock's

    def end(self):
        self.is_over = True
        self.thread.join()
        self.socket.close()


def median_ms(lab, host, address):
    out = lab.ok(host, "ping", "-n", "-c", 40, "-i", 0.02, "-W", 1, address)
    expect_true(" 0% packet loss" in out, out)
    return statistics.median(float(t) for t in re.findall(r"time=([0-9.]+)", out))


@case("C4: a flood of initiations from random sources is met by cookies; good peers' latency is what it is under as "
      "many that are thrown away at once, and a device comes up and rekeys in the middle of it")
def flood(lab):
    public, address = public_key_of_pop(lab), lab.address_of("client2", GIT)

    def cookies():
        rows = lab.show("pop", "show", "stats")["rows"]
        return sum(int(r["value"]) for r in rows if "cookie" in r["counter"])

    def once(way):
        ratios = []
        for _ in range(3):
            times = []
            for is_right in (False, True):
                running = Flood(lab, public, is_right, way)
                time.sleep(0.3)  # until it is in full course
                try:
                    times.append(median_ms(lab, "client2", address))
                finally:
                    running.end()
            ratios.append(times[1] / times[0])
        ratio = statistics.median(ratios)
        return [] if ratio <= 1.5 else [f"median latency {ratio:.2f} times the control's"]
    for way in (Flood.WIREGUARD, Flood.TUNNEL):
        before = cookies()
        attempts("slower", lambda w=way: once(w))
        expect_true(cookies() > before, f"cookies to be sent by port {way[4]}")
    running = Flood(lab, public, True)
    try:
        with home(lab):
            for host in DEVICES:
                lab.wait_for(f"{host} to come up", lambda h=host: pings(lab, h, address), 20)
    finally:
        running.end()


# ---- Roaming without loss


def translate(host, raw, way_out, way_in, ports):
    """A NAT that keeps no state: it takes in what comes to either port, so nothing under way is lost. The kernel
    would make a checksum of none; so it is said to be none."""
    def out(port):
        return f"add rule ip roam out {way_out} udp sport set {port}"
    process.shell(host, f"""nft 'add table ip roam
add chain ip roam raw {{ type filter hook prerouting priority -300; }}
add chain ip roam in {{ type filter hook prerouting priority -250; }}
add chain ip roam out {{ type filter hook postrouting priority 300; }}
add rule ip roam in {way_in} udp checksum set 0
{raw}
{out(ports[0])}'""")
    for port in ports:
        process.shell(host, f"nft 'flush chain ip roam out\n{out(port)}'")
        yield port


def device_roams(lab):
    own = lab.ok("client2", "wg", "show", wireguard.DEVICE, "listen-port").strip()
    pop = topology.POP_CLIENTS
    yield from translate("client2", "", f"ip daddr {pop} udp dport 51820",
                         f"ip saddr {pop} udp sport 51820 udp dport {{ 41001, 41002 }} udp dport set {own}",
                         (41001, 41002, 41001, 41002))


def connector_roams(lab):
    pop, connector, router = topology.POP_UNDERLAY, "192.168.101.2", "198.51.100.1"
    seen = lab.ok("underlay", "timeout", 20, "tcpdump", "-nn", "-i", "connector", "-c", 1, "udp and src host", connector)
    own = re.search(rf"{connector}\.([0-9]+) > ", seen)[1]
    there = f"ip saddr {connector} ip daddr {pop} udp sport {own}"
    back = f'iifname "pop" ip saddr {pop} udp dport {{ 42001, 42002 }}'
    yield from translate("underlay", f"add rule ip roam raw {there} notrack\nadd rule ip roam raw {back} notrack",
                         f"{there} ip saddr set {router} udp checksum set 0",
                         f"{back} ip daddr set {connector} udp dport set {own}", (42001, 42002, 42001, 42002))


@case("C4 D1: a device and a connector that come from other ports, to and fro, in the middle of a stream, lose nothing")
def roams_without_loss(lab):
    def port_of_device():
        return shown(lab, "client2")[0]["endpoint"].split(":")[1]

    def port_of_connector():
        return [row["remote"] for row in lab.show("pop", "show", "sessions")["rows"] if row["peer"] == "connector"][0].split(":")[1]

    def once(roams, port_of):
        stream = Stream(lab, "client2")
        try:
            for port in roams(lab):
                lab.wait_for(f"port {port}", lambda p=port: port_of() == str(p), 5)
                time.sleep(0.4)  # of stream there
        finally:
            lost = stream.end()
            for host in ("client2", "underlay"):
                process.run(host, ["nft", "delete", "table", "ip", "roam"])
        return lost
    attempts("lost of the stream of a device that roams", lambda: once(device_roams, port_of_device))
    attempts("lost of the stream by a connector that roams", lambda: once(connector_roams, port_of_connector))


# ---- Rekeying under load


def handshakes(lab):
    """How many handshakes were finished, with connectors and with clients."""
    text = lab.ok("pop", "curl", "-sS", "http://127.0.0.1:9464/metrics")
    return tuple(int(float(re.search(
        rf'^sluice_handshake_seconds_count\{{[^}}]*"{kind}"[^}}]*\}} (\S+)', text, re.M)[1])) for kind in ("peer", "client"))


@case("C4 D1: over the rekeys of tunnel and device at 120 s not a datagram of a stream is lost, under the load of a "
      "transfer beside it")
def rekey(lab):
    stream = Stream(lab, "client2", 300)
    load = lab.start("client2", "iperf3", "-J", "-t", "130", "-b", "5M", "-c", PERF)
    seen, changes = handshakes(lab), []
    began = time.monotonic()
    try:
        while time.monotonic() - began < 128:
            time.sleep(0.2)  # between looks
            now = handshakes(lab)
            changes += [(time.monotonic(), i) for i in (0, 1) if now[i] != seen[i]]
            seen = now
    finally:
        lost = stream.end()
        load.kill()
        load.communicate()
    expect(sorted({i for _, i in changes}), [0, 1], "rekeys of the tunnel (0) and of the device (1)")

    def is_near(at):
        return any(when - 3 < at < when + 2 for when, _ in changes)
    # Nothing, and on a busy machine not more than away from rekeys.
    nb_near = sum(map(is_near, stream.sent_at))
    lost_near = sum(map(is_near, lost))
    usual = (len(lost) - lost_near) / (len(stream.sent_at) - nb_near)
    expect_true(usual < 0.01, f"a steady stream: {len(lost)} of {len(stream.sent_at)} lost")
    expect_true(lost_near <= nb_near * usual, f"{lost_near} of {nb_near} lost about rekeys, {usual:.4%} elsewhere")
