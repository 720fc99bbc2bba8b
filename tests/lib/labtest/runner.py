"""runner: bring a lab up, run cases against it, take it down; two of them when there are many cases."""
import contextlib
import glob
import hashlib
import importlib
import io
import json
import os
import re
import shutil
import signal
import sys
import time
import traceback

from netlab import daemons, faults, process, servers, topology, wireguard

from . import CASES, Failed, sharing
from .lab import Lab
from .packets import Capture, private_addresses


def load_cases():
    """Each file once, under its own name: some use what others have."""
    folder = os.path.join(process.TOP, "tests", "lab")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    for path in sorted(glob.glob(os.path.join(folder, "*.py"))):
        name = os.path.basename(path)[:-3]
        if importlib.import_module(name).__file__ != path:
            raise process.LabError(f"{path} has the name of another module; give it one of its own")


def use_own_prefix(number):
    """A lab of this tree's tests alone: other trees and the user's lab are not touched."""
    own = hashlib.sha256(f"{process.TOP}{number or ''}".encode()).hexdigest()
    process.PREFIX = "t" + own[:6] + "-"
    process.RUN = os.path.join("/run/sluice-lab", process.PREFIX.strip("-"))


def refused_calls(host):
    """How often the daemon's log says that a system call was refused."""
    return process.log_tail(host, "sluice", 100000).count("system-call-refused")


def our_faults(host):
    """{drop: count} of the drops that are this daemon's own fault."""
    done = daemons.control(host, "--json", "show", "drops")
    if done.returncode != 0:
        return {}
    found = {}

    def walk(value):
        if isinstance(value, list):
            for item in value:
                walk(item)
        elif isinstance(value, dict):
            name = value.get("name") or value.get("drop") or value.get("id")
            count = value.get("packets", value.get("count"))
            if name and count and re.match("our", str(value.get("severity", "")), re.I):
                found[name] = count
            else:
                walk(list(value.values()))
    walk(json.loads(done.stdout))
    return found


class Watch:
    """What is looked at around every case."""

    def __init__(self, lab):
        self.lab = lab
        where = [(c, "access") for c in topology.CLIENTS]
        where += [(c, wireguard.DEVICE) for c in topology.WIREGUARD_CLIENTS]
        self.clients = {(c, i): Capture(c, i, f"{lab.logs}/lab-all-{c}-{i}.pcap") for c, i in where}
        self.nb_late = 0  # of topology.MORE_SOURCES, those of the case before
        self.configs = {h: lab.config_of(h) for h in topology.DAEMONS}

    def before(self):
        for capture in self.clients.values():
            capture.frames()
        self.faults = {h: our_faults(h) for h in topology.DAEMONS}
        self.refused = {h: refused_calls(h) for h in topology.DAEMONS}

    def after(self, case):
        """[sentence of what is wrong]"""
        wrong = []
        for (client, _), capture in self.clients.items():
            wrong += private_addresses(client, capture.packets())[:5]
        for host in topology.DAEMONS:
            status = process.exit_of(host, "sluice")
            if status:
                wrong.append(f"sluice on {host} ended with {status}:\n"
                             + process.log_tail(host, "sluice"))
            if refused_calls(host) > self.refused[host] and not case.our_fault:
                wrong.append(f"{host} made a system call that is not on its list:\n"
                             + process.log_tail(host, "sluice"))
            if not status and host not in case.ends and not case.our_fault:
                before, now = self.faults[host], our_faults(host)
                wrong += [f"{host} dropped {now[n] - before.get(n, 0)} by its own fault: {n}"
                          for n in now if now[n] > before.get(n, 0)]
        return wrong

    def save(self, name):
        for (client, interface), capture in self.clients.items():
            capture.save(f"{self.lab.logs}/lab-{name}-{client}-{interface}.pcap")

    def restore(self, is_failed):
        """Put the lab back into the state that the next case expects."""
        if faults.current():
            faults.clear()
        for capture in self.lab.captures:
            capture.close()
        self.lab.captures.clear()
        # What a client used as itself may still send to it a moment after it was taken away.
        del topology.MORE_SOURCES[:self.nb_late]
        self.nb_late = len(topology.MORE_SOURCES)
        changed = []
        for host, text in self.configs.items():
            if self.lab.config_of(host) != text:
                self.lab.set_config(host, text)
                changed.append(host)
            if is_failed and not process.exit_of(host, "sluice"):
                daemons.stop(host)  # nothing that the case left behind is to fail the next one
            if process.exit_of(host, "sluice"):
                daemons.start(host)
            # A file that was refused, and is good again, is not current before it is read.
            elif host in changed or "older one" in daemons.health(host)[1]:
                if daemons.control(host, "reload").returncode != 0:
                    # What cannot change while it runs, such as a tunnel's peers, takes a restart.
                    daemons.stop(host)
                    daemons.start(host)
        daemons.wait_ready()
        for host in topology.WIREGUARD_CLIENTS:
            wireguard.wait_answered(host)
        if not process.running("private", "iperf3"):
            servers.start_iperf3()

    def close(self):
        for capture in [*self.clients.values(), *self.lab.captures]:
            capture.close()


