"""loadtest: a PoP and a connector on memif ports, and bench-load on the far side of both.

    bench-load ==memif== pop ==memif== connector ==memif== bench-load
      clients   clients      underlay            private   DNS server and hosts

Everything lives in one folder under /tmp: keys, configurations, sockets, state and logs.
"""
import argparse
import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from . import main as bench
from . import pages

# Another folder, built already, by SLUICE_LAB_BUILD.
BUILD = os.environ.get("SLUICE_LAB_BUILD", bench.BUILD)
PROGRAMS = {"sluice": "ctrl", "sluicectl": "ctrl", "bench-load": "tests/bench"}
WHAT = ("dns", "flows", "both", "new", "wireguard")
ALONE = ("dns", "wireguard")  # without a connector
START_S = 60
DAEMON_MB = 700  # of huge pages, each; more flows want more
GENERATOR_MB = 160
MEMIF = "net_memif{n},role={role},id={id},socket={folder}/{id}.memif,socket-abstract=no,bsize=2048,rsize=12"

SYSTEM = """
system = {{ state_dir = "{folder}/{host}.state"; control_socket = "{folder}/{host}.sock"; user = "nobody";
  metrics = "off"; }};
workers = {{ cores = [{core}]; idle = "{idle}"; }};
limits = {{ flows = {table}; names = {names}; sessions = {sessions}; }};
"""
POP = """
node = {{ name = "pop"; role = "pop"; key_file = "{folder}/pop.key"; }};
ports = (
  {{ name = "clients"; device = "{clients}"; address = "10.63.0.1/24"; }},
  {{ name = "underlay"; device = "{underlay}"; address = "198.51.100.2/24"; }} );
routes = ( {{ prefix = "10.64.0.0/12"; via = "10.63.0.2"; port = "clients"; }} );
tenants = ( {{ name = "load"; id = 1; groups = ["all"];
  clients = ( {client_rows} );
  networks = ( {{ name = "hosts"; connectors = ( {{ name = "connector"; public_key = "{connector_key}"; }} ); }} );
  resources = ( {{ name = "hosts"; address = [{name_rows}]; groups = ["all"]; }} );
}} );
"""
WIREGUARD = 'wireguard = {{ port = "clients"; udp_port = 51820; }};\n'
CONNECTOR = """
node = {{ name = "connector"; role = "connector"; key_file = "{folder}/connector.key"; }};
ports = (
  {{ name = "underlay"; device = "{underlay}"; address = "198.51.100.3/24"; }},
  {{ name = "private"; device = "{private}"; address = "10.20.0.2/24"; }} );
routes = ( {{ prefix = "10.30.0.0/16"; via = "10.20.0.1"; port = "private"; }} );
tunnel = {{ peers = ( {{ name = "pop"; endpoint = "198.51.100.2:4501"; public_key = "{pop_key}"; }} ); }};
connector = {{ tenant = "load"; resolvers = ["10.20.0.53"]; }};
"""


def memif(folder, n, role, ident):
    return MEMIF.format(n=n, role=role, id=ident, folder=folder)


def client_address(i):
    return f"10.{64 + (i >> 16)}.{i >> 8 & 255}.{i & 255}"


def devices(o):
    """The generator's devices, with the keys that it says they have."""
    keys = subprocess.run([program("bench-load"), "--print-devices", str(o.clients)], check=True, text=True,
                          capture_output=True).stdout.split()
    return ",\n".join(f'{{ name = "c{i}"; public_key = "{key}"; address = "10.{160 + (i >> 16)}.{i >> 8 & 255}.{i & 255}"; '
                      f'groups = ["all"]; }}' for i, key in enumerate(keys))


def rows(o):
    clients = ",\n".join(f'{{ name = "c{i}"; source = "{client_address(i)}"; port = "clients"; groups = ["all"]; }}'
                         for i in range(o.clients))
    if o.what == "wireguard":
        clients = devices(o)
    names = ",\n".join(f'"h{i}.load.example"' for i in range(o.names))
    return clients, names


def genkey(folder, host):
    out = subprocess.run([program("sluice"), "--genkey", f"{folder}/{host}.key"], check=True, text=True,
                         capture_output=True).stdout
    return re.findall(r"[A-Za-z0-9+/]{43}=", out)[-1]


def program(name):
    return os.path.join(BUILD, PROGRAMS[name], name)


