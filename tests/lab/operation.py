"""Operation: what an operator asks the daemons, and what they are allowed to be."""
import base64
import json
import os
import re
import stat

from labtest import case, expect, expect_true, inject
from netlab import process, topology

GIT = "git.corp.example"
NOUNS = ("ports", "workers", "clients", "resources", "names", "sessions", "flows", "graph", "drops",
         "stats")


@case("E6: every daemon of a lab that is up is healthy")
def healthy(lab):
    for host in topology.DAEMONS:
        done = lab.try_control(host, "health")
        expect(done.code, 0, f"{host}: {done.out}{done.err}")


@case("E6: sluicectl show prints every table, as text and as JSON")
def show_all(lab):
    lab.curl("client", f"http://{GIT}/")
    for host in ("pop", "connector"):
        for noun in NOUNS:
            text = lab.control(host, "show", noun)
            widest = max(map(len, text.splitlines()), default=0)
            expect_true(widest <= 132, f"show {noun} to fit a terminal, not {widest} columns")
            lab.show(host, "show", noun)


@case("E6: show tells about a flow that is there: client, name, state")
def show_flow(lab):
    address = lab.address_of("client", GIT)
    sock = lab.tcp("client", address, 443)
    text = lab.control("pop", "show", "flows", address)  # not one of the first of many
    sock.close()
    expect_true(GIT in text and "client" in text, f"the flow in {text!r}")
    expect_true(GIT in lab.control("pop", "show", "names", GIT), "the name in show names")
    expect_true("client2" in lab.control("pop", "show", "clients"), "the client in show clients")


@case("E6: trace shows the journey of a client's packet, and the reason of a refusal")
def trace(lab):
    address = lab.address_of("client", GIT)
    tracing = lab.start("pop", "sluicectl", "trace", "client", "4")
    out = ""

    def enough():
        lab.tcp("client", address, 22)
        lab.run("client", "ping", "-c", 1, "-W", 1, address)
        return tracing.poll() is not None
    lab.wait_for("the trace to end", enough)
    out, err = tracing.communicate(timeout=5)
    expect(tracing.returncode, 0, err)
    expect_true("flow_forward" in out, f"the nodes in {out!r}")


@case("E6: a trace of two packets ends by itself, right after another one")
def trace_twice(lab):
    address = lab.address_of("client", GIT)
    for _ in range(2):
        tracing = lab.start("pop", "sluicectl", "--json", "trace", "client", "2")

        def enough():
            lab.run("client", "ping", "-c", 1, "-W", 1, address)
            return tracing.poll() is not None
        lab.wait_for("the trace to end", enough)
        rows = json.loads(tracing.communicate(timeout=5)[0])["rows"]
        expect([row["packet"] for row in rows], [1, 2])
        expect_true("eth_input" in rows[0]["journey"], f"the nodes in {rows[0]}")


@case("E6: explain tells the decision, the rules and the session")
def explain(lab):
    for client, name, port, decision in (("client", GIT, "443", "admitted"),
                                         ("client", GIT, "22", "denied"),
                                         ("client", "payroll.corp.example", "443", "unknown"),
                                         ("client2", "payroll.corp.example", "443", "admitted")):
        told = lab.show("pop", "explain", client, name, "tcp", port)
        expect(told["decision"], decision, f"{client} to {name}:{port}")
        expect(told["reachable"], decision == "admitted", f"{client} to {name}:{port}")
        expect(told["rows"][0]["resource"], name)
    # By address, as it stands in a capture: one that is assigned, one that is not, a private one.
    for address, decision, resource in ((lab.address_of("client", GIT), "admitted", GIT),
                                        ("100.111.112.113", "unknown", None),
                                        (topology.PRIVATE_ADDRESSES["private"]["git"], "unknown", None)):
        told = lab.show("pop", "explain", "client", address, "tcp", "443")
        expect((told["decision"], told["resource"]), (decision, resource), f"client to {address}")
        expect([row["resource"] for row in told["rows"]][:1], [resource] if resource else [])


@case("E6: show drops has name, packets and severity of a drop")
def drops(lab):
    lab.curl("client", f"http://{GIT}/")
    rows = lab.show("pop", "show", "drops")["rows"]
    expect_true(rows, "drops, be it of heartbeats alone")
    for row in rows:
        expect_true(row["name"] and row["packets"] > 0, f"name and packets in {row}")
        expect_true(row["severity"] in ("expected", "peer fault", "our fault"), str(row))


