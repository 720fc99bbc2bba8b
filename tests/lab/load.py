"""Load: the load generator of scripts/loadtest finds every answer right. It has daemons of its own."""
import json
import os
import subprocess
import sys

from labtest import case, expect, expect_true
from netlab import process


def load(what, *words):
    done = subprocess.run([sys.executable, "-B", os.path.join(process.TOP, "scripts", "loadtest"), what,
                           "--ordinary-memory", "--json", "--clients", "200", "--names", "100", "--seconds",
                           "0.5", *words],
                          env={**os.environ, "SLUICE_LAB_BUILD": process.BUILD}, text=True, capture_output=True)
    expect(done.returncode, 0, f"exit code of loadtest {what}: {done.stderr[-2000:]}")
    return [o for o in json.loads(done.stdout) if o["bench"] == "load"][0]


@case("hundreds of clients ask, and every answer is right")
def dns(lab):
    found = load("dns", "--window", "64")
    expect_true(found["answered"] > 1000, f"over 1,000 answers: {found}")
    expect(found["wrong"], 0, "wrong answers")
    expect(found["lost"], 0, "lost questions")


@case("a thousand flows cross PoP, tunnel and connector, and every datagram comes back as it was")
def flows(lab):
    found = load("flows", "--flows", "1000", "--bytes", "300", "--window", "64")
    expect_true(found["answered"] > 1000, f"over 1,000 answers: {found}")
    expect(found["wrong"], 0, "wrong datagrams")
    expect(found["lost"], 0, "lost datagrams")
