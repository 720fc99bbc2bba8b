"""process: run commands and keep daemons in the lab's namespaces."""
import os
import shutil
import signal
import subprocess
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
PREFIX = os.environ.get("SLUICE_LAB_PREFIX", "sl-")
RUN = os.path.join("/run/sluice-lab", PREFIX.strip("-") or "lab")
BUILD = os.environ.get("SLUICE_LAB_BUILD", os.path.join(TOP, "build"))
WAIT_S = 30  # how long a condition may take; only failures take it


class LabError(Exception):
    """What is wrong, with what to do about it."""


def namespace(host):
    return PREFIX + host


def unbound_folder():
    """Of this lab, by the prefix that holds now. Debian's AppArmor confines unbound to what is below its own."""
    return os.path.join("/var/lib/unbound/sluice-lab", os.path.basename(RUN))


def folder(host):
    return os.path.join(RUN, host)


def environment(host):
    """What `exec HOST` adds to the environment."""
    path = f"{BUILD}/ctrl:{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
    return {"PATH": path, "SLUICE_SOCKET": os.path.join(folder(host), "sluice.sock")}


def wireguard_folder(host):
    """Where the control sockets of the host's WireGuard devices lie, if it has any."""
    return os.path.join(folder(host), "wireguard")


# In the mount namespace that `ip netns exec` makes. All hosts share the file system, and a control
# socket is found by the name of its device; huge pages may be needed elsewhere.
_OWN_SOCKETS = 'mount --bind "$0" /run/wireguard && exec "$@"'
_NO_HUGE_PAGES = '''for d in /sys/kernel/mm/hugepages /sys/devices/system/node/node*/hugepages; do
    mount -t tmpfs none "$d"
done
sed 's/^\\(HugePages_[A-Za-z]*:\\).*/\\1 0/' /proc/meminfo >"$0" && mount --bind "$0" /proc/meminfo
exec "$@"'''


def argv_in(host, argv):
    env = environment(host)
    before = []
    if os.path.isdir(wireguard_folder(host)):
        before += ["sh", "-c", _OWN_SOCKETS, wireguard_folder(host)]
    if os.environ.get("SLUICE_LAB_HUGE_PAGES") == "no":
        before += ["sh", "-c", _NO_HUGE_PAGES, folder(host) + "/meminfo"]
    return ["ip", "netns", "exec", namespace(host), *before, "env",
            *[f"{k}={v}" for k, v in env.items()], *argv]


def run(host, argv, timeout_s=60, check=False, stdin=None):
    """Run argv on a host; returns the finished process with text in stdout and stderr."""
    done = subprocess.run(argv_in(host, argv), input=stdin, text=True, capture_output=True,
                          timeout=timeout_s, stdin=None if stdin is not None else subprocess.DEVNULL)
    if check and done.returncode != 0:
        raise LabError(f"'{' '.join(argv)}' on {host} exited with {done.returncode}: "
                       f"{(done.stderr or done.stdout).strip()}")
    return done


def popen(host, argv):
    """A command that is talked to by its stdin and stdout; the caller ends it."""
    return subprocess.Popen(argv_in(host, argv), text=True, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def shell(host, script):
    """Run shell lines on a host; the first that fails is an error."""
    return run(host, ["sh", "-ec", script], check=True).stdout


def root(argv):
    done = subprocess.run(argv, text=True, capture_output=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise LabError(f"'{' '.join(argv)}' failed: {done.stderr.strip()}")
    return done.stdout


def wait_for(what, condition, timeout_s=WAIT_S, every_s=0.05):
    """Wait until condition() is true; returns its value. `what` completes "timed out: ..."."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError(f"waited {timeout_s} s in vain for {what}")
        time.sleep(every_s)


# A daemon is kept by a shell that writes its exit status to NAME.exit beside its log.
_KEEPER = 'exit_file=$1; shift; "$@"; echo $? >"$exit_file"'


def start(host, name, argv):
    """Start a daemon on a host; log, pid and exit status are files in the host's folder."""
    base = os.path.join(folder(host), name)
    for suffix in (".exit", ".pid"):
        if os.path.exists(base + suffix):
            os.unlink(base + suffix)
    with open(base + ".log", "ab") as log:
        # The daemon writes its pid itself, before it becomes what it is.
        inner = ["sh", "-c", 'echo $$ >"$1"; shift; exec "$@"', "sh", base + ".pid", *argv]
        subprocess.Popen(argv_in(host, ["sh", "-c", _KEEPER, "sh", base + ".exit", *inner]),
                         stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                         cwd=folder(host))
    wait_for(f"{name} on {host} to start", lambda: pid_of(host, name) or exit_of(host, name))


def pid_of(host, name):
    try:
        with open(os.path.join(folder(host), name + ".pid")) as f:
            text = f.read()
        return int(text) if text.endswith("\n") else None
    except (FileNotFoundError, ValueError):
        return None


def exit_of(host, name):
    """The exit status as a string ("137" for SIGKILL), or None while it runs."""
    try:
        with open(os.path.join(folder(host), name + ".exit")) as f:
            return f.read().strip() or None
    except FileNotFoundError:
        return None


def running(host, name):
    return pid_of(host, name) is not None and exit_of(host, name) is None


def log_tail(host, name, nb_lines=15):
    try:
        with open(os.path.join(folder(host), name + ".log"), errors="replace") as f:
            return "".join(f.readlines()[-nb_lines:])
    except FileNotFoundError:
        return ""


def stop(host, name, number=signal.SIGTERM, timeout_s=WAIT_S):
    """Send a signal to a daemon and wait for its end; returns the exit status."""
    if running(host, name):
        try:
            os.kill(pid_of(host, name), number)
        except ProcessLookupError:
            pass
        wait_for(f"{name} on {host} to end", lambda: exit_of(host, name), timeout_s)
    return exit_of(host, name)


def remove(host, name):
    """Stop a daemon for good: status does not miss it."""
    stop(host, name)
    for suffix in (".pid", ".exit"):
        path = os.path.join(folder(host), name + suffix)
        if os.path.exists(path):
            os.unlink(path)


def children(pid):
    """All processes below one."""
    done = subprocess.run(["pgrep", "-P", str(pid)], text=True, capture_output=True)
    below = [int(p) for p in done.stdout.split()]
    return [*below, *(p for b in below for p in children(b))]


def pids_in(host):
    done = subprocess.run(["ip", "netns", "pids", namespace(host)], text=True, capture_output=True)
    return [int(pid) for pid in done.stdout.split()]


def kill_all(hosts):
    """End every process in the namespaces of these hosts."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for host in hosts:
            for pid in pids_in(host):
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
        try:
            wait_for("the lab's processes to end", lambda: not any(map(pids_in, hosts)), 3)
            return
        except LabError:
            continue


def remove_folder(path):
    shutil.rmtree(path, ignore_errors=True)
    try:
        os.rmdir(os.path.dirname(path))
    except OSError:
        pass  # another lab's folder is there
