"""Failures: what a client sees of each, how soon, and what the PoP's console says it was.

Every row of the table is asked of the kernel of a client: TCP by connect(), datagrams by the socket's
error queue. `show flows` and `trace` must name the cause.
"""
import json
import signal
import socket
import struct
import time

from labtest import case, expect, expect_true

GIT = "git.corp.example"
PERF = "perf.corp.example"
SOON_S = 3  # no client waits longer for a refusal
BUSY_S = 1  # what a busy machine may add
IP_RECVERR = 11
NOBODYS = "100.111.200.7"
WHOLE_S = 20  # for a trace to be told


def udp_error(lab, address, port, timeout_s=6, send=b"hello"):
    """(type, code, from whom) of the ICMP error that a datagram gets, or None for silence."""
    with lab.udp("client", timeout_s) as sock:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        sock.connect((address, port))
        sock.send(send)
        return error_of(sock)


ANSWERED = object()


def outcome_of(sock):
    """The next ICMP error about a datagram of this socket, ANSWERED, or None when nothing came."""
    try:
        sock.recv(65535)
        return ANSWERED
    except TimeoutError:
        return None
    except OSError:
        pass
    _, ancillary, _, _ = sock.recvmsg(2048, 512, socket.MSG_ERRQUEUE)
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, IP_RECVERR):
            _, _, icmp_type, code = struct.unpack_from("=IBBB", data)
            return icmp_type, code, socket.inet_ntoa(data[20:24])
    return None


def error_of(sock):
    """The next ICMP error about a datagram of this socket; None when an answer or nothing came."""
    outcome = outcome_of(sock)
    return None if outcome is ANSWERED else outcome


def ping_errors(lab, address):
    """{(type, code)} that a ping got from the address."""
    capture = lab.capture("client", "access")
    lab.run("client", "ping", "-c", 2, "-i", 0.3, "-W", 2, "-n", address)
    return {p.icmp() for p in capture.packets()
            if p.icmp() and p.src == address and p.icmp()[0] != 0}


def causes(lab, address):
    """{(protocol, state, cause)} of what failed, that show flows has about an address."""
    return {(row["proto"], row["state"], row["cause"])
            for row in lab.show("pop", "show", "flows", address)["rows"] if row["cause"]}


def traced(lab, nb, action):
    """The journeys of the client's next packets, nb at least, while action() is done again and again."""
    tracing = lab.start("pop", "sluicectl", "--json", "trace", "client", str(nb))

    def is_told():
        action()
        return tracing.poll() is not None
    lab.wait_for("the trace to end", is_told, WHOLE_S)
    out, _ = tracing.communicate()
    return " | ".join(" > ".join(row["journey"]) for row in json.loads(out)["rows"])


def expect_soon(began, wait_s=SOON_S):
    took_s = time.monotonic() - began
    expect_true(took_s < wait_s + BUSY_S, f"an answer within {wait_s} s, not {took_s:.1f} s")


def expect_tcp(lab, address, port, wanted, wait_s=SOON_S):
    began = time.monotonic()
    expect(lab.tcp("client", address, port, 10), wanted, f"TCP to {address}:{port}")
    expect_soon(began, wait_s)


def expect_udp(lab, address, port, code, wait_s=SOON_S):
    began = time.monotonic()
    expect(udp_error(lab, address, port), (3, code, address), f"a datagram to {address}:{port}")
    expect_soon(began, wait_s)


@case("B12: what is denied is RST to TCP and 3/13 to UDP and ping, and policy is named as the cause")
def denied(lab):
    text = lab.config_of("pop")
    granted = '"perf.corp.example"; tcp = 5201; udp = [7, 53, 5201]; icmp = true;'
    expect_true(granted in text, "the resource in the configuration")
    lab.set_config("pop", text.replace(granted, '"perf.corp.example"; tcp = 5201; udp = 7;'))
    lab.control("pop", "reload")
    address = lab.address_of("client", PERF)
    told = traced(lab, 1, lambda: expect_tcp(lab, address, 2222, "ECONNREFUSED", 0.1))
    expect_true("Cause: policy." in told and "reject" in told, told)
    expect_udp(lab, address, 2222, 13, 0.1)
    expect(ping_errors(lab, address), {(3, 13)})
    expect(causes(lab, address), {(p, "refused", "policy") for p in ("tcp", "udp", "icmp")})


