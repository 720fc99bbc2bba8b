"""Server: at home on a machine with a service manager."""
import filecmp
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from labtest import case, expect, expect_true
from netlab import daemons, process

INSTALLED = ("bin/sluice", "bin/sluicectl", "sbin/sluice-nic", "share/man/man8/sluice-nic.8",
             "share/sluice/grafana-dashboard.json", "lib/systemd/system/sluice.service",
             "lib/sysusers.d/sluice.conf", "lib/tmpfiles.d/sluice.conf", "share/man/man5/sluice.conf.5",
             "share/man/man8/sluice.8", "share/man/man8/sluicectl.8",
             "share/bash-completion/completions/sluicectl")


def with_folder(test):
    def run(lab):
        with tempfile.TemporaryDirectory(prefix="sluice-server-") as folder:
            test(lab, folder)
    return run


@case("E3: READY=1 is sent once, when the last condition is met and not before; STATUS= says which")
@with_folder
def notify(lab, folder):
    path = os.path.join(folder, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(process.WAIT_S)
        heard = []

        def hear_until(word):
            while not any(word in text for text in heard):
                heard.append(manager.recv(4096).decode())
        lab.stop("pop")
        lab.stop("connector")
        # Root's uid lasts until the socket is sent to: the folder is open to the daemon's user.
        os.chmod(folder, 0o755)
        os.chmod(path, 0o666)
        try:
            process.start("connector", "sluice", ["env", f"NOTIFY_SOCKET={path}",
                          daemons.binary("sluice"), "-c", daemons.config_path("connector")])
            hear_until("no session is up")
            expect_true("READY" not in "".join(heard), f"no READY=1 without a PoP in {heard}")
        finally:
            lab.start_again("pop")
        hear_until("READY=1")
        expect_true(daemons.health("connector")[0], "the connector to be healthy at READY=1")
        lab.stop("pop")
        heard.clear()
        hear_until("no session is up")
        lab.start_again("pop")
        hear_until("STATUS=ready")
        expect_true("READY=1" not in "".join(heard), f"READY=1 once, not again in {heard}")
        process.stop("connector", "sluice", signal.SIGTERM)
        hear_until("STOPPING=1")
    lab.start_again("connector")
    lab.wait_ready()


@case("E3: a PoP serves before it is ready: names are answered while no session is up",
      ends="pop connector connector2")
def serves_at_once(lab):
    for host in ("connector", "connector2", "pop"):
        lab.stop(host)
    lab.start_again("pop", wait=False)
    lab.wait_for("a name to be answered", lambda: lab.dig("client", "git.corp.example").data())
    told = lab.try_control("pop", "health")
    expect(told.code, 1, "the exit code of health")
    expect_true("no session is up" in told.out + told.err, f"the reason in {told.out + told.err!r}")
    for host in ("connector", "connector2"):
        lab.start_again(host, wait=False)
    lab.wait_ready()


@case("E3: meson install puts unit, users, folders, manual pages and completion where they belong")
@with_folder
def install(lab, folder):
    done = subprocess.run(["meson", "install", "--no-rebuild", "--quiet", "-C", process.BUILD,
                           "--destdir", folder], capture_output=True, text=True)
    expect(done.returncode, 0, done.stderr + done.stdout)
    prefix = next(p for p in (f"{folder}/usr/local", f"{folder}/usr") if os.path.exists(f"{p}/bin"))
    for path in INSTALLED:
        expect_true(os.path.exists(f"{prefix}/{path}"), f"{path} installed")
    with open(f"{prefix}/lib/systemd/system/sluice.service") as f:
        unit = f.read()
    with open(f"{prefix}/lib/tmpfiles.d/sluice.conf") as f:
        expect_true("d /var/lib/sluice 0700 sluice sluice" in f.read(), "a state directory of mode 0700")
    for word in ("Type=notify", "TimeoutStartSec=infinity", "Restart=on-failure"):
        expect_true(word in unit, f"{word} in the unit")
    # The program is where the unit says once this is installed; here it is below the folder.
    unit = re.sub(r"^(Exec\w+=)(/\S+)", rf"\1{folder}\2", unit, flags=re.M)
    path = os.path.join(folder, "sluice.service")
    with open(path, "w") as f:
        f.write(re.sub(r"^Documentation=.*\n", "", unit, flags=re.M))
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)
    wrong = [line for line in done.stderr.splitlines() if "sluice" in line]
    expect(wrong, [], "what systemd-analyze finds")
    for page in ("man5/sluice.conf.5", "man8/sluice.8", "man8/sluicectl.8", "man8/sluice-nic.8"):
        done = subprocess.run(["mandoc", "-Tlint", "-Werror", f"{prefix}/share/man/{page}"],
                              capture_output=True, text=True)
        expect(done.stdout, "", f"what mandoc finds in {page}")


