"""Room: what happens when tables, places to wait and packet buffers run out, and that it passes by itself."""
import contextlib
import os
import signal
import time

from faults import GIT, page_again, tell, with_preload
from labtest import case, expect, expect_true
from netlab import process


def stat(lab, host, counter):
    return next(r["value"] for r in lab.show(host, "show", "stats")["rows"] if r["counter"] == counter)


def free_buffers(lab, host):
    return stat(lab, host, "free")


def first_packets(lab, stack, nb, each=lambda i: None):
    """Of so many flows, to a name that nobody has asked the private DNS for."""
    address = lab.address_of("client", f"wait-{time.time_ns()}.dev.corp.example")
    for i in range(nb):
        stack.enter_context(lab.udp("client")).sendto(b"x" * 20, (address, 53))
        each(i)


@contextlib.contextmanager
def silent_dns():
    os.kill(process.pid_of("private", "knotd"), signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid_of("private", "knotd"), signal.SIGCONT)


@case("B11: more first packets than may wait for a silent private DNS: the rest is refused and counted, others "
      "go on, and no buffer stays", our_fault=True)
def no_room_to_wait(lab):
    page_again(lab)
    free = free_buffers(lab, "connector")

    def other_tenant(i):
        if i % 500 == 0:
            expect(lab.curl("client3", f"http://{GIT}/").out, lab.page("private2", "git"), "another tenant's page")
    with silent_dns(), contextlib.ExitStack() as stack:
        first_packets(lab, stack, 6000, other_tenant)
        waiting, left = stat(lab, "connector", "packets that wait"), free_buffers(lab, "connector")
        sock = lab.tcp("client", lab.address_of("client", GIT), 80)
        expect_true(not isinstance(sock, str), f"a new flow to a name that is known, not {sock}")
        expect_true(waiting > 500, f"packets to wait, not {waiting}")
        lab.note(f"{waiting} packets waited at once, {left} buffers free of {free}")
    lab.wait_for("nothing to wait", lambda: stat(lab, "connector", "packets that wait") == 0)
    lab.wait_for("all buffers", lambda: free_buffers(lab, "connector") >= free - 64)
    page_again(lab)


@case("B11: with the fewest buffers there may be, packets that wait take a quarter; the session and live flows go on",
      ends="connector", our_fault=True)
def few_buffers(lab):
    lab.stop("connector")
    lab.set_config("connector", lab.config_of("connector") + "\nlimits = { mbufs = 1024; };\n")
    lab.start_again("connector")
    lab.wait_ready()
    page_again(lab)
    live = lab.tcp("client", lab.address_of("client", GIT), 80)
    with silent_dns(), contextlib.ExitStack() as stack:
        least = []
        first_packets(lab, stack, 2000, lambda i: i % 200 or least.append(free_buffers(lab, "connector")))
        waiting = stat(lab, "connector", "packets that wait")
        expect_true(0 < waiting <= 256, f"a quarter of the buffers to wait at most, not {waiting}")
        expect_true(stat(lab, "connector", "packets not kept: too many waited") > 0, "the others to be counted")
        live.sendall(b"GET / HTTP/1.1\r\nHost: git.corp.example\r\n\r\n")
        live.settimeout(5)
        expect_true(b"200 OK" in live.recv(4096), "the live flow")
        lab.note(f"{waiting} waited, at least {min(least)} of 1024 buffers were free")
    lab.wait_for("all buffers", lambda: free_buffers(lab, "connector") >= 1024 - 64)
    page_again(lab)


def alarm(lab, host):
    """The figure the alarm Buffers short is about, from the metrics themselves."""
    text = lab.ok(host, "curl", "-sS", "http://127.0.0.1:9464/metrics")
    return next(int(line.split()[-1]) for line in text.splitlines()
                if line.startswith('sluice_packet_buffers{state="free"}'))


@case("B11: not one buffer left at a connector: its flows are reset and new ones refused with 3/1, the alarm's "
      "figure says why; with buffers again all is well, without a restart", ends="connector", our_fault=True)
def no_buffers(lab):
    path = with_preload("connector", lab.logs)
    try:
        lab.wait_ready()
        page_again(lab)
        pid, free = process.pid_of("connector", "sluice"), free_buffers(lab, "connector")
        live = lab.tcp("client", lab.address_of("client", GIT), 80)
        with silent_dns(), contextlib.ExitStack() as stack:
            tell(path, 0, 0, 1)
            # What the worker keeps in its own cache goes with packets that wait.
            first_packets(lab, stack, 600)
            lab.wait_for("no buffer to be left", lambda: free_buffers(lab, "connector") == 0)
            began = time.monotonic()
            live.settimeout(10)
            try:
                seen = live.recv(1)
            except OSError as error:
                seen = type(error).__name__
            expect(seen, "ConnectionResetError", "what the client's idle flow saw")
            took = time.monotonic() - began
        expect(lab.tcp("client", lab.address_of("client", GIT), 80), "EHOSTUNREACH", "a new flow")
        expect(alarm(lab, "connector"), 0, "the figure of the alarm")
        lab.note(f"{free} buffers gone: RST {took:.1f} s later, new flows 3/1")
        tell(path, 0, 0)
        began = time.monotonic()
        page_again(lab)
        lab.note(f"a page {time.monotonic() - began:.1f} s after they came back")
        lab.wait_for("all buffers", lambda: free_buffers(lab, "connector") >= free - 64)
        expect(process.pid_of("connector", "sluice"), pid, "the process")
    finally:
        tell(path, 0, 0)
        lab.stop("connector")
        lab.start_again("connector")
    lab.wait_ready()
