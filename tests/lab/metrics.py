"""Metrics: what Prometheus and a load balancer's check see over HTTP."""
import json
import os
import re
import shutil

from labtest import case, expect, expect_true
from netlab import process, topology

GIT = "git.corp.example"
BASE = "http://127.0.0.1:9464"
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? '
                    r'([0-9]+(?:\.[0-9]+)?)')


def fetch(lab, host):
    return lab.ok(host, "curl", "-sS", "--fail", "--max-time", 10, f"{BASE}/metrics")


def parse(text):
    """{(metric, labels): value}; a line that is none is a failure."""
    samples, described, last = {}, set(), None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            last = line.split()[2]
            expect_true(last not in described, f"{last} described once")
            described.add(last)
            continue
        match = SAMPLE.fullmatch(line)
        expect_true(match is not None, f"a sample, not {line!r}")
        expect(re.sub("_(bucket|sum|count)$", "", match[1]) if last.endswith("_seconds") else match[1],
               last, "the metric a sample follows")
        expect_true((match[1], match[2]) not in samples, f"one sample of {line!r}")
        samples[match[1], match[2]] = float(match[3])
    return samples


@case("E6: /metrics of every daemon is Prometheus text")
def text(lab):
    for host in topology.DAEMONS:
        out = fetch(lab, host)
        samples = parse(out)
        expect_true(len(samples) > 100, f"over 100 samples on {host}, not {len(samples)}")
        expect(samples["sluice_ready", None], 1.0, f"sluice_ready on {host}")
        if promtool := shutil.which("promtool"):
            done = lab.run(host, promtool, "check", "metrics", stdin=out)
            expect(done.code, 0, f"promtool of {host}: {done.err}")


@case("E6: what a first packet waits for is timed by stage, and flows are counted by who and whither")
def stages(lab):
    def counts(host):
        found = parse(fetch(lab, host))
        return {key: value for key, value in found.items() if key[0].endswith("_seconds_count")
                or key[0].endswith("_begun_total") or key[0].endswith("_denied_packets_total")}
    before = {host: counts(host) for host in ("pop", "connector")}
    name = f"x{os.urandom(4).hex()}.dev.corp.example"
    lab.curl("client", f"http://{name}/")
    lab.tcp("client", lab.address_of("client", GIT), 22, 1)
    after = {host: counts(host) for host in ("pop", "connector")}
    for host, metric, labels in (
            ("pop", "first_packet_seconds_count", 'stage="dns"'),
            ("pop", "first_packet_seconds_count", 'stage="policy"'),
            ("pop", "first_packet_seconds_count", 'stage="tunnel"'),
            ("pop", "first_packet_seconds_count", 'stage="answer"'),
            ("pop", "dns_seconds_count", 'way="first_sight"'),
            ("connector", "first_packet_seconds_count", 'stage="resolve"'),
            ("connector", "first_packet_seconds_count", 'stage="connect"'),
            ("pop", "tenant_flows_begun_total", 'tenant="acme"'),
            ("pop", "client_flows_begun_total", 'tenant="acme",client="client"'),
            ("pop", "resource_flows_begun_total", 'tenant="acme",resource="*.dev.corp.example"'),
            ("pop", "name_flows_begun_total", f'tenant="acme",name="{name}"'),
            ("pop", "client_denied_packets_total", 'tenant="acme",client="client"'),
            ("pop", "resource_denied_packets_total", 'tenant="acme",resource="git.corp.example"')):
        key = f"sluice_{metric}", labels
        expect_true(after[host].get(key, 0) > before[host].get(key, 0), f"{key} of {host} to grow")


@case("E6: counters move with traffic, and only upwards")
def counters(lab):
    before = parse(fetch(lab, "pop"))
    lab.curl("client", f"http://{GIT}/")
    after = parse(fetch(lab, "pop"))
    for metric in ("sluice_port_received_packets_total", "sluice_port_sent_packets_total"):
        for port in ("clients", "underlay"):
            key = metric, f'port="{port}"'
            expect_true(after[key] > before[key], f"{key} above {before[key]}: {after[key]}")
    for key, value in before.items():
        if key[0].endswith("_total"):
            expect_true(after[key] >= value, f"{key} not to fall from {value} to {after[key]}")
    up = {key[1]: value for key, value in after.items() if key[0] == "sluice_peer_up"}
    expect_true(1.0 in up.values(), f"a peer that is up in {up}")


@case("E6: /health is 200 and says the same as sluicectl health")
def health(lab):
    for host in topology.DAEMONS:
        out = lab.ok(host, "curl", "-sS", "--max-time", 10, "-w", "\n%{http_code}", f"{BASE}/health")
        body, code = out.rsplit("\n", 1)
        expect(code, "200", f"the code of /health on {host}: {body}")
        told = json.loads(lab.control(host, "--json", "health"))
        expect(json.loads(body), told.get("result", told), f"/health on {host}")


@case("E6: /health is 503 with the reason while the underlay is down", our_fault=True)
def unhealthy(lab):
    def code():
        out = lab.ok("pop", "curl", "-sS", "--max-time", 10, "-w", "\n%{http_code}", f"{BASE}/health")
        return out.rsplit("\n", 1)[::-1]
    process.shell("underlay", "ip link set pop down")
    try:
        lab.wait_for("/health to be 503", lambda: code()[0] == "503")
        expect_true("underlay" in code()[1], f"the port's name in {code()[1]!r}")
    finally:
        process.shell("underlay", "ip link set pop up")
    lab.wait_for("/health to be 200 again", lambda: code()[0] == "200")


@case("E6: metrics are on loopback alone, and nothing else is served")
def loopback(lab):
    listening = lab.ok("pop", "ss", "-Hltn")
    expect_true("127.0.0.1:9464" in listening, f"127.0.0.1:9464 in {listening!r}")
    expect_true("0.0.0.0:9464" not in listening, f"no other address in {listening!r}")
    for argv, code in ((("/",), "404"), (("-X", "POST", "-d", "x", "/metrics"), "405")):
        out = lab.run("pop", "curl", "-sS", "--max-time", 10, "-o", "/dev/null", "-w", "%{http_code}",
                      *argv[:-1], BASE + argv[-1]).out
        expect(out, code, f"the code of {argv}")


@case("E6: DNS over TCP is counted: connections, questions and answers")
def streams(lab):
    def counts():
        found = parse(fetch(lab, "pop"))
        return [found[f"sluice_dns_stream_{what}_total", None] for what in ("accepted", "questions", "answers")]
    before = counts()
    expect(lab.dig("client", GIT, "A", "+tcp").status, "NOERROR")
    lab.wait_for("the counts to grow", lambda: all(a > b for a, b in zip(counts(), before)))
