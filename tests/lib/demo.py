"""demo: what Sluice does, shown on real programs in network namespaces of this machine.

  demo          set up, build, bring the lab up, show, take it down
  demo --keep   the same, but leave the lab up

Each step prints the command, what it really printed, and whether that is what it should be.
Exit code 0 only if all steps are ok.
"""
import ipaddress
import os
import re
import shlex
import signal
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "lib"))
os.chdir(TOP)

from netlab import process, servers, topology, wireguard  # noqa: E402

GIT, PAYROLL = "git.corp.example", "payroll.corp.example"
PRIVATE_GIT = topology.PRIVATE_ADDRESSES["private"]["git"]
CAPTURE = os.path.join(process.folder("client"), "demo.pcap")
TRIES = (f"scripts/lab exec client curl http://{GIT}/",
         "scripts/lab exec pop sluicectl show flows",
         "scripts/lab exec client2 iperf3 -c perf.corp.example")

steps = []  # (title, ok)
stages = []  # (name, seconds)
background = []


class Stop(Exception):
    """The demo cannot go on; the message says why and what to do."""


def say(text=""):
    print(text, flush=True)


def stage(name, argv):
    began = time.monotonic()
    say(f"== {name}: {' '.join(argv)}")
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    stages.append((name, time.monotonic() - began))
    if done.returncode != 0:
        say(done.stdout[-4000:])
        raise Stop(f"{' '.join(argv)} exited with {done.returncode}; what it printed stands above")
    say(f"   done in {stages[-1][1]:.1f} s")


def lab(host, *command):
    return ["scripts/lab", "exec", host, *command]


def show(argv):
    """Print a command as one can type it."""
    say("$ " + (argv if isinstance(argv, str) else shlex.join(argv)))