DOCUMENTED = 1 << 12 | 1 << 13  # CAP_NET_ADMIN, CAP_NET_RAW: docs/operations.md


@case("E4: after start a daemon is not root, holds no capability beyond the documented, leaves no core, and its socket is 0660")
def privileges(lab):
    for host in topology.DAEMONS:
        pid = process.pid_of(host, "sluice")
        with open(f"/proc/{pid}/status") as f:
            status = dict(line.split(":\t", 1) for line in f if ":\t" in line)
        expect_true("0" not in status["Uid"].split(), f"no uid of root on {host}: {status['Uid']}")
        with open(f"/proc/{pid}/limits") as f:
            core = next(line for line in f if line.startswith("Max core file size")).split()
        expect(core[-3], "0", f"the core limit on {host}")
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/status") as f:
                held = int(re.search(r"^CapPrm:\t(\w+)", f.read(), re.M)[1], 16)
            expect(held & ~DOCUMENTED, 0, f"capabilities of thread {task} on {host} beyond NET_ADMIN, NET_RAW")
        mode = os.stat(process.environment(host)["SLUICE_SOCKET"]).st_mode
        expect(stat.S_IMODE(mode), 0o660, f"the socket's mode on {host}")


@case("E6: every command of the daemons is in the manual page, in operations.md and in bash's completion")
def documented(lab):
    commands = {row["command"] for host in ("pop", "connector")
                for row in lab.show(host, "help")["rows"]}
    expect_true({"show flows", "health", "client add"} <= commands, f"commands in {commands}")
    for path in ("docs/man/sluicectl.8", "docs/operations.md", "packaging/sluicectl.bash"):
        with open(os.path.join(process.TOP, path)) as f:
            known = set(re.findall(r"[a-z]+", f.read()))
        missing = [c for c in sorted(commands) if not set(c.split()) <= known]
        expect(missing, [], f"commands that {path} does not know")


UNSHARE, EXECVE = 272, 59


def forms(key):
    """A key as somebody might print it."""
    raw = base64.b64decode(key)
    return key.rstrip("=").encode(), raw.hex().encode(), raw.hex().upper().encode(), raw


@case("E5: no log holds a private or a pre-shared key, whatever was done with them")
def no_secrets(lab):
    printed = lab.ok("pop", "sluicectl", "client", "add", "acme/tablet", "groups=staff", "psk")
    secrets = re.findall(r"(?:PrivateKey|PresharedKey) = (\S+)", printed)
    expect(len(secrets), 2, "keys that client add printed")
    for host in topology.DAEMONS:
        with open(os.path.join(process.folder(host), "sluice.key")) as f:
            secrets += re.findall(r"[A-Za-z0-9+/]{43}=", f.read())
    expect(len(secrets), 2 + len(topology.DAEMONS), "keys to look for")
    text = lab.config_of("pop")
    lab.set_config("pop", text.replace("sluice.key", "absent.key", 1))
    expect_true(lab.try_control("pop", "reload").code != 0, "a key file that is not there to be refused")
    lab.set_config("pop", text)
    lab.control("pop", "reload")
    lab.ok("client", "curl", "-sS", f"http://{GIT}/")
    lab.ok("pop", "sluicectl", "client", "remove", "acme/tablet")
    for host in topology.DAEMONS:
        logs = process.log_tail(host, "sluice", 1000000).encode()
        expect_true(b"peer-up" in logs, f"the log of {host} to be read")
        for folder, _, names in os.walk(os.path.join(process.folder(host), "log")):
            for name in names:
                with open(os.path.join(folder, name), "rb") as f:
                    logs += f.read()
        logs += lab.control(host, "--json", "show", "clients").encode()
        logs += lab.control(host, "--json", "show", "sessions").encode()
        for secret in secrets:
            expect_true(not any(form in logs for form in forms(secret)), f"no key in the logs of {host}")


@case("E4: every thread of a daemon is held to its system calls; another one fails, and is told",
      our_fault=True)
