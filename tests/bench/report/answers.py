"""answers: DNS answers a CPU-second, Sluice's PoP beside knot, in turn, on the same core.

Both answer the same names to dnsperf over a veth, with one thread that answers: Sluice by AF_PACKET, knot by a UDP
socket; and both by AF_XDP, where the kernel lets them. What is counted is the processor time of the whole process
that answers, in user space and in system calls, while dnsperf sends all it can from another core.
"""
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

from . import inside

PREFIX = "slnames-"
CORE, ASKING_CORE = 1, 0
NB_NAMES = 1000
ZONE = "dev.corp.example"
RESOLVER = "100.95.0.251"
ASKER, SERVER = "10.53.0.1", "10.53.0.2"
HERTZ = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / HERTZ


def write(path, text):
    with open(path, "w") as f:
        f.write(text)
    return path


# ---- Both sides

def ask(namespace, server, queries, seconds):
    """(answers, lost)"""
    done = subprocess.run(["ip", "netns", "exec", namespace, "taskset", "-c", str(ASKING_CORE), "dnsperf", "-s",
                           server, "-d", queries, "-c", "4", "-q", "400", "-l", str(seconds)], text=True,
                          capture_output=True)
    found = {k: int(v) for k, v in re.findall(r"Queries (completed|lost): +(\d+)", done.stdout)}
    if done.returncode != 0 or not found.get("completed") or "NOERROR" not in done.stdout:
        raise RuntimeError(f"dnsperf to {server}: {done.stderr[-300:]} {done.stdout[-600:]}")
    return found["completed"], found["lost"]


def trial(pid, namespace, server, queries, seconds):
    ask(namespace, server, queries, 1)  # every name has its address, every table is warm
    before, began = cpu_seconds(pid), time.monotonic()
    answers, lost = ask(namespace, server, queries, seconds)
    cpu = cpu_seconds(pid) - before
    return {"answers": answers, "lost": lost, "cpu_s": round(cpu, 2), "per_cpu_s": round(answers / cpu),
            "per_s": round(answers / (time.monotonic() - began))}


# ---- knot

@contextlib.contextmanager
def veth():
    names = [f"{PREFIX}{host}" for host in ("asker", "server")]
    try:
        for name in names:
            subprocess.run(["ip", "netns", "add", name], check=True)
        subprocess.run(["ip", "link", "add", "name", "to", "netns", names[0], "type", "veth", "peer", "name", "to",
                        "netns", names[1]], check=True)
        for name, address in zip(names, (ASKER, SERVER)):
            subprocess.run(["ip", "netns", "exec", name, "sh", "-ec",
                            f"ethtool -K to tx off >/dev/null; ip address add {address}/24 dev to; ip link set to up"],
                           check=True)
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


@contextlib.contextmanager
def knot(namespace, folder, is_xdp):
    """knotd's pid, when it answers; None when it does not start (XDP is not everywhere)."""
    base = os.path.join(folder, "xdp" if is_xdp else "socket")
    os.makedirs(base)
    zone = write(f"{base}/zone", f"$ORIGIN {ZONE}.\n@ 60 SOA ns. root. 1 3600 600 86400 60\n@ 60 NS ns.\n"
                 + "".join(f"h{n} 60 A 10.99.{n >> 8}.{n & 255}\n" for n in range(NB_NAMES)))
    listen = "xdp:\n  listen: to@53" if is_xdp else ""
    config = write(f"{base}/knot.conf", f"""server:
  rundir: "{base}"
  listen: {SERVER}@{5353 if is_xdp else 53}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
{listen}
database:
  storage: "{base}"
zone:
  - domain: {ZONE}
    file: "{zone}"
""")
    with open(f"{base}/log", "w") as log:
        child = subprocess.Popen(["ip", "netns", "exec", namespace, "taskset", "-c", str(CORE), "knotd", "-c", config],
                                 stdout=log, stderr=log)
    try:
        for _ in range(50):
            if child.poll() is not None:
                break
            asked = subprocess.run(["ip", "netns", "exec", f"{PREFIX}asker", "dig", "+short", "+tries=1", "+time=1",
                                    f"@{SERVER}", f"h1.{ZONE}"], text=True, capture_output=True)
            if asked.stdout.startswith("10.99."):
                break
            time.sleep(0.1)
        yield child.pid if child.poll() is None and asked.stdout.startswith("10.99.") else None
    finally:
        child.terminate()
        child.wait()


# ---- Sluice

@contextlib.contextmanager
def pop(is_xdp):
    """The pid of the lab's PoP, with its clients' port as told; None when it does not start so."""
    from netlab import daemons, process
    path = daemons.config_path("pop")
    with open(path) as f:
        before = f.read()
    if is_xdp:
        write(path, re.sub(r'"net_af_packet\d+,iface=clients[^"]*"',
                           '"net_af_xdp0,iface=clients,start_queue=0,queue_count=1,busy_budget=0"', before))
        daemons.stop("pop")
        daemons.start("pop")
    try:
        daemons.wait_ready(["pop"])
        yield process.pid_of("pop", "sluice")
    except process.LabError as error:
        print(error, file=sys.stderr)
        yield None
    finally:
        if is_xdp:
            write(path, before)
            daemons.stop("pop")
            daemons.start("pop")


# ---- In turn

def run(nb_pairs, seconds):
    from netlab import process
    rows, found = [], {}
    with tempfile.TemporaryDirectory() as folder, veth() as (asker, server):
        queries = write(f"{folder}/queries", "".join(f"h{n}.{ZONE} A\n" for n in range(NB_NAMES)))
        for i in range(nb_pairs):
            def sluice(is_xdp):
                with pop(is_xdp) as pid:
                    return pid and trial(pid, process.namespace("client"), RESOLVER, queries, seconds)

            def theirs(is_xdp):
                with knot(server, f"{folder}/{i}", is_xdp) as pid:
                    return pid and trial(pid, asker, SERVER, queries, seconds)

            turns = [("sluice socket", lambda: sluice(False)), ("knot socket", lambda: theirs(False)),
                     ("sluice XDP", lambda: sluice(True)), ("knot XDP", lambda: theirs(True))]
            for name, turn in turns if i % 2 == 0 else turns[::-1]:
                done = turn()
                if done is None:
                    print(f"{name}: does not run here", file=sys.stderr)
                    continue
                found.setdefault(name, []).append(done["per_cpu_s"])
                rows.append({"bench": "answers", "round": i + 1, "server": name, **done})
                print(f"round {i + 1}: {name:<13} {done['per_cpu_s']:>8} answers a CPU-second, {done['per_s']:>7} "
                      f"a second, {done['lost']} lost", file=sys.stderr)
    return rows + [summary(kind, found) for kind in ("socket", "XDP")
                   if f"sluice {kind}" in found and f"knot {kind}" in found]


def summary(kind, found):
    ours, theirs = (statistics.median(found[f"{name} {kind}"]) for name in ("sluice", "knot"))
    return {"bench": "answers", "port": kind, "sluice_per_cpu_s": ours, "knot_per_cpu_s": theirs,
            "ratio": round(ours / theirs, 2)}


def main(nb_pairs, seconds, as_json):
    rows = inside.lab(PREFIX, lambda: run(nb_pairs, seconds))
    if as_json:
        print(json.dumps(rows, indent=1))
    for row in [] if as_json else rows:
        if "ratio" in row:
            print(f"{row['port']}: Sluice {row['sluice_per_cpu_s']:.0f} answers a CPU-second, knot "
                  f"{row['knot_per_cpu_s']:.0f}; ratio {row['ratio']:.2f}")
    return 0
