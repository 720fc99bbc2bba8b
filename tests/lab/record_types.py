"""Other types of granted names: what the private DNS says, whoever serves it, and nothing it does not say."""
import os
import random
import re
import time

from labtest import case, expect, expect_true
from labtest.packets import dns_question
from netlab import process, resolvers, topology

GIT = "git.corp.example"
KNOT = topology.PRIVATE_ADDRESSES["private"]["dns"]
LIST = re.compile(r"resolvers = \[[^]]*\]")
PROMPT_S = 1.5  # far less than the 3 s of one that is silent


def use_servers(lab, *servers):
    """The connector asks these private name servers from now on."""
    listed = ", ".join(f'"{s}"' for s in servers)
    lab.set_config("connector", LIST.sub(f"resolvers = [{listed}]", lab.config_of("connector")))
    lab.control("connector", "reload")


def change(lab, host, *changes):
    text = lab.config_of(host)
    for old, new in changes:
        expect_true(old in text, f"{old} in the configuration of {host}")
        text = text.replace(old, new, 1)
    lab.set_config(host, text)
    lab.control(host, "reload")


def records(answer):
    """What an answer says, without TTLs and without any address."""
    kept = [(o, k, d) for o, _, k, d in answer.answers if k not in ("A", "AAAA")]
    return sorted((o, k, re.sub(r" ipv[46]hint=\S+", "", d)) for o, k, d in kept)


TYPES = ((GIT, "TXT"), (GIT, "MX"), (GIT, "CAA"), (GIT, "HTTPS"), (GIT, "SVCB"), (GIT, "NS"), (GIT, "SOA"),
         (GIT, "SRV"), (GIT, "CNAME"), (GIT, "TYPE65280"), ("_ssh._tcp.git.corp.example", "SRV"),
         ("nope.git.corp.example", "TXT"), ("x.dev.corp.example", "TXT"), ("x.dev.corp.example", "MX"),
         ("alias.dev.corp.example", "TXT"), ("alias.dev.corp.example", "CNAME"),
         ("GiT.CorP.eXample", "MX"))


@case("A4: other types are what the private DNS says, without any address: knot, unbound, dnsmasq")
def every_type(lab):
    change(lab, "pop", ('{ address = "*.dev.corp.example"; tcp',
                        '{ address = ["*.dev.corp.example", "*.git.corp.example"]; tcp'))
    servers = [KNOT, resolvers.start("private", "unbound", KNOT, ("corp.example",)),
               resolvers.start("private", "dnsmasq", KNOT, ("corp.example",))]
    try:
        for server in servers:
            use_servers(lab, server)
            for name, kind in TYPES:
                direct = lab.dig("private", name, kind, server=server)
                through = lab.dig("client", name, kind)
                what = f"{name} {kind} of {server}"
                expect(through.status, direct.status, what)
                expect(records(through), records(direct), what)
                expect([k for _, _, k, _ in through.answers if k in ("A", "AAAA")], [], what)
                expect_true("ADDITIONAL: 1" in through.text, f"nothing but OPT is additional: {what}")
            https = lab.dig("client", GIT, "HTTPS")
            expect_true("hint" not in https.text and "alpn" in https.text, "hints are taken out")
            expect([k for _, _, k, _ in lab.dig("client", GIT, "ANY").answers], ["HINFO"])
            expect(lab.dig("client", GIT, "AAAA").answers, [])
            expect(lab.curl("client", "http://x.dev.corp.example/").out, lab.page("private", "dev"), server)
    finally:
        for program in ("unbound", "dnsmasq"):
            process.remove("private", program)


@case("A4 A13: a CNAME to a name the client may not see is not shown; what stands behind it is")
def hidden_target(lab):
    name = "front.dev.corp.example"
    expect_true(lab.dig("private", name, "TXT", server=KNOT).data("CNAME"), "a CNAME at the private DNS")
    for options in ((), ("+tcp",)):
        answer = lab.dig("client", name, "TXT", *options)
        expect((answer.status, [(o, k) for o, _, k, _ in answer.answers]), ("NOERROR", [(name + ".", "TXT")]))
        expect_true("behind the front" in answer.text and "hidden" not in answer.text, answer.text)
        answer = lab.dig("client", name, "CNAME", *options)
        expect((answer.status, answer.answers), ("NOERROR", []))
        expect_true("hidden" not in answer.text, answer.text)


@case("A4 A9: an alias has the other types of its target, under its own name")
def alias(lab):
    change(lab, "pop", ('{ address = "git.corp.example"; tcp',
                        '{ aliases = ["tea.public.example"]; address = "git.corp.example"; tcp'))
    for kind in ("TXT", "MX", "CAA"):
        own = lab.dig("client", GIT, kind)
        for options in ((), ("+tcp",)):
            other = lab.dig("client", "tea.public.example", kind, *options)
            expect(other.status, "NOERROR", kind)
            expect_true(own.answers and [o for o, *_ in other.answers] == ["tea.public.example."], kind)
            expect([d for *_, d in other.answers], [d for *_, d in own.answers], kind)


def timed(lab, name, kind, *options):
    began = time.monotonic()
    answer = lab.dig("client", name, kind, "+edns=0", *options)
    return answer, time.monotonic() - began


def served(lab, base, text):
    """Another knot on the private network, with this configuration of zones; its address."""
    address = "10.20.0.56"
    process.shell("private", f"ip address replace {address}/24 dev lan")
    os.makedirs(f"{base}/db", exist_ok=True)
    with open(f"{base}/knot.conf", "w") as f:
        f.write(f'server:\n  rundir: "{base}"\n  listen: {address}@53\ndatabase:\n  storage: "{base}/db"\n'
                + text)
    process.start("private", "knot2", ["knotd", "-c", f"{base}/knot.conf"])
    lab.wait_for("the other knot", lambda: lab.dig("private", GIT, "SOA", "+time=1",
                                                   server=address).status != "none")
    return address


