"""zone: change what a private DNS server says, until the end of a block."""
import os
import re
import signal

from netlab import process


class Zone:
    """with Zone(lab) as zone: zone.set("name.dev 1 A 10.20.0.40") at the private DNS server, until the end."""

    def __init__(self, lab, host="private"):
        self.lab = lab
        self.host = host
        self.path = os.path.join(process.folder(host), "knot", "corp.example.zone")
        self.before = self._now()

    def _write(self, text):
        serial = int(re.search(r"SOA ns admin (\d+)", self._now())[1]) + 1
        text = re.sub(r"(SOA ns admin) \d+", rf"\1 {serial}", text)
        with open(self.path, "w") as f:
            f.write(text)
        os.kill(process.pid_of(self.host, "knotd"), signal.SIGHUP)
        self.lab.wait_for("the changed zone", lambda: str(serial) in self.lab.run(
            self.host, "dig", "+short", "+tries=1", "+time=1", "corp.example", "SOA").out.split())

    def _now(self):
        with open(self.path) as f:
            return f.read()

    def set(self, *records):
        self._write(self.before + "".join(record + "\n" for record in records))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._write(self.before)
