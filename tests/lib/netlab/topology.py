"""topology: which hosts there are and how they are joined."""
import ipaddress
import json
import os
import subprocess

from . import process
from .process import LabError, namespace

CLIENTS = {"client": "10.1.0.10", "client2": "10.1.0.11", "client3": "10.1.0.12"}
WIREGUARD_CLIENTS = ("client2",)  # the others are known by their address
DAEMONS = ("pop", "connector", "connector2")
ON_DEMAND = ("connector-b", "pop-b")  # in no lab until it is asked for; see extras.py
HOSTS = (*CLIENTS, "access", *DAEMONS, "underlay", "public", "private", "private2")

RESOLVERS = ("100.95.0.251", "100.95.0.252", "100.95.0.253", "100.95.0.254")
POOL = ipaddress.ip_network("100.96.0.0/12")
MORE_SOURCES = []  # networks that a case configured for clients to hear from
POP_CLIENTS = "10.1.0.1"
POP_UNDERLAY = "198.51.100.2"
PRIVATE_PREFIX = "10.20.0.0/24"
CONNECTOR_PRIVATE = "10.20.0.2"
PRIVATE_ADDRESSES = {
    "private": {"dns": "10.20.0.53", "git": "10.20.0.20", "perf": "10.20.0.30",
                "dev": "10.20.0.40", "payroll": "10.20.0.50", "hidden": "10.20.0.60",
                "both": "10.20.0.81", "closed": "10.20.0.70"},
    "private2": {"dns": "10.20.0.53", "git": "10.20.0.20"},
}
PUBLIC_ADDRESSES = {"dns": "192.0.2.53", "www": "192.0.2.80", "both": "192.0.2.81"}
ABSENT = "10.20.0.99"  # a private address that nobody has
# What no client may ever see: both private prefixes and all of the underlay.
SECRET_NETWORKS = tuple(map(ipaddress.ip_network, (
    "10.20.0.0/16", "198.51.100.0/23", "192.168.101.0/24", "192.168.102.0/23")))

# (host, interface, host, interface)
LINKS = (
    *((client, "access", "access", client) for client in CLIENTS),
    ("pop", "clients", "access", "pop"),
    ("pop", "underlay", "underlay", "pop"),
    ("connector", "underlay", "underlay", "connector"),
    ("connector2", "underlay", "underlay", "connector2"),
    ("public", "underlay", "underlay", "public"),
    ("connector", "private", "private", "connector"),
    ("connector2", "private", "private2", "connector2"),
)
LINKS_ON_DEMAND = (
    ("connector-b", "underlay", "underlay", "connector-b"),
    ("connector-b", "private", "private", "connector-b"),
    ("pop-b", "underlay", "underlay", "pop-b"),
    ("pop-b", "clients", "access", "pop-b"),
)
NAT_PREFIXES = ("192.168.101.0/24", "192.168.102.0/24", "192.168.103.0/24")
POP_B_CLIENTS = "10.1.0.2"

# Before any link comes up: nothing speaks of its own accord, and no path check refuses answers.
QUIET = """
for f in all default; do
    echo 1 >/proc/sys/net/ipv6/conf/$f/disable_ipv6 2>/dev/null || true
    echo 0 >/proc/sys/net/ipv4/conf/$f/rp_filter
done
ip link set lo up
"""


def exists(host):
    return os.path.exists(f"/run/netns/{namespace(host)}")


def _bridge(name, ports, addresses=()):
    lines = [f"ip link add {name} type bridge forward_delay 0 stp_state 0 mcast_snooping 0"]
    lines += [f"ip link set {port} master {name}" for port in ports]
    lines += [f"ip address add {a} dev {name}" for a in addresses]
    return "\n".join([*lines, f"ip link set {name} up"])


def _daemon_port(interface):
    """The kernel's end of a DPDK port: no address, no ARP, and the kernel's own stack sees no
    frame (packet sockets are served before this hook)."""
    return f"""
ip link set {interface} arp off
nft 'add table netdev quiet; add chain netdev quiet {interface} {{
    type filter hook ingress device "{interface}" priority 0; policy drop; }}'
"""


def _client(address):
    """A client's only routes are the resolvers and the pool."""
    routes = "\n".join(f"ip route add {to} via {POP_CLIENTS} dev access onlink"
                       for to in (*RESOLVERS, POOL))
    return f"ip address add {address}/32 dev access\n{routes}"


def device_path(address):
    """What a WireGuard client has before its device is up: a way to the PoP and nothing else."""
    return f"ip address replace {address}/32 dev access\n" \
           f"ip route replace {POP_CLIENTS} dev access src {address}"


def _router():
    masquerade = "\n".join(
        f"nft 'add rule ip nat post ip saddr {p} oifname {{ pop, pop-b }} masquerade'"
        for p in NAT_PREFIXES)
    return f"""
echo 1 >/proc/sys/net/ipv4/ip_forward
ip address add 198.51.100.1/24 dev pop
ip address add 192.168.101.1/24 dev connector
ip address add 192.168.102.1/24 dev connector2
ip address add 192.0.2.1/24 dev public
nft 'add table ip nat; add chain ip nat post {{ type nat hook postrouting priority 100; }}'
{masquerade}
"""


