"""Connectors: two of one network share its flows, and one of them, or its path, fails."""
import signal
import time

from labtest import case, expect, expect_true
from labtest.crowd import Attempts, crowd, flows_by_connector, peers, second_connector
from netlab import daemons, extras, process, topology

GIT = "git.corp.example"
CROWD = 10000
REQUEST = b"GET /whoami HTTP/1.1\r\nHost: git.corp.example\r\n\r\n"


def whoami(sock):
    """The connector that a connection goes by, as the private host sees it."""
    sock.sendall(REQUEST)
    data = b""
    while not data.endswith(b"\n") or b"\r\n\r\n" not in data:
        piece = sock.recv(4096)
        if not piece:
            return ""
        data += piece
    return data.partition(b"\r\n\r\n")[2].decode().strip()


def fail_path(host, is_broken):
    """Packets of a connector, both ways, end at the router."""
    lines = "nft delete table ip broken 2>/dev/null || true\n"
    if is_broken:
        lines += f"""nft 'add table ip broken
add chain ip broken forward {{ type filter hook forward priority 1; }}
add rule ip broken forward iifname "{host}" drop
add rule ip broken forward oifname "{host}" drop'"""
    process.shell("underlay", lines)


@case("C3: two connectors share new flows by their weights, and each flow stays where it began", alone=True)
def weights(lab):
    with second_connector(lab, weight=50, first=150):
        socks = [lab.tcp("client", lab.address_of("client", GIT), 80) for _ in range(12)]
        by = [whoami(s) for s in socks]
        with crowd(lab, 800) as held:
            found = flows_by_connector(lab)
            share = found.get("connector", 0) / 800
            lab.note(f"of 800 flows {found}, by weights of 150 and 50")
            expect_true(0.68 < share < 0.82, f"about three quarters at connector: {found}")
            rows = peers(lab)
            expect((rows["connector"]["weight"], rows["connector-b"]["weight"]), (150, 50))
            lab.wait_for("the load in heartbeats", lambda: all(
                r["load"] > 0 for n, r in peers(lab).items() if n != "connector2"))
            expect(held.ask(), {"answered": 800, "lost": 0})
        # Weights change; flows do not move.
        lab.set_config("pop", lab.config_of("pop").replace("weight = 150", "weight = 1"))
        lab.control("pop", "reload")
        expect([whoami(s) for s in socks], by, "the connectors of flows")
        new = [lab.tcp("client", lab.address_of("client", GIT), 80) for _ in range(12)]
        expect_true(sum(whoami(s) == "10.20.0.3" for s in new) >= 9, "new flows to go by the weights")
        for s in (*socks, *new):
            s.close()


@case("C2: kill -9 of one of two connectors under 10,000 flows: new flows go to the other within "
      "300 ms, its connections are reset at 1 s", alone=True)
def kill_one(lab):
    with second_connector(lab), crowd(lab, CROWD) as held:
        before = flows_by_connector(lab)
        attempts = Attempts("client", lab.address_of("client", GIT), 80)
        killed = time.monotonic()
        daemons.stop("connector-b", signal.SIGKILL)
        done = attempts.run(2.5)
        state = lab.wait_for("the resets", lambda: (s := held.state())["reset"]
                             >= before["connector-b"] and s)
        first = next(began + took - killed for began, took, error in done if not error)
        hit = [began - killed for began, took, error in done if error or took > 0.25]
        # Until this moment a new flow could still fall on the dead one.
        last_hit = max(hit, default=0)
        lab.note(f"first new flow {first * 1000:.0f} ms after the kill; none begun later than "
                 f"{last_hit * 1000:.0f} ms after it was held up ({len(hit)} of {len(done)}); resets "
                 f"{(state['first'] - killed) * 1000:.0f} to {(state['last'] - killed) * 1000:.0f} ms "
                 f"after it; flows {before}")
        expect([d for d in done if d[2]], [], "new flows that failed for good")
        expect_true(last_hit < 0.8, f"no new flow to meet the dead one after {last_hit:.3f} s")
        expect(state["reset"], before["connector-b"], "connections reset")
        expect_true(0.9 < state["first"] - killed < 2, "resets when it is declared dead")
        expect_true(state["last"] - killed < 3, "all resets soon")
        answer = held.ask()
        expect((answer["answered"], answer["lost"]), (before["connector"], before["connector-b"]),
               "the other connector's flows")