@case("B12: an address that is nobody's is RST to TCP and 3/13 to UDP and ping, and named so")
def unknown_address(lab):
    told = traced(lab, 1, lambda: expect_tcp(lab, NOBODYS, 80, "ECONNREFUSED", 0.1))
    expect_true("Cause: unknown-address." in told, told)
    expect_udp(lab, NOBODYS, 80, 13, 0.1)
    expect(ping_errors(lab, NOBODYS), {(3, 13)})
    expect(causes(lab, NOBODYS),
           {(p, "refused", "unknown-address") for p in ("tcp", "udp", "icmp")})


@case("B12: a name that the private DNS does not know is RST to TCP and 3/1 to UDP and ping")
def private_nxdomain(lab):
    text = lab.config_of("pop")
    lab.set_config("pop", text.replace('"perf.corp.example"', '"nowhere.corp.example"'))
    lab.control("pop", "reload")
    address = lab.address_of("client", "nowhere.corp.example")
    told = traced(lab, 4, lambda: expect_tcp(lab, address, 5201, "ECONNREFUSED"))
    expect_true("Cause: no-such-name." in told, told)
    expect_udp(lab, address, 7, 1)
    expect(ping_errors(lab, address), {(3, 1)})
    expect(causes(lab, address), {(p, "failed", "no-such-name") for p in ("tcp", "udp", "icmp")})


@case("B12: while the private DNS is silent a new name is 3/1 after 3 s at most, to TCP and UDP")
def silent_resolver(lab):
    text = lab.config_of("pop")
    granted = '"*.dev.corp.example"; tcp = [80, 443]; udp = 53;'
    expect_true(granted in text, "the resource in the configuration")
    lab.set_config("pop", text.replace(granted, '"*.dev.corp.example"; tcp = 80; udp = 53;'))
    lab.control("pop", "reload")
    address = lab.address_of("client", "quiet.dev.corp.example")
    other = lab.address_of("client", "quieter.dev.corp.example")
    lab.ok("private", "nft", "add table ip mute; add chain ip mute in "
           "{ type filter hook input priority 0; }; add rule ip mute in udp dport 53 drop; "
           "add rule ip mute in tcp dport 53 drop")
    try:
        told = traced(lab, 5, lambda: expect_tcp(lab, address, 80, "EHOSTUNREACH"))
        expect_true("Cause: resolver-silent." in told, told)
        expect_udp(lab, other, 53, 1)
    finally:
        lab.ok("private", "nft", "delete table ip mute")
    expect(causes(lab, address) | causes(lab, other),
           {("tcp", "failed", "resolver-silent"), ("udp", "failed", "resolver-silent")})


@case("B12: without a connector a name is 3/1 at once, to TCP, UDP and ping", ends="connector")
def no_connector(lab):
    address = lab.address_of("client", PERF)
    lab.stop("connector")
    try:
        lab.wait_for("EHOSTUNREACH", lambda: lab.tcp("client", address, 5201, 4) == "EHOSTUNREACH")
        told = traced(lab, 1, lambda: expect_tcp(lab, address, 5201, "EHOSTUNREACH", 0.1))
        expect_true("Cause: no-connector." in told, told)
        expect_udp(lab, address, 7, 1, 0.1)
        expect(ping_errors(lab, address), {(3, 1)})
        expect_true({(p, "refused", "no-connector") for p in ("tcp", "udp", "icmp")}
                    <= causes(lab, address), f"the cause in {causes(lab, address)}")
    finally:
        lab.start_again("connector")


