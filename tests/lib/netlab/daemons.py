"""daemons: the three sluice of the lab, on the configuration examples of docs/examples.

An example is used as it stands but for what belongs to one machine: key files, public keys, state
directory, control socket.
"""
import json
import os
import re
import signal

from . import process
from .process import LabError
from .topology import DAEMONS

EXAMPLES = {"pop": "pop-hosted.conf", "connector": "lab-connector.conf",
            "connector2": "lab-connector2.conf",
            "connector-b": "lab-connector.conf", "pop-b": "pop-hosted.conf"}
# What is different where two hosts share an example.
OTHER = {"connector-b": {'name = "connector"': 'name = "connector-b"', "192.168.101.": "192.168.103.",
                         "10.20.0.2/24": "10.20.0.3/24"},
         "pop-b": {'name = "pop"': 'name = "pop-b"', "198.51.100.": "198.51.101.",
                   "10.1.0.1/24": "10.1.0.2/24"}}
READY_S = 60


def binary(name):
    path = os.path.join(process.BUILD, "ctrl", name)
    if not os.path.exists(path):
        raise LabError(f"there is no {path}; build it with ninja -C build, or bring the lab up with "
                       "--no-sluice")
    return path


def config_path(host):
    return os.path.join(process.folder(host), "sluice.conf")


def make_keys(hosts=DAEMONS):
    """{host: public key} of these and of those that had theirs before."""
    path = os.path.join(process.RUN, "keys.json")
    keys = {}
    if os.path.exists(path):
        with open(path) as f:
            keys = json.load(f)
    for host in hosts:
        out = process.run(host, [binary("sluice"), "--genkey",
                                 os.path.join(process.folder(host), "sluice.key")], check=True).stdout
        found = re.findall(r"[A-Za-z0-9+/]{43}=", out)
        if not found:
            raise LabError(f"sluice --genkey printed no public key: {out.strip()}")
        keys[host] = found[-1]
    with open(path, "w") as f:
        json.dump(keys, f)
    return keys


def _put_keys(text, keys):
    """Each public_key becomes that of the daemon named last before it."""
    pieces = re.split(r'(\bname\s*=\s*"[^"]*"|\bpublic_key\s*=\s*"[^"]*")', text)
    name = None
    for i, piece in enumerate(pieces):
        if piece.startswith("name"):
            name = piece.split('"')[1]
        elif piece.startswith("public_key") and name in keys:
            pieces[i] = f'public_key = "{keys[name]}"'
    return "".join(pieces)


def make_config(host, keys):
    with open(os.path.join(process.TOP, "docs", "examples", EXAMPLES[host])) as f:
        text = _put_keys(f.read(), keys)
    for this, that in OTHER.get(host, {}).items():
        text = text.replace(this, that)
    base = process.folder(host)
    own = {"state_dir": f"{base}/state", "control_socket": process.environment(host)["SLUICE_SOCKET"],
           "user": "nobody", "flow_log": f"{base}/log/flows.log"}
    text = re.sub(r'\bkey_file\s*=\s*"[^"]*"', f'key_file = "{base}/sluice.key"', text, count=1)
    if not re.search(r"^system\s*[=:]", text, re.M):
        text += "\nsystem = { };\n"
    for key, value in own.items():
        text = re.sub(rf'\b{key}\s*=\s*"[^"]*"\s*;', "", text)
        text = re.sub(r"^(system\s*[=:]\s*\{)", rf'\1\n  {key} = "{value}";', text, flags=re.M)
    with open(config_path(host), "w") as f:
        f.write(text)
    os.makedirs(f"{base}/state", mode=0o700, exist_ok=True)


def check(host):
    done = process.run(host, [binary("sluice"), "-c", config_path(host), "--check"])
    # 3: good, but somebody else has the huge pages; the daemons then take ordinary memory.
    if done.returncode not in (0, 3):
        raise LabError(f"the configuration of {host} is wrong:\n{done.stderr}")


def start(host):
    process.start(host, "sluice", [binary("sluice"), "-c", config_path(host)])


def stop(host, number=signal.SIGTERM):
    return process.stop(host, "sluice", number)


def control(host, *words, timeout_s=30):
    """The finished sluicectl."""
    return process.run(host, [binary("sluicectl"), *words], timeout_s=timeout_s)


def health(host):
    """(True, "") or (False, the first reason)."""
    if not process.running(host, "sluice"):
        return False, f"sluice ended with {process.exit_of(host, 'sluice')}"
    done = control(host, "health")
    return done.returncode == 0, (done.stdout + done.stderr).strip()


def sessions_are_up():
    """Whether the PoP may send to every connector, and has just heard it."""
    done = control("pop", "--json", "show", "peers")
    if done.returncode != 0:
        return False
    rows = json.loads(done.stdout)["rows"]
    return len(rows) >= 2 and all(row["state"] == "up" for row in rows)


def wait_ready(hosts=DAEMONS):
    for host in hosts:
        def ready():
            if process.exit_of(host, "sluice"):
                raise LabError(f"sluice on {host} ended with {process.exit_of(host, 'sluice')}:\n"
                               + process.log_tail(host, "sluice"))
            return health(host)[0]
        try:
            process.wait_for(f"sluice on {host} to be healthy", ready, READY_S, 0.1)
        except LabError as error:
            drops = control(host, "show", "drops").stdout
            raise LabError(f"{error}: {health(host)[1]}\n{process.log_tail(host, 'sluice')}\n"
                           f"{drops}") from None
    # A connector is ready a moment before the PoP has heard the first datagram under the new key.
    if set(hosts) == set(DAEMONS):
        process.wait_for("both sessions of the PoP", sessions_are_up, READY_S, 0.1)


def up():
    keys = make_keys()
    for host in DAEMONS:
        make_config(host, keys)
        check(host)
    for host in DAEMONS:
        start(host)
    wait_ready()
