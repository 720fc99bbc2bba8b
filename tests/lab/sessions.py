"""Sessions: daemons that end, come back, and change their configuration under traffic."""
import re
import signal
import time

from labtest import case, expect, expect_true
from netlab import daemons, topology

GIT = "git.corp.example"
REQUEST = b"GET /whoami HTTP/1.1\r\nHost: git.corp.example\r\n\r\n"


def request(sock):
    """One request on a connection that stays open; returns the page."""
    sock.sendall(REQUEST)
    data = b""
    while not data.endswith(topology.CONNECTOR_PRIVATE.encode() + b"\n"):
        piece = sock.recv(4096)
        if not piece:
            break
        data += piece
    return data.partition(b"\r\n\r\n")[2].decode()


def drops(lab, host):
    """{drop: packets} of everything a daemon dropped. Records without a packet inside (heartbeats)
    end as record_input_consumed, joined records as tunnel_pack_joined, answers to ARP as
    arp_input_learned: nothing of theirs is lost."""
    return {row["name"]: row["packets"] for row in lab.show(host, "show", "drops")["rows"]
            if row["name"] not in ("record_input_consumed", "tunnel_pack_joined", "arp_input_learned")}


@case("C6: a reload loses no packet of a live flow")
def reload_keeps_flow(lab):
    sock = lab.tcp("client", lab.address_of("client", GIT), 80)
    expect(request(sock), topology.CONNECTOR_PRIVATE + "\n")
    before = drops(lab, "pop")
    for _ in range(3):
        lab.control("pop", "reload")
        lab.control("connector", "reload")
        expect(request(sock), topology.CONNECTOR_PRIVATE + "\n")
    after = drops(lab, "pop")
    sock.close()
    grown = {n: after[n] - before.get(n, 0) for n in after if after[n] > before.get(n, 0)}
    expect(grown, {}, "drops")


@case("C6: a reload with a wrong file changes nothing and says file, line and remedy")
def wrong_reload(lab):
    sock = lab.tcp("client", lab.address_of("client", GIT), 80)
    good = lab.config_of("pop")
    lab.set_config("pop", good.replace('groups = ["staff"]', 'gruops = ["staff"]', 1))
    done = lab.try_control("pop", "reload")
    expect_true(done.code != 0, "a refusal")
    expect_true(re.search(r"sluice\.conf:\d+", done.out + done.err), f"file and line in {done.err!r}")
    expect_true("gruops" in done.out + done.err, f"what is wrong in {done.err!r}")
    expect(request(sock), topology.CONNECTOR_PRIVATE + "\n")
    sock.close()
    expect(lab.curl("client", f"http://{GIT}/").out, lab.page("private", "git"))


@case("C6: SIGHUP reloads: a new resource can be reached, a removed one no more")
def hangup_reloads(lab):
    import os
    from netlab import process
    good = lab.config_of("pop")
    expect(lab.dig("client", "code.corp.example").status, "NXDOMAIN")
    lab.set_config("pop", good.replace('"git.corp.example"', '"code.corp.example"', 1))
    os.kill(process.pid_of("pop", "sluice"), signal.SIGHUP)
    lab.wait_for("the new name", lambda: lab.dig("client", "code.corp.example").data())
    expect(lab.curl("client", "http://code.corp.example/").out, lab.page("private", "git"))
    # What the public DNS says of it now that it is no resource.
    expect(lab.dig("client", GIT).data(), [topology.PUBLIC_ADDRESSES["www"]])


@case("C5: after a revocation the next packet of a live flow is refused")
def revocation(lab):
    address = lab.address_of("client2", "payroll.corp.example")
    sock = lab.tcp("client2", address, 80)
    sock.sendall(b"GET / HTTP/1.1\r\nHost: payroll.corp.example\r\n\r\n")
    expect_true(sock.recv(4096), "the page")
    good = lab.config_of("pop")
    rule = '"payroll.corp.example"; tcp = [80, 443]; icmp = true; groups = ["%s"]'
    changed = good.replace('groups = ["staff", "finance"];', 'groups = ["staff", "finance", "none"];')
    lab.set_config("pop", changed.replace(rule % "finance", rule % "none"))
    expect_true('["none"]' in lab.config_of("pop"), "a changed configuration")
    lab.control("pop", "reload")
    result = "nothing"
    try:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: payroll.corp.example\r\n\r\n")
        result = sock.recv(4096)
    except OSError as error:
        result = type(error).__name__
    sock.close()
    expect(result, "ConnectionResetError")


@case("A11: kill -9 of the PoP loses no answered name", ends="pop")
def kill_keeps_leases(lab):
    names = [GIT, *(f"lease-{i}.dev.corp.example" for i in range(20))]
    before = [lab.address_of("client", name) for name in names]
    lab.stop("pop", signal.SIGKILL)
    lab.start_again("pop")
    # Without a new query: who has an address can use it.
    last = lab.curl("client", f"http://{before[-1]}/", "-H", "Host: lease-19.dev.corp.example")
    expect(last.out, lab.page("private", "dev"))
    expect([lab.address_of("client", name) for name in names], before)


@case("C1: a connector that comes back after an outage works without the client doing anything",
      ends="connector")
def connector_returns(lab):
    address = lab.address_of("client", GIT)
    expect(lab.stop("connector"), "0", "the exit status")
    result = lab.curl("client", f"http://{GIT}/", "--max-time", "10")
    expect_true(result.code in (7, 28, 56), f"no page, but curl exits with {result.code}")
    lab.start_again("connector")
    lab.wait_ready()
    expect(lab.curl("client", f"http://{GIT}/").out, lab.page("private", "git"))
    expect(lab.address_of("client", GIT), address)


@case("E3: SIGTERM ends every daemon within 2 s with status 0", ends="pop connector connector2")
def sigterm(lab):
    for host in topology.DAEMONS:
        began = time.monotonic()
        expect(lab.stop(host), "0", f"the exit status of {host}")
        expect_true(time.monotonic() - began < 2, f"{host} to end within 2 s")
    for host in topology.DAEMONS:
        lab.start_again(host, wait=False)
    daemons.wait_ready()
    expect(lab.curl("client", f"http://{GIT}/").out, lab.page("private", "git"))
