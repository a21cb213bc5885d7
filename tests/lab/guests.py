# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests for the host VM: compiled here, described here, started there by luctl-vm@NAME.service.

    web = guests.Linux("web", line=0, memory=256, disk=True, net=True)
    web.install(host)       # Lab.start does this, starts it and waits for its first line

A guest's RAM is a file in pkernfs, its serial line is one of the host VM's, so what it says reaches the build machine in both kernels.
"""

import gzip
import json
import pathlib
import stat
import subprocess
import uuid

from . import paths
from .say import run

SOURCES = paths.TREE / "tests" / "guests"
PKERNFS = "/run/luctl/pkernfs"
FREESTANDING = "-O2 -ffreestanding -fno-pic -no-pie -fno-stack-protector -fno-asynchronous-unwind-tables -mno-red-zone -mno-sse -nostdlib -static " \
               "-Wl,--build-id=none -Wl,--no-warn-rwx-segments".split()
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-std=gnu17"]


def _newc(name, mode, data):
    """One member of a cpio archive in the form the kernel unpacks."""
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08x" % f for f in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def _device(name, major, minor):
    fields = [0, stat.S_IFCHR | 0o600, 0, 0, 1, 0, 0, 0, 0, major, minor, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08x" % f for f in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4)


@paths.locked("guests")
def build():
    """Compile the guests' programs; name → path."""
    folder = paths.cache("guests", paths.digest(*paths.files_below(SOURCES), " ".join(FREESTANDING)))
    made = {name: folder / name for name in ("ticker", "linux-init", "linux.initrd", "echo", "stamp")}
    if all(path.exists() for path in made.values()):
        return made
    log = paths.cache("logs") / "guests.log"
    log.unlink(missing_ok=True)
    run(["gcc", *WARNINGS, *FREESTANDING, f"-Wl,-T,{SOURCES}/ticker.ld", "-o", made["ticker"], SOURCES / "ticker-boot.S", SOURCES / "ticker.c",
         SOURCES / "ticker-tpm.c"], log)
    for name in ("linux-init", "echo", "stamp"):
        run(["gcc", *WARNINGS, "-O2", "-static", "-o", made[name], SOURCES / f"{name}.c"], log)
    archive = b"".join(_newc(d, stat.S_IFDIR | 0o755, b"") for d in ("dev", "proc", "sys")) + _device("dev/console", 5, 1) + \
        _newc("init", stat.S_IFREG | 0o755, made["linux-init"].read_bytes()) + _newc("TRAILER!!!", 0, b"")
    made["linux.initrd"].write_bytes(gzip.compress(archive, mtime=0))
    return made


def agent_initrd(root, path):
    """The Linux guest's archive with the guest agent of a root file system (qemu-ga, its libraries): its /init starts it."""
    program, loader, libraries = "usr/sbin/qemu-ga", "lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu"
    told = subprocess.run([root / loader, "--library-path", root / libraries, "--list", root / program], check=True, capture_output=True, text=True).stdout
    names = sorted({pathlib.Path(row.split()[2]).name for row in told.splitlines() if "=>" in row and libraries in row})
    members = [(d, stat.S_IFDIR | 0o755, b"") for d in ("run", "sbin", "usr", "usr/sbin", "usr/lib", libraries.rpartition("/")[0], libraries, "lib64")] + \
        [("sbin/shutdown", stat.S_IFREG | 0o755, build()["linux-init"].read_bytes())] + \
        [(f, stat.S_IFREG | 0o755, (root / f).read_bytes()) for f in (program, loader, *[f"{libraries}/{n}" for n in names])]
    archive = b"".join(_newc(*m) for m in members) + _newc("TRAILER!!!", 0, b"")
    path.write_bytes(build()["linux.initrd"].read_bytes() + gzip.compress(archive, compresslevel=1, mtime=0))
    return path


