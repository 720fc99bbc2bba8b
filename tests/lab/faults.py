"""Faults: what breaks around the daemons, what clients saw of it, and that all recovered by itself."""
import hashlib
import os
import re
import signal
import subprocess
import time

from labtest import case, expect, expect_true
from netlab import daemons, process, topology

GIT = "git.corp.example"
PART = 512 * 1024  # of the blob, where a whole one would take a lossy path long


def part_of_blob():
    path = os.path.join(process.folder("private"), "nginx", "git", "blob")
    with open(path, "rb") as f:
        return hashlib.sha256(f.read(PART)).hexdigest()


def page_again(lab, seconds=15):
    lab.wait_for("the page", lambda: lab.curl("client", f"http://{GIT}/", "--max-time", "3").out
                 == lab.page("private", "git"), seconds)


# ---- The underlay

def lose(lab, percent, *directions):
    """Loss of what enters the router by these interfaces, between PoP and connectors."""
    rules = "\n".join(f'add rule ip lossy forward iifname "{d}" numgen random mod 100 < {percent} counter drop'
                      for d in directions)
    process.shell("underlay", f"""nft delete table ip lossy 2>/dev/null || true
nft 'add table ip lossy
add chain ip lossy forward {{ type filter hook forward priority 2; }}
{rules}'""")


def transfer(lab):
    """Down and up over the path as it is; seconds of each."""
    took = []
    down = os.path.join(lab.logs, "lossy-down")
    began = time.monotonic()
    lab.ok("client", "curl", "-sS", "--max-time", "50", "-r", f"0-{PART - 1}", "-o", down,
           f"http://{GIT}/blob")
    took.append(time.monotonic() - began)
    with open(down, "rb") as f:
        expect(hashlib.sha256(f.read()).hexdigest(), part_of_blob(), "what came down")
    began = time.monotonic()
    lab.ok("client", "curl", "-sS", "--max-time", "50", "-T", down, f"http://{GIT}/put/part")
    took.append(time.monotonic() - began)
    put = os.path.join(process.folder("private"), "nginx", "git", "put", "part")
    with open(put, "rb") as f:
        expect(hashlib.sha256(f.read()).hexdigest(), part_of_blob(), "what went up")
    return took


def lossy(lab, percent):
    try:
        for what, directions in (("toward the connector", ["pop"]), ("toward the PoP", ["connector"]),
                                 ("both ways at once", ["pop", "connector"])):
            lose(lab, percent, *directions)
            for _ in range(5):  # few datagrams carry it all: one in a hundred may be none
                down, up = transfer(lab)
                lost = int(re.search(r"counter packets (\d+)", process.shell("underlay", "nft list table ip lossy"))[1])
                if lost > 0:
                    break
            expect_true(lost > 0, "datagrams lost")
            lab.note(f"{percent} % ({lost} datagrams) lost {what}: {PART // 1024} KiB down {down:.1f} s, up {up:.1f} s")
    finally:
        process.shell("underlay", "nft delete table ip lossy")
    page_again(lab)


@case("faults: with 1 % lost on the underlay, either way and both at once, transfers are whole")
def loss_1(lab):
    lossy(lab, 1)


@case("faults: with 5 % lost on the underlay, either way and both at once, transfers are whole")
def loss_5(lab):
    lossy(lab, 5)


@case("faults: with 20 % lost on the underlay, either way and both at once, transfers are whole")
def loss_20(lab):
    lossy(lab, 20)


@case("faults: with disorder on the underlay, both ways, transfers are whole and no session ends")
def disorder(lab):
    before = {r["peer"]: r["age"] for r in lab.show("pop", "show", "sessions")["rows"]}
    lab.fault("reorder", "on")
    down, up = transfer(lab)
    lab.note(f"in disorder: {PART // 1024} KiB down {down:.1f} s, up {up:.1f} s")
    lab.fault("reorder", "off")
    after = {r["peer"]: r["age"] for r in lab.show("pop", "show", "sessions")["rows"]}
    expect_true(after["connector"] > before["connector"], "the session of before")


def link(host, interface, state):
    process.shell(host, f"ip link set {interface} {state}")


@case("E10: the underlay's link down: flows are reset when the connector is dead, health says which port; "
      "up again: new flows, no restart", our_fault=True)
