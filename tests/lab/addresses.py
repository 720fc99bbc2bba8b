"""Resources that are addresses, clients that are routed, and sources that are nobody's."""
import ipaddress
import re
import socket

from labtest import case, expect, expect_true, fail
from labtest.packets import in_namespace
from labtest.zone import Zone
from netlab import daemons, process, topology

GIT = "git.corp.example"
PRIVATE = topology.PRIVATE_ADDRESSES["private"]
RESOURCES = ('{ address = "10.20.0.40"; tcp = 80; udp = "all"; icmp = true; groups = ["staff"]; },'
             '{ address = "10.20.0.80/28"; tcp = 80; icmp = true; groups = ["staff"]; },'
             '{ address = "10.20.0.48/28"; tcp = 80; icmp = true; groups = ["finance"]; },')


def add_resources(lab, text=RESOURCES):
    first = '{ address = "git.corp.example"'
    config = lab.config_of("pop")
    expect_true(first in config, "the resource in the configuration")
    lab.set_config("pop", config.replace(first, text + first, 1))


class Route:
    """with Route(lab, prefix): the client's packets for the prefix go to the PoP."""

    def __init__(self, lab, prefix):
        self.lab, self.prefix = lab, prefix

    def __enter__(self):
        self.lab.ok("client", "ip", "route", "add", self.prefix, "via", topology.POP_CLIENTS,
                    "dev", "access", "onlink")

    def __exit__(self, *_):
        self.lab.ok("client", "ip", "route", "del", self.prefix)


@case("A10: a routed client reaches granted addresses and prefixes as themselves, and no others")
def by_address(lab):
    add_resources(lab)
    lab.control("pop", "reload")
    topology.MORE_SOURCES += [ipaddress.ip_network("10.20.0.40/32"),
                              ipaddress.ip_network("10.20.0.80/28")]
    with Route(lab, topology.PRIVATE_PREFIX):
        capture = lab.capture("client", "access")
        expect(lab.curl("client", f"http://{PRIVATE['dev']}/").out, lab.page("private", "dev"))
        expect(lab.curl("client", f"http://{PRIVATE['both']}/").out, lab.page("private", "both"))
        expect_true(" 0% packet loss" in lab.ok(
            "client", "ping", "-c", 2, "-i", 0.2, "-n", PRIVATE["dev"]), "echoes")
        # The host's own error, and a refusal by policy, come from the address that was used.
        expect_true(lab.udp_error("client", PRIVATE["dev"], 9) is not None, "the host's ICMP 3/3")
        expect(lab.tcp("client", PRIVATE["dev"], 443), "ECONNREFUSED")
        got = {p.src for p in capture.packets() if p.to_us and p.src.startswith("10.20.")}
        expect(got, {PRIVATE["dev"], PRIVATE["both"]})
        # Of a prefix of others, and beside all of them: not one octet.
        inside = lab.capture("private", "lan")
        for address in (PRIVATE["payroll"], PRIVATE["git"], PRIVATE["closed"]):
            expect(lab.tcp("client", address, 80, 1), "TIMEOUT", address)
        expect([p.src for p in capture.packets() if p.to_us and p.src.startswith("10.20.")], [])
        expect([p.dst for p in inside.packets() if p.protocol == 6], [], "at the hosts")


