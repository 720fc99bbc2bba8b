"""Programs people use, through a path that loses and reorders: ssh, scp, iperf3, and scans that must
find what a neighbour of the host finds."""
import hashlib
import json
import os
import re

from labtest import case, expect, expect_true
from netlab import process, topology

GIT = "git.corp.example"
PERF = "perf.corp.example"
PRIVATE = topology.PRIVATE_ADDRESSES["private"]
SSH_PORT = 22
FILE_BYTES = 6_000_000


def open_all(lab):
    """All ports of perf and of the names below dev, until the case ends."""
    text = lab.config_of("pop")
    for old in ('"perf.corp.example"; tcp = 5201; udp = [7, 53, 5201];',
                '"*.dev.corp.example"; tcp = [80, 443]; udp = 53;'):
        expect_true(old in text, f"{old!r} in the configuration")
        name = old.partition(";")[0]
        text = text.replace(old, f'{name}; tcp = "all"; udp = "all";')
    lab.set_config("pop", text)
    lab.control("pop", "reload")


def rough(lab):
    lab.fault("loss", 0.5)
    lab.fault("reorder", "on")


# ---- ssh ------------------------------------------------------------------------------------------


class SshServer:
    """with SshServer(lab) as s: sshd at perf that knows the client's key; s.options for ssh and scp."""

    def __init__(self, lab):
        self.lab = lab
        self.folder = os.path.join(process.folder("private"), "ssh")
        os.makedirs(self.folder, exist_ok=True)
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        for name in ("host", "client"):
            path = f"{self.folder}/{name}"
            if not os.path.exists(path):
                process.root(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path])
        with open(f"{self.folder}/sshd_config", "w") as f:
            f.write(f"ListenAddress {PRIVATE['perf']}:{SSH_PORT}\nHostKey {self.folder}/host\n"
                    f"AuthorizedKeysFile {self.folder}/client.pub\nStrictModes no\nUsePAM no\n"
                    f"PidFile none\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n")
        self.options = ["-F", "/dev/null", "-i", f"{self.folder}/client", "-o", "BatchMode=yes",
                        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                        "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=10"]

    def __enter__(self):
        self.process = self.lab.start("private", "/usr/sbin/sshd", "-D", "-e", "-f",
                                      f"{self.folder}/sshd_config")
        self.lab.wait_for("sshd to listen", lambda: self.lab.run(
            "private", "ss", "-Hltn", f"src {PRIVATE['perf']}:{SSH_PORT}").out.strip())
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()


@case("B1: ssh runs a command and carries its streams, over loss and reordering")
def ssh(lab):
    open_all(lab)
    rough(lab)
    with SshServer(lab) as server:
        out = lab.ok("client", "ssh", *server.options, f"root@{PERF}",
                     "echo $SSH_CONNECTION; sha1sum", stdin="x" * 300_000)
        connection, digest = out.splitlines()
        expect(connection.split()[0], topology.CONNECTOR_PRIVATE, "whom the host sees")
        expect(digest.split()[0], hashlib.sha1(b"x" * 300_000).hexdigest())


@case("B1: scp copies there and back, over loss and reordering")
def scp(lab):
    open_all(lab)
    rough(lab)
    paths = [os.path.join(lab.logs, f"lab-scp-{i}") for i in range(3)]
    data = hashlib.shake_128(b"scp").digest(FILE_BYTES)
    with open(paths[0], "wb") as f:
        f.write(data)
    try:
        with SshServer(lab) as server:
            lab.ok("client", "scp", *server.options, paths[0], f"root@{PERF}:{paths[1]}")
            lab.ok("client", "scp", *server.options, f"root@{PERF}:{paths[1]}", paths[2])
        for path in paths[1:]:
            with open(path, "rb") as f:
                expect_true(f.read() == data, f"{path} to be what was sent")
    finally:
        for path in paths:
            if os.path.exists(path):
                os.unlink(path)


# ---- iperf3 ---------------------------------------------------------------------------------------


def iperf3(lab, *options):
    def run():
        told = json.loads(lab.run("client", "iperf3", "-J", "-c", PERF, *options).out)
        # Its server may not have heard yet, over a lossy path, that the test before is over.
        return None if "server is busy" in told.get("error", "") else told
    told = lab.wait_for("iperf3's server to be free", run)
    expect(told.get("error"), None, f"iperf3's error with {options}")
    return told["end"]


