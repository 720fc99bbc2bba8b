"""Reload: wrong files of every kind change nothing, and say where, why and what to do."""
import re

from labtest import case, expect, expect_true
from netlab import daemons, process, topology

GIT = "git.corp.example"
REQUEST = b"GET /whoami HTTP/1.1\r\nHost: git.corp.example\r\n\r\n"
FIRST = '{ address = "git.corp.example"; tcp = [80, 443]; udp = 53; icmp = true; groups = ["staff"]; },'
# What is changed, and the words that the refusal has: why, and the remedy.
POP_ROWS = (
    ("a word that is no key", ('groups = ["staff"]; },', 'gruops = ["staff"]; },'), ("gruops",)),
    ("a group that is not there", ('groups = ["staff"]; },', 'groups = ["stuff"]; },'), ("stuff",)),
    ("a port that is none", ("tcp = 5201", "tcp = 99999"), ("99999",)),
    ("syntax", ("tenants = (", "tenants = (("), ("syntax",)),
    ("a tie", (FIRST, FIRST + FIRST), ("git.corp.example",)),
    ("two clients of one address", ('source = "10.1.0.12"', 'source = "10.1.0.10"'), ("share a source",)),
    ("what needs a restart", ("udp_port = 4501", "udp_port = 4502"), ("restart",)),
    ("a network that has no connector of that key", ('{ name = "office"', '{ naem = "office"'), ("naem",)),
)


def request(sock):
    sock.sendall(REQUEST)
    data = b""
    while not data.endswith(topology.CONNECTOR_PRIVATE.encode() + b"\n"):
        piece = sock.recv(4096)
        if not piece:
            break
        data += piece
    return data.partition(b"\r\n\r\n")[2].decode()


def facts(lab):
    """What a reload would change: names, resources, clients."""
    return [lab.show("pop", "show", noun)["rows"] for noun in ("resources", "clients")]


@case("C6: wrong files of every kind change nothing and say file, line, reason and remedy")
def wrong_files(lab):
    good = lab.config_of("pop")
    sock = lab.tcp("client", lab.address_of("client", GIT), 80)
    expect(request(sock), topology.CONNECTOR_PRIVATE + "\n")
    before = facts(lab)[0]
    for what, (old, new), words in POP_ROWS:
        expect_true(old in good, f"{old!r} in the configuration")
        lab.set_config("pop", good.replace(old, new, 1))
        done = lab.try_control("pop", "reload")
        told = done.out + done.err
        expect(done.code, 1, f"{what}: {told}")
        if "restart" not in words:
            expect_true(re.search(r"sluice\.conf:\d+", told), f"{what}: file and line in {told!r}")
        for word in words:
            expect_true(word in told, f"{what}: {word!r} in {told!r}")
        # A remedy stands after the reason, behind a semicolon.
        expect_true(re.search(r"; \S+", told), f"{what}: a remedy in {told!r}")
        expect(facts(lab)[0], before, what)
        expect(request(sock), topology.CONNECTOR_PRIVATE + "\n", what)
    sock.close()
    lab.set_config("pop", good)
    lab.control("pop", "reload")
    expect(lab.curl("client", f"http://{GIT}/").out, lab.page("private", "git"))


@case("C6: a file that is gone, or that a connector cannot use, changes nothing either")
def gone_file(lab):
    import os
    path = daemons.config_path("pop")
    os.rename(path, path + ".away")
    try:
        done = lab.try_control("pop", "reload")
        expect_true(done.code == 1 and path in done.out + done.err, f"the file in {done}")
    finally:
        os.rename(path + ".away", path)
        lab.control("pop", "reload")
    good = lab.config_of("connector")
    lab.set_config("connector", good.replace('"10.20.0.53"', '"10.20.0.553"', 1))
    done = lab.try_control("connector", "reload")
    told = done.out + done.err
    expect_true(done.code == 1 and "10.20.0.553" in told and re.search(r"sluice\.conf:\d+", told), told)
    expect(lab.curl("client", f"http://{GIT}/").out, lab.page("private", "git"))
    lab.set_config("connector", good)
    lab.control("connector", "reload")
    expect_true(process.running("pop", "sluice") and process.running("connector", "sluice"), "daemons")


@case("B11: a cable that is cut on the private side and joined again needs nobody's hand", our_fault=True)
def private_link(lab):
    address = lab.address_of("client", GIT)
    expect(lab.curl("client", f"http://{GIT}/").out, lab.page("private", "git"))
    process.shell("private", "ip link set connector down")
    try:
        expect_true(isinstance(lab.tcp("client", address, 80, 1), str), "no connection")
    finally:
        process.shell("private", "ip link set connector up")
    lab.wait_for("a page again", lambda: lab.curl(
        "client", f"http://{GIT}/", "--max-time", "2").out == lab.page("private", "git"))


@case("B11: a full table is counted and bounded, and passes by itself when flows end", ends="pop")
def full_table(lab):
    good = lab.config_of("pop")
    text = re.sub(r"flows = 65536;", "flows = 64;", good)
    expect_true("system = {" in text, "the system part")
    lab.set_config("pop", text + "\ntimers = { udp_s = 5; };\n" if "timers" not in text else text)
    lab.stop("pop")
    lab.start_again("pop")
    lab.wait_ready()
    address = lab.address_of("client", "perf.corp.example")
    socks = [lab.udp("client", 3) for _ in range(90)]
    try:
        for sock in socks:
            sock.connect((address, 7))
            try:
                sock.send(b"x")
                sock.recv(10)
            except OSError:
                pass
        rows = [r for r in lab.show("pop", "show", "flows", "all")["rows"] if not r["cause"]]
        expect_true(len(rows) <= 64, f"{len(rows)} flows")
        lab.wait_for("a page again", lambda: lab.curl(
            "client", f"http://{GIT}/", "--max-time", "2").out == lab.page("private", "git"), 60)
    finally:
        for sock in socks:
            sock.close()
        lab.set_config("pop", good)
        lab.stop("pop")
        lab.start_again("pop")
        lab.wait_ready()
