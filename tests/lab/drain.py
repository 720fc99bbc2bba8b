"""Drain: a daemon takes no new flows, lets those there are finish, and ends."""
from labtest import case, expect, expect_true
from netlab import daemons, process, topology

GIT = "git.corp.example"
REQUEST = b"GET /whoami HTTP/1.1\r\nHost: git.corp.example\r\n\r\n"


def request(sock):
    """One request on a connection that stays open; returns whether the page came whole."""
    sock.sendall(REQUEST)
    data = b""
    while not data.endswith(topology.CONNECTOR_PRIVATE.encode() + b"\n"):
        piece = sock.recv(4096)
        if not piece:
            return False
        data += piece
    return True


def states(lab, host):
    return [row["state"] for row in lab.show(host, "show", "sessions")["rows"]]


def start_empty(lab, host):
    """Without the flows of cases before, whose idle timers a drain would wait for."""
    lab.stop(host)
    lab.start_again(host)
    lab.wait_ready()


def wait_drained(lab, host):
    lab.wait_for("the daemon to end", lambda: process.exit_of(host, "sluice"), 60)
    expect(process.exit_of(host, "sluice"), "0", f"the exit status of {host}")
    lab.start_again(host)
    lab.wait_ready()


@case("C2: a draining connector gets no new flows, keeps its live ones, and ends with the last", ends="connector")
def drain_connector(lab):
    start_empty(lab, "connector")
    address = lab.address_of("client", GIT)
    sock = lab.tcp("client", address, 80)
    expect_true(request(sock), "the page")
    lab.control("connector", "drain")
    lab.wait_for("the PoP to know", lambda: "draining" in states(lab, "pop"))
    lab.wait_for("health to say so", lambda: "draining" in daemons.health("connector")[1])
    expect(lab.tcp("client", address, 80), "EHOSTUNREACH", "a new flow")
    for _ in range(3):
        expect_true(request(sock), "the page over the live flow")
    expect(process.exit_of("connector", "sluice"), None, "the exit status with a live flow")
    sock.close()
    wait_drained(lab, "connector")
    lab.wait_for("the PoP to know that it is back", lambda: "draining" not in states(lab, "pop"))
    expect(lab.curl("client", f"http://{GIT}/").out, lab.page("private", "git"))


@case("C2: drain stay leaves an empty connector running, and drain undo takes new flows again")
def drain_undo(lab):
    address = lab.address_of("client", GIT)
    lab.control("connector", "drain", "stay")
    lab.wait_for("the PoP to know", lambda: "draining" in states(lab, "pop"))
    expect(lab.tcp("client", address, 80), "EHOSTUNREACH", "a new flow")
    expect_true(lab.try_control("connector", "drain", "now").code != 0, "a refusal")
    lab.wait_for("health to count none", lambda: ", 0 left" in daemons.health("connector")[1], 60)
    lab.control("connector", "drain", "undo")
    lab.wait_for("the PoP to know", lambda: "draining" not in states(lab, "pop"))
    expect(lab.curl("client", f"http://{GIT}/").out, lab.page("private", "git"))
    lab.wait_for("health", lambda: daemons.health("connector")[0])


@case("C2: a draining PoP refuses new flows, keeps its live ones, and ends with the last", ends="pop")
def drain_pop(lab):
    start_empty(lab, "pop")
    address = lab.address_of("client", GIT)
    sock = lab.tcp("client", address, 80)
    expect_true(request(sock), "the page")
    lab.control("pop", "drain")
    lab.wait_for("the connector to know", lambda: "draining" in states(lab, "connector"))
    expect(lab.tcp("client", address, 80), "ECONNREFUSED", "a new flow")
    for _ in range(3):
        expect_true(request(sock), "the page over the live flow")
    sock.close()
    wait_drained(lab, "pop")
    daemons.wait_ready()
    lab.wait_for("a new flow", lambda: lab.page("private", "git") in lab.curl("client", f"http://{GIT}/").out)