def underlay_down(lab):
    sock = lab.tcp("client", lab.address_of("client", GIT), 80)
    process.shell("underlay", "ip link set pop down")
    began = time.monotonic()
    try:
        result = "nothing"
        try:
            result = sock.recv(1)
        except OSError as error:
            result = type(error).__name__
        took = time.monotonic() - began
        expect(result, "ConnectionResetError", "what the client's idle flow saw")
        lab.wait_for("health", lambda: "underlay" in daemons.health("pop")[1])
        expect(lab.tcp("client", lab.address_of("client", GIT), 80), "EHOSTUNREACH", "a new flow")
        rows = {r["name"]: r["link"] for r in lab.show("pop", "show", "ports")["tables"][0]["rows"]}
        lab.note(f"RST {took * 1000:.0f} ms after the link went; ports: {rows}")
    finally:
        process.shell("underlay", "ip link set pop up\n"
                      "ip route replace 198.51.100.0/24 dev pop src 198.51.100.1")
    began = time.monotonic()
    page_again(lab)
    lab.note(f"a page {time.monotonic() - began:.1f} s after it came back")
    lab.wait_ready()


@case("E10: the private link of a connector down for two seconds: a live flow waits and goes on",
      our_fault=True)
def private_down(lab):
    sock = lab.tcp("client", lab.address_of("client", GIT), 80)
    process.shell("private", "ip link set connector down")
    try:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: git.corp.example\r\n\r\n")
        time.sleep(2)
    finally:
        process.shell("private", "ip link set connector up")
    sock.settimeout(20)
    expect_true(lab.page("private", "git").encode().strip() in sock.recv(4096), "the page on the same flow")
    sock.close()


@case("E10: a port whose device is missing at the start is named by health, and waited for", ends="pop")
def port_missing(lab):
    lab.stop("pop")
    process.shell("pop", "ip link set clients down\nip link set clients name hidden")
    try:
        daemons.start("pop")
        lab.wait_for("health to name it", lambda: "there is no interface clients" in daemons.health("pop")[1])
        expect(process.exit_of("pop", "sluice"), None, "the exit status")
        expect(daemons.control("pop", "health").returncode, 1, "the exit code of health")
    finally:
        process.shell("pop", "ip link set hidden name clients\nip link set clients up")
    lab.wait_ready()
    page_again(lab)


@case("E10: a PCI address that is no card's is named, and the corrected file taken without a restart; SIGTERM "
      "ends a daemon that waits, with status 0", ends="connector2")
def stop_while_waiting(lab):
    good = lab.config_of("connector2")
    lab.stop("connector2")
    lab.set_config("connector2", good.replace("iface=private", "iface=absent"))
    daemons.start("connector2")
    lab.wait_for("health to name it", lambda: "there is no interface absent" in daemons.health("connector2")[1])
    expect(lab.stop("connector2"), "0", "the exit status")
    lab.set_config("connector2", good.replace(
        "net_af_packet1,iface=private,blocksz=65536,framesz=2048,framecnt=4096,qpairs=1", "0000:ff:1f.7"))
    daemons.start("connector2")
    lab.wait_for("health to name the card", lambda: "no PCI device 0000:ff:1f.7" in daemons.health("connector2")[1])
    # The operator corrects the address: no restart.
    pid = process.pid_of("connector2", "sluice")
    lab.set_config("connector2", good)
    lab.control("connector2", "reload")
    lab.wait_ready()
    expect(process.pid_of("connector2", "sluice"), pid, "the process")


# ---- The disk

@case("faults: with the state directory's disk full new names fail, old ones go on, health says why; with "
      "room again all is well", ends="pop")
def disk_full(lab):
    state = f"{process.folder('pop')}/state"
    kept = f"{process.folder('pop')}/state.kept"
    lab.stop("pop")
    os.rename(state, kept)
    os.makedirs(state, mode=0o700)
    process.root(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "none", state])
    try:
        subprocess.run(["cp", "-a", f"{kept}/.", state], check=True)
        subprocess.run(["chown", "-R", "nobody:", state], check=True)
        lab.start_again("pop")
        lab.wait_ready()
        page_again(lab)
        fill = f"{state}/fill"
        subprocess.run(["dd", "if=/dev/zero", f"of={fill}", "bs=4k"], capture_output=True)
        nb = 0

        def refused():
            nonlocal nb
            nb += 1
            return lab.dig("client", f"full-{nb}.dev.corp.example").status == "SERVFAIL"
        lab.wait_for("a new name to fail", refused)
        lab.wait_for("health to say so", lambda: "state directory" in daemons.health("pop")[1])
        lab.note(f"full: {daemons.health('pop')[1]}")
        expect(lab.curl("client", f"http://{GIT}/").out, lab.page("private", "git"), "an old name")
        os.unlink(fill)
        lab.wait_for("a new name", lambda: lab.dig("client", f"full-{nb + 1}.dev.corp.example").data())
        lab.wait_for("health", lambda: daemons.health("pop")[0])
    finally:
        lab.stop("pop")
        process.root(["umount", state])
        os.rmdir(state)
        os.rename(kept, state)
        lab.start_again("pop")
    lab.wait_ready()


