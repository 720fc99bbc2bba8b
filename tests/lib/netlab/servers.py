"""servers: the real programs behind the connectors and on the public side."""
import os

from . import process
from .topology import ABSENT, PRIVATE_ADDRESSES, PUBLIC_ADDRESSES

SOA = "@ 300 SOA ns admin 1 3600 600 86400 30\n@ 300 NS ns\n"
BIG_TXT = "\n".join(f'big 300 TXT "{nb:02d} {"x" * 200}"' for nb in range(9))
# More than two packets hold, behind a connector.
LONG_TXT = "\n".join(f'long.dev 300 TXT "{nb:02d} {"y" * 230}"' for nb in range(60))

ZONES = {
    "private": {
        "corp.example": SOA + """
ns 300 A {dns}
git 300 A {git}
git 300 AAAA fd00:20::20
git 300 TXT "the git of tenant one"
git 300 MX 10 mail
git 300 CAA 0 issue "ca.example"
git 300 HTTPS 1 . alpn=h2 ipv4hint={git} ipv6hint=fd00:20::20
_ssh._tcp.git 300 SRV 0 0 22 git
mail 300 A {hidden}
code 300 CNAME git
perf 300 A {perf}
*.dev 300 A {dev}
*.dev 300 AAAA fd00:20::40
*.dev 300 TXT "any name below dev"
alias.dev 300 CNAME build.dev
build.dev 300 A {dev}
front.dev 300 CNAME hidden
closed.dev 300 A {closed}
absent.dev 300 A {absent}
payroll 300 A {payroll}
""" + LONG_TXT + """
payroll 300 TXT "the payroll of tenant one"
hidden 300 A {hidden}
hidden 300 TXT "what stands behind the front"
brief 0 A {git}
""",
        "both.public.example": SOA + "@ 300 A {both}\nns 300 A {dns}\n",
    },
    "private2": {
        "corp.example": SOA + "ns 300 A {dns}\ngit 300 A {git}\n"
                              'git 300 TXT "the git of tenant two"\n',
    },
    "public": {
        "public.example": SOA + "ns 300 A {dns}\nwww 300 A {www}\nboth 300 A {both}\n"
                                "brief 1 A {www}\n" + BIG_TXT + "\n",
        # What the world says of names that are granted as well: a query that leaks shows.
        "corp.example": SOA + "ns 300 A {dns}\ngit 300 A {www}\nhidden 300 A {www}\n",
    },
}

# Which pages nginx shows: (name of the address, server names)
PAGES = {
    "private": (("git", "git.corp.example code.corp.example"), ("dev", "*.dev.corp.example"),
                ("payroll", "payroll.corp.example"), ("hidden", "hidden.corp.example"),
                ("both", "both.public.example")),
    "private2": (("git", "git.corp.example"),),
}
TENANT = {"private": "one", "private2": "two"}


def page(host, name):
    """The line that tells a page from every other."""
    return f"This is {name} of tenant {TENANT[host]}."


def _write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def _addresses(host):
    return PUBLIC_ADDRESSES if host == "public" else PRIVATE_ADDRESSES[host]


def _start_knot(host):
    base = process.folder(host) + "/knot"
    addresses = _addresses(host)
    zones = ""
    for zone, text in ZONES[host].items():
        path = f"{base}/{zone}.zone"
        for name, address in {**addresses, "absent": ABSENT}.items():
            text = text.replace("{%s}" % name, address)
        _write(path, f"$ORIGIN {zone}.\n{text}")
        zones += f'  - domain: {zone}\n    file: "{path}"\n'
    _write(f"{base}/knot.conf", f"""
server:
    rundir: "{base}"
    listen: {addresses["dns"]}@53
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: warning
database:
    storage: "{base}/db"
template:
  - id: default
    zonefile-sync: -1
    journal-content: none
zone:
{zones}""")
    os.makedirs(f"{base}/db")
    process.start(host, "knotd", ["knotd", "-c", f"{base}/knot.conf"])