def echo_once(sock, data):
    sock.send(data)
    expect(sock.recv(100), data)


@case("B12: a connector lost in mid-flow is RST to TCP, accepted as it is, and 3/1 to the next datagram",
      ends="connector")
def connector_lost(lab):
    address = lab.address_of("client", PERF)
    stream = lab.tcp("client", lab.address_of("client", GIT), 80)
    with lab.udp("client", 5) as sock:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        sock.connect((address, 7))
        echo_once(sock, b"before")
        stream.settimeout(10)
        stream.sendall(f"GET /slow HTTP/1.1\r\nHost: {GIT}\r\n\r\n".encode())
        expect_true(stream.recv(1000), "the first part of a page")  # the rest stays unread
        began = time.monotonic()
        lab.stop("connector", signal.SIGKILL)
        try:
            result = "the end"
            try:
                while stream.recv(1 << 20):
                    pass
            except OSError as error:
                result = type(error).__name__
            expect(result, "ConnectionResetError")
            expect_soon(began)
            sock.send(b"after")
            expect(error_of(sock), (3, 1, address))
            found = causes(lab, lab.address_of("client", GIT))
            expect_true(("tcp", "failed", "connector-lost") in found, f"the cause in {found}")
        finally:
            stream.close()
            lab.start_again("connector")


def restarted(lab, host, old, new):
    text = lab.config_of(host)
    expect_true(old in text, f"{old!r} in the configuration")
    lab.set_config(host, text.replace(old, new, 1))
    lab.stop(host)
    lab.start_again(host)
    lab.wait_ready()


def put_back(lab, host, text):
    lab.set_config(host, text)
    lab.stop(host)
    lab.start_again(host)
    lab.wait_ready()


def flood_udp(lab, address, nb):
    """One datagram from each of nb sockets, in turn; (answered, the first error)."""
    socks, nb_answered = [], 0
    try:
        for i in range(nb):
            socks.append(lab.udp("client", 4))
            socks[-1].setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            socks[-1].connect((address, 7))
            socks[-1].send(b"%d" % i)
            outcome = outcome_of(socks[-1])
            if outcome is ANSWERED:
                nb_answered += 1
            elif outcome:
                return nb_answered, outcome
        return nb_answered, None
    finally:
        for sock in socks:
            sock.close()


@case("B12: without a NAT port left a new flow is 3/13, counted, and named so", ends="connector")
def no_port(lab):
    good = lab.config_of("connector")
    restarted(lab, "connector", 'tenant = "acme";',
              'tenant = "acme"; nat_ports = "40000-40255";')
    address = lab.address_of("client", PERF)
    try:
        nb, error = flood_udp(lab, address, 280)
        expect_true(64 <= nb <= 256 and error == (3, 13, address), f"{nb} flows, then {error}")
        expect(lab.curl("client", f"http://{GIT}/").out, lab.page("private", "git"))
        expect_true(("udp", "failed", "no-nat-port") in (found := causes(lab, address)),
                    f"the cause in {found}")
        counted = {r["counter"]: r["value"] for r in lab.show("connector", "show", "stats")["rows"]
                   if r["part"] == "ports"}
        expect_true(counted.get("refused: none left toward the host", 0) >= 1, f"a refusal in {counted}")
    finally:
        put_back(lab, "connector", good)


@case("B12: at a full table a new flow is 3/13, counted, and named so", ends="pop")
def table_full(lab):
    good = lab.config_of("pop")
    restarted(lab, "pop", "flows = 65536;", "flows = 64;")
    address = lab.address_of("client", PERF)
    try:
        nb, error = flood_udp(lab, address, 80)
        expect_true(50 <= nb <= 64 and error == (3, 13, address), f"{nb} flows, then {error}")
        expect_true(("udp", "refused", "table-full") in causes(lab, address),
                    f"the cause in {causes(lab, address)}")
        expect_tcp(lab, address, 5201, "EHOSTUNREACH")
    finally:
        put_back(lab, "pop", good)