def system_calls(lab):
    for host in topology.DAEMONS:
        pid = process.pid_of(host, "sluice")
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/status") as f:
                expect_true("\nSeccomp:\t2\n" in f.read(), f"a filter on thread {task} of {host}")
        expect_true("system-call-refused" not in process.log_tail(host, "sluice", 1000),
                    f"no call refused on {host} so far")
    lab.wait_for("a call to be made", lambda: inject.system_call(process.pid_of("pop", "sluice"), UNSHARE))
    lab.wait_for("the refusal in the log", lambda: "unshare (272)" in process.log_tail("pop", "sluice"))
    expect(lab.try_control("pop", "health").code, 0, "health afterwards")


@case("E4: running a program ends a daemon", ends="connector2")
def no_programs(lab):
    pid = process.pid_of("connector2", "sluice")
    lab.wait_for("a call to be made", lambda: inject.system_call(pid, EXECVE))
    lab.wait_for("the daemon to end", lambda: process.exit_of("connector2", "sluice"))
    expect(process.exit_of("connector2", "sluice"), "159", "the exit status, SIGSYS")
    lab.start_again("connector2")


@case("E8: each worker is pinned to its one core and owns the queues that show workers prints")
def workers(lab):
    for host in topology.DAEMONS:
        told = lab.show(host, "show", "workers")["tables"]
        cores = {str(row["core"]) for row in told[0]["rows"]}
        pid, pinned = process.pid_of(host, "sluice"), []
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/status") as f:
                pinned.append(re.search(r"^Cpus_allowed_list:\t(\S+)", f.read(), re.M)[1])
        expect_true(cores <= set(pinned), f"a thread of {host} on each of {cores} alone, in {pinned}")
        queues = told[1]["rows"]
        expect_true({q["port"] for q in queues} == {"clients", "underlay"} or host != "pop",
                    f"the ports of pop in {queues}")
        for queue in queues:
            expect_true({"worker", "core", "numa", "queue", "port_numa"} <= set(queue), f"all of {queue}")
            expect_true(str(queue["core"]) in cores, f"{queue} at a worker's core")


@case("E10: a link that goes down and up again needs no restart", our_fault=True)
def link_flap(lab):
    process.shell("access", "ip link set pop down")
    expect_true(isinstance(lab.tcp("client", topology.RESOLVERS[0], 53, 1), str), "no connection")
    process.shell("access", "ip link set pop up")
    lab.wait_for("the name to be answered again", lambda: lab.dig("client", GIT).data())
    expect(lab.curl("client", f"http://{GIT}/").out, lab.page("private", "git"))


def screen_of_top(lab, host, columns):
    """The second screen of sluicectl top on a terminal."""
    done = lab.run(host, "timeout", "--foreground", "4", "script", "-qec", f"stty cols {columns} rows 40; sluicectl top",
                   "/dev/null")
    return done.out.replace("\r", "").split("\033[H\033[2J")[2]


@case("E6: sluicectl top fits 80 columns: readiness and its reason first, then rates, drops by fault, peers, workers")
def top(lab):
    traffic = lab.start("client", "ping", "-q", "-i", "0.01", "-w", "20", GIT)
    try:
        screen = screen_of_top(lab, "pop", 80)
        expect_true(max(map(len, screen.splitlines())) <= 80, f"80 columns at most:\n{screen}")
        titles = [line for line in screen.splitlines() if line in ("health", "ports", "drops", "peers", "workers")]
        expect(titles, ["health", "ports", "drops", "peers", "workers"], "the order")
        expect_true(re.search(r"^pop +yes ", screen, re.M), f"ready:\n{screen}")
        rate = re.search(r"^clients +(\d+) /s", screen, re.M)
        expect_true(rate and 30 <= int(rate[1]) <= 300, f"a hundred packets a second from the client:\n{screen}")
        expect_true(re.search(r"^connector +up ", screen, re.M), f"the connector:\n{screen}")
    finally:
        traffic.terminate()
        traffic.communicate()
    lab.control("pop", "drain", "stay")
    try:
        screen = screen_of_top(lab, "pop", 80)
        expect_true(re.search(r"^ *pop +NO |^pop +NO ", screen, re.M) and "drain" in screen, f"the reason:\n{screen}")
        expect_true(max(map(len, screen.splitlines())) <= 80, f"80 columns at most:\n{screen}")
    finally:
        lab.control("pop", "drain", "undo")
    wide = json.loads(lab.control("pop", "--json", "top"))
    expect_true("health" in json.dumps(wide), "the same as JSON")