def build():
    if BUILD != bench.BUILD:
        return
    if not os.path.exists(os.path.join(BUILD, "build.ninja")):
        subprocess.run(["meson", "setup", BUILD, "-Db_ndebug=true"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", BUILD, "-j2", *(f"{sub}/{name}" for name, sub in PROGRAMS.items())],
                   check=True, stdout=subprocess.DEVNULL)


def write_configs(folder, o, cores):
    keys = {host: genkey(folder, host) for host in ("pop", "connector")}
    client_rows, name_rows = rows(o)
    # "new" opens a flow a packet: room for what a UDP timer's length of them needs.
    table = max(65536, 1 << (2 * o.flows - 1).bit_length()) if o.what != "new" else 1 << 21
    common = {"folder": folder, "table": table, "names": max(16384, 2 * o.names),
              "sessions": 64 + (o.clients if o.what == "wireguard" else 0),
              "client_rows": client_rows, "name_rows": name_rows, "pop_key": keys["pop"],
              "connector_key": keys["connector"], "idle": o.idle}
    devices = {"pop": {"clients": memif(folder, 0, "server", 0), "underlay": memif(folder, 1, "server", 1)},
               "connector": {"underlay": memif(folder, 0, "client", 1),
                             "private": memif(folder, 1, "server", 2)}}
    for host, text in (("pop", POP), ("connector", CONNECTOR)):
        values = {**common, **devices[host], "host": host, "core": cores[host]}
        with open(f"{folder}/{host}.conf", "w") as f:
            f.write(text.format(**values) + SYSTEM.format(**values))
            if host == "pop" and o.what == "wireguard":
                f.write(WIREGUARD.format())
    return keys["pop"]


def wait_for(what, condition, child, log):
    end = time.monotonic() + START_S
    while not condition():
        if child.poll() is not None or time.monotonic() > end:
            with open(log, errors="replace") as f:
                sys.stderr.writelines(f.readlines()[-10:])
            raise RuntimeError(f"{what} did not start")
        time.sleep(0.05)  # polled condition: a socket file appears


def start(folder, host, sockets, children):
    log = f"{folder}/{host}.log"
    os.makedirs(f"{folder}/{host}.state", mode=0o700)
    with open(log, "w") as f:
        # The far side of a memif connects after it has given up root: its socket must let it.
        child = subprocess.Popen([program("sluice"), "-c", f"{folder}/{host}.conf"], stdout=f, stderr=f,
                                 umask=0)
    children.append(child)
    wanted = [f"{host}.sock", *(f"{i}.memif" for i in sockets)]
    wait_for(host, lambda: all(os.path.exists(f"{folder}/{name}") for name in wanted), child, log)


def control(folder, host, *words):
    done = subprocess.run([program("sluicectl"), "-s", f"{folder}/{host}.sock", *words], text=True,
                          capture_output=True)
    return done.stdout + done.stderr


def session_seconds(child):
    """CPU time of a daemon's session thread, where handshakes are made."""
    for task in os.listdir(f"/proc/{child.pid}/task"):
        with open(f"/proc/{child.pid}/task/{task}/stat") as f:
            name, rest = f.read().split("(", 1)[1].rsplit(")", 1)
        if name == "sl-session":
            return sum(map(int, rest.split()[11:13])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def stop(children):
    for child in reversed(children):
        child.terminate()
    for child in reversed(children):
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def generate(folder, o, cores, pop_key):
    words = ["--clients-device", memif(folder, 0, "client", 0), "--what", o.what, "--clients", str(o.clients),
             "--names", str(o.names), "--flows", str(o.flows), "--bytes", str(o.bytes), "--window",
             str(o.window), "--seconds", str(o.seconds), "--rate", str(o.rate), "--core",
             str(cores["generator"]), "--memory", str(GENERATOR_MB)]
    words += ["--private-device", memif(folder, 1, "client", 2)] if o.what not in ALONE else []
    words += ["--pop-key", base64.b64decode(pop_key).hex()]
    words += ["--search"] if o.search else []
    words += ["--json"] if o.json else []
    done = subprocess.run([program("bench-load"), *words], text=True,
                          stdout=subprocess.PIPE if o.json else None)
    return done.returncode, json.loads(done.stdout) if o.json and done.returncode == 0 else []


def choose_cores(o):
    if o.cores:
        found = [int(c) for c in o.cores.split(",")]
    else:
        allowed = sorted(os.sched_getaffinity(0))
        found = [allowed[i % len(allowed)] for i in range(3)]
        if o.what in ALONE:
            found = [allowed[0], allowed[0], allowed[-1]]
    if len(found) != 3:
        raise SystemExit("loadtest: --cores wants three numbers")
    return dict(zip(("pop", "connector", "generator"), found))


def run(o):
    cores = choose_cores(o)
    used = {cores["pop"], cores["generator"], *([cores["connector"]] if o.what not in ALONE else [])}
    is_shared = len(used) < (2 if o.what in ALONE else 3)
    o.idle = "adaptive" if is_shared else "poll"
    folder, children = tempfile.mkdtemp(prefix="sluice-load."), []
    os.chmod(folder, 0o711)  # the daemons give up root and must still find their sockets
    try:
        pop_key = write_configs(folder, o, cores)
        start(folder, "pop", (0, 1), children)
        if o.what not in ALONE:
            start(folder, "connector", (2,), children)
        print(f"cores: {cores}{', shared: figures are lower than the programs allow' if is_shared else ''}; "
              f"{o.clients} clients, {o.names} names"
              + (f", {o.flows} flows, frames of {o.bytes} bytes" if o.what not in ALONE else ""), file=sys.stderr)
        before = session_seconds(children[0])
        code, objects = generate(folder, o, cores, pop_key)
        if o.what == "wireguard":
            cpu_s = session_seconds(children[0]) - before
            print(f"the PoP's session thread used {cpu_s:.2f} s of CPU for {2 * o.clients} handshakes")
        if code != 0 or o.what == "wireguard":
            for host in ("pop", "connector")[:len(children)]:
                print(control(folder, host, "show", "drops"), file=sys.stderr)
        if o.json:
            print(json.dumps([bench.machine(), *objects], indent=1))
        return code
    finally:
        stop(children)
        if o.keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def main(argv, text):
    parser = argparse.ArgumentParser(usage=text)
    parser.add_argument("what", choices=WHAT)
    for name, value in (("clients", 2000), ("names", 1000), ("flows", 10000), ("bytes", 64), ("window", 512)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--cores")
    for name in ("search", "json", "keep", "ordinary-memory"):
        parser.add_argument(f"--{name}", action="store_true")
    o = parser.parse_args(argv)
    if os.getuid() != 0:
        os.execvp("sudo", ["sudo", "-E", "--", os.path.join(os.getcwd(), "scripts", "loadtest"), *argv])
    subprocess.run(["scripts/setup"], check=True)
    build()
    daemons = 1 if o.what in ALONE else 2
    with contextlib.ExitStack() as stack:
        if not o.ordinary_memory:
            stack.enter_context(pages.reserved(daemons * DAEMON_MB + GENERATOR_MB))
        return run(o)
