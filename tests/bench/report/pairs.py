"""pairs: TCP through Sluice and through wireguard-go with masquerade, in turn, in the same topology.

Sluice:        client - access - pop ===== underlay ===== connector - private     (scripts/lab)
wireguard-go:  client - access - pop ===== underlay ===== connector - private

The second is made here, beside the first: kernel routers at access and underlay, wireguard-go on pop
and connector, nftables masquerade toward private. Both have two programs in user space on the way,
the same MTU on every link, no segmentation offload, and iperf3 at both ends.
"""
import json
import statistics
import subprocess
import sys

from . import inside

PREFIX = "slbench-"
WG_PREFIX = "slbenchwg-"
WG_HOSTS = ("client", "pop", "underlay", "connector", "private")
# (host, interface, address, host, interface, address)
WG_LINKS = (
    ("client", "access", "10.1.0.10/24", "pop", "clients", "10.1.0.1/24"),
    ("pop", "underlay", "198.51.100.2/24", "underlay", "pop", "198.51.100.1/24"),
    ("connector", "underlay", "192.168.101.2/24", "underlay", "connector", "192.168.101.1/24"),
    ("connector", "private", "10.20.0.2/24", "private", "connector", "10.20.0.30/24"),
)
WG_MTU = 1420
WG_INTERFACES = {"pop": "slbwg0", "connector": "slbwg1"}
TARGET = "10.20.0.30"


def sh(host, line, check=True):
    done = subprocess.run(["ip", "netns", "exec", WG_PREFIX + host, "sh", "-ec", line], text=True,
                          capture_output=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"{line} on {host}: {done.stderr.strip()}")
    return done.stdout


def wg_down(children):
    for child in children:
        child.terminate()
        child.wait()
    for host in WG_HOSTS:
        subprocess.run(["ip", "netns", "delete", WG_PREFIX + host], capture_output=True)


def wg_links():
    for host in WG_HOSTS:
        subprocess.run(["ip", "netns", "add", WG_PREFIX + host], check=True)
        sh(host, "ip link set lo up; for f in all default; do "
                 "echo 0 >/proc/sys/net/ipv4/conf/$f/rp_filter; done")
    for a, name_a, ip_a, b, name_b, ip_b in WG_LINKS:
        subprocess.run(["ip", "link", "add", "name", name_a, "netns", WG_PREFIX + a, "type", "veth",
                        "peer", "name", name_b, "netns", WG_PREFIX + b], check=True)
        for host, name, ip in ((a, name_a, ip_a), (b, name_b, ip_b)):
            sh(host, f"ethtool -K {name} tx off gso off gro off >/dev/null; "
                     f"ip address add {ip} dev {name}; ip link set {name} up")


