"""wireguard: clients that are WireGuard devices, as an end user would set them up.

The PoP's `sluicectl client add` prints a configuration, wg-quick brings it up, and wireguard-go is
what it starts where the kernel has no WireGuard. The device of every such client is called wg0:
its control socket lies in the host's own folder, which is laid over /run/wireguard.
"""
import os
import re

from . import daemons, process, topology
from .process import LabError

DEVICE = "wg0"
CLIENTS = {"client2": ("acme", "staff,finance")}
HERE = os.path.dirname(os.path.abspath(__file__))
READY_S = 30


def config_path(host, device=DEVICE):
    return os.path.join(process.folder(host), device + ".conf")


def add(name, *options):
    """What `sluicectl client add` prints on the PoP."""
    done = daemons.control("pop", "client", "add", name, *options)
    if done.returncode != 0:
        raise LabError(f"sluicectl client add {name}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def write_config(host, text, device=DEVICE):
    with open(os.open(config_path(host, device), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as f:
        f.write(text)


def address(host, device=DEVICE):
    """The inner address that its configuration gives."""
    with open(config_path(host, device)) as f:
        return re.search(r"^Address = ([0-9.]+)", f.read(), re.M)[1]


def _quick(host, verb, device):
    folder = process.folder(host)
    return process.run(host, [
        "env", f"PATH={HERE}/wgquick:{process.environment(host)['PATH']}",
        "WG_QUICK_USERSPACE_IMPLEMENTATION=keep-wireguard-go", f"KEEP_IN={folder}",
        "wg-quick", verb, config_path(host, device)], check=True)


def up(host, device=DEVICE):
    return _quick(host, "up", device).stderr


def down(host, device=DEVICE):
    _quick(host, "down", device)
    for suffix in (".pid", ".exit"):
        path = os.path.join(process.folder(host), "wireguard-go" + suffix)
        process.wait_for("wireguard-go to end", lambda: suffix == ".pid" or os.path.exists(path))
        os.unlink(path)


def wait_answered(host):
    """Until the PoP answers through the device: after a restart it has no keys until it is talked to."""
    process.wait_for(f"the PoP to answer {host}", lambda: process.run(
        host, ["ping", "-n", "-c", "1", "-W", "0.3", topology.RESOLVERS[0]]).returncode == 0, READY_S)


def up_all():
    """Every WireGuard client, from its name at the PoP to its first handshake."""
    for host, (tenant, groups) in CLIENTS.items():
        write_config(host, add(f"{tenant}/{host}", f"groups={groups}"))
        up(host)
    for host in CLIENTS:
        wait_answered(host)
