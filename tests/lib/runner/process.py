"""process: start children that cannot outlive us, whatever ends this run.

Each child leads a process group of its own, so that all it started can be ended with it; the
kernel ends it if we are killed; and what it leaves behind is handed to us (we are the subreaper)
instead of to init.
"""
import ctypes
import os
import signal
import subprocess
import threading
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
GRACE_S = 60  # taking a lab down may need this on a busy machine

_libc = ctypes.CDLL(None, use_errno=True)
_running = {}
_lock = threading.RLock()  # a signal may find the main thread inside it
stopping = threading.Event()


def become_subreaper():
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _die_with_parent():
    # SIGTERM, not SIGKILL: the lab's program takes its namespaces down on it.
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def _signal(pid, number):
    """Signal a process, or with -pid its group; the lab's belong to root, by sudo, for who is not."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        subprocess.run(["sudo", "-n", "kill", f"-{int(number)}", "--", str(pid)], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _signal_group(child, number):
    _signal(-child.pid, number)


def _end(child):
    _signal_group(child, signal.SIGTERM)
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        pass
    _signal_group(child, signal.SIGKILL)


def run(argv, log, timeout_s, env=None, cwd=None):
    """Run argv with output to the open file `log`; returns its exit status (negative: signal), or
    None when it had to be ended after timeout_s or because the run is being stopped."""
    if stopping.is_set():
        return None
    child = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=cwd,
        env={**os.environ, **(env or {})}, start_new_session=True, preexec_fn=_die_with_parent)
    with _lock:
        _running[child.pid] = child
    try:
        return child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if child.poll() is None:
            _end(child)
        _signal_group(child, signal.SIGKILL)  # what it left running
        with _lock:
            del _running[child.pid]


def stop_all():
    """End every child, and what they started; returns when all are gone."""
    stopping.set()
    with _lock:
        children = list(_running.values())
    for child in children:
        _signal_group(child, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    for child in children:
        try:
            child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        _signal_group(child, signal.SIGKILL)


def kill_orphans():
    """End what children that are gone have left to us, and reap it."""
    for pid in _children_of(os.getpid()):
        _signal(pid, signal.SIGKILL)
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass


def _children_of(parent):
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(name))
    return found