@case("C2: a connector that is killed and comes back has its connections reset when it is seen")
def kill_and_restart(lab):
    with second_connector(lab), crowd(lab, 1000) as held:
        before = flows_by_connector(lab)
        daemons.stop("connector-b", signal.SIGKILL)
        killed = time.monotonic()
        daemons.start("connector-b")
        state = lab.wait_for("the resets", lambda: (s := held.state())["reset"]
                             >= before["connector-b"] and s)
        lab.note(f"resets {(state['first'] - killed) * 1000:.0f} to "
                 f"{(state['last'] - killed) * 1000:.0f} ms after the restart began")
        expect(state["reset"], before["connector-b"], "connections reset")
        expect_true(state["last"] - killed < 3, "all resets soon")
        daemons.wait_ready(["connector-b"])
        lab.wait_for("the session", lambda: peers(lab)["connector-b"]["state"] == "up")
        rows = peers(lab)
        expect((rows["connector-b"]["preference"], rows["connector"]["preference"]), (0, 100),
               "the path of the one that failed in doubt")


@case("C2: a planned drain of one of two connectors loses none of 10,000 flows")
def drain_one(lab):
    with second_connector(lab), crowd(lab, CROWD) as held:
        lab.control("connector-b", "drain", "stay")
        lab.wait_for("the PoP to know", lambda: peers(lab)["connector-b"]["state"] == "draining")
        new = [lab.tcp("client", lab.address_of("client", GIT), 80) for _ in range(20)]
        expect({whoami(s) for s in new}, {topology.CONNECTOR_PRIVATE}, "who has new flows")
        answer = held.ask()
        lab.note(f"drain of connector-b: {answer}")
        expect(answer, {"answered": CROWD, "lost": 0})
        lab.control("connector-b", "drain", "undo")
        for s in new:
            s.close()


@case("C2: a planned drain of the PoP loses none of 10,000 flows")
def drain_pop(lab):
    with crowd(lab, CROWD) as held:
        lab.control("pop", "drain", "stay")
        expect(lab.tcp("client", lab.address_of("client", GIT), 80), "ECONNREFUSED", "a new flow")
        answer = held.ask()
        lab.note(f"drain of the PoP: {answer}")
        expect(answer, {"answered": CROWD, "lost": 0})
        lab.control("pop", "drain", "undo")


@case("C2 C3: under 10,000 flows a path that fails twice a second for 8 s moves preference once, no new flow waits for "
      "it, and none of those there is lost", alone=True)
def flapping(lab):
    with second_connector(lab), crowd(lab, CROWD) as held:
        attempts = Attempts("client", lab.address_of("client", GIT), 80)
        before = peers(lab)
        began = time.monotonic()
        try:
            fail_path("connector-b", True)
            time.sleep(0.4)
            while time.monotonic() - began < 8:
                fail_path("connector-b", False)
                attempts.run(0.1)
                fail_path("connector-b", True)
                attempts.run(0.4)
        finally:
            fail_path("connector-b", False)
        after = peers(lab)
        changes = {n: after[n]["changes"] - before[n]["changes"] for n in ("connector", "connector-b")}
        slow = [d for d in attempts.done if d[0] - began > 0.8 and (d[2] or d[1] > 0.5)]
        lab.note(f"{len(attempts.done)} new flows while the path failed twice a second for 8 s; changes "
                 f"{changes}; held up: {len(slow)}")
        expect(changes, {"connector": 0, "connector-b": 1}, "changes of preference")
        expect(slow, [], "new flows that waited")
        expect(held.ask(), {"answered": CROWD, "lost": 0})


@case("C2: PoP and connector killed together under 10,000 flows come back by themselves; who has one of those hears "
      "so when it next says something", ends="pop connector")
