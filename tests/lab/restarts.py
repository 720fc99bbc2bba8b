"""Restarts: a PoP or a connector is killed under traffic and comes back."""
import hashlib
import os
import signal
import time

from labtest import case, expect, expect_true
from netlab import process, servers, topology

GIT = "git.corp.example"


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def blob(host="private", name="git"):
    return os.path.join(process.folder(host), "nginx", name, "blob")


def scratch(lab, name):
    path = os.path.join(lab.logs, name)
    if os.path.exists(path):
        os.unlink(path)
    return path


def kill_and_restart(lab, host):
    lab.stop(host, signal.SIGKILL)
    lab.start_again(host)


@case("C2: a download goes on over a PoP that is killed and restarted", ends="pop")
def download_over_restart(lab):
    got = scratch(lab, "download")
    # The host is slow and the client has nothing to say: it has acknowledged all there was.
    curl = lab.start("client", "curl", "-sS", "--max-time", "60", "-o", got, f"http://{GIT}/slow")
    lab.wait_for("the first part", lambda: os.path.exists(got) and os.path.getsize(got) > 200_000)
    kill_and_restart(lab, "pop")
    out, err = curl.communicate(timeout=70)
    expect((curl.returncode, err), (0, ""))
    expect(sha256(got), sha256(blob()))


@case("C2: a download goes on over three restarts of the PoP", ends="pop")
def download_over_restarts(lab):
    got = scratch(lab, "download3")
    curl = lab.start("client", "curl", "-sS", "--max-time", "90", "-o", got, f"http://{GIT}/slow")
    for part in (200_000, 1_500_000, 3_000_000):
        lab.wait_for(f"{part} octets", lambda: os.path.exists(got) and os.path.getsize(got) > part)
        kill_and_restart(lab, "pop")
    out, err = curl.communicate(timeout=100)
    expect((curl.returncode, err), (0, ""))
    expect(sha256(got), sha256(blob()))


@case("C2: an upload goes on over a PoP that is killed and restarted", ends="pop")
def upload_over_restart(lab):
    put = os.path.join(process.folder("private"), "nginx", "git", "put", "blob")
    curl = lab.start("client", "curl", "-sS", "--max-time", "60", "--limit-rate", "1M", "-T", blob(),
                     f"http://{GIT}/put/blob")
    time.sleep(0)
    lab.wait_for("the upload to begin", lambda: flows_up(lab) > 200_000)
    kill_and_restart(lab, "pop")
    out, err = curl.communicate(timeout=70)
    expect((curl.returncode, err), (0, ""))
    expect(sha256(put), sha256(blob()))


def flows_up(lab):
    rows = lab.show("pop", "show", "flows", "all")["rows"]
    return max([row.get("up_bytes", row.get("bytes_up", 0)) or 0 for row in rows], default=0)
