"""DNS over TLS, both ways, with real certificates; and what TCP leaves behind."""
import os
import random
import signal
import ssl
import struct

from labtest import case, expect, expect_true
from names import GIT, ask, query
from netlab import daemons, process, resolvers, topology
from streams import RESOLVER, framed, read_message

KNOT = topology.PUBLIC_ADDRESSES["dns"]
UPSTREAMS = 'upstreams = ["192.0.2.53"];'


def openssl(*argv):
    return process.root(["openssl", *argv])


class Authority:
    """A certificate authority of the case's own, and what it signs."""

    def __init__(self, base):
        self.base = base
        os.makedirs(base, exist_ok=True)
        self.file = f"{base}/authority.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-days", "3", "-subj", "/CN=authority", "-keyout", f"{base}/authority.key",
                "-out", self.file)

    def sign(self, name, mark=""):
        """(certificate, key, pin of the key) for a name."""
        stem = f"{self.base}/{name}{mark}"
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                f"/CN={name}", "-keyout", f"{stem}.key", "-out", f"{stem}.csr")
        with open(f"{stem}.ext", "w") as f:
            f.write(f"subjectAltName=DNS:{name}\n")
        openssl("x509", "-req", "-in", f"{stem}.csr", "-CA", self.file, "-CAkey",
                f"{self.base}/authority.key", "-CAcreateserial", "-days", "3", "-extfile", f"{stem}.ext",
                "-out", f"{stem}.pem")
        for path in (f"{stem}.pem", f"{stem}.key"):
            os.chmod(path, 0o644)  # the daemon has given up root when it reads them again
        pin = process.root(["sh", "-c", f"openssl x509 -in {stem}.pem -pubkey -noout | openssl pkey -pubin "
                            "-outform der | openssl dgst -sha256 -binary | base64"]).strip()
        return f"{stem}.pem", f"{stem}.key", pin


def set_servers(lab, text, *servers):
    """`text` is the configuration as it was."""
    expect_true(UPSTREAMS in text, "the example's upstreams")
    lab.set_config("pop", text.replace(UPSTREAMS, f"upstreams = {{ servers = ({', '.join(servers)}); }};"))
    lab.control("pop", "reload")


@case("A14: an upstream over TLS is asked when its certificate or pin is right, and else never, nor in the clear",
      ends="pop")
def upstream_over_tls(lab):
    authority = Authority(f"{process.folder('public')}/tls")
    certificate, key, pin = authority.sign("dot.public.example")
    address = resolvers.start("public", "unbound", KNOT, ("public.example",), tls=(key, certificate))
    wrong = "A" * 43 + "="
    text = lab.config_of("pop")
    lab.stop("pop")
    process.start("pop", "sluice", ["env", f"SSL_CERT_FILE={authority.file}", daemons.binary("sluice"),
                                    "-c", daemons.config_path("pop")])
    lab.wait_ready()
    try:
        seen = lab.capture("public", "underlay")

        def ask():
            return lab.dig("client", f"t{random.randrange(1 << 32):x}.public.example", "A", "+edns=0", "+time=6")
        for tls, is_good in (('tls = "dot.public.example";', True),
                             (f'tls = "dot.public.example"; tls_pin = "{pin}";', True),
                             (f'tls = "other.public.example"; tls_pin = "{pin}";', True),
                             ('tls = "other.public.example";', False),
                             (f'tls = "dot.public.example"; tls_pin = "{wrong}";', False)):
            set_servers(lab, text, f'{{ address = "{address}"; {tls} }}')
            answer = ask()
            expect(answer.status, "NXDOMAIN" if is_good else "SERVFAIL", tls)
        # Many questions use one connection, long answers come whole.
        set_servers(lab, text, f'{{ address = "{address}"; tls = "dot.public.example"; }}')
        for _ in range(20):
            expect(ask().status, "NXDOMAIN")
        expect(len(lab.dig("client", "big.public.example", "TXT").answers), 9)
        asked = [p for p in seen.packets() if p.dst == address and p.src == topology.POP_UNDERLAY]
        expect({(p.protocol, p.ports()[1]) for p in asked}, {(6, 853)}, "how it was asked")
        begun = [p for p in asked if p.payload[13] & 0x12 == 2]
        expect_true(len(begun) <= 8, f"few connections, not {len(begun)}")
        # It dies in the middle: the next answers, nobody waits for long.
        set_servers(lab, text, f'{{ address = "{address}"; tls = "dot.public.example"; }}', f'"{KNOT}"')
        expect(ask().status, "NXDOMAIN")
        process.remove("public", "unbound")
        for _ in range(5):
            expect(ask().status, "NXDOMAIN")
    finally:
        process.remove("public", "unbound")
        lab.set_config("pop", text)
        lab.stop("pop")
        lab.start_again("pop")