def both_killed(lab):
    address = lab.address_of("client", GIT)
    with crowd(lab, CROWD) as held:
        for host in ("pop", "connector"):
            lab.stop(host, signal.SIGKILL)
        began = time.monotonic()
        for host in ("pop", "connector"):
            lab.start_again(host, wait=False)
        lab.wait_for("a new flow", lambda: not isinstance(lab.tcp("client", address, 80, 1), str))
        took = time.monotonic() - began
        expect(held.ask()["answered"], 0, "flows of before that nobody knows")
        nb_reset = held.state()["reset"]
        lab.note(f"a new flow {took:.2f} s after both were started again; {nb_reset} of {CROWD} reset when they spoke")
        expect_true(nb_reset >= 0.99 * CROWD, f"resets, not {nb_reset}")
    expect(lab.curl("client", f"http://{GIT}/").out, lab.page("private", "git"))


@case("C1: a connector started last, behind its NAT: what a client resolved and tried before works without it "
      "doing anything", ends="pop connector")
def started_last(lab):
    for host in ("connector", "pop"):
        lab.stop(host)
    lab.start_again("pop", wait=False)
    lab.wait_for("the name", lambda: lab.dig("client", GIT).data())
    address = lab.address_of("client", GIT)
    expect(lab.tcp("client", address, 80), "EHOSTUNREACH", "without a connector")
    began = time.monotonic()
    lab.start_again("connector", wait=False)
    lab.wait_for("the connection", lambda: not isinstance(lab.tcp("client", address, 80, 2), str))
    lab.note(f"a connection {time.monotonic() - began:.2f} s after the connector's start")
    rows = {r["peer"]: r for r in lab.show("pop", "show", "sessions")["rows"]}
    expect_true(rows["connector"]["remote"].startswith("198.51.100.1:"), "the NAT's address at the PoP")
    drops = {r["name"]: r["packets"] for r in lab.show("connector", "show", "drops")["rows"]}
    expect(drops.get("tunnel_seal_no_endpoint", 0), 0, "datagrams lost on the way to proving the key")
    listening = [line for line in lab.run("connector", "ss", "-Hlnut").out.splitlines()
                 if "127.0.0.1:9464" not in line]
    expect(listening, [], "sockets that listen at the connector, but for metrics")
    lab.wait_ready()


def go_by(pop):
    process.shell("client", "".join(f"ip route replace {to} via {pop} dev access onlink\n"
                                    for to in (topology.POOL, topology.RESOLVERS[0])))


@case("C1 C2: a connector dials two PoPs, serves clients of both, and goes on with one when the other dies",
      ends="connector")
def two_pops(lab):
    key = extras.start("pop-b")
    try:
        lab.stop("connector")
        lab.set_config("connector", extras.with_peer(
            lab.config_of("connector"), "pop-b", "198.51.101.2:4501", key))
        lab.start_again("connector")
        # A PoP takes a session for up when the first datagram proves it, a moment after the connector.
        lab.wait_for("both sessions at both ends", lambda: [
            *(r["state"] for r in peers(lab, "connector").values()),
            *(peers(lab, pop).get("connector", {}).get("state") for pop in ("pop", "pop-b"))
        ] == ["up"] * 4)
        expect(lab.curl("client", f"http://{GIT}/").out, lab.page("private", "git"))
        go_by(topology.POP_B_CLIENTS)
        expect(lab.curl("client", f"http://{GIT}/").out, lab.page("private", "git"), "by the second PoP")
        expect_true(lab.show("pop-b", "show", "flows", "all")["rows"], "the flow at the second PoP")
        daemons.stop("pop-b", signal.SIGKILL)
    finally:
        go_by(topology.POP_CLIENTS)
        extras.stop("pop-b")
    expect(lab.curl("client", f"http://{GIT}/").out, lab.page("private", "git"), "by the first again")
    lab.wait_for("one session down", lambda: peers(lab, "connector")["pop-b"]["state"] == "down")
    expect(lab.try_control("connector", "health").code, 0, "health with one PoP")