@case("A10: a prefix with host bits, or over the pool, a resolver or the underlay, is refused with the reason")
def refused_at_load(lab):
    good = lab.config_of("pop")
    rows = (("10.20.0.1/24", ("10.20.0.1/24", "host bits", "10.20.0.0/24")),
            ("100.96.0.0/12", ("pool",)), ("100.97.3.0/24", ("pool",)), ("96.0.0.0/5", ("pool",)),
            ("100.95.0.0/24", ("resolver",)), ("100.95.0.252", ("resolver",)),
            ("198.51.100.0/24", ("underlay",)), ("198.51.100.2", ("underlay",)),
            ("10.1.0.0/24", ("address of this PoP",)), ("0.0.0.0/0", ("covers",)))
    try:
        for address, words in rows:
            add_resources(lab, f'{{ address = "{address}"; tcp = 80; groups = ["staff"]; }},')
            done = process.run("pop", [daemons.binary("sluice"), "-c", daemons.config_path("pop"),
                                       "--check"])
            expect(done.returncode, 1, f"{address}: {done.stderr}")
            expect_true(re.search(r"sluice\.conf:\d+", done.stderr), f"file and line: {done.stderr}")
            for word in words:
                expect_true(word in done.stderr, f"{word!r} for {address} in {done.stderr!r}")
            expect_true(lab.try_control("pop", "reload").code != 0, f"no reload with {address}")
            lab.set_config("pop", good)
        expect(lab.curl("client", f"http://{GIT}/").out, lab.page("private", "git"))
    finally:
        lab.set_config("pop", good)
        lab.control("pop", "reload")


TWO_NETWORKS = '''tenants = (
  { name = "acme"; id = 1; groups = ["staff", "finance"];
    clients = ( { name = "client"; port = "clients"; source = "10.1.0.10"; groups = ["staff"]; } );
    networks = (
      { name = "office"; connectors = ( { name = "connector"; public_key = "%s"; } ); },
      { name = "home"; connectors = ( { name = "connector2"; public_key = "%s"; } ); } );
    resources = (
      { address = "git.corp.example"; tcp = 80; network = "office"; groups = ["staff"]; },
      { address = "home.corp.example"; tcp = 80; network = "home"; groups = ["staff"]; } );
  }
);'''


def restart_with(lab, texts):
    for host, text in texts.items():
        lab.set_config(host, text)
        lab.stop(host)
    for host in texts:
        lab.start_again(host, wait=False)
    lab.wait_ready()


@case("A10: one client reaches two networks that have the same private prefix, by name, at once",
      ends="pop connector connector2")
def same_prefix(lab):
    good = {host: lab.config_of(host) for host in ("pop", "connector2")}
    keys = re.findall(r'public_key = "([^"]*)"', good["pop"])
    text = re.sub(r"^tenants = \(.*?^\);", TWO_NETWORKS % tuple(keys), good["pop"], flags=re.S | re.M)
    try:
        with Zone(lab, "private2") as zone:
            zone.set(f"home 300 A {PRIVATE['git']}")
            restart_with(lab, {"pop": text, "connector2": good["connector2"].replace(
                'tenant = "globex"', 'tenant = "acme"')})
            running = [lab.start("client", "curl", "-sS", "--max-time", "20", f"http://{name}/")
                       for name in (GIT, "home.corp.example") * 4]
            pages = [p.communicate()[0] for p in running]
            expect(pages, [lab.page("private", "git"), lab.page("private2", "git")] * 4)
    finally:
        restart_with(lab, good)


# ---- Sources --------------------------------------------------------------------------------------


def drops(lab, name):
    return {row["name"]: row["packets"] for row in
            lab.show("pop", "show", "drops")["rows"]}.get(name, 0)