@case("A14: clients that verify the certificate of the configuration have their answers over TLS, others theirs not",
      ends="pop")
def own_certificate(lab):
    authority = Authority(f"{process.folder('pop')}/tls")
    certificate, key, pin = authority.sign("dns.corp.example")
    text = text_before = lab.config_of("pop")
    lab.set_config("pop", text.replace("tls = true;", f'tls_cert_file = "{certificate}"; '
                                       f'tls_key_file = "{key}";'))
    lab.stop("pop")
    lab.start_again("pop")
    lab.wait_ready()
    try:
        address = lab.address_of("client", GIT)

        def kdig(*options, client="client"):
            return lab.run(client, "kdig", "+short", "+timeout=3", "+retry=0", f"@{RESOLVER}", GIT, *options).out.split()
        ca = f"+tls-ca={authority.file}"
        expect(kdig(ca, "+tls-hostname=dns.corp.example"), [address], "by name")
        expect(kdig("+tls", f"+tls-pin={pin}"), [address], "by pin")
        expect(kdig(ca, "+tls-hostname=other.corp.example"), [], "another name")
        expect(kdig("+tls", "+tls-pin=" + "A" * 43 + "="), [], "another pin")
        expect(kdig(ca, "+tls-hostname=dns.corp.example", client="client2"), [address], "a WireGuard client")
        # Renewed, under the same names: a reload takes it, one that is no use changes nothing.
        _, _, renewed = authority.sign("dns.corp.example")
        lab.control("pop", "reload")
        lab.wait_for("the renewed key", lambda: kdig("+tls", f"+tls-pin={renewed}") == [address])
        expect(kdig("+tls", f"+tls-pin={pin}"), [], "the old key")
        authority.sign("dns.corp.example", "-other")
        os.replace(f"{authority.base}/dns.corp.example-other.key", key)
        done = lab.try_control("pop", "reload")
        expect_true(done.code != 0 and "certificate" in done.err, f"a refusal: {done.err}")
        expect(kdig("+tls", f"+tls-pin={renewed}"), [address], "after a refused reload")
    finally:
        lab.set_config("pop", text_before)
        lab.stop("pop")
        lab.start_again("pop")


def with_options(name, options):
    """A query whose OPT has these options, [(code, data)]."""
    data = b"".join(struct.pack("!HH", code, len(d)) + d for code, d in options)
    message = bytearray(query(name))
    message[11] = 1
    return bytes(message) + struct.pack("!BHHIH", 0, 41, 1232, 0, len(data)) + data


def options_of(message):
    """Of an answer whose OPT is at its end, as all of ours."""
    at = message.rindex(struct.pack("!BHH", 0, 41, 1232)) + 9
    found, data = {}, message[at + 2:]
    while data:
        code, nb = struct.unpack_from("!HH", data)
        found[code], data = data[4:4 + nb], data[4 + nb:]
    return found


