"""Limits: a tenant or client at its limit is refused, counted and shown, and costs nobody else anything."""
import json
import os
import signal
import statistics
import time

from labtest import case, expect, expect_true
from netlab import process, topology

GIT = "git.corp.example"
LIMITS = ("limits = { flows = 300; new_flows_per_s = 200; dns_per_s = 20; client_flows = 250;"
          " client_half_open = 100; };")
ROUNDS = 12


def limit(lab):
    good = lab.config_of("pop")
    lab.set_config("pop", good.replace('groups = ["staff", "finance"];',
                                       LIMITS + ' groups = ["staff", "finance"];', 1))
    lab.control("pop", "reload")


def row_of(lab, tenant, client="-"):
    rows = lab.show("pop", "show", "limits", "all")["rows"]
    return next(r for r in rows if r["tenant"] == tenant and r["client"] == client)


def signal_all(processes, number):
    for p in processes:
        for pid in (p.pid, *process.children(p.pid)):
            os.kill(pid, number)


def one_round(lab, i, failed):
    """A page and a name of the other tenant; how long the page took."""
    began = time.monotonic()
    done = lab.curl("client3", f"http://{GIT}/", "--max-time", "5")
    took = time.monotonic() - began
    if done.out != lab.page("private2", "git"):
        failed.append(f"page {i}: {done.code} {done.err}")
    answer = lab.dig("client3", GIT, "A", "+tries=1", "+time=2")
    if answer.status != "NOERROR":
        failed.append(f"name {i}: {answer.status}")
    return took


def measure_once(lab, flood):
    """Flood from the client of one tenant; the other's must not notice. What failed of it, and the median
    time of its pages during the flood over that without, the two taken in turn."""
    processes = [lab.start("client", *argv) for argv in flood]
    failed, flooded, calm = [], [], []
    try:
        for i in range(ROUNDS):
            flooded.append(one_round(lab, i, failed))
            expect([p.poll() for p in processes], [None] * len(processes), "the flood goes on")
            signal_all(processes, signal.SIGSTOP)
            time.sleep(0.1)
            calm.append(one_round(lab, i, failed))
            signal_all(processes, signal.SIGCONT)
            time.sleep(0.1)
    finally:
        signal_all(processes, signal.SIGCONT)
        for p in processes:
            p.terminate()
            p.communicate()
    ratio = statistics.median(flooded) / statistics.median(calm)
    lab.note(f"the other tenant's pages: {statistics.median(calm) * 1000:.0f} ms, during the flood "
             f"{statistics.median(flooded) * 1000:.0f} ms; failed: {len(failed)}")
    return failed, ratio


def measure(lab, flood):
    """The best of three: a machine that is busy with something else fails one now and then."""
    for _ in range(3):
        failed, ratio = measure_once(lab, flood)
        if not failed and ratio < 2:
            break
    return failed, ratio


def hping(*options):
    return ("hping3", "-q", "-n", "-i", "u500", *options)


@case("E9: a flood of connections from one tenant is held to its limits and costs another nothing")
def syn_flood(lab):
    address = lab.address_of("client", GIT)
    limit(lab)
    failed, ratio = measure(lab, [hping("-S", "-p", "443", "-s", "2000", address),
                              hping("-S", "-p", "80", "-s", "30000", address)])
    expect(failed, [], "the other tenant's")
    expect_true(ratio < 2, f"its pages not to take {ratio:.1f} times as long")
    acme, client = row_of(lab, "acme"), row_of(lab, "acme", "client")
    expect_true(acme["flows"] <= 300 and client["half_open"] <= 100, f"{acme} {client}")
    refused = client["refused_half_open"] + client["refused_flows"] + acme["refused_rate"]
    expect_true(refused > 100, f"{acme} {client}")
    globex = row_of(lab, "globex")
    expect((globex["refused_flows"], globex["refused_rate"], globex["refused_dns"]), (0, 0, 0))


@case("E9: UDP one-shots from ever new ports are held to the limits and cost another tenant nothing")
def udp_flood(lab):
    address = lab.address_of("client", "perf.corp.example")
    limit(lab)
    failed, ratio = measure(lab, [hping("--udp", "-p", "7", "-s", "2000", address)])
    expect(failed, [], "the other tenant's")
    expect_true(ratio < 2, f"its pages not to take {ratio:.1f} times as long")
    acme, client = row_of(lab, "acme"), row_of(lab, "acme", "client")
    expect_true(acme["flows"] <= 300 and client["flows"] <= 250, f"{acme} {client}")
    expect_true(client["refused_flows"] + acme["refused_flows"] + acme["refused_rate"] > 100,
                f"{acme} {client}")


@case("E9: a flood of DNS questions from one tenant is held to its rate and costs another nothing")
def dns_flood(lab):
    limit(lab)
    queries = f"{process.folder('client')}/queries"
    with open(queries, "w") as f:
        f.write(f"{GIT} A\n" * 100)
    flood = ["dnsperf", "-q", "5000", "-Q", "2000", "-l", "60", "-t", "1", "-s",
             topology.RESOLVERS[0], "-d", queries]
    failed, ratio = measure(lab, [flood])
    expect(failed, [], "the other tenant's")
    expect_true(ratio < 2, f"its pages not to take {ratio:.1f} times as long")
    acme = row_of(lab, "acme")
    expect_true(acme["refused_dns"] > 100, f"{acme}")
    drops = {r["name"]: r["packets"] for r in lab.show("pop", "show", "drops")["rows"]}
    expect_true(drops.get("dns_answer_limited", 0) > 100, f"counted drops: {drops}")


@case("E9: the flow log names the limit that refused")
def limit_is_named(lab):
    address = lab.address_of("client", "perf.corp.example")
    limit(lab)
    flood = lab.start("client", *hping("--udp", "-p", "7", "-s", "2000", address))
    try:
        lab.wait_for("refusals", lambda: row_of(lab, "acme", "client")["refused_flows"] > 10)
    finally:
        flood.terminate()
        flood.communicate()
    def reasons():
        with open(f"{process.folder('pop')}/log/flows.log") as f:
            return {json.loads(line).get("reason") for line in f}
    lab.wait_for("the line", lambda: "limit client_flows" in reasons(), 30)


@case("E6: explain names what a client uses of its limits, and the limit that refuses a new flow")
def explained(lab):
    good = lab.config_of("pop")
    lab.set_config("pop", good.replace('groups = ["staff", "finance"];',
                                       'limits = { client_flows = 3; }; groups = ["staff", "finance"];', 1))
    lab.control("pop", "reload")
    address = lab.address_of("client", "perf.corp.example")
    asked = ("explain", "client", "perf.corp.example", "udp", "7")
    lab.wait_for("flows of before to end", lambda: row_of(lab, "acme", "client")["flows"] == 0, 150)
    lab.wait_for("a connector", lambda: lab.show("pop", *asked)["reachable"])
    told = lab.show("pop", *asked)
    expect((told["decision"], told["limit"]), ("admitted", None))
    expect_true(any("flows 0 of 3" in note for note in told["notes"]), f"the limit in {told['notes']}")
    socks = [lab.udp("client") for _ in range(3)]
    for sock in socks:
        sock.sendto(b"x", (address, 7))
        expect(sock.recv(10), b"x")
    told = lab.show("pop", *asked)
    expect((told["decision"], told["limit"], told["reachable"]), ("admitted", "client_flows", False))
    expect_true(any("flows 3 of 3" in note for note in told["notes"]), f"the limit in {told['notes']}")
    for sock in socks:
        sock.close()