@case("A4: when no private server can be reached, or all fail, the client hears it at once, with an extended error")
def prompt_failures(lab):
    def name():
        return f"p{random.randrange(1 << 32):x}.dev.corp.example"
    base = f"{process.folder('private')}/knot2"
    # A zone without a file is SERVFAIL, a name of no zone REFUSED.
    failing = served(lab, base, f'zone:\n  - domain: corp.example\n    file: "{base}/nothing"\n')
    refusing = resolvers.start("private", "unbound", KNOT, ("corp.example",))
    process.remove("private", "unbound")
    try:
        # Nobody listens there any more: ICMP port unreachable. Then a host that answers no ARP.
        for servers, status, error in (((failing,), "SERVFAIL", "EDE: 22"),
                                       ((refusing,), "SERVFAIL", "EDE: 23"),
                                       ((refusing, failing), "SERVFAIL", "EDE: 22")):
            use_servers(lab, *servers)
            for options in ((), ("+tcp",)):
                answer, took = timed(lab, name(), "TXT", *options)
                expect(answer.status, status, f"{servers}")
                expect_true(error in answer.text, f"{error} of {servers}: {answer.text}")
                expect_true(took < PROMPT_S, f"at once of {servers}, not after {took:.1f} s")
            # A packet to it is told as soon.
            began = time.monotonic()
            expect(lab.tcp("client", lab.address_of("client", name()), 80), "EHOSTUNREACH", f"{servers}")
            took = time.monotonic() - began
            expect_true(took < PROMPT_S, f"3/1 at once of {servers}, not after {took:.1f} s")
        # One that works among them: nobody waits.
        use_servers(lab, refusing, failing, KNOT)
        answer, took = timed(lab, name(), "TXT")
        expect((answer.status, len(answer.answers)), ("NOERROR", 1))
        expect_true(took < PROMPT_S, f"the third at once, not after {took:.1f} s")
        # A silent one costs no more than the deadline.
        use_servers(lab, topology.ABSENT)
        answer, took = timed(lab, name(), "TXT", "+time=6")
        expect(answer.status, "SERVFAIL")
        expect_true("EDE: " in answer.text and took < 4.5, f"an extended error in time: {took:.1f} s")
    finally:
        process.remove("private", "knot2")


@case("A14: when no upstream can be reached, the client hears it at once, with an extended error")
def upstream_gone(lab):
    mark = random.randrange(1 << 32)
    address = resolvers.start("public", "dnsmasq", topology.PUBLIC_ADDRESSES["dns"], ("public.example",))
    process.remove("public", "dnsmasq")  # its address stays: ICMP port unreachable
    for servers, status in (((address,), "SERVFAIL"), ((address, topology.PUBLIC_ADDRESSES["dns"]), "NXDOMAIN")):
        listed = ", ".join(f'"{s}"' for s in servers)
        text = re.sub(r"upstreams = \[[^]]*\]", f"upstreams = [{listed}]", lab.config_of("pop"))
        lab.set_config("pop", text)
        lab.control("pop", "reload")
        answer, took = timed(lab, f"gone{mark:x}.public.example", "A")
        expect(answer.status, status, f"{servers}")
        expect_true(took < PROMPT_S, f"at once of {servers}, not after {took:.1f} s")
        if status == "SERVFAIL":
            expect_true("EDE: 22" in answer.text, answer.text)


@case("A8: one name, its ports behind two connectors: each flow goes to its own, the address is one",
      ends="pop connector2")
def two_connectors(lab):
    text = lab.config_of("pop")
    key = re.search(r'name = "connector2"; public_key = "([^"]*)"', text)[1]
    acme, globex = text.split('{ name = "globex"')
    globex = globex.replace(f'{{ name = "connector2"; public_key = "{key}"; }}', "")
    acme = acme.replace("networks = (", 'networks = (\n      { name = "branch"; connectors = ('
                        f'{{ name = "connector2"; public_key = "{key}"; }}); }},', 1)
    acme = re.sub(r'\{ address = "(?!git)', r'{ network = "office"; address = "', acme)
    acme = acme.replace(
        '{ address = "git.corp.example"; tcp = [80, 443]; udp = 53;',
        '{ name = "git-branch"; network = "branch"; address = "git.corp.example"; tcp = 443; groups = ["staff"]; },\n'
        '      { network = "office"; address = "git.corp.example"; tcp = 80; udp = 53;', 1)
    lab.set_config("pop", acme + '{ name = "globex"' + globex)
    lab.set_config("connector2", lab.config_of("connector2").replace('"globex"', '"acme"'))
    for host in ("pop", "connector2"):
        lab.stop(host)
        lab.start_again(host)
    address = lab.address_of("client", GIT)

    def page(url):
        return lab.curl("client", url, "-k").out
    lab.wait_for("the branch's page", lambda: page(f"https://{GIT}/") == lab.page("private2", "git"))
    for _ in range(3):
        expect(page(f"http://{GIT}/"), lab.page("private", "git"))
        expect(page(f"https://{GIT}/"), lab.page("private2", "git"))
    expect(lab.address_of("client", GIT), address, "one address for both")
    expect(lab.dig("client", GIT, "TXT").data("TXT"), ['"the git of tenant one"'], "who has UDP/53")
    expect(lab.tcp("client", address, 22), "ECONNREFUSED", "a port of neither")
