"""The flow log: who used what, what was denied and by which rule, and that nothing is counted twice."""
import json
import os
import signal
import time

from labtest import case, expect, expect_true
from netlab import process, topology

GIT = "git.corp.example"
WINDOW_S = 30  # denials that are told together come within this


def path_of(host):
    return f"{process.folder(host)}/log/flows.log"


def lines(host="pop", name=None):
    try:
        with open(name or path_of(host)) as f:
            return [json.loads(line) for line in f]
    except FileNotFoundError:
        return []


def denied(before, **wanted):
    """Packets refused since `before` lines, of those that match."""
    return sum(line["count"] for line in lines()[before:] if line["event"] == "deny"
               and all(line.get(key) == value for key, value in wanted.items()))


@case("B3: what is denied is logged with client, name, port and rule, and counts add up")
def denial_is_logged(lab):
    address = lab.address_of("client", GIT)
    before = len(lines())
    for _ in range(7):
        expect(lab.tcp("client", address, 25), "ECONNREFUSED")
    lab.wait_for("the line", lambda: denied(before, port=25))
    line = next(x for x in lines()[before:] if x["event"] == "deny" and x["port"] == 25)
    expect((line["tenant"], line["client"], line["client_address"], line["name"], line["address"],
            line["protocol"], line["rule"], line["reason"]),
           ("acme", "client", topology.CLIENTS["client"], GIT, address, "tcp", GIT, "policy"))
    lab.wait_for("seven denials", lambda: denied(before, port=25) >= 7, WINDOW_S)
    expect(denied(before, port=25), 7)


@case("B3: a packet to an address that is nobody's is logged as that")
def unknown_is_logged(lab):
    before = len(lines())
    expect(lab.tcp("client", "100.111.112.113", 80), "ECONNREFUSED")
    lab.wait_for("the line", lambda: denied(before, reason="unknown-address"))
    line = next(x for x in lines()[before:] if x.get("reason") == "unknown-address")
    expect((line["client"], line["address"], line["name"], line["rule"]),
           ("client", "100.111.112.113", None, None))


def of_flow(before, host="pop", **wanted):
    return [line for line in lines(host)[before:]
            if all(line.get(key) == value for key, value in wanted.items())]


@case("flow log: a flow is logged when it begins and when it ends, with what it carried and why")
def flow_is_logged(lab):
    before = len(lines()), len(lines("connector"))
    done = lab.curl("client", f"http://{GIT}/blob", "-o", "/dev/null", "-w",
                    "%{local_port} %{size_download}")
    port, size = map(int, done.out.split())
    lab.wait_for("the end", lambda: of_flow(before[0], event="end", client_port=port), WINDOW_S)
    start, end = of_flow(before[0], client_port=port)
    expect((start["event"], end["event"]), ("start", "end"))
    for line in (start, end):
        expect((line["client"], line["name"], line["resource"], line["protocol"], line["port"],
                line["connector"]), ("client", GIT, GIT, "tcp", 80, "connector"))
    expect(end["reason"], "fin")
    expect_true(size < end["down_bytes"] < size * 1.2, f"{size} bytes down in {end}")
    expect_true(end["down_pkts"] > 10 and end["up_pkts"] > 5 and end["duration_s"] > 0, f"{end}")
    host = topology.PRIVATE_ADDRESSES["private"]["git"]
    begun = of_flow(before[1], "connector", event="start", address=host, port=80)
    expect((begun[0]["nat_address"], begun[0]["pop"], begun[0]["client"]),
           (topology.CONNECTOR_PRIVATE, "pop", None))


@case("flow log: a flow that goes on is logged meanwhile, with what it has carried, as often as a reload says")
def interim(lab):
    good = lab.config_of("pop")
    lab.set_config("pop", good.replace("system = {", "system = {\n  flow_log_interim_s = 2;", 1))
    lab.control("pop", "reload")
    before = len(lines())
    done = lab.curl("client", f"http://{GIT}/slow", "--limit-rate", "400k", "-o", "/dev/null", "-w", "%{local_port}")
    port = int(done.out)
    lab.wait_for("the end", lambda: of_flow(before, event="end", client_port=port), WINDOW_S)
    told = of_flow(before, client_port=port)
    expect([line["event"] for line in told], ["start", *["interim"] * (len(told) - 2), "end"])
    # Ten seconds of four megabytes: one line each two seconds, one more or less.
    expect_true(3 <= len(told) - 2 <= 7, f"{told}")
    for a, b in zip(told[1:], told[2:]):
        expect_true(a["down_bytes"] <= b["down_bytes"] and a["down_pkts"] <= b["down_pkts"]
                    and a["duration_s"] < b["duration_s"], f"{a}, then {b}")
        expect((a["client"], a["name"], a["resource"], a["port"]), ("client", GIT, GIT, 80))
    expect_true(0 < told[1]["down_bytes"] < told[-1]["down_bytes"], f"{told}")


@case("E5: the flow log is opened anew by sluicectl and by SIGHUP, and loses no line")
def reopened(lab):
    address = lab.address_of("client", GIT)
    for way in ("command", "signal"):
        old = path_of("pop") + "." + way
        before = len(lines())
        os.rename(path_of("pop"), old)
        # Until it is told, the daemon goes on in the file it has.
        expect(lab.tcp("client", address, 26), "ECONNREFUSED")
        lab.wait_for("the old file", lambda: any(
            x["event"] == "deny" and x["port"] == 26 for x in lines(name=old)[before:]))
        if way == "command":
            lab.control("pop", "reopen")
        else:
            os.kill(process.pid_of("pop", "sluice"), signal.SIGHUP)
        lab.wait_for("a new file", lambda: os.path.exists(path_of("pop")))
        expect(lab.tcp("client", address, 27), "ECONNREFUSED")
        lab.wait_for("a line in it", lambda: denied(0, port=27))
        time.sleep(0)
        os.unlink(old)
        # The window of these kinds of denial ends before the next round begins.
        lab.wait_for("the denials to be told", lambda: not os.path.exists(old))


@case("flow log: what it lost is shown, and that is nothing")
def nothing_lost(lab):
    for host in topology.DAEMONS:
        rows = {row["counter"]: row["value"] for row in lab.show(host, "show", "stats")["rows"]
                if row["part"] == "flow log"}
        expect(rows["lines lost"], 0, host)
        expect_true(rows["lines written"] >= 0, host)