def _private(host, connector):
    addresses = [f"{a}/24" for a in PRIVATE_ADDRESSES[host].values()]
    return _bridge("lan", [connector], addresses)


def _public():
    addresses = "\n".join(
        f"ip address add {a}/24 dev underlay" for a in PUBLIC_ADDRESSES.values())
    return f"{addresses}\nip route add default via 192.0.2.1"


def _settings():
    """{host: shell lines} that follow once all links exist and are up."""
    lines = {client: (device_path if client in WIREGUARD_CLIENTS else _client)(address)
             for client, address in CLIENTS.items()}
    lines["access"] = _bridge("lan", [*CLIENTS, "pop"])
    lines["pop"] = _daemon_port("clients") + _daemon_port("underlay")
    for connector in ("connector", "connector2"):
        lines[connector] = _daemon_port("underlay") + _daemon_port("private")
    lines["underlay"] = _router()
    lines["private"] = _private("private", "connector")
    lines["private2"] = _private("private2", "connector2")
    lines["public"] = _public()
    return lines


def _resolvers_of(host):
    if host in WIREGUARD_CLIENTS:
        return []  # its device brings them
    if host in CLIENTS:
        return RESOLVERS[:2]
    if host in PRIVATE_ADDRESSES:
        return [PRIVATE_ADDRESSES[host]["dns"]]
    return [PUBLIC_ADDRESSES["dns"]] if host in ("public", "underlay") else []


def _write_etc(host):
    """`ip netns exec` lays these files over /etc."""
    folder = f"/etc/netns/{namespace(host)}"
    os.makedirs(folder)
    with open(f"{folder}/resolv.conf", "w") as f:
        f.writelines(f"nameserver {address}\n" for address in _resolvers_of(host))
    with open(f"{folder}/nsswitch.conf", "w") as f:  # no other way to names than the one above
        f.write("passwd: files\ngroup: files\nhosts: files dns\nservices: files\n")


def _settings_on_demand(host):
    """The same for a host that is added, on its neighbours as well."""
    if host == "connector-b":
        return {host: _daemon_port("underlay") + _daemon_port("private"),
                "underlay": "ip address add 192.168.103.1/24 dev connector-b",
                "private": "ip link set connector-b master lan"}
    return {host: _daemon_port("underlay") + _daemon_port("clients"),
            "underlay": "ip address add 198.51.101.1/24 dev pop-b",
            "access": "ip link set pop-b master lan"}


def _make_host(host):
    os.makedirs(process.folder(host))
    if host in WIREGUARD_CLIENTS:
        os.makedirs("/run/wireguard", mode=0o700, exist_ok=True)
        os.makedirs(process.wireguard_folder(host), mode=0o700)
    process.root(["ip", "netns", "add", namespace(host)])
    _write_etc(host)
    process.shell(host, QUIET)


def _make_links(links, settings):
    for a, name_a, b, name_b in links:
        process.root(["ip", "link", "add", "name", name_a, "netns", namespace(a), "type", "veth",
                      "peer", "name", name_b, "netns", namespace(b)])
    for host, lines in settings.items():
        names = [n for a, n, *_ in links if a == host] + [n for *_, b, n in links if b == host]
        # DPDK's packet sockets hand over half-made checksums and oversized frames as they are.
        begin = "".join(f"ethtool -K {n} tx off gso off gro off >/dev/null\nip link set {n} up\n"
                        for n in names)
        process.shell(host, begin + lines)


def up():
    """Make every namespace and link. The caller takes down what is there if this fails."""
    for host in (*HOSTS, *ON_DEMAND):
        if exists(host) or os.path.exists(f"/etc/netns/{namespace(host)}"):
            raise LabError(f"the namespace {namespace(host)} is there already; remove it, or choose "
                           "other names with SLUICE_LAB_PREFIX")
    os.makedirs(process.RUN, mode=0o755)
    with open(os.path.join(process.RUN, "lab.json"), "w") as f:
        json.dump({"prefix": process.PREFIX, "hosts": HOSTS}, f)
    for host in HOSTS:
        _make_host(host)
    _make_links(LINKS, _settings())


def add(host):
    """Join a host of ON_DEMAND to a lab that is up."""
    _make_host(host)
    _make_links([link for link in LINKS_ON_DEMAND if link[0] == host], _settings_on_demand(host))


def is_up():
    return os.path.exists(os.path.join(process.RUN, "lab.json"))


def down():
    """Take everything away that carries this lab's prefix; what is gone already is no error."""
    there = [host for host in (*HOSTS, *ON_DEMAND) if exists(host)]
    process.kill_all(there)
    for host in there:
        subprocess.run(["ip", "netns", "delete", namespace(host)], capture_output=True)
    for host in (*HOSTS, *ON_DEMAND):
        process.remove_folder(f"/etc/netns/{namespace(host)}")
    process.remove_folder(process.RUN)
    process.remove_folder(process.unbound_folder())
