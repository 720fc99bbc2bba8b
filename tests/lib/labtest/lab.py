"""lab: what a case can do with the hosts."""
import errno
import ipaddress
import json
import os
import re
import signal
import socket
import struct
import subprocess
from dataclasses import dataclass, field

from netlab import daemons, faults, process, servers, topology

from . import fail
from .packets import Capture, in_namespace

TIMEOUT_S = 60  # ends what hangs; no case passes or fails by it otherwise


@dataclass
class Done:
    """A finished command."""
    code: int
    out: str
    err: str
    command: str


@dataclass
class Answer:
    """What dig printed about one answer."""
    status: str = "none"  # "NOERROR", ...; "none" when no answer came
    flags: set = field(default_factory=set)
    question: str = ""
    answers: list = field(default_factory=list)  # [(owner, ttl, type, data)]
    authority: list = field(default_factory=list)
    edns: bool = False
    nb_bytes: int = 0
    text: str = ""

    def data(self, kind="A"):
        return [d for _, _, k, d in self.answers if k == kind]


def parse_dig(text):
    answer = Answer(text=text)
    section = ""
    for line in text.splitlines():
        if match := re.search(r"status: (\w+)", line):
            answer.status = match[1]
        if match := re.match(r";; flags: ([a-z ]*);", line):
            answer.flags = set(match[1].split())
        if match := re.match(r";; MSG SIZE +rcvd: (\d+)", line):
            answer.nb_bytes = int(match[1])
        if match := re.match(r";; (\w+) SECTION:", line):
            section = match[1]
        elif "OPT PSEUDOSECTION" in line:
            answer.edns = True
        elif section == "QUESTION" and line.startswith(";"):
            answer.question = line[1:].split()[0]
        elif section in ("ANSWER", "AUTHORITY") and line and not line.startswith(";"):
            owner, ttl, _, kind, data = line.split(None, 4)
            rows = answer.answers if section == "ANSWER" else answer.authority
            rows.append((owner, int(ttl), kind, data))
    return answer


class Lab:
    def __init__(self, logs):
        self.logs = logs
        self.captures = []

    # ---- Commands

    def run(self, host, *argv, timeout_s=TIMEOUT_S, stdin=None):
        done = process.run(host, [str(a) for a in argv], timeout_s, stdin=stdin)
        return Done(done.returncode, done.stdout, done.stderr, " ".join(map(str, argv)))

    def ok(self, host, *argv, **more):
        """Run what must succeed; returns its output."""
        done = self.run(host, *argv, **more)
        if done.code != 0:
            fail(f"'{done.command}' on {host} exited with {done.code}: {(done.err or done.out)[-500:]}")
        return done.out

    def start(self, host, *argv):
        """A command that goes on; the caller waits for it."""
        return subprocess.Popen(process.argv_in(host, [str(a) for a in argv]), text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def wait_for(self, what, condition, timeout_s=process.WAIT_S):
        try:
            return process.wait_for(what, condition, timeout_s)
        except process.LabError as error:
            fail(str(error))

    def note(self, text):
        """Say what was measured; it stands in the log of the run before the case's verdict."""
        print(f"    {text}", flush=True)

    # ---- Names and pages

    def dig(self, host, name, kind="A", *options, server=topology.RESOLVERS[0]):
        done = self.run(host, "dig", "+tries=1", "+time=5", *options, f"@{server}", name, kind)
        return parse_dig(done.out)

    def address_of(self, host, name):
        """The assigned address of a name; it must have one."""
        found = self.dig(host, name).data()
        if len(found) != 1 or ipaddress.ip_address(found[0]) not in topology.POOL:
            fail(f"{name} at {host}: expected one assigned address, found {found}")
        return found[0]

    def curl(self, host, url, *options):
        return self.run(host, "curl", "-sS", "--max-time", "20", *options, url)

    def certificate(self, host="private"):
        return os.path.join(process.folder(host), "nginx", "tls.pem")

    def page(self, host, name):
        return servers.page(host, name) + "\n"

    def access_log(self, host="private"):
        return servers.access_log(host)

    # ---- Sockets in a namespace

    def udp(self, host, timeout_s=5):
        s = in_namespace(host, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        s.settimeout(timeout_s)
        return s

    def udp_error(self, host, address, port, timeout_s=5):
        """The errno that a datagram met with there; None when it met with none."""
        with self.udp(host, timeout_s) as sock:
            sock.connect((address, port))
            sock.send(b"hello")
            try:
                sock.recv(100)
            except OSError as error:
                return error.errno
        return None

    def tcp(self, host, address, port, timeout_s=10):
        """A connected socket, or the OSError's name ("ECONNREFUSED", "TIMEOUT", ...)."""
        s = in_namespace(host, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        # The kernel waits, by SO_SNDTIMEO. Python's own timeout waits by poll(), which Linux wakes for an ICMP
        # error before SO_ERROR tells it: now and then a connect() that failed seems to have succeeded.
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", timeout_s, 0))
        try:
            s.connect((address, port))
            s.settimeout(timeout_s)
            return s
        except BlockingIOError:
            result = "TIMEOUT"
        except OSError as error:
            result = errno.errorcode.get(error.errno, str(error))
        s.close()
        return result

    def capture(self, host, interface):
        """A capture that ends with the case."""
        path = os.path.join(self.logs, f"lab-{host}-{len(self.captures)}.pcap")
        self.captures.append(Capture(host, interface, path))
        return self.captures[-1]

    # ---- Daemons

    def control(self, host, *words):
        """The output of a sluicectl that must succeed."""
        done = daemons.control(host, *words)
        if done.returncode != 0:
            fail(f"sluicectl {' '.join(words)} on {host} exited with {done.returncode}: {done.stderr}")
        return done.stdout

    def show(self, host, *words):
        """The same as parsed JSON."""
        text = self.control(host, "--json", *words)
        try:
            return json.loads(text)
        except ValueError:
            fail(f"sluicectl --json {' '.join(words)} printed no JSON: {text[:200]}")

    def try_control(self, host, *words):
        done = daemons.control(host, *words)
        return Done(done.returncode, done.stdout, done.stderr, " ".join(words))

    def stop(self, host, number=signal.SIGTERM):
        return daemons.stop(host, number)

    def start_again(self, host, wait=True):
        daemons.start(host)
        if wait:
            daemons.wait_ready([host])

    def wait_ready(self):
        daemons.wait_ready()

    def config_of(self, host):
        with open(daemons.config_path(host)) as f:
            return f.read()

    def set_config(self, host, text):
        """The original comes back after the case."""
        with open(daemons.config_path(host), "w") as f:
            f.write(text)

    def fault(self, kind, value):
        """loss, mtu or reorder until the case ends."""
        getattr(faults, kind)(value)
