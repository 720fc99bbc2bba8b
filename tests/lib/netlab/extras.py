"""extras: hosts that no lab has until it is asked for: a second connector of tenant one's office, and a
second PoP on the same access network. Configurations of their peers are the caller's to change.
"""
import os
import re

from . import daemons, process, topology
from .process import LabError


def start(host):
    """Make the host if it is not there, and start its daemon. Returns its public key."""
    if host not in topology.ON_DEMAND:
        raise LabError(f"'{host}' cannot be added; choose from {' '.join(topology.ON_DEMAND)}")
    if not topology.exists(host):
        topology.add(host)
        daemons.make_keys([host])
    keys = daemons.make_keys([])
    if not os.path.exists(daemons.config_path(host)):
        daemons.make_config(host, keys)
    if not process.running(host, "sluice"):
        daemons.check(host)
        daemons.start(host)
    return keys[host]


def stop(host):
    daemons.stop(host)
    process.remove(host, "sluice")


def with_connector(text, host, key, weight=100, first=100):
    """A PoP's configuration with one more connector for the network office."""
    both = f'weight = {first}; }},\n        {{ name = "{host}"; public_key = "{key}"; weight = {weight}; }}'
    changed = re.sub(r'(\{ name = "connector"; public_key = "[^"]*"; )\}', lambda m: m[1] + both, text,
                     count=1)
    if changed == text:
        raise LabError("the PoP's configuration has no connector to stand beside")
    return changed


def with_peer(text, host, endpoint, key):
    """A connector's configuration with one more PoP to dial."""
    peer = f',\n    {{ name = "{host}"; endpoint = "{endpoint}"; public_key = "{key}"; }}'
    return re.sub(r'(peers = \(\s*\{[^}]*\})', lambda m: m[1] + peer, text, count=1)
