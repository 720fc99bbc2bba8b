"""cli: scripts/lab."""
import json
import os
import signal
import subprocess
import sys
import time

from . import daemons, extras, faults, process, servers, topology, wireguard
from .process import LabError

USAGE = f"""lab: Sluice with clients, private hosts and a network between, in network namespaces.

  lab up [--no-sluice]      bring it up; returns when everything is ready
  lab down                  take it down; leaves nothing
  lab add connector-b|pop-b a second connector of tenant one's office (the PoP is told), or a second
                            PoP (no connector is: its configuration has the endpoint to dial)
  lab status [--json]       what there is and how it is; exit 0 when all of it is well
  lab exec HOST COMMAND...  run a command on a host
  lab fault loss PERCENT | mtu N | reorder on|off | clear
                            what the network between PoP and connectors does to packets

Hosts: {' '.join(topology.HOSTS)}
Names for the clients to try: git.corp.example, perf.corp.example (iperf3, echo), anything below
dev.corp.example; for client2 also payroll.corp.example and both.public.example.
SLUICE_LAB_PREFIX (now '{process.PREFIX}') begins every namespace's name; another gives another lab.
"""


def ready():
    """[(host, what, why not)] of what should run and does not."""
    wrong = [(host, "namespace", "missing") for host in topology.HOSTS if not topology.exists(host)]
    for host in topology.HOSTS:
        base = process.folder(host)
        names = [n[:-4] for n in os.listdir(base) if n.endswith(".pid")] if os.path.isdir(base) else []
        for name in sorted(names):
            if not process.running(host, name):
                wrong.append((host, name, f"ended with {process.exit_of(host, name)}"))
            elif name == "sluice":
                healthy, reason = daemons.health(host)
                if not healthy:
                    wrong.append((host, name, reason))
    return wrong


def take_down():
    topology.down()


def up(with_sluice):
    if topology.is_up():
        wrong = ready()
        if not wrong:
            print("the lab is up already")
            return 0
        raise LabError("a lab is here already, and " + "; ".join(map(" ".join, wrong))
                       + "; take it down with scripts/lab down")
    if with_sluice:
        daemons.binary("sluice")
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    try:
        topology.up()
        servers.up()
        if with_sluice:
            daemons.up()
            wireguard.up_all()
    except BaseException:
        if topology.is_up():
            take_down()
        raise
    print(f"the lab is up ({time.monotonic() - began:.1f} s)")
    return 0


def down():
    take_down()
    return 0


def addresses(host):
    if not topology.exists(host):
        return []
    done = process.run(host, ["ip", "-j", "-4", "address", "show"])
    links = json.loads(done.stdout or "[]")
    return [f"{a['local']}/{a['prefixlen']}" for link in links for a in link.get("addr_info", [])
            if link.get("ifname") != "lo"]


def status(as_json):
    wrong = ready() if topology.is_up() else [("lab", "namespaces", "not up")]
    hosts = {}
    for host in topology.HOSTS:
        base = process.folder(host)
        names = [n[:-4] for n in os.listdir(base) if n.endswith(".pid")] if os.path.isdir(base) else []
        hosts[host] = {
            "namespace": process.namespace(host), "exists": topology.exists(host),
            "addresses": addresses(host),
            "processes": {n: {"pid": process.pid_of(host, n), "running": process.running(host, n)}
                          for n in sorted(names)}}
    told = {"up": topology.is_up(), "ready": not wrong, "prefix": process.PREFIX,
            "folder": process.RUN, "hosts": hosts, "faults": faults.current(),
            "problems": [{"host": h, "what": w, "why": y} for h, w, y in wrong]}
    if as_json:
        print(json.dumps(told, indent=2))
        return 0 if not wrong else 1
    for host, row in hosts.items():
        running = " ".join(n + ("" if p["running"] else " (ended)") for n, p in row["processes"].items())
        shown = row["addresses"][0] if row["addresses"] else "-"
        if len(row["addresses"]) > 1:
            shown += f" and {len(row['addresses']) - 1} more"
        print(f"{host:11} {shown if row['exists'] else 'missing':28} {running}".rstrip())
    for name, value in told["faults"].items():
        print(f"fault: {name} {'' if value is True else value}".rstrip())
    for host, what, why in wrong:
        print(f"problem: {host}: {what}: {why}")
    return 0 if not wrong else 1


def execute(host, argv):
    if host not in (*topology.HOSTS, *topology.ON_DEMAND):
        raise LabError(f"there is no host '{host}'; choose from {' '.join(topology.HOSTS)}")
    if not topology.exists(host):
        raise LabError("the lab is not up; bring it up with scripts/lab up")
    full = process.argv_in(host, argv)
    os.execvp(full[0], full)


def add(host):
    if not topology.is_up():
        raise LabError("the lab is not up; bring it up with scripts/lab up")
    key = extras.start(host)
    if host != "connector-b":
        return 0
    with open(daemons.config_path("pop")) as f:
        text = f.read()
    if f'"{host}"' not in text:
        with open(daemons.config_path("pop"), "w") as f:
            f.write(extras.with_connector(text, host, key))
    done = daemons.control("pop", "reload")
    if done.returncode != 0:
        raise LabError(done.stderr.strip())
    daemons.wait_ready([host])
    return 0


def fault(words):
    if not topology.is_up():
        raise LabError("the lab is not up; bring it up with scripts/lab up")
    if words == ["clear"]:
        return faults.clear()
    actions = {"loss": faults.loss, "mtu": faults.mtu, "reorder": faults.reorder}
    if len(words) != 2 or words[0] not in actions:
        raise LabError("want loss PERCENT, mtu N, reorder on|off or clear")
    try:
        return actions[words[0]](words[1])
    except ValueError:
        raise LabError(f"'{words[1]}' is no number") from None


def prepare(with_sluice):
    """As whoever calls, before becoming root: a build must not leave files of root behind."""
    subprocess.run([os.path.join(process.TOP, "scripts/setup")], check=True)
    if not with_sluice or "SLUICE_LAB_BUILD" in os.environ:
        return
    if not os.path.exists(os.path.join(process.BUILD, "build.ninja")):
        subprocess.run(["meson", "setup", process.BUILD, process.TOP], check=True,
                       stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", process.BUILD, "ctrl/sluice", "ctrl/sluicectl"], check=True,
                   stdout=subprocess.DEVNULL)


def run(words):
    if not words or words[0] in ("help", "--help", "-h"):
        print(USAGE)
        return 0 if words else 2
    command, rest = words[0], words[1:]
    as_root = os.getuid() == 0
    if command == "up" and "--prepared" not in rest:
        prepare("--no-sluice" not in rest)
        rest = [*rest, "--prepared"]
    if not as_root:
        os.execvp("sudo", ["sudo", "-E", "--", sys.argv[0], command, *rest])
    if command == "up" and set(rest) <= {"--no-sluice", "--prepared"}:
        return up("--no-sluice" not in rest)
    if command == "down" and not rest:
        return down()
    if command == "status" and set(rest) <= {"--json"}:
        return status("--json" in rest)
    if command == "exec" and len(rest) >= 2:
        return execute(rest[0], rest[1:])
    if command == "add" and len(rest) == 1:
        return add(rest[0])
    if command == "fault" and rest:
        return fault(rest) or 0
    print(USAGE, file=sys.stderr)
    return 2


def main(words):
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # "lab status | head" is no error
    try:
        return run(words)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
    except subprocess.CalledProcessError as error:
        print(f"lab: {error.cmd[0]} failed", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1