@case("A14: over TCP a client that asks for it hears how long it may idle, over TLS its answers are padded")
def keepalive_and_padding(lab):
    names = (GIT, "payroll.corp.example", "www.public.example", "big.public.example")
    asked = [(11, b""), (12, b"\0" * 20)]
    context = ssl._create_unverified_context()
    with lab.tcp("client", RESOLVER, 53) as plain, lab.tcp("client", RESOLVER, 853) as raw:
        with context.wrap_socket(raw) as tls:
            for name in names:
                for sock in (plain, tls):
                    sock.sendall(framed(with_options(name, asked)))
                    message = read_message(sock)
                    options = options_of(message)
                    expect(struct.unpack("!H", options[11])[0], 100, f"units of 100 ms, {name}")
                    expect(12 in options, sock is tls, f"padding, {name}")
                    if sock is tls:
                        expect(len(message) % 468, 0, f"octets of {name}")
                    sock.sendall(framed(with_options(name, [])))
                    expect(options_of(read_message(sock)), {}, f"unasked, {name}")
    with lab.udp("client") as sock:
        expect(options_of(ask(sock, with_options(GIT, asked))), {}, "by UDP")
        expect(ask(sock, with_options(GIT, asked)[:-1] + b"")[3] & 15, 1, "an option that is cut")
    text = lab.ok("client", "kdig", "+tls", "+padding=128", f"@{RESOLVER}", GIT)
    expect_true("PADDING" in text and "468 B" in text, text)


def namespaces():
    """Network namespaces, named or not, in which a process of this lab is."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as f:
                if process.RUN + "/" in f.read():
                    found.add(os.readlink(f"/proc/{pid}/ns/net"))
        except OSError:
            pass
    return found


def tuns(pid):
    return sum("tun" in os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))


@case("A14: killed, a PoP leaves nothing of its DNS over TCP behind, and serves it again when it is back", ends="pop")
def killed(lab):
    before = namespaces()
    for _ in range(3):
        expect_true(tuns(process.pid_of("pop", "sluice")) >= 1, "a TUN device")
        with lab.tcp("client", RESOLVER, 53) as sock:
            sock.sendall(framed(query(GIT)))
            expect(read_message(sock)[3] & 15, 0)
            lab.stop("pop", signal.SIGKILL)
        lab.start_again("pop")
        lab.wait_ready()
        for options in (("+tcp",),):
            expect(lab.dig("client", GIT, "A", *options).status, "NOERROR")
    expect(namespaces() - before, set(), "namespaces that were not there")
    expect(lab.ok("pop", "ip", "-o", "link", "show", "type", "tun").strip(), "", "TUN devices on the host")


@case("A14: over TCP clients of two tenants, and WireGuard clients, have each their own answers at once")
def tenants(lab):
    names = ("client", "client2", "client3")
    expected = {c: '"the git of tenant two"' if c == "client3" else '"the git of tenant one"' for c in names}
    socks = {c: lab.tcp(c, RESOLVER, 53) for c in names}
    addresses = {}
    try:
        for i in range(50):
            for sock in socks.values():
                sock.sendall(framed(query(GIT, 16, i)) + framed(query(GIT, 1, 1000 + i)))
        for client, sock in socks.items():
            texts, found = set(), set()
            for _ in range(100):
                message = read_message(sock)
                if struct.unpack_from("!H", message)[0] >= 1000:
                    found.add(message[-4:])
                else:
                    texts.add(message[12:])
            expect(len(texts), 1, f"TXT of {client}")
            expect_true(expected[client].strip('"').encode() in texts.pop(), f"TXT of {client}'s tenant")
            expect(len(found), 1, f"addresses of {client}")
            addresses[client] = found.pop()
    finally:
        for sock in socks.values():
            sock.close()
    expect(addresses["client"], addresses["client2"], "one name of one tenant")
    # A long answer through the tunnel and WireGuard, and from the upstream.
    for client in ("client", "client2"):
        expect(len(lab.dig(client, "long.dev.corp.example", "TXT", "+tcp").answers), 60, client)
        expect(len(lab.dig(client, "big.public.example", "TXT").answers), 9, client)