def run_case(lab, watch, case):
    """Returns the sentences of what is wrong."""
    watch.before()
    wrong = []
    try:
        case.function(lab)
    except Failed as failure:
        wrong.append(str(failure))
    except Exception:
        wrong.append(traceback.format_exc(limit=-4))
    wrong += watch.after(case)
    if wrong:
        watch.save(case.function.__name__)
        wrong.append(f"what the clients sent and got: {lab.logs}/lab-{case.function.__name__}-*.pcap")
        for host in topology.DAEMONS:
            wrong.append(f"the end of the log of {host}:\n" + process.log_tail(host, "sluice", 5))
    watch.restore(bool(wrong))
    return wrong


def keep_logs(logs):
    for host in topology.DAEMONS:
        path = os.path.join(process.folder(host), "sluice.log")
        if os.path.exists(path):
            shutil.copy(path, os.path.join(logs, f"lab-{host}.log"))


def tell(case, wrong, seconds, said):
    """Whether it passed, or has another attempt. One write: another lab tells of its cases too."""
    verdict = "ok" if not wrong else "again" if sharing.put_off(case) else "not ok"
    lines = [said.rstrip("\n")] if said else []
    for text in wrong:
        lines += ["    " + line for line in text.splitlines()]
    lines.append(f"{verdict} - {case.sentence}")
    sharing.write("\n".join(lines) + "\n")
    sharing.write_time(seconds, case.sentence)
    return verdict != "not ok"


def run_cases(cases, logs):
    """One lab for all of them; returns whether all passed."""
    passed = True
    topology.up()
    servers.up()
    daemons.up()
    wireguard.up_all()
    lab = Lab(logs)
    watch = Watch(lab)
    try:
        for case in cases:
            began = time.monotonic()
            with contextlib.redirect_stdout(io.StringIO()) as said:
                wrong = run_case(lab, watch, case)
            passed = tell(case, wrong, time.monotonic() - began, said.getvalue()) and passed
    finally:
        watch.close()
        keep_logs(logs)
    return passed


def run_lab(number, cases, logs):
    """The lab of this number, with cases from an iterator; returns an exit code."""
    use_own_prefix(number)
    logs = os.path.join(logs, f"lab-{number + 1}") if number else logs
    os.makedirs(logs, exist_ok=True)
    if topology.is_up() or any(map(topology.exists, topology.HOSTS)):
        topology.down()  # an earlier run of these tests was killed
    try:
        return 0 if run_cases(cases, logs) else 1
    except process.LabError as error:
        keep_logs(logs)
        sharing.write(f"    {error}\nnot ok - the lab comes up and stays up\n")
        return 1
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        topology.down()


def main(argv):
    load_cases()
    if argv == ["--list"]:
        print("\n".join(case.sentence for case in CASES))
        return 0
    pattern = argv[0] if argv else ""
    chosen = [case for case in CASES if pattern in case.sentence]
    if not chosen:
        print(f'no case matches "{pattern}"')
        return 1
    logs = os.environ.get("SL_TEST_LOG_DIR", os.path.join(process.TOP, "build", "test-logs"))
    os.makedirs(logs, exist_ok=True)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1))
    return sharing.run(chosen, lambda number, cases: run_lab(number, cases, logs), logs)
