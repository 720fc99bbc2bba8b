"""faults: what the network between PoP and connectors may do to packets.

All of it happens at the router, never at a daemon's own port, whose packet socket sees frames
before any filter.
"""
import json
import os

from . import process
from .process import LabError
from .topology import POP_UNDERLAY

STATE = "faults.json"
# Through the forwarder and back: conntrack must see each packet once, on the side where the
# connectors' addresses are translated.
REORDER_ON = f"""
ip link set reorder up
ip route replace default dev reorder table 77
for i in pop connector connector2; do ip rule add iif $i to {POP_UNDERLAY} table 77 priority 77; done
for i in 192.168.101.0/24 192.168.102.0/24; do ip rule add iif pop to $i table 77 priority 77; done
nft 'add table ip reorder
add chain ip reorder first {{ type filter hook prerouting priority -300; }}
add rule ip reorder first iifname {{ "connector", "connector2" }} ip daddr {POP_UNDERLAY} notrack
add rule ip reorder first iifname "reorder" ip saddr {POP_UNDERLAY} notrack'
"""
REORDER_OFF = """
while ip rule del priority 77 2>/dev/null; do :; done
nft delete table ip reorder 2>/dev/null || true
"""


def _path():
    return os.path.join(process.RUN, STATE)


def current():
    try:
        with open(_path()) as f:
            return json.load(f)
    except FileNotFoundError:
        return {}


def _note(**changes):
    state = {k: v for k, v in {**current(), **changes}.items() if v}
    with open(_path(), "w") as f:
        json.dump(state, f)


def loss(percent):
    """Drop this many percent of the forwarded packets, at random."""
    per_10000 = round(float(percent) * 100)
    if not 0 <= per_10000 <= 10000:
        raise LabError("loss wants a percentage from 0 to 100")
    process.shell("underlay", "nft delete table ip loss 2>/dev/null || true")
    if per_10000:
        process.shell("underlay", f"""nft 'add table ip loss
add chain ip loss forward {{ type filter hook forward priority 0; }}
add rule ip loss forward numgen random mod 10000 < {per_10000} counter drop'""")
    _note(loss=float(percent))


def mtu(size):
    """What the path between PoP and connectors carries; larger packets with DF are answered with
    ICMP fragmentation-needed, as by any router."""
    size = int(size)
    if not 576 <= size <= 1500:
        raise LabError("mtu wants 576 to 1500")
    metric = f"mtu lock {size}" if size != 1500 else ""
    process.shell("underlay", f"""
ip route replace 198.51.100.0/24 dev pop src 198.51.100.1 {metric}
ip route replace 192.168.101.0/24 dev connector src 192.168.101.1 {metric}
ip route replace 192.168.102.0/24 dev connector2 src 192.168.102.1 {metric}
ip route flush cache""")
    _note(mtu=size if size != 1500 else None)


def reorder(state):
    """Send what passes between PoP and connectors through a forwarder that changes its order."""
    if state not in ("on", "off"):
        raise LabError("reorder wants on or off")
    process.shell("underlay", REORDER_OFF)
    process.remove("underlay", "reorder")
    if state == "on":
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reorder.py")
        process.start("underlay", "reorder", ["/usr/bin/python3", "-B", script, "reorder"])
        process.wait_for("the reordering forwarder's interface", lambda: process.run(
            "underlay", ["ip", "link", "show", "reorder"]).returncode == 0)
        process.shell("underlay", REORDER_ON)
    _note(reorder=state == "on")


def clear():
    loss(0)
    mtu(1500)
    reorder("off")