# What an administrator adds for guests whose consoles are serial lines of the host, whose files lie in /var/lib/lab, and that
# have devices passed through: docs/vm.md. All of them run as the unit's own user.
DROPIN = """[Service]
SupplementaryGroups=dialout
DeviceAllow=char-ttyS rw
ReadWritePaths=-/var/lib/lab
LimitMEMLOCK=infinity
"""
RULES = """KERNEL=="iommu", SUBSYSTEM=="misc", GROUP="luctl-vm", MODE="0660"
SUBSYSTEM=="vfio-dev", GROUP="luctl-vm", MODE="0660"
SUBSYSTEM=="vfio", GROUP="luctl-vm", MODE="0660"
KERNEL=="vfio", SUBSYSTEM=="misc", GROUP="luctl-vm", MODE="0660"
"""


def prepare(host):
    """The user that guests run as, and what is his; once a host VM."""
    if host.run("test -e /etc/systemd/system/luctl-vm@.service.d/guests.conf", check=False).code == 0:
        return
    host.run("systemd-sysusers && mkdir -p /var/lib/lab /etc/luctl/vm /etc/luctl/vms.d /etc/systemd/system/luctl-vm@.service.d && chown luctl-vm: /var/lib/lab")
    host.put("/etc/systemd/system/luctl-vm@.service.d/guests.conf", DROPIN, "644")
    host.put("/etc/udev/rules.d/70-luctl-vm.rules", RULES, "644")
    host.run("udevadm control --reload; udevadm trigger --settle --subsystem-match=misc; systemctl daemon-reload")


class Guest:
    """What is common to all: memory in pkernfs, a serial line, QMP, a unit."""

    def __init__(self, name, line, memory, ram=None, extra=()):
        self.name, self.line, self.memory = name, line, memory
        self.uuid = str(uuid.uuid5(uuid.NAMESPACE_DNS, name + ".lab.invalid"))
        self.ram = ram or f"{PKERNFS}/ram/{name}/ram0"
        self.align = "2M"       # what its memory's blocks are mapped by
        self.qmp = f"/run/luctl/vm/{name}/qmp.sock"
        self.unit = f"luctl-vm@{name}.service"
        self.extra = list(extra)
        self.more = {}          # for its declaration

    def boot_args(self, tty):
        raise NotImplementedError

    def args(self, tty):
        """QEMU's arguments, without the program's name."""
        return ["-name", f"{self.name},debug-threads=on", "-uuid", self.uuid, "-machine", "q35,accel=kvm,memory-backend=ram0", "-cpu", "host", "-smp", "1", "-m", str(self.memory),
                "-object", f"memory-backend-file,id=ram0,size={self.memory}M,mem-path={self.ram},share=on,align={self.align}",
                "-nodefaults", "-no-user-config", "-display", "none", "-global", "kvm-pit.lost_tick_policy=discard",
                "-chardev", f"serial,id=con,path={tty}", "-serial", "chardev:con",
                "-qmp", f"unix:{self.qmp},server=on,wait=off", *self.boot_args(tty), *self.extra]

    def install(self, host):
        """Declare it: the unit's configuration and luctl's VM file."""
        prepare(host)
        # systemd splits QEMU_ARGS at white space and takes quotes away
        quoted = " ".join(f"'{a}'" if " " in a else a for a in self.args(host.tty(self.line)))
        host.put(f"/etc/luctl/vm/{self.name}.conf", 'QEMU_ARGS="' + quoted.replace('"', '\\"') + '"\n')
        host.put(f"/etc/luctl/vms.d/{self.name}.json",
                 json.dumps({"version": 1, "name": self.name, "uuid": self.uuid, "qmp": self.qmp, "unit": self.unit, **self.more}) + "\n")

    def add_agent(self):
        """A port for a guest agent, which luctl may have the clock set by; whether anybody answers in the guest is another matter."""
        socket = f"/run/luctl/vm/{self.name}/agent.sock"
        self.extra += ["-device", "virtio-serial-pci", "-chardev", f"socket,id=agent,path={socket},server=on,wait=off",
                       "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"]
        self.more["agent"] = socket


