"""Dashboard: every query of the Grafana dashboard and every alarm of docs/operations.md, asked of a
real Prometheus that scrapes the three daemons of the lab."""
import json
import os
import re
import signal
import subprocess
import tempfile
import urllib.parse
from contextlib import contextmanager

from labtest import case, expect, expect_true
from netlab import process, topology

GIT = "git.corp.example"
DASHBOARD = os.path.join(process.TOP, "packaging", "grafana-dashboard.json")
OPERATIONS = os.path.join(process.TOP, "docs", "operations.md")
HOST = "public"  # where Prometheus runs: a host's namespace with nothing on loopback but it
PORT, FIRST_TARGET = 19090, 19101


def expressions():
    """[(panel, PromQL)] with the dashboard's variables filled in."""
    with open(DASHBOARD) as f:
        dashboard = json.load(f)
    found = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            text = target["expr"].replace("$__rate_interval", "8s").replace("$instance", ".+")
            found.append((panel["title"], text))
    return found


def alarms():
    """[(alarm, PromQL)] of the table of alarms."""
    with open(OPERATIONS) as f:
        table = f.read().split("## Alarms", 1)[1].split("\n## ", 1)[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    found = []
    for row in rows:
        for text in re.findall(r"`([^`]*)`", row[1].replace("\\|", "|")):
            if re.search(r"[<>=(]", text):
                found.append((row[0].strip("| "), text))
    return found


@contextmanager
def prometheus(lab):
    """A Prometheus that scrapes all daemons each second; yields a function that asks it."""
    running = []
    with tempfile.TemporaryDirectory(prefix="sluice-prometheus-") as folder:
        targets = ""
        for i, host in enumerate(topology.DAEMONS):
            # The metrics are on the loopback of the daemon's own namespace: a file joins the two.
            path = f"{folder}/{host}.sock"
            running.append(lab.start(host, "socat", f"UNIX-LISTEN:{path},fork", "TCP:127.0.0.1:9464"))
            running.append(lab.start(HOST, "socat", f"TCP-LISTEN:{FIRST_TARGET + i},bind=127.0.0.1,"
                                     "fork,reuseaddr", f"UNIX-CONNECT:{path}"))
            targets += (f"      - targets: ['127.0.0.1:{FIRST_TARGET + i}']\n"
                        f"        labels: {{instance: {host}}}\n")
        with open(f"{folder}/prometheus.yml", "w") as f:
            f.write("global: {scrape_interval: 1s}\nscrape_configs:\n"
                    f"  - job_name: sluice\n    static_configs:\n{targets}")
        with open(f"{lab.logs}/prometheus.log", "w") as log:
            running.append(subprocess.Popen(
                process.argv_in(HOST, ["prometheus", f"--config.file={folder}/prometheus.yml",
                                       f"--storage.tsdb.path={folder}/data",
                                       f"--web.listen-address=127.0.0.1:{PORT}"]),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        try:
            yield lambda text: ask(lab, text)
        finally:
            for child in reversed(running):
                child.send_signal(signal.SIGTERM)
                child.wait()


def ask(lab, text):
    """The rows of an instant query; a query that is none fails."""
    query = urllib.parse.urlencode({"query": text})
    out = lab.run(HOST, "curl", "-sS", "--max-time", 10, f"http://127.0.0.1:{PORT}/api/v1/query?{query}").out
    if not out.startswith("{"):
        return []  # it has not begun to serve
    answer = json.loads(out)
    expect(answer["status"], "success", f"{text!r}: {answer.get('error')}")
    return [row for row in answer["data"]["result"] if row["value"][1] != "NaN"]


def traffic(lab):
    """Something of everything that the dashboard shows."""
    for host in ("client", "client2"):
        lab.curl(host, f"http://{GIT}/")
    lab.dig("client", f"x{os.urandom(4).hex()}.dev.corp.example")
    lab.dig("client", GIT, "TXT")
    lab.dig("client", "www.public.example")
    for _ in range(2):
        lab.tcp("client", lab.address_of("client", GIT), 22, 1)


@case("E6: every query of the dashboard finds data in a Prometheus that scrapes the daemons")
def queries(lab):
    missing = expressions()
    expect_true(len(missing) > 25, "queries in the dashboard")
    with prometheus(lab) as query:
        def all_found():
            traffic(lab)
            missing[:] = [(panel, text) for panel, text in missing if not query(text)]
            return not missing
        try:
            process.wait_for("data", all_found, 60, 0.5)
        except process.LabError:
            expect(missing, [], "queries without data")
        ready = {row["metric"]["instance"]: row["value"][1] for row in query("sluice_ready")}
        expect(ready, {host: "1" for host in topology.DAEMONS}, "the daemons it scrapes")


@case("E6: every alarm of docs/operations.md is a query about metrics that exist, and none is on")
def alarm_rows(lab):
    rows = alarms()
    expect_true(len(rows) > 12, f"alarms in the table, not {rows}")
    with prometheus(lab) as query:
        lab.wait_for("the first samples", lambda: len(query("sluice_ready == 1")) == 3)
        for alarm, text in rows:
            for metric in set(re.findall(r"\bsluice_[a-z_]+", text)):
                expect_true(query(metric), f"{metric}, which '{alarm}' is about, to exist")
            expect(query(text), [], f"what '{alarm}' ({text}) finds in a healthy lab")