@case("D2: unknown and spoofed sources get no octet and are counted")
def unknown_sources(lab):
    from scapy import all as scapy
    address = lab.address_of("client", GIT)
    out = lab.ok("client", "ip", "neigh", "show", "dev", "access")
    pop_mac = next(line.split()[2] for line in out.splitlines()
                   if line.startswith(topology.POP_CLIENTS + " "))

    def open_raw():
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        s.bind(("pop", 0))
        return s
    capture = lab.capture("access", "pop")
    with in_namespace("access", open_raw) as raw:
        # A neighbour who is no client, a WireGuard client outside of its session and by its inner
        # address, a private host, a public one.
        sources = ("10.1.0.77", topology.CLIENTS["client2"], "10.90.0.2", PRIVATE["git"], "192.0.2.80")
        for source in sources:
            before = drops(lab, "flow_new_no_client"), drops(lab, "dns_answer_no_client")
            head = scapy.Ether(src="02:00:00:00:00:77", dst=pop_mac) / scapy.IP(src=source, dst=address)
            raw.send(bytes(head / scapy.TCP(sport=4000, dport=80, flags="S")))
            raw.send(bytes(head / scapy.UDP(sport=4000, dport=53) / b"x"))
            raw.send(bytes(head / scapy.ICMP() / b"x"))
            head[scapy.IP].dst = topology.RESOLVERS[0]
            raw.send(bytes(head / scapy.UDP(sport=4000, dport=53)
                           / scapy.DNS(rd=1, qd=scapy.DNSQR(qname=GIT))))
            lab.wait_for(f"four drops of {source}", lambda: (
                drops(lab, "flow_new_no_client"), drops(lab, "dns_answer_no_client"))
                == (before[0] + 3, before[1] + 1))
        answers = [p for p in capture.packets() if p.dst in sources and p.src != "10.1.0.77"
                   and p.dst != topology.CLIENTS["client2"]]
        expect(answers, [])


@case("D2: a client that is a routed prefix is known by each of its addresses, beside it nobody is")
def routed_prefix(lab):
    good = lab.config_of("pop")
    wanted = 'source = "10.1.0.10"; groups = ["staff"]; }'
    expect_true(wanted in good, "the client in the configuration")
    lab.set_config("pop", good.replace(
        wanted, wanted + ', { name = "branch"; port = "clients"; source = "10.1.0.64/28"; groups = ["staff"]; }'))
    lab.control("pop", "reload")
    address = lab.address_of("client", GIT)
    try:
        for own in ("10.1.0.65", "10.1.0.79", "10.1.0.80"):
            lab.ok("client", "ip", "address", "add", f"{own}/32", "dev", "access")
        for own in ("10.1.0.65", "10.1.0.79"):
            done = lab.curl("client", f"http://{address}/", "--interface", own, "-H", f"Host: {GIT}")
            expect(done.out, lab.page("private", "git"), done.err)
        before = drops(lab, "flow_new_no_client")
        expect(lab.curl("client", f"http://{address}/", "--interface", "10.1.0.80",
                        "--max-time", "1").code, 28, "curl's exit code for silence")
        expect_true(drops(lab, "flow_new_no_client") > before, "the drop")
    finally:
        for own in ("10.1.0.65", "10.1.0.79", "10.1.0.80"):
            lab.run("client", "ip", "address", "del", f"{own}/32", "dev", "access")


@case("B8: a connector with several source addresses goes on to the next when one has no port left",
      ends="connector")
def several_sources(lab):
    good = lab.config_of("connector")
    own = {topology.CONNECTOR_PRIVATE, "10.20.0.3", "10.20.0.4"}
    lab.set_config("connector", good.replace(
        'tenant = "acme";', 'tenant = "acme"; nat_ports = "40000-40255"; nat_addresses = [%s];'
        % ", ".join(f'"{a}"' for a in sorted(own))))
    lab.stop("connector")
    lab.start_again("connector")
    lab.wait_ready()
    socks = []
    try:
        address = lab.address_of("client", "perf.corp.example")
        for i in range(300):
            socks.append(lab.udp("client"))
            socks[-1].sendto(b"%d" % i, (address, 7))
            try:
                expect(socks[-1].recv(10), b"%d" % i)
            except TimeoutError:
                fail(f"no answer in flow {i}")
        rows = [row for row in lab.show("connector", "show", "flows", "all")["rows"]
                if row["host_port"] == 7]
        expect(len(rows), 300, "flows")
        used = {row["nat_address"] for row in rows}
        expect_true(used <= own and len(used) >= 2, f"several of its own addresses, not {used}")
        expect(lab.curl("client", f"http://{GIT}/").out, lab.page("private", "git"))
    finally:
        for sock in socks:
            sock.close()
        lab.set_config("connector", good)
        lab.stop("connector")
        lab.start_again("connector")
        lab.wait_ready()