class Ticker(Guest):
    """The bare-metal guest. Each exit from a guest costs about a millisecond of emulation, so several of them tick slowly; tick=10 suits one."""

    def __init__(self, name, line, memory=64, tick=50, report=10, tpm=0, **more):
        super().__init__(name, line, memory, **more)
        self.tick, self.report, self.tpm = tick, report, tpm

    def boot_args(self, _tty):
        # its TPM is luctl-tpm@NAME.service; every so many reports it is used
        tpm = ["-chardev", f"socket,id=tpm,path=/run/luctl/vm/{self.name}/tpm.sock", "-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-tis,tpmdev=tpm0"]
        return ["-kernel", "/usr/lib/lab/ticker", "-append", f"tick={self.tick} report={self.report} tpm={self.tpm}", *(tpm if self.tpm else [])]


# How libvirt gives devices since 12.1: it opens them, and names descriptors. Numbers that QEMU's other files would have, too.
HANDED = 7
HAND_IN = """#!/bin/bash
exec {first}<>/dev/iommu
{devices}exec /usr/bin/qemu-system-x86_64 "$@"
"""
HAND_IN_UNIT = """[Service]
ExecStart=
ExecStart=/usr/lib/lab/hand-in-{name} $QEMU_ARGS
"""


class Linux(Guest):
    """The Linux guest: the host's own kernel image, our program as /init, a disk and a network card where wanted; passed are the addresses of PCI
    functions of the host VM that are passed through, by: "iommufd", "handed" (as descriptors that whoever starts it has open) or "container" (of vfio's
    old interface); options are its kernel's."""

    def __init__(self, name, line, memory=256, disk=True, net=True, passed=(), options="", by="iommufd", **more):
        super().__init__(name, line, memory, **more)
        self.options = options
        self.initrd = "/usr/lib/lab/linux.initrd"
        self.disk = f"/var/lib/lab/{name}.img" if disk else None
        self.net, self.passed, self.options, self.by = net, list(passed), options, by

    def boot_args(self, tty):
        # its kernel writes to the serial port, an exit for each byte; its program to a virtio port, one for each line
        args = ["-device", "virtio-serial-pci,id=lines", "-chardev", f"serial,id=lines,path={tty}", "-device", "virtserialport,bus=lines.0,chardev=lines,name=lab.lines",
                "-kernel", "/usr/lib/lab/guest-kernel", "-initrd", self.initrd,
                "-append", "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable pty.legacy_count=0" + (" ip=10.0.2.15 gw=10.0.2.2" if self.net or self.passed else "") +
                (" " + self.options if self.options else "")]
        if self.disk:
            args += ["-blockdev", f"driver=file,node-name=disk,filename={self.disk},cache.direct=off", "-device", "virtio-blk-pci,drive=disk"]
        if self.net:
            args += ["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="]
        if self.passed:
            args += ["-machine", "aux-ram-share=on"]
        if self.passed and self.by != "container":
            args += ["-object", "iommufd,id=iommufd0" + (f",fd={HANDED}" if self.by == "handed" else "")]
        for number, address in enumerate(self.passed):
            how = {"iommufd": f"host={address},iommufd=iommufd0", "handed": f"iommufd=iommufd0,fd={HANDED + 2 + number}", "container": f"host={address}"}[self.by]
            args += ["-device", f"vfio-pci,{how},id=passed{number},romfile="]
        return args

    def _hand_in(self, host):
        devices = "".join(f"exec {HANDED + 2 + n}<>/dev/vfio/devices/$(ls /sys/bus/pci/devices/{a}/vfio-dev)\n" for n, a in enumerate(self.passed))
        folder = f"/etc/systemd/system/luctl-vm@{self.name}.service.d"
        host.run(f"mkdir -p {folder}")
        host.put(f"/usr/lib/lab/hand-in-{self.name}", HAND_IN.format(first=HANDED, devices=devices), mode="755")
        host.put(f"{folder}/hand-in.conf", HAND_IN_UNIT.format(name=self.name), mode="644")
        host.run("systemctl daemon-reload")

    def install(self, host):
        super().install(host)
        for address in self.passed:
            function = f"/sys/bus/pci/devices/{address}"
            host.run(f"echo vfio-pci > {function}/driver_override; echo {address} > {function}/driver/unbind; echo {address} > /sys/bus/pci/drivers_probe; "
                     f"readlink {function}/driver | grep vfio-pci")
        if self.by == "handed":
            self._hand_in(host)
        if self.disk:
            host.run(f"truncate -s 16M {self.disk} && chown luctl-vm: {self.disk}")