def wg_up(children):
    """The same hosts and links; what differs is what runs on pop and connector."""
    wg_links()
    keys = {h: subprocess.run(["wg", "genkey"], text=True, capture_output=True, check=True).stdout.strip()
            for h in WG_INTERFACES}
    public = {h: subprocess.run(["wg", "pubkey"], input=k, text=True, capture_output=True,
                                check=True).stdout.strip() for h, k in keys.items()}
    for host, name in WG_INTERFACES.items():
        children.append(subprocess.Popen(
            ["ip", "netns", "exec", WG_PREFIX + host, "env", "LOG_LEVEL=error", "wireguard-go", "-f",
             name], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    for host, name in WG_INTERFACES.items():
        sh(host, f"for i in $(seq 100); do wg show {name} >/dev/null 2>&1 && break; sleep 0.1; done")
        far = "connector" if host == "pop" else "pop"
        endpoint = "" if host == "pop" else "endpoint 198.51.100.2:51820 persistent-keepalive 5"
        allowed = "10.20.0.0/24,10.9.0.0/24" if host == "pop" else "10.1.0.0/24,10.9.0.0/24"
        subprocess.run(["ip", "netns", "exec", WG_PREFIX + host, "wg", "set", name, "listen-port",
                        "51820", "private-key", "/dev/stdin", "peer", public[far], "allowed-ips",
                        allowed, *endpoint.split()], input=keys[host], text=True, check=True)
        own = "10.9.0.1/24" if host == "pop" else "10.9.0.2/24"
        sh(host, f"ip address add {own} dev {name}; ip link set {name} mtu {WG_MTU} up; "
                 "echo 1 >/proc/sys/net/ipv4/ip_forward")
    sh("underlay", "echo 1 >/proc/sys/net/ipv4/ip_forward; nft 'add table ip nat; add chain ip nat post "
                   "{ type nat hook postrouting priority 100; }'; nft add rule ip nat post ip saddr "
                   "192.168.101.0/24 oifname pop masquerade")
    sh("client", "ip route add default via 10.1.0.1")
    sh("pop", f"ip route add default via 198.51.100.1; ip route add 10.20.0.0/24 dev {WG_INTERFACES['pop']}")
    sh("connector", "ip route add default via 192.168.101.1; "
                    f"ip route add 10.1.0.0/24 dev {WG_INTERFACES['connector']}; "
                    "nft 'add table ip nat; add chain ip nat post { type nat hook postrouting priority "
                    "100; }'; nft add rule ip nat post oifname private masquerade")
    # As Sluice does: no segment leaves a client that the tunnel would have to cut.
    sh("pop", "nft 'add table ip m; add chain ip m f { type filter hook forward priority 0; }'; "
              "nft add rule ip m f tcp flags syn tcp option maxseg size set rt mtu")
    children.append(subprocess.Popen(
        ["ip", "netns", "exec", WG_PREFIX + "private", "iperf3", "-s", "-B", TARGET, "-p", "5201"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    sh("client", f"for i in $(seq 100); do ping -c1 -W1 {TARGET} >/dev/null 2>&1 && exit 0; done; exit 1")


def mbps(done, what):
    try:
        return json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"] / 1e6
    except (KeyError, ValueError):
        raise RuntimeError(f"iperf3 through {what} failed: {done.stdout[-300:]} {done.stderr}") from None


def iperf3(to, seconds):
    return ["iperf3", "-c", to, "-p", "5201", "-t", str(seconds), "-O", "1", "-J"]


def run_pairs(nb_pairs, seconds):
    from netlab import process
    rows = []
    for i in range(nb_pairs):
        def sluice():
            return mbps(process.run("client", iperf3("perf.corp.example", seconds), 60), "Sluice")

        def wireguard():
            return mbps(subprocess.run(["ip", "netns", "exec", WG_PREFIX + "client",
                                        *iperf3(TARGET, seconds)], text=True, capture_output=True,
                                       timeout=60), "wireguard-go")

        # The first of a pair alternates as well: what a turbo or a neighbour gives, it gives to both.
        if i % 2 == 0:
            ours, theirs = sluice(), wireguard()
        else:
            theirs, ours = wireguard(), sluice()
        rows.append({"bench": "lab", "pair": i + 1, "sluice_mbps": round(ours, 1),
                     "wireguard_go_mbps": round(theirs, 1), "ratio": round(ours / theirs, 3)})
        print(f"pair {i + 1}: Sluice {ours:7.1f} Mb/s, wireguard-go {theirs:7.1f} Mb/s, "
              f"ratio {ours / theirs:5.2f}", file=sys.stderr)
    return rows


def run_beside(nb_pairs, seconds):
    children = []
    try:
        wg_up(children)
        return run_pairs(nb_pairs, seconds)
    finally:
        wg_down(children)


def main(nb_pairs, seconds, as_json):
    rows = inside.lab(PREFIX, lambda: run_beside(nb_pairs, seconds))
    ratios = sorted(r["ratio"] for r in rows)
    rows.append({"bench": "lab", "pairs": len(rows), "median_ratio": statistics.median(ratios),
                 "least_ratio": ratios[0], "largest_ratio": ratios[-1]})
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        print(f"{len(ratios)} pairs: median ratio {statistics.median(ratios):.2f}, "
              f"from {ratios[0]:.2f} to {ratios[-1]:.2f}")
    return 0
