"""resolvers: other name servers than knot, started by the cases that want them."""
import os
import shutil

from . import process

ADDRESSES = {"public": {"unbound": "192.0.2.54", "dnsmasq": "192.0.2.55"},
             "private": {"unbound": "10.20.0.54", "dnsmasq": "10.20.0.55"}}
DEVICE = {"public": "underlay", "private": "lan"}


def _unbound(host, address, authority, zones, base, tls=None):
    stubs = "".join(f'stub-zone:\n  name: "{zone}"\n  stub-addr: {authority}\n' for zone in zones)
    tls = tls and [shutil.copy(path, base) for path in tls]
    over_tls = f"""
  interface: {address}@853
  tls-port: 853
  tls-service-key: "{tls[0]}"
  tls-service-pem: "{tls[1]}"
""" if tls else ""
    path = f"{base}/unbound.conf"
    with open(path, "w") as f:
        f.write(f"""
server:
  interface: {address}
  access-control: 0.0.0.0/0 allow
  do-not-query-localhost: no
  do-ip6: no
  module-config: "iterator"
  chroot: ""
  username: ""
  directory: "{base}"
  pidfile: "{base}/unbound.pid"
  use-syslog: no
  do-daemonize: no
  num-threads: 1
  local-zone: "." nodefault
  local-zone: "test.example." static
{over_tls}remote-control:
  control-enable: no
{stubs}""")
    return ["unbound", "-d", "-c", path]


def _dnsmasq(host, address, authority, zones, base):
    return ["dnsmasq", "-k", "-C", "/dev/null", "--user=root", f"--listen-address={address}",
            "--bind-interfaces", "--no-resolv", "--no-hosts", f"--server={authority}",
            f"--pid-file={base}/dnsmasq.pid", "--log-facility=-"]


def start(host, program, authority, zones, **more):
    """Start `program` on an address of its own; it asks the authority. Returns the address. `tls` of unbound: files
    of key and certificate, for DNS over TLS beside."""
    address = ADDRESSES[host][program]
    base = f"{process.folder(host)}/{program}" if program != "unbound" else f"{process.unbound_folder()}/{host}"
    os.makedirs(base, exist_ok=True)
    process.shell(host, f"ip address replace {address}/24 dev {DEVICE[host]}")
    make = {"unbound": _unbound, "dnsmasq": _dnsmasq}[program]
    process.start(host, program, make(host, address, authority, zones, base, **more))
    process.wait_for(f"{program} on {host}", lambda: "status:" in process.run(
        host, ["dig", "+tries=1", "+time=1", f"@{address}", next(iter(zones)), "SOA"]).stdout)
    return address