@case("E3: sluicectl's completion knows its commands and tables")
def completion(lab):
    source = os.path.join(process.TOP, "packaging", "sluicectl.bash")
    for words, wanted in (("sluicectl he", "health help"), ("sluicectl show po", "ports"),
                          ("sluicectl --json show gr", "graph"), ("sluicectl client r", "remove")):
        script = (f"source {source}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); "
                  'COMPREPLY=(); _sluicectl; echo "${COMPREPLY[*]}"')
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
        expect(done.stdout.strip(), wanted, f"the completions of '{words}': {done.stderr}")
    script = (f"source {source}; COMP_WORDS=(sluicectl trace cl); COMP_CWORD=2; COMPREPLY=(); _sluicectl; "
              'echo "${COMPREPLY[*]}"')
    done = lab.run("pop", "bash", "-c", script)
    expect(done.out.split(), ["client", "client3", "client2"], f"the clients: {done.err}")


@case("E3: the Debian package holds what meson installs, a unit that is enabled, and depends on its libraries")
def package(lab):
    # Beside the build, so that the second time only what has changed is compiled.
    folder = os.path.join(process.BUILD, "package", "sluice")
    files = subprocess.run(["git", "-C", process.TOP, "ls-files", "-z"], capture_output=True, text=True)
    expect(files.returncode, 0, files.stderr)
    for name in files.stdout.split("\0"):
        source, copy = os.path.join(process.TOP, name), os.path.join(folder, name)
        if not name or not os.path.isfile(source):
            continue
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        if not os.path.exists(copy) or not filecmp.cmp(source, copy, shallow=False):
            shutil.copy(source, copy)
    done = subprocess.run(["dpkg-buildpackage", "-us", "-uc", "-b", "-nc"], cwd=folder, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    expect(done.returncode, 0, done.stdout[-2000:])
    (deb,) = glob.glob(os.path.join(folder, "..", "sluice_*.deb"))

    def told(*argv):
        return subprocess.run(["dpkg-deb", *argv], capture_output=True, text=True, check=True).stdout
    names = {line.split()[5].removeprefix("./") for line in told("--contents", deb).splitlines()}
    for path in ("usr/bin/sluice", "usr/bin/sluicectl", "usr/sbin/sluice-nic",
                 "lib/systemd/system/sluice.service", "usr/lib/sysusers.d/sluice.conf",
                 "usr/lib/tmpfiles.d/sluice.conf", "etc/logrotate.d/sluice",
                 "usr/share/man/man8/sluice.8.gz", "usr/share/man/man5/sluice.conf.5.gz"):
        expect_true(path in names, f"{path} in the package")
    depends = told("--field", deb, "Depends")
    for library in ("librte-eal23", "librte-meta-net", "libipsec-mb1", "libseccomp2", "libsqlite3-0"):
        expect_true(library in depends, f"{library} in {depends!r}")
    with tempfile.TemporaryDirectory(prefix="sluice-package-") as control:
        told("--control", deb, control)
        with open(os.path.join(control, "postinst")) as f:
            script = f.read()
    for word in ("systemd-sysusers", "systemd-tmpfiles", "deb-systemd-helper enable 'sluice.service'"):
        expect_true(word.replace("'", "") in script.replace("'", ""), f"{word} in postinst")


@case("E3: a daemon starts with the capabilities the unit leaves it, and no others")
def capabilities(lab):
    with open(os.path.join(process.TOP, "packaging", "sluice.service.in")) as f:
        lines = re.findall(r"^CapabilityBoundingSet=(.*)$", f.read(), re.M)
    names = [name.removeprefix("CAP_").lower() for line in lines for name in line.split()]
    expect_true("sys_admin" not in names, f"no CAP_SYS_ADMIN in {names}")
    lab.stop("connector")
    try:
        process.start("connector", "sluice",
                      ["setpriv", "--bounding-set", ",".join(["-all", *(f"+{n}" for n in names)]),
                       daemons.binary("sluice"), "-c", daemons.config_path("connector")])
        daemons.wait_ready(("connector",))
        pid = process.pid_of("connector", "sluice")
        with open(f"/proc/{pid}/status") as f:
            status = dict(line.split(":\t", 1) for line in f if ":\t" in line)
        expect(int(status["CapBnd"], 16), 0, "the bounding set after the start")
    finally:
        lab.stop("connector")
        lab.start_again("connector")
    lab.wait_ready()


@case("E3: where /sys/module is missing, as in some containers, the daemon ends at once and names the remedy",
      ends="connector")
def without_modules(lab):
    lab.stop("connector")
    hide = ("mount -t tmpfs none /mnt && mkdir /mnt/devices /mnt/kernel && mount --rbind /sys/devices /mnt/devices && "
            "mount --rbind /sys/kernel /mnt/kernel && mount --move /mnt /sys && exec \"$0\" -c \"$1\"")
    try:
        done = lab.run("connector", "unshare", "--mount", "timeout", "20", "sh", "-c", hide,
                       daemons.binary("sluice"), daemons.config_path("connector"))
        expect((done.code, done.err.count("--bind-ro=/sys/module")), (1, 1), f"the end: {done.err[-500:]}")
    finally:
        lab.start_again("connector")
    lab.wait_ready()
