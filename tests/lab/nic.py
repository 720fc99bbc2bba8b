"""Nic: scripts/nic on a made-up machine, a folder that stands for /."""
import os
import subprocess
import tempfile

from labtest import case, expect, expect_true
from netlab import process

FREE, ROUTE, LOGIN, MLX, BARE, DISK = (f"0000:0{i}:00.0" for i in range(1, 7))
CARDS = {  # PCI -> (class, driver, interface, IOMMU group)
    FREE: ("0x020000", "ixgbe", "eth1", "11"),
    ROUTE: ("0x020000", "igb", "eth0", "12"),
    LOGIN: ("0x020000", "igb", "eth2", "13"),
    MLX: ("0x020000", "mlx5_core", "eth3", "14"),
    BARE: ("0x020000", "virtio-pci", "eth4", None),
    DISK: ("0x010802", "nvme", None, "15"),
}


def write(path, text=""):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def read(path):
    with open(path) as f:
        return f.read().strip()


class Machine:
    """The default route is by a bridge on eth0; somebody is logged in at 192.0.2.7 on eth2."""

    def __init__(self, root):
        self.root = root
        pci = self.pci = f"{root}/sys/bus/pci"
        os.makedirs(f"{pci}/drivers/vfio-pci")
        write(f"{pci}/drivers_probe")
        for address, (kind, driver, interface, group) in CARDS.items():
            card = f"{pci}/devices/{address}"
            write(f"{card}/class", kind + "\n")
            write(f"{card}/driver_override", "(null)\n")
            write(f"{card}/numa_node", "0\n")
            write(f"{pci}/drivers/{driver}/unbind")
            os.symlink(f"{pci}/drivers/{driver}", f"{card}/driver")
            if interface:
                below = "virtio2/net" if driver == "virtio-pci" else "net"
                os.makedirs(f"{card}/{below}/{interface}")
                os.makedirs(f"{root}/sys/class/net/{interface}")
            if group:
                os.symlink(f"../../../kernel/iommu_groups/{group}", f"{card}/iommu_group")
        os.symlink(f"../{ROUTE}", f"{pci}/devices/{FREE}/physfn")
        os.makedirs(f"{root}/sys/class/net/br0")
        os.symlink("../br0", f"{root}/sys/class/net/eth0/upper_br0")
        self.default_route("br0")
        write(f"{root}/addresses/eth2", "192.0.2.7\n")
        write(f"{root}/logins", "192.0.2.7\n")
        write(f"{root}/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "N\n")

    def default_route(self, interface):
        write(f"{self.root}/proc/net/route", "Iface Destination Gateway Flags RefCnt Use Metric Mask\n"
              "eth1 0002000A 00000000 0001 0 0 0 00FFFFFF\n"
              f"{interface} 00000000 010200C0 0003 0 0 0 00000000\n")

    def nic(self, *argv):
        return subprocess.run([os.path.join(process.TOP, "scripts/nic"), *argv], text=True,
                              capture_output=True, env={**os.environ, "SLUICE_NIC_ROOT": self.root})

    def overrides(self):
        return {a: read(f"{self.pci}/devices/{a}/driver_override") for a in CARDS}

    def rule(self, address):
        return f"{self.root}/etc/udev/rules.d/05-sluice-{address}.rules"


def on_machine(test):
    def run(lab):
        with tempfile.TemporaryDirectory(prefix="sluice-nic-") as root:
            test(Machine(root))
    return run


@case("E1: nic bind gives a free card to vfio-pci and keeps it so; unbind undoes both")
@on_machine
def bind(machine):
    done = machine.nic("bind", FREE.removeprefix("0000:"))
    expect(done.returncode, 0, done.stderr)
    expect(machine.overrides()[FREE], "vfio-pci", "the override")
    expect(read(f"{machine.pci}/drivers/ixgbe/unbind"), FREE, "what was unbound")
    expect(read(f"{machine.pci}/drivers_probe"), FREE, "what was probed")
    expect(read(machine.rule(FREE)), f'ACTION=="add", SUBSYSTEM=="pci", KERNEL=="{FREE}", '
           'ATTR{driver_override}="vfio-pci"', "the rule for the next boot")
    expect(read(f"{machine.root}/etc/modules-load.d/sluice-vfio.conf"), "vfio-pci", "the module")
    driver = f"{machine.pci}/devices/{FREE}/driver"
    os.remove(driver)
    os.symlink(f"{machine.pci}/drivers/vfio-pci", driver)
    expect_true("is Sluice's to use" in machine.nic("status").stdout, "the card in nic status")
    expect(machine.nic("unbind", FREE).returncode, 0, "nic unbind")
    expect(machine.overrides()[FREE], "", "the override after unbind")
    expect(read(f"{machine.pci}/drivers/vfio-pci/unbind"), FREE, "what vfio-pci gave back")
    expect_true(not os.path.exists(machine.rule(FREE)), "no rule after unbind")


@case("E1: nic bind refuses the default route, a login, mlx5 and a missing IOMMU, and says why")
@on_machine
def refuse(machine):
    before = machine.overrides()
    for address, word in ((ROUTE, "the default route is by br0"), (LOGIN, "logged in over eth2"),
                          (MLX, "mlx5_core, which must stay"),
                          (BARE, "enable_unsafe_noiommu_mode=1"), (DISK, "no network card"),
                          ("0000:99:00.0", "no such device"), ("eth0", "no PCI address")):
        done = machine.nic("bind", address)
        expect(done.returncode, 1, f"the exit code for {address}")
        expect_true(word in done.stderr, f"{word!r} in {done.stderr!r}")
        expect_true(not os.path.exists(machine.rule(address)), f"no rule for {address}")
    expect(machine.overrides(), before, "the overrides")
    write(f"{machine.root}/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n")
    expect(machine.nic("bind", BARE).returncode, 0, "a card without IOMMU, once that is allowed")


@case("E1: nic bind finds the default route on a virtio card, whose interface is a folder deeper")
@on_machine
def virtio(machine):
    machine.default_route("eth4")
    write(f"{machine.root}/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n")
    done = machine.nic("bind", BARE)
    expect(done.returncode, 1, "the exit code")
    expect_true("the default route is by eth4" in done.stderr, done.stderr)
    expect(machine.overrides()[BARE], "(null)", "the override")
    expect(machine.nic("bind", ROUTE).returncode, 0, "the card that had it before")


@case("E1: nic status has a line per network card with its driver, interface and what may be done")
@on_machine
def status(machine):
    lines = {line.split()[0]: line for line in machine.nic("status").stdout.splitlines()}
    expect(sorted(lines), sorted(["PCI", FREE, ROUTE, LOGIN, MLX, BARE]), "the lines")
    for address, words in ((FREE, ("ixgbe", "eth1", "may be bound")), (ROUTE, ("igb", "default route")),
                           (LOGIN, ("logged in",)), (MLX, ("must stay",)), (BARE, ("none", "eth4"))):
        for word in words:
            expect_true(word in lines[address], f"{word!r} in {lines[address]!r}")
