"""watch: figures of the daemons, taken every few seconds, and the verdict over them."""
import json
import os
import re
import threading
import time

from netlab import process

EVERY_S = 10
WARM_S = 120  # of a process's life that its memory may settle in
HEAP_KB = 4096  # growth after that which is no leak: caches fill
HEAP_PART = 0.10  # of what there was, an hour
OWN_MAPPING_KB = 32768  # larger ones are the data plane's, taken whole at the start
FIGURES = re.compile(r"^(sluice_(?:flows|packet_buffers|dropped_packets_total)\b[^ ]*) (\S+)$", re.M)


def memory_kb(pid):
    """(resident, of that in small mappings: heap, stacks, libraries)"""
    whole = small = size = 0
    with open(f"/proc/{pid}/smaps") as f:
        for line in f:
            if line.startswith("Size:"):
                size = int(line.split()[1])
            elif line.startswith("Rss:"):
                rss = int(line.split()[1])
                whole += rss
                small += rss if size < OWN_MAPPING_KB else 0
    return whole, small


def figures(host):
    """{metric: value} of a daemon's page of metrics."""
    done = process.run(host, ["curl", "-sS", "--max-time", "5", "http://127.0.0.1:9464/metrics"])
    return {name: float(value) for name, value in FIGURES.findall(done.stdout)}


def flows(page):
    return sum(v for n, v in page.items() if n.startswith("sluice_flows{"))


def buffers(page):
    return page['sluice_packet_buffers{state="used"}']


def leaks(page):
    return sum(v for n, v in page.items() if 'reason="client_output_leak"' in n)


def our_faults(page):
    return {re.search(r'reason="(\w+)"', n)[1]: int(v) for n, v in page.items()
            if 'severity="our_fault"' in n and v}


class Watch:
    """Samples of every daemon, from a thread of its own."""

    def __init__(self, hosts, log):
        self.hosts, self.log = hosts, log
        self.lives = {}  # {(host, pid): [sample]}
        self.faults = {}  # {(host, pid): {drop: count}}
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def sample(self, host):
        pid = process.pid_of(host, "sluice")
        try:
            page = figures(host)
            if not page:
                return
            whole, small = memory_kb(pid)
            nb_fds = len(os.listdir(f"/proc/{pid}/fd"))
        except (OSError, UnboundLocalError, TypeError):
            return  # it ends just now
        if process.pid_of(host, "sluice") != pid:
            return
        taken = {"at": time.monotonic(), "rss_kb": whole, "heap_kb": small, "fds": nb_fds,
                 "flows": flows(page), "buffers": buffers(page), "leaks": leaks(page)}
        self.lives.setdefault((host, pid), []).append(taken)
        self.faults[(host, pid)] = our_faults(page)
        self.log.write(json.dumps({"host": host, "pid": pid, **taken}) + "\n")

    def _run(self):
        while not self.stopping.wait(EVERY_S):
            for host in self.hosts:
                self.sample(host)
            self.log.flush()

    def stop(self):
        self.stopping.set()
        self.thread.join()

    def growth(self, key):
        """(seconds, kB of heap at the beginning and the end) of a life after its warm-up; None: too
        short to tell."""
        taken = self.lives[key]
        settled = [s for s in taken if s["at"] - taken[0]["at"] >= WARM_S]
        if len(settled) < 6:
            return None
        third = max(1, len(settled) // 3)
        # The least of the first and of the last third: what is in use at the time comes on top.
        return (settled[-1]["at"] - settled[0]["at"], min(s["heap_kb"] for s in settled[:third]),
                min(s["heap_kb"] for s in settled[-third:]))

    def verdict(self):
        """[sentence of what is wrong]; prints a line for each long life."""
        wrong = []
        for (host, pid), taken in self.lives.items():
            if any(s["leaks"] for s in taken):
                wrong.append(f"{host} ({pid}): {taken[-1]['leaks']:.0f} packets with a private address "
                             "were stopped at the egress check")
            grown = self.growth((host, pid))
            if grown is None:
                continue
            seconds, first, last = grown
            may = HEAP_KB + first * HEAP_PART * seconds / 3600
            print(f"  {host:12} {pid:>8} {seconds / 60:6.1f} min  heap {first:>7} -> {last:>7} kB  rss "
                  f"{taken[0]['rss_kb']:>7} -> {taken[-1]['rss_kb']:>7} kB  fds {taken[0]['fds']} -> "
                  f"{taken[-1]['fds']}  most flows {max(s['flows'] for s in taken):.0f}")
            if last - first > may:
                wrong.append(f"{host} ({pid}): the heap grew by {last - first} kB in {seconds:.0f} s")
            if taken[-1]["fds"] > taken[0]["fds"] + 16:
                wrong.append(f"{host} ({pid}): {taken[-1]['fds']} descriptors, {taken[0]['fds']} before")
        return wrong