def with_preload(host, folder):
    """Restart a daemon under preload.so of tests/lib, which makes its disk slow and its wall clock wrong, and
    takes its packet buffers away, as the file says."""
    path = os.path.join(folder, f"{host}.fault")
    with open(path, "w") as f:
        f.write("0 0\n")
    os.chmod(path, 0o644)
    daemons.stop(host)
    process.start(host, "sluice", ["env", f"LD_PRELOAD={process.BUILD}/tests/preload.so",
                                   f"SLUICE_FAULT={path}", daemons.binary("sluice"), "-c",
                                   daemons.config_path(host)])
    daemons.wait_ready([host])
    return path


def tell(path, wall_s, sync_ms, buffers=0):
    with open(path, "r+") as f:
        f.write(f"{wall_s} {sync_ms} {buffers}          \n")


@case("faults: on a disk that takes 1.5 s to sync a first answer waits, and nothing else does", ends="pop")
def disk_slow(lab):
    path = with_preload("pop", lab.logs)
    try:
        page_again(lab)
        tell(path, 0, 1500)
        began = time.monotonic()
        first = lab.start("client", "dig", "+tries=1", "+time=9", f"@{topology.RESOLVERS[0]}",
                          f"slow-{time.time_ns()}.dev.corp.example")
        others = 0
        while first.poll() is None and time.monotonic() - began < 9:
            asked = time.monotonic()
            expect(lab.curl("client", f"http://{GIT}/").out, lab.page("private", "git"), "another name")
            expect_true(time.monotonic() - asked < 1.2, "pages of other names as fast as ever")
            others += 1
        took = time.monotonic() - began
        expect_true("NOERROR" in first.communicate()[0], "the first answer to come")
        expect_true(took > 1 and others >= 2, f"the first answer to wait for the disk: {took:.1f} s, {others} pages")
        lab.note(f"first answer after {took:.1f} s, {others} pages of other names meanwhile")
        tell(path, 0, 0)
    finally:
        lab.stop("pop")
        lab.start_again("pop")
    lab.wait_ready()


@case("faults: the wall clock of PoP or connector steps a day on or back: flows go on, sessions come again "
      "after restarts", ends="pop connector")
def clock_steps(lab):
    try:
        for host in ("pop", "connector"):
            path = with_preload(host, lab.logs)
            lab.wait_ready()
            sock = lab.tcp("client", lab.address_of("client", GIT), 80)
            for wall_s in (86400, -86400, 0):
                tell(path, wall_s, 0)
                sock.sendall(b"GET / HTTP/1.1\r\nHost: git.corp.example\r\n\r\n")
                expect_true(b"200 OK" in sock.recv(4096), f"the live flow with {host}'s clock at {wall_s} s")
                page_again(lab)
            sock.close()
            # A handshake at a time before that of the last one: the connector is not locked out.
            tell(path, -3600, 0)
            other = "connector" if host == "pop" else "pop"
            lab.stop(other)
            lab.start_again(other)
            lab.wait_ready()
            page_again(lab)
            daemons.stop(host)
            daemons.start(host)
            lab.wait_ready()
            page_again(lab)
    finally:
        for host in ("pop", "connector"):
            if process.exit_of(host, "sluice"):
                daemons.start(host)


# ---- The private DNS

@case("faults: the private DNS gone: new names are 3/1 within 3 s, known ones go on, health says it; back: all "
      "is well")
def private_dns_gone(lab):
    known = lab.address_of("client", GIT)
    page_again(lab)
    process.stop("private", "knotd")
    try:
        name = f"gone-{time.time_ns()}.dev.corp.example"
        address = lab.address_of("client", name)
        began = time.monotonic()
        expect(lab.tcp("client", address, 80), "EHOSTUNREACH", "a name not resolved before")
        took = time.monotonic() - began
        expect_true(took < 4, f"the answer within 3 s or so, not {took:.1f} s")
        expect_true(not isinstance(lab.tcp("client", known, 80), str), "a name resolved before")
        lab.note(f"3/1 after {took:.1f} s")
    finally:
        base = process.folder("private") + "/knot"
        process.start("private", "knotd", ["knotd", "-c", f"{base}/knot.conf"])
    lab.wait_for("the name", lambda: not isinstance(lab.tcp("client", address, 80, 2), str))
