"""Closing: half-closed connections that go on, and how soon what has ended is forgotten."""
import fcntl
import hashlib
import os
import socket
import struct
import termios
import threading

from labtest import case, expect, expect_true
from labtest.packets import in_namespace
from netlab import process, topology

GIT = "git.corp.example"
LARGE = 100_000_000
PERF = "perf.corp.example"
HOST = topology.PRIVATE_ADDRESSES["private"]["perf"]
PORT = 5555
GIGABYTE = 1_000_000_000
UPLOAD = 64_000_000
SEVERAL_S = 12  # "in seconds": 4 s of rest, a pass of the sweep, what a busy machine adds
# The same octets at both ends: a key stream.
STREAM = "openssl enc -aes-128-ctr -K 00112233445566778899aabbccddeeff -iv 0 </dev/zero 2>/dev/null"


def grant(lab):
    text = lab.config_of("pop")
    expect_true("tcp = 5201;" in text, "the resource in the configuration")
    lab.set_config("pop", text.replace("tcp = 5201;", f"tcp = [5201, {PORT}];"))
    lab.control("pop", "reload")
    return lab.address_of("client", PERF)


def states(lab, host="pop"):
    """The states of the flows to the port that are not failures."""
    column = "host_port" if host == "connector" else "ports"
    return [row["state"] for row in lab.show(host, "show", "flows", "all")["rows"]
            if str(row[column]).endswith(str(PORT)) and not row["cause"]]


def expect_forgotten(lab):
    for host in ("pop", "connector"):
        lab.wait_for(f"{host} to forget the flow", lambda: states(lab, host) == [], SEVERAL_S)


@case("B4: a host goes on for a gigabyte after the client's FIN, octet by octet, and then it is forgotten")
def half_close(lab):
    address = grant(lab)
    # It begins when it has seen the client's end, not before; -t: by itself socat goes half a second after that
    # when nobody takes anything.
    server = lab.start("private", "socat", "-t", 300, f"TCP-LISTEN:{PORT},bind={HOST},reuseaddr",
                       f"SYSTEM:cat >/dev/null; {STREAM} | head -c {GIGABYTE}")
    try:
        lab.wait_for("the server to listen", lambda: lab.run(
            "private", "ss", "-Hltn", f"sport = {PORT}").out.strip())
        client = lab.start("client", "sh", "-c", f"echo all of it | socat -t 300 - "
                           f"TCP:{address}:{PORT} | sha1sum")
        lab.wait_for("the half-closed flow", lambda: states(lab) == ["client-closed"])
        expect(states(lab, "connector"), ["client-closed"])
        wanted = lab.ok("private", "sh", "-c", f"{STREAM} | head -c {GIGABYTE} | sha1sum")
        out, err = client.communicate(timeout=300)
        expect(out, wanted, err)
    finally:
        server.kill()
        server.communicate()
    expect_forgotten(lab)


def listen(lab):
    server = in_namespace("private", lambda: socket.create_server((HOST, PORT)))
    server.settimeout(10)
    return server


@case("B1: nginx's large files come down to several clients at once and go up, octet by octet")
def nginx_large(lab):
    base = os.path.join(process.folder("private"), "nginx", "git")
    large, put = f"{base}/large", f"{base}/put/large"
    here = os.path.join(process.folder("client"), "large")
    fetch = f"curl -sS --max-time 240 http://{GIT}/large"
    try:
        lab.ok("private", "sh", "-c", f"{STREAM} | head -c {LARGE} > {large}")
        wanted = lab.ok("private", "sha1sum", large).split()[0]
        sums = [lab.start("client", "sh", "-c", f"{fetch} | sha1sum") for _ in range(2)]
        # Its end of the direction comes with the last octet; HTTP/1.0 ends the conversation there.
        sums.append(lab.start("client", "sh", "-c", f"{fetch} -0 | sha1sum"))
        lab.ok("client", "sh", "-c", f"{STREAM} | head -c {UPLOAD} > {here}")
        up = lab.start("client", "curl", "-sSf", "--max-time", "240", "-T", here, f"http://{GIT}/put/large")
        for one in sums:
            out, err = one.communicate(timeout=240)
            expect(out.split()[0], wanted, err)
        out, err = up.communicate(timeout=240)
        expect(up.returncode, 0, err)
        expect(lab.ok("private", "sha1sum", put).split()[0],
               lab.ok("private", "sh", "-c", f"head -c {UPLOAD} {large} | sha1sum").split()[0], "what went up")
    finally:
        for path in (large, put, here):
            if os.path.exists(path):
                os.unlink(path)


@case("B4: nginx answers, closes its direction, and still takes what the client has to send")
def nginx_lingers(lab):
    sock = lab.tcp("client", lab.address_of("client", GIT), 80)
    sock.settimeout(30)
    sock.sendall(f"GET /whoami HTTP/1.0\r\nHost: {GIT}\r\n\r\n".encode())
    answer = b""
    while data := sock.recv(4096):
        answer += data
    expect_true(b" 200 " in answer.split(b"\r\n")[0], f"{answer}")
    row = [row for row in lab.show("pop", "show", "flows", "all")["rows"]
           if str(row["ports"]).endswith("80") and str(sock.getsockname()[1]) in str(row["ports"])]
    expect([x["state"] for x in row], ["host-closed"])
    piece = bytes(1_000_000)
    for _ in range(UPLOAD // len(piece)):
        sock.sendall(piece)
    sock.shutdown(socket.SHUT_WR)
    lab.wait_for("all to be acknowledged", lambda: struct.unpack("i", fcntl.ioctl(
        sock, termios.TIOCOUTQ, bytes(4)))[0] == 0, 30)
    expect(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0, "an error of the socket")
    sock.close()


@case("B4: a client goes on sending after the host's FIN")
def host_closes_first(lab):
    address = grant(lab)
    server = listen(lab)
    got = hashlib.sha1()

    def receive():
        connection, _ = server.accept()
        with connection:
            connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(1 << 20):
                got.update(data)
    thread = threading.Thread(target=receive)
    thread.start()
    sock = lab.tcp("client", address, PORT)
    expect(sock.recv(1), b"", "the host's end")
    expect(states(lab), ["host-closed"])
    sent = hashlib.sha1()
    for i in range(UPLOAD // 1_000_000):
        piece = hashlib.shake_128(struct.pack("!I", i)).digest(1_000_000)
        sent.update(piece)
        sock.sendall(piece)
    sock.close()
    thread.join(60)
    server.close()
    expect(got.hexdigest(), sent.hexdigest())
    expect_forgotten(lab)


def reset(sock):
    """Close with a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@case("B4: RST from either side, and FIN from both, free the flow at both ends in seconds")
def freed(lab):
    address = grant(lab)
    with listen(lab) as server:
        for how in ("client resets", "host resets", "both close"):
            sock = lab.tcp("client", address, PORT)
            connection, _ = server.accept()
            sock.sendall(b"x")
            expect(connection.recv(1), b"x")
            expect(states(lab), ["established"], how)
            if how == "client resets":
                reset(sock)
            elif how == "host resets":
                reset(connection)
            connection.close()
            sock.close()
            expect_forgotten(lab)
