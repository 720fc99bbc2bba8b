"""Stub resolvers as they are, on clients of both kinds."""
import json
import os
import time

from labtest import case, expect, expect_true
from netlab import process, topology, wireguard

GIT = "git.corp.example"

# Both families at once, as c-ares asks for an application; [addresses, seconds] of each name.
CARES = """
import json, select, sys, time
import pycares
channel = pycares.Channel(timeout=5, tries=1)
def lookup(name):
    found, errors = [], []
    began = time.monotonic()
    def done(result, error):
        (errors if error else found).append(error or sorted({n.addr[0].decode() for n in result.nodes}))
    channel.getaddrinfo(name, 80, done, family=0)
    while not found and not errors and time.monotonic() - began < 6:
        reads, writes = channel.getsock()
        ready = select.select(reads, writes, [], 0.5)
        for fd in ready[0]: channel.process_fd(fd, pycares.ARES_SOCKET_BAD)
        for fd in ready[1]: channel.process_fd(pycares.ARES_SOCKET_BAD, fd)
        if not ready[0] and not ready[1]:
            channel.process_fd(pycares.ARES_SOCKET_BAD, pycares.ARES_SOCKET_BAD)
    return [found[0] if found else [], time.monotonic() - began]
print(json.dumps([lookup(name) for name in sys.argv[1:]]))
"""
# glibc asks A and AAAA back to back on one socket.
GLIBC = """
import json, socket, sys, time
def lookup(name):
    began = time.monotonic()
    try: found = sorted({a[4][0] for a in socket.getaddrinfo(name, 80)})
    except OSError: found = []
    return [found, time.monotonic() - began]
print(json.dumps([lookup(name) for name in sys.argv[1:]]))
"""


@case("A15: c-ares and glibc ask A and AAAA at once, and have both answers at once, each time")
def both_families(lab):
    mark = os.urandom(4).hex()
    for client in ("client", "client2"):
        for what, program in (("c-ares", CARES), ("glibc", GLIBC)):
            names = [f"{what[0]}{mark}{i}.dev.corp.example" for i in range(20)]
            names += [GIT, "www.public.example", "nope.public.example"] * 3
            found = json.loads(lab.ok(client, "/usr/bin/python3", "-c", program, *names))
            for name, (addresses, took) in zip(names, found):
                expected = {"www.public.example": [topology.PUBLIC_ADDRESSES["www"]],
                            "nope.public.example": []}.get(name) or None
                if name == "nope.public.example":
                    expect(addresses, [], f"{what} of {name} on {client}")
                elif expected:
                    expect(addresses, expected, f"{what} of {name} on {client}")
                else:
                    expect(len(addresses), 1, f"{what} of {name} on {client}: {addresses}")
                expect_true(took < 2, f"{what} of {name} on {client} at once, not after {took:.1f} s")


@case("A16: search domains of a tenant are in its clients' configuration, and short names lead there")
def search_domains(lab):
    text = lab.config_of("pop")
    lab.set_config("pop", text.replace('{ name = "acme"; id = 1;', '{ name = "acme"; id = 1; '
                                       'search = ["corp.example", "dev.corp.example"];'))
    lab.control("pop", "reload")
    printed = wireguard.add("acme/searching", "groups=staff,finance")
    listed = [line for line in printed.splitlines() if line.startswith("DNS = ")]
    expect(listed, ["DNS = " + ", ".join((*topology.RESOLVERS, "corp.example", "dev.corp.example"))])
    other = wireguard.add("globex/searching", "groups=everyone")
    expect_true("corp.example" not in other, f"another tenant's: {other}")
    # What wg-quick makes of that line.
    path = f"/etc/netns/{process.namespace('client2')}/resolv.conf"
    with open(path) as f:
        before = f.read()
    try:
        with open(path, "w") as f:
            f.writelines(f"nameserver {r}\n" for r in topology.RESOLVERS[:3])
            f.write("search corp.example dev.corp.example\n")
        expect(lab.ok("client2", "getent", "ahosts", "git").split()[0], lab.address_of("client2", GIT))
        expect(lab.curl("client2", "http://git/whoami").out, topology.CONNECTOR_PRIVATE + "\n")
        expect(lab.ok("client2", "getent", "ahosts", "build7").split()[0],
               lab.address_of("client2", "build7.dev.corp.example"))
    finally:
        with open(path, "w") as f:
            f.write(before)


@case("A14 A2: resperf's rising load of granted and other names is answered whole")
def rising_load(lab):
    queries = f"{process.folder('client')}/resperf"
    with open(queries, "w") as f:
        f.writelines(f"{name}\n" for name in (f"{GIT} A", f"{GIT} AAAA", f"{GIT} TXT", "www.public.example A",
                                              "nope.public.example A", "use-application-dns.net A") * 500)
    found = []
    for _ in range(3):  # a machine that stands still for a second loses datagrams
        text = lab.ok("client", "resperf", "-s", topology.RESOLVERS[0], "-d", queries, "-m", "1500", "-r",
                      "4", "-c", "2", "-L", "2", "-R", "-P", os.devnull)
        lines = dict(line.strip().rsplit(":", 1) for line in text.splitlines() if line.count(":") == 1)
        found.append([int(lines[f"Queries {what}"].split()[0]) for what in ("sent", "completed")])
        if found[-1][0] == found[-1][1] and "SERVFAIL" not in text:
            break
    expect_true(found[-1][0] > 4000 and found[-1][0] == found[-1][1], f"all answered, found {found}")
    expect_true("SERVFAIL" not in text, text)