@case("B1: iperf3 in parallel, reverse and in both directions at once, over loss and reordering")
def iperf_tcp(lab):
    rough(lab)
    for options, nb_streams in ((["-P", "4"], 4), (["-P", "4", "-R"], 4), (["--bidir"], 2)):
        end = iperf3(lab, "-t", "2", *options)
        received = [s["receiver"]["bytes"] for s in end["streams"]]
        expect(len(received), nb_streams, f"streams of {options}")
        expect_true(min(received) > 100_000, f"all streams of {options} to go on: {received}")


@case("B1: iperf3 by UDP, both directions, loses what the path loses and no more")
def iperf_udp(lab):
    lab.fault("reorder", "on")
    for options in ([], ["-R"]):
        end = iperf3(lab, "-u", "-b", "3M", "-l", "1000", "-t", "2", *options)["sum"]
        expect_true(end["packets"] > 500 and end["lost_percent"] < 5, f"{options}: {end}")


# ---- Scans ----------------------------------------------------------------------------------------


class Neighbour:
    """with Neighbour(lab): a host "beside" on the private network, as near to the others as the connector."""

    def __init__(self, lab):
        self.lab = lab

    def __enter__(self):
        there = process.namespace("beside")
        process.root(["ip", "netns", "add", there])
        process.root(["ip", "link", "add", "name", "beside", "netns", process.namespace("private"),
                      "type", "veth", "peer", "name", "lan", "netns", there])
        process.shell("private", "ip link set beside master lan up")
        process.shell("beside", "ip address add 10.20.0.7/24 dev lan\nip link set lan up\n"
                                "ip link set lo up")
        # A host sends few errors a second to one peer; here all of them are counted on.
        process.shell("private", "echo 0 >/proc/sys/net/ipv4/icmp_ratelimit\n"
                                 "echo 10000 >/proc/sys/net/ipv4/icmp_msgs_per_sec 2>/dev/null || true\n"
                                 "nft add table ip filtered\n"
                                 "nft 'add chain ip filtered in { type filter hook input priority 0; }'\n"
                                 "nft add rule ip filtered in tcp dport 1234 drop\n"
                                 "nft add rule ip filtered in udp dport 1234 drop\n"
                                 "nft add rule ip filtered in tcp dport 1235 reject with icmp type "
                                 "admin-prohibited\n"
                                 "nft add rule ip filtered in udp dport 1235 reject with icmp type "
                                 "admin-prohibited")
        return self

    def __exit__(self, *_):
        process.shell("private", "nft delete table ip filtered")
        process.root(["ip", "netns", "delete", process.namespace("beside")])


# On a busy machine an answer may take longer than nmap's 100 ms; what it takes for lost it may report as filtered.
PATIENCE = ("--min-rtt-timeout", "1s", "--max-retries", 3, "--host-timeout", "60s")


def scan(lab, host, how, ports, target):
    out = lab.ok(host, "nmap", "-Pn", "-n", how, *PATIENCE, "-p", ports, "-oX", "-", target, timeout_s=90)
    return {port: (state, reason) for port, state, reason in re.findall(
        r'portid="(\d+)"><state state="([^"]+)" reason="([^"]+)"', out)}


@case("B2: scans by SYN, connect, ACK and UDP find what a neighbour of the host finds, and why")
def scans(lab):
    open_all(lab)
    through = {"perf": lab.address_of("client", PERF),
               "dev": lab.address_of("client", "www.dev.corp.example")}
    with Neighbour(lab):
        for how, ports, name in (("-sT", "22,80,443,1234,1235,5201", "perf"),
                                 ("-sS", "22,80,443,1234,1235", "dev"),
                                 ("-sA", "22,80,443", "dev"),
                                 ("-sU", "7,53,1234,1235,9999", "perf")):
            wanted = scan(lab, "beside", how, ports, PRIVATE[name])
            expect(scan(lab, "client", how, ports, through[name]), wanted, f"nmap {how}")
            expect(len(wanted), len(ports.split(",")), "ports")
