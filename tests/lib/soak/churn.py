"""churn: what is done to the lab. Each function is one event; what must be right while it goes on is
asserted there, and main asserts after it that everything works again."""
import contextlib
import hashlib
import os
import signal
import socket
import time

from labtest import expect, expect_true
from labtest.crowd import crowd
from netlab import daemons, extras, faults, process, topology

GIT = "git.corp.example"


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def page_is(lab, client, url, page):
    done = lab.curl(client, url, "--max-time", "5")
    return done.out == page


# ---- Traffic

def names(lab, random):
    """Names nobody has asked for, and one of them used. Few enough for the limits of an hour or ten."""
    label = f"n{random.randrange(10 ** 9)}"
    path = f"{process.folder('client')}/queries"
    with open(path, "w") as f:
        f.writelines(f"{label}-{i}.dev.corp.example A\n" for i in range(40))
    lab.run("client", "dnsperf", "-n", "1", "-q", "20", "-s", topology.RESOLVERS[0], "-d", path)
    expect(lab.curl("client", f"http://{label}-7.dev.corp.example/").out, lab.page("private", "dev"))


def short_flows(lab, random):
    """Connections of a moment, datagrams and pings."""
    address, echo = lab.address_of("client", GIT), lab.address_of("client", "perf.corp.example")
    for _ in range(60):
        sock = lab.tcp("client", address, random.choice((80, 443)))
        expect_true(isinstance(sock, socket.socket), f"a connection, not {sock}")
        sock.close()
    # All open until the end: the kernel would give the port of a closed one to another, with its answer.
    with contextlib.ExitStack() as stack:
        for i in range(200):
            s = stack.enter_context(lab.udp("client"))
            s.sendto(b"%d" % i, (echo, 7))
            if i % 20 == 0:
                expect(s.recv(64), b"%d" % i)
    lab.ok("client", "ping", "-q", "-c", "10", "-i", "0.01", address)


def transfer(lab, random):
    """4 MiB up and down, octet by octet."""
    base = os.path.join(process.folder("private"), "nginx", "git")
    got = os.path.join(lab.logs, "soak-blob")
    client = random.choice(("client", "client2"))
    lab.ok(client, "curl", "-sS", "--max-time", "60", "-o", got, f"http://{GIT}/blob")
    expect(sha256(got), sha256(f"{base}/blob"), "what came down")
    lab.ok(client, "curl", "-sS", "--max-time", "60", "-T", f"{base}/blob", f"http://{GIT}/put/soak")
    expect(sha256(f"{base}/put/soak"), sha256(f"{base}/blob"), "what went up")


def many_flows(lab, random):
    """Hundreds of connections at once, all of them alive."""
    nb = random.randrange(200, 1000)
    with crowd(lab, nb) as held:
        expect(held.ask(), {"answered": nb, "lost": 0})


def clients(lab, random):
    """WireGuard clients come and go."""
    for i in range(10):
        lab.control("pop", "client", "add", f"acme/soak-{i}", "groups=staff")
    expect_true("soak-3" in lab.control("pop", "client", "show"), "the new client")
    for i in range(10):
        lab.control("pop", "client", "remove", f"acme/soak-{i}")


# ---- Configuration

def reloads(lab, random):
    """Policy changes back and forth, and a wrong file is refused."""
    good = lab.config_of("pop")
    sock = lab.tcp("client", lab.address_of("client", GIT), 80)
    try:
        lab.set_config("pop", good.replace('{ address = "git.corp.example"; tcp',
                                           '{ address = "code.corp.example"; tcp = 80; groups = ["staff"]; },\n'
                                           '      { address = "git.corp.example"; tcp', 1))
        lab.control("pop", "reload")
        expect(lab.curl("client", "http://code.corp.example/").out, lab.page("private", "git"))
        lab.set_config("pop", good.replace("groups", "gruops", 1))
        expect_true(lab.try_control("pop", "reload").code != 0, "a wrong file to be refused")
    finally:
        lab.set_config("pop", good)
        lab.control("pop", "reload")
        lab.control("connector", "reload")
    sock.sendall(b"GET /whoami HTTP/1.1\r\nHost: git.corp.example\r\n\r\n")
    expect_true(sock.recv(4096), "a flow that outlived reloads")
    sock.close()


# ---- Restarts

def restart_second(lab, random):
    """kill -9 of one of two connectors, and its return."""
    daemons.stop("connector-b", signal.SIGKILL)
    time.sleep(random.uniform(0, 3))
    extras.start("connector-b")
    daemons.wait_ready(["connector-b"])


def drain_second(lab, random):
    """A planned restart of the second connector."""
    lab.control("connector-b", "drain")
    lab.wait_for("the drained daemon to end", lambda: process.exit_of("connector-b", "sluice"), 200)
    extras.start("connector-b")
    daemons.wait_ready(["connector-b"])


def restart_first(lab, random):
    daemons.stop("connector", random.choice((signal.SIGTERM, signal.SIGKILL)))
    daemons.start("connector")
    daemons.wait_ready(["connector"])


def restart_pop(lab, random):
    daemons.stop("pop", signal.SIGKILL)
    daemons.start("pop")
    daemons.wait_ready(["pop"])


# ---- Floods and weather

def floods(lab, random):
    """SYNs, one-shots, garbage at the tunnel's port and questions, for some seconds; the other tenant
    goes on."""
    address = lab.address_of("client", GIT)
    unassigned = "100.127.254.1"
    # The lab's names and addresses alone; none of it leaves the namespaces.
    commands = [("client", "hping3", "-q", "-S", "-p", "443", "-i", "u1000", address),
                ("client", "hping3", "-q", "--udp", "-p", "9", "-i", "u1000", unassigned),
                ("public", "hping3", "-q", "--udp", "-p", "4501", "-d", "148", "-i", "u2000",
                 topology.POP_UNDERLAY)]
    running = [lab.start(host, *argv) for host, *argv in random.sample(commands, 2)]
    try:
        until = time.monotonic() + 5
        while time.monotonic() < until:
            expect_true(page_is(lab, "client3", f"http://{GIT}/", lab.page("private2", "git")),
                        "the other tenant's page during a flood")
    finally:
        for p in running:
            p.terminate()
            p.communicate()


def weather(lab, random):
    """Loss, disorder or a small path, and a download that comes whole."""
    kind, value = random.choice((("loss", 3), ("loss", 10), ("reorder", "on"), ("mtu", 1280)))
    getattr(faults, kind)(value)
    try:
        got = os.path.join(lab.logs, "soak-slow")
        lab.ok("client", "curl", "-sS", "--max-time", "120", "-o", got, f"http://{GIT}/slow",
               timeout_s=150)
        expect(sha256(got), sha256(os.path.join(process.folder("private"), "nginx", "git", "blob")),
               f"what came down with {kind} {value}")
    finally:
        faults.clear()


def link_down(lab, random):
    """The PoP's way to all connectors is gone for a while."""
    process.shell("underlay", "ip link set pop down")
    time.sleep(random.uniform(0.2, 4))
    process.shell("underlay", "ip link set pop up\nip route replace 198.51.100.0/24 dev pop src 198.51.100.1")


EVENTS = (names, short_flows, transfer, many_flows, clients, reloads, restart_second, drain_second,
          restart_first, floods, weather, link_down)
