"""main: scripts/soak."""
import os
import random
import signal
import sys
import time
import traceback

from labtest import Failed
from labtest.lab import Lab
from labtest.packets import Capture, private_addresses
from netlab import daemons, extras, faults, process, servers, topology, wireguard

from . import churn, watch

HOSTS = (*topology.DAEMONS, "connector-b")
BACK_S = 30  # after every event everything works again
QUIET_S = 240
POP_LIVES = 4  # the PoP is killed so often less one: in between its memory is watched
TIMERS = "timers = { udp_s = 20; icmp_s = 10; tcp_transitory_s = 20; tcp_established_s = 60; };\n"


class Run:
    def __init__(self, hours, seed):
        self.seconds, self.random = hours * 3600, random.Random(seed)
        self.logs = os.path.join(process.TOP, "build", "soak")
        os.makedirs(self.logs, exist_ok=True)
        self.lab = Lab(self.logs)
        self.counts, self.wrong, self.slowest = {}, [], (0, "")

    def up(self):
        topology.up()
        servers.up()
        daemons.up()
        wireguard.up_all()
        key = extras.start("connector-b")
        text = extras.with_connector(self.lab.config_of("pop"), "connector-b", key)
        self.lab.set_config("pop", text + TIMERS)
        for host in ("connector", "connector2", "connector-b"):
            self.lab.set_config(host, self.lab.config_of(host) + TIMERS)
        for host in HOSTS:
            process.wait_for("a reload", lambda: daemons.control(host, "reload").returncode == 0)
        daemons.wait_ready(HOSTS)
        self.back("the start")

    def works(self):
        lab = self.lab
        return (churn.page_is(lab, "client", f"http://{churn.GIT}/", lab.page("private", "git"))
                and churn.page_is(lab, "client2", "http://payroll.corp.example/",
                                  lab.page("private", "payroll"))
                and churn.page_is(lab, "client3", f"http://{churn.GIT}/", lab.page("private2", "git")))

    def back(self, after):
        began = time.monotonic()
        self.lab.wait_for(f"everything to work after {after}", self.works, BACK_S)
        self.slowest = max(self.slowest, (time.monotonic() - began, after))

    def do(self, event):
        name = event.__name__
        self.counts[name] = self.counts.get(name, 0) + 1
        try:
            event(self.lab, self.random)
            self.back(name)
        except (Failed, process.LabError) as error:
            self.fault(f"{name}: {error}")
        except Exception:
            self.fault(f"{name}: {traceback.format_exc(limit=-3)}")
        for host in HOSTS:
            status = process.exit_of(host, "sluice")
            if status:
                self.fault(f"after {name} sluice on {host} ended with {status}:\n"
                           + process.log_tail(host, "sluice"))
                daemons.start(host)
                daemons.wait_ready([host])

    def fault(self, text):
        self.wrong.append(text)
        print(f"  {time.strftime('%H:%M:%S')} wrong: {text}", flush=True)

    def churn(self):
        began = time.monotonic()
        next_pop = self.seconds / POP_LIVES
        captures = {c: Capture(c, "access", f"{self.logs}/{c}.pcap") for c in topology.CLIENTS}
        try:
            while time.monotonic() - began < self.seconds:
                events = list(churn.EVENTS)
                self.random.shuffle(events)
                if time.monotonic() - began > next_pop:
                    events.append(churn.restart_pop)
                    next_pop += self.seconds / POP_LIVES
                for event in events:
                    if time.monotonic() - began < self.seconds:
                        self.do(event)
                        for client, capture in captures.items():
                            self.wrong += private_addresses(client, capture.packets())[:3]
        finally:
            for client, capture in captures.items():
                capture.close()
                if not self.wrong:
                    os.unlink(f"{self.logs}/{client}.pcap")

    def quiet(self, before):
        """Nothing is left when nothing is asked: no flows, no more packet buffers than at first."""
        def is_quiet(host):
            page = watch.figures(host)
            return page and watch.flows(page) == 0 and watch.buffers(page) <= before[host] + 8
        for host in HOSTS:
            try:
                process.wait_for("quiet", lambda: is_quiet(host), QUIET_S, 1)
            except process.LabError:
                page = watch.figures(host)
                self.fault(f"{host}, idle for {QUIET_S} s: {watch.flows(page):.0f} flows, "
                           f"{watch.buffers(page):.0f} packet buffers in use, {before[host]:.0f} at first")

    def whole(self):
        self.up()
        # The resolver's own questions pass; what stays is what a daemon holds when idle.
        before = {}
        for host in HOSTS:
            process.wait_for("figures", lambda: watch.figures(host))
            before[host] = watch.buffers(watch.figures(host))
        with open(os.path.join(self.logs, "samples.jsonl"), "w") as log:
            seen = watch.Watch(HOSTS, log)
            seen.thread.start()
            try:
                self.churn()
                faults.clear()
                self.quiet(before)
            finally:
                seen.stop()
        self.wrong += seen.verdict()
        print("  events: " + ", ".join(f"{n} {c}" for n, c in sorted(self.counts.items())))
        print(f"  slowest return: {self.slowest[0]:.1f} s after {self.slowest[1]}")
        for (host, pid), found in seen.faults.items():
            if found:
                print(f"  {host} ({pid}) dropped by its own fault: {found}")


def words(argv, usage):
    try:
        hours = float(argv[0])
        seed = int(argv[2]) if len(argv) == 3 and argv[1] == "--seed" else int(time.time())
        if hours <= 0 or len(argv) not in (1, 3):
            raise ValueError
        return hours, seed
    except (ValueError, IndexError):
        print(usage, file=sys.stderr)
        return None


def main(argv, usage):
    asked = words(argv, usage)
    if asked is None:
        return 2
    if os.getuid() != 0:
        os.execvp("sudo", ["sudo", "-E", "--", sys.argv[0], *argv])
    hours, seed = asked
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1))
    if topology.is_up():
        topology.down()  # an earlier soak was killed
    run = Run(hours, seed)
    print(f"soak: {hours} h, seed {seed}, logs in {run.logs}", flush=True)
    try:
        run.whole()
    except (Failed, process.LabError) as error:
        run.fault(str(error))
    finally:
        for host in HOSTS:
            if os.path.exists(os.path.join(process.folder(host), "sluice.log")):
                os.system(f"cp {process.folder(host)}/sluice.log {run.logs}/{host}.log")
        topology.down()
    for text in dict.fromkeys(run.wrong):
        print(f"  wrong: {text}")
    print(f"soak: {'FAILED' if run.wrong else 'good'}: {sum(run.counts.values())} events in {hours} h, "
          f"{len(run.wrong)} faults")
    return 1 if run.wrong else 0