def run(argv, secret=False):
    """Run a command (a string goes to the shell), print it and its output; returns (code, text).
    `secret`: a private key in the output is shown by its first characters."""
    show(argv)
    done = subprocess.run(argv, shell=isinstance(argv, str), stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    shown = done.stdout.rstrip("\n")
    say(re.sub(r"(PrivateKey = .{4}).*", r"\1...", shown) if secret else shown)
    return done.returncode, done.stdout


def verdict(good, wanted):
    say("ok" if good else f"FAILED: expected {wanted}")
    return good


def step(title):
    """Register the function below; it returns whether all was as it should be."""
    def register(function):
        steps_to_take.append((title, function))
        return function
    return register


steps_to_take = []


@step("The private DNS knows git.corp.example by its private address")
def private_name():
    _, text = run(lab("private", "dig", "+short", GIT))
    return verdict(text.strip() == PRIVATE_GIT, PRIVATE_GIT)


@step("Through Sluice a client gets an assigned address instead")
def assigned_name():
    _, text = run(lab("client", "dig", GIT))
    flags = re.search(r"^;; flags: ([a-z ]*);", text, re.M)
    records = re.findall(r"^git\.corp\.example\.\s+(\d+)\s+IN\s+A\s+(\S+)$", text, re.M)
    good = bool(flags) and {"qr", "aa", "rd", "ra"} <= set(flags[1].split()) and len(records) == 1
    good = good and ipaddress.ip_address(records[0][1]) in topology.POOL
    return verdict(good, f"one A record inside {topology.POOL}, flags qr aa rd ra")


@step("curl by name shows the private host's page")
def page():
    _, text = run(lab("client", "curl", "-sS", "--max-time", "10", f"http://{GIT}/"))
    wanted = servers.page("private", "git")
    return verdict(text.strip() == wanted, wanted)


@step("The private host's nginx saw the connector, not the client")
def nginx_log():
    path = os.path.join(process.folder("private"), "nginx/access.log")
    _, text = run(lab("private", "tail", "-n", "1", path))
    wanted = topology.CONNECTOR_PRIVATE
    return verdict(text.startswith(wanted + " "), f"a line that begins with {wanted}")


@step("ping by name")
def ping():
    code, text = run(lab("client", "ping", "-n", "-c", "3", "-i", "0.2", GIT))
    return verdict(code == 0 and " 0% packet loss" in text, "three answers")


@step("iperf3 by name")
def iperf3():
    code, text = run("scripts/lab exec client iperf3 -c perf.corp.example -t 2 -f m | "
                     "grep -E 'sender|receiver|error'")
    return verdict(code == 0 and "receiver" in text, "a line of the receiver")


@step("A phone or laptop with WireGuard becomes a client: its configuration, and a QR code of it")
def add_client():
    command = lab("pop", "sluicectl", "client", "add", "acme/phone", "groups=staff")
    code, text = run(command, secret=True)
    added = code == 0 and "[Interface]" in text and "AllowedIPs = " in text and "\u2580" in text
    good = verdict(added, "a configuration and a QR code")
    code, _ = run(lab("pop", "sluicectl", "client", "remove", "acme/phone"))
    return verdict(code == 0, "phone to be removed") and good


@step("client2 is such a device: wireguard-go, brought up by wg-quick with what client add printed")
def device():
    code, text = run(lab("client2", "wg", "show", wireguard.DEVICE))
    shaken = verdict(code == 0 and "latest handshake" in text, "a handshake")
    code, text = run(lab("client2", "dig", "+noall", "+answer", GIT))
    found = re.findall(r"\sA\s(\S+)", text)
    named = verdict(len(found) == 1 and ipaddress.ip_address(found[0]) in topology.POOL,
                    f"an address inside {topology.POOL}")
    _, text = run(lab("client2", "curl", "-sS", "--max-time", "10", f"http://{GIT}/"))
    wanted = servers.page("private", "git")
    return verdict(text.strip() == wanted, wanted) and shaken and named


@step("payroll.corp.example does not exist for client, and is served to client2")
def payroll():
    code, _ = run(lab("client", "curl", "-sS", "--max-time", "10", f"http://{PAYROLL}/"))
    refused = verdict(code == 6, "curl to find no such host")
    _, text = run(lab("client2", "curl", "-sS", "--max-time", "10", f"http://{PAYROLL}/"))
    wanted = servers.page("private", "payroll")
    return verdict(text.strip() == wanted, wanted) and refused


@step("The private address itself cannot be reached")
def direct():
    code, _ = run(lab("client", "curl", "-sS", "--max-time", "5", f"http://{PRIVATE_GIT}/"))
    return verdict(code != 0, "curl to fail")


@step("Two tenants have a git.corp.example each, at the same private address, at the same time")
def tenants():
    one = f"scripts/lab exec client curl -sS --max-time 10 http://{GIT}/"
    _, text = run(f"{one} & {one.replace('client', 'client3')}; wait")
    wanted = {servers.page("private", "git"), servers.page("private2", "git")}
    return verdict(set(text.strip().splitlines()) == wanted, " and ".join(sorted(wanted)))


@step("The flow table of the PoP")
def flows():
    code, text = run(lab("pop", "sluicectl", "show", "flows"))
    return verdict(code == 0 and GIT in text, f"flows to {GIT}")


@step("The journey of one packet")
def journey():
    command = lab("pop", "sluicectl", "trace", "client", "1")
    show(command)
    tracing = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
    background.append(tracing)
    deadline = time.monotonic() + 15
    while tracing.poll() is None and time.monotonic() < deadline:
        subprocess.run(lab("client", "ping", "-c", "1", "-W", "1", GIT), capture_output=True)
    tracing.terminate()
    text = tracing.communicate()[0]
    say(text.rstrip("\n"))
    return verdict("flow_forward" in text or "dns_answer" in text, "the nodes it passed")


@step("Nothing that the client got held a private address")
def capture():
    tcpdump.terminate()
    tcpdump.wait()
    _, count = run(lab("client", "sh", "-c", f"tcpdump -nr {CAPTURE} 2>/dev/null | wc -l"))
    prefix = PRIVATE_GIT.rsplit(".", 1)[0]
    pattern = prefix.replace(".", "[.]") + "[.]"
    # What the client itself sends to a private address goes nowhere: it has no route.
    _, found = run(lab("client", "sh", "-c", f"tcpdump -nvr {CAPTURE} 2>/dev/null | grep -c '{pattern}'"))
    return verdict(int(count or 0) > 50 and found.strip() == "0", f"packets, and none with {prefix}.x")


def start_capture():
    """tcpdump at the client, from before its first query on."""
    global tcpdump
    tcpdump = subprocess.Popen(
        lab("client", "tcpdump", "-i", "access", "-Z", "root", "-U", "--immediate-mode", "-w", CAPTURE),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    background.append(tcpdump)
    while "listening on" not in (line := tcpdump.stderr.readline()):
        if not line:
            raise Stop("tcpdump at the client does not start")


def prepare():
    """Everything up to a lab that is ready; returns whether it is ours to take down."""
    stage("setup", ["scripts/setup"])
    if not os.path.exists("build/build.ninja"):
        stage("configure", ["meson", "setup", "build"])
    stage("build", ["ninja", "-C", "build", "ctrl/sluice", "ctrl/sluicectl"])
    if topology.is_up():
        say("== lab: one is up already; it is used, and stays as it is")
        stage("look", ["scripts/lab", "status"])
        return False
    stage("lab", ["scripts/lab", "up"])
    return True


def take_steps():
    began = time.monotonic()
    start_capture()
    for nb, (title, function) in enumerate(steps_to_take, 1):
        say(f"\n-- {nb}. {title}")
        try:
            good = function()
        except (subprocess.SubprocessError, ValueError, OSError) as error:
            good = verdict(False, f"the step to end well, but {error}")
        steps.append((title, good))
    stages.append(("steps", time.monotonic() - began))


def clean_up(ours, keep):
    for child in background:
        if child.poll() is None:
            child.terminate()
            child.wait()
    if ours and not keep:
        began = time.monotonic()
        subprocess.run(["scripts/lab", "down"], stdin=subprocess.DEVNULL)
        stages.append(("down", time.monotonic() - began))


def summary(kept):
    say("\n== seconds: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in stages))
    nb_ok = sum(good for _, good in steps)
    say(f"== {nb_ok} of {len(steps_to_take)} steps ok")
    if kept:
        say("The lab is still up. Three commands to try, and one to end it:")
        for command in (*TRIES, "scripts/lab down"):
            say(f"  {command}")
    return 0 if nb_ok == len(steps_to_take) else 1


def main(words):
    if [w for w in words if w != "--keep"]:
        print(__doc__, file=sys.stderr)
        return 2
    keep = "--keep" in words
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(130))
    ours = not topology.is_up()
    try:
        ours = prepare()
        take_steps()
    except Stop as reason:
        say(f"FAILED: {reason}")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        clean_up(ours, keep)
    return summary(topology.is_up())


sys.exit(main(sys.argv[1:]))