def _start_nginx(host):
    base = process.folder(host) + "/nginx"
    key, certificate = f"{base}/tls.key", f"{base}/tls.pem"
    os.makedirs(base)
    names = [name for _, names in PAGES[host] for name in names.split()]
    process.root(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                  "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=lab",
                  "-addext", "subjectAltName=" + ",".join(f"DNS:{n}" for n in names),
                  "-keyout", key, "-out", certificate])
    blocks = ""
    for name, names in PAGES[host]:
        address = _addresses(host)[name]
        _write(f"{base}/{name}/index.html", page(host, name) + "\n")
        # 4 MiB of which every part is different, for transfers that are compared.
        with open(f"{base}/{name}/blob", "wb") as f:
            f.write(b"".join(b"%s %010d\n" % (name.encode().rjust(20), i) for i in range(131072)))
        blocks += f"""
    server {{
        listen {address}:80;
        listen {address}:443 ssl;
        server_name {names};
        root {base}/{name};
        # The blob as fast as a slow line would bring it, and a place to put one.
        location = /slow {{ alias {base}/{name}/blob; limit_rate 1m; }}
        location /put/ {{ dav_methods PUT; create_full_put_path on; client_max_body_size 64m; }}
        location = /whoami {{ default_type text/plain; lingering_close always; return 200 "$remote_addr\\n"; }}
    }}
"""
    _write(f"{base}/nginx.conf", f"""
user root;
worker_processes 1;
daemon off;
pid {base}/nginx.pid;
error_log {base}/error.log warn;
events {{ worker_connections 1024; }}
http {{
    log_format lab '$remote_addr $server_addr:$server_port $host "$request" $status $body_bytes_sent';
    access_log {base}/access.log lab;
    default_type text/html;
    client_body_temp_path {base}/tmp; proxy_temp_path {base}/tmp; fastcgi_temp_path {base}/tmp;
    uwsgi_temp_path {base}/tmp; scgi_temp_path {base}/tmp;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
{blocks}}}
""")
    process.start(host, "nginx", ["nginx", "-e", f"{base}/error.log", "-c", f"{base}/nginx.conf"])


def access_log(host):
    """The lines of nginx's access log."""
    try:
        with open(process.folder(host) + "/nginx/access.log") as f:
            return f.read().splitlines()
    except FileNotFoundError:
        return []


def start_iperf3(host="private"):
    address = PRIVATE_ADDRESSES[host]["perf"]
    process.start(host, "iperf3", ["iperf3", "-s", "-B", address, "-p", "5201"])


def _start_echo(host):
    here = os.path.dirname(os.path.abspath(__file__))
    process.start(host, "echo", ["/usr/bin/python3", "-B", f"{here}/echo.py",
                                 PRIVATE_ADDRESSES[host]["perf"], "7"])


def _listening(host, address, port, kind):
    done = process.run(host, ["ss", "-Hln", f"--{kind}", f"src = {address} and sport = {port}"])
    return bool(done.stdout.strip())


def _ready(host):
    """[(what, condition)] that hold when a host serves."""
    addresses = _addresses(host)
    wanted = [("knotd", addresses["dns"], 53, "udp")]
    wanted += [("nginx", addresses[name], 443, "tcp") for name, _ in PAGES.get(host, ())]
    if host == "private":
        wanted += [("iperf3", addresses["perf"], 5201, "tcp"), ("echo", addresses["perf"], 7, "udp")]
    return wanted


def up():
    for host in ZONES:
        _start_knot(host)
    for host in PAGES:
        _start_nginx(host)
    start_iperf3()
    _start_echo("private")
    for host in ZONES:
        for name, address, port, kind in _ready(host):
            def listens():
                if process.exit_of(host, name):
                    raise process.LabError(f"{name} on {host} ended: {process.log_tail(host, name)}")
                return _listening(host, address, port, kind)
            process.wait_for(f"{name} on {host} to listen at {address}:{port}", listens)
        zone = next(iter(ZONES[host]))
        process.wait_for(f"{zone} to be served on {host}", lambda: "NOERROR" in process.run(
            host, ["dig", "+tries=1", "+time=1", f"@{addresses_dns(host)}", zone, "SOA"]).stdout)


def addresses_dns(host):
    return _addresses(host)["dns"]
