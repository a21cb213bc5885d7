# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests as domains of libvirt: the same programs as in guests.py, described in libvirt's XML and started by virsh.

What a domain needs for an update is set once: qemu.conf (SETTINGS) and <memoryBacking> in its XML. luctl is told nothing. A domain is as small as can be,
or, with usual=True, has what virt-install gives it.
"""

import pathlib
import re
import shutil
import uuid
from xml.sax.saxutils import escape, quoteattr

from . import apt, guests, image, paths
from .say import step

SETTINGS = """
memory_backing_dir = "/run/luctl/pkernfs"
"""
BRIDGE = "lab0"
# libvirt lets AppArmor's rules of a domain name no kernel or initrd below /usr/lib
BOOT = "/var/lib/lab/boot"
# the host's own network: made by a unit, as on any host, and so only once systemd runs
NETWORK = f"""[Unit]
Description=Bridge for the guests
Before=network.target libvirtd.service virtqemud.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'ip link show {BRIDGE} >/dev/null 2>&1 || ip link add {BRIDGE} type bridge; ip addr replace 10.0.2.2/24 dev {BRIDGE}; ip link set {BRIDGE} up'
[Install]
WantedBy=multi-user.target
"""


# what virt-install gives a guest without being asked
USUAL = """<controller type='usb' model='qemu-xhci' ports='15'/>
    <controller type='pci' model='pcie-root'/><controller type='pci' model='pcie-root-port'/><controller type='pci' model='pcie-root-port'/>
    <input type='tablet' bus='usb'/><graphics type='vnc' port='-1' autoport='yes'/><video><model type='virtio'/></video><watchdog model='itco' action='reset'/>
    <memballoon model='virtio'/><rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"""
USUAL_CLOCK = "<clock offset='utc'><timer name='rtc' tickpolicy='catchup'/><timer name='pit' tickpolicy='delay'/><timer name='hpet' present='no'/></clock>" \
              "<pm><suspend-to-mem enabled='no'/><suspend-to-disk enabled='no'/></pm>"
# what loads AppArmor's policy
PACKAGES = ["apparmor"]
FIRMWARE = ["ovmf"]
# a libvirt that gives devices by an iommufd (since 12.1)
NEWER = ["libvirt-daemon-system", "libvirt-clients"]


@paths.locked("domains")
def packages(names=PACKAGES, backports=""):
    """What the image lacks: file name → path, to be given to the host VM, for unpack(). backports: which packages to take from there."""
    folder = paths.cache("domains") / paths.digest(image.base_key(), " ".join(names), backports)
    if not folder.exists():
        with step("Packages: " + ", ".join(names)) as this:
            work = folder.with_suffix(".new")
            shutil.rmtree(work, ignore_errors=True)
            suites = [image.SUITE, f"{image.SUITE}-updates", f"{image.SUITE}-backports"]
            pin = f"Package: {backports}\nPin: release n={suites[-1]}\nPin-Priority: 600\n" if backports else ""
            state = apt.State("image", [apt.line_for(apt.mirror(), suite) for suite in suites], pin)
            state.update(this)
            state.download_with_all(names, image.base() / "var/lib/dpkg/status", work, this)
            work.rename(folder)
    return {path.name: path for path in sorted(pathlib.Path(folder).glob("*.deb"))}


def unpack(host):
    host.run("for deb in /lab/*.deb; do dpkg-deb -x $deb / || exit 1; done", timeout=300)


def prepare(host, settings=SETTINGS):
    """What an administrator does once: libvirt's settings, a bridge; and libvirt is to start with the host."""
    host.put("/etc/systemd/system/lab-bridge.service", NETWORK, mode="644")
    host.run(f"cat >> /etc/libvirt/qemu.conf <<'E'\n{settings}E\nsystemctl daemon-reload; systemctl enable --now lab-bridge.service; "
             "systemctl enable libvirtd.service; systemctl start libvirtd.service; virsh list", timeout=120)


def hostdev(address, by):
    """A PCI function of the host's that is passed through, by an iommufd or by a container."""
    place = "domain='0x{}' bus='0x{}' slot='0x{}' function='0x{}'".format(*re.split("[:.]", address))
    # the lab's kernel has no modules, among whose aliases libvirt 11 looks for a better driver
    how = "iommufd='yes'" if by == "iommufd" else "model='vfio-pci'"
    return f"<hostdev mode='subsystem' type='pci' managed='yes'><driver name='vfio' {how}/><source><address {place}/></source><rom enabled='no'/></hostdev>"


class Domain:
    """A guest of guests.py as a domain. Lines, memory and programs are the guest's; more is XML for its devices.

    cpu: of its vCPU; on CPU 0 and on more than one the emulator fails it (rootfs/…/luctl-vm@.service.d/lab.conf).
    usual: with the devices that virt-install gives it, its console a terminal. network: one of libvirt's in place of the bridge.
    uefi: started by UEFI, of which libvirt chooses the files (FIRMWARE); not of the kind that starts only what is signed.
    """

    def __init__(self, guest, cpu=1, more="", usual=False, network=None, uefi=False):
        self.guest, self.cpu, self.more, self.usual = guest, cpu, more, usual
        self.network, self.uefi = network, uefi
        self.name, self.line, self.memory = guest.name, guest.line, guest.memory
        self.uuid = str(uuid.uuid5(uuid.NAMESPACE_DNS, guest.name + ".domain.invalid"))

    def _boot(self, tty):
        """Kernel, initrd and command line, out of the guest's arguments for QEMU."""
        args = self.guest.boot_args(tty)
        words = {args[n]: args[n + 1] for n in range(0, len(args) - 1) if args[n] in ("-kernel", "-initrd", "-append")}
        words.update({option: f"{BOOT}/{pathlib.Path(words[option]).name}" for option in ("-kernel", "-initrd") if option in words})
        return "".join(f"<{name}>{escape(words[option])}</{name}>" for option, name in (("-kernel", "kernel"), ("-initrd", "initrd"), ("-append", "cmdline")) if option in words)

    def _os(self, tty):
        efi, kind = (" firmware='efi'", "<firmware><feature enabled='no' name='secure-boot'/></firmware>") if self.uefi else ("", "")
        return f"<os{efi}><type arch='x86_64' machine='q35'>hvm</type>{kind}{self._boot(tty)}</os>"

    def _interface(self):
        kind, source = ("network", f"network='{self.network}'") if self.network else ("bridge", f"bridge='{BRIDGE}'")
        return f"<interface type='{kind}'><source {source}/><model type='virtio'/><rom enabled='no'/></interface>"

    def _devices(self, tty):
        devices = ["<serial type='pty'/><console type='pty'/>" if self.usual else f"<serial type='dev'><source path={quoteattr(tty)}/><target port='0'/></serial>"]
        if isinstance(self.guest, guests.Linux):
            devices.append(f"<channel type='dev'><source path={quoteattr(tty)}/><target type='virtio' name='lab.lines'/></channel>")
            if self.guest.disk:
                devices.append(f"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file={quoteattr(self.guest.disk)}/><target dev='vda' bus='virtio'/></disk>")
            if self.guest.net:
                devices.append(self._interface())
            devices += [hostdev(address, self.guest.by) for address in self.guest.passed]
        return "".join(devices) + (USUAL if self.usual else "<controller type='usb' model='none'/>")

    def xml(self, tty):
        cpu = "<cpu mode='host-passthrough'/>" if self.usual else "<cpu mode='host-passthrough' migratable='off'/>"
        clock = USUAL_CLOCK if self.usual else "<clock offset='utc'><timer name='pit' tickpolicy='discard'/></clock>"
        # what passed-through devices can reach has to be files: libvirt has no word of its own for it
        words = "".join(f"<qemu:arg value='{word}'/>" for word in ("-machine", "aux-ram-share=on")) if getattr(self.guest, "passed", None) else ""
        return f"""<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>{self.name}</name><uuid>{self.uuid}</uuid>
  <memory unit='MiB'>{self.memory}</memory>
  <memoryBacking><source type='file'/><access mode='shared'/></memoryBacking>
  <vcpu>1</vcpu><cputune><vcpupin vcpu='0' cpuset='{self.cpu}'/></cputune>
  {self._os(tty)}
  <features><acpi/>{"<apic/>" * self.usual}</features>{cpu}
  {clock}
  <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
    {self._devices(tty)}
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    {self.more}
  </devices>
  {f"<qemu:commandline>{words}</qemu:commandline>" if words else ""}
</domain>
"""

    def define(self, host):
        args = self.guest.boot_args("")
        files = " ".join(args[n + 1] for n in range(len(args) - 1) if args[n] in ("-kernel", "-initrd"))
        host.run(f"mkdir -p {BOOT} && cp -u {files} {BOOT}/")
        if isinstance(self.guest, guests.Linux) and self.guest.disk:
            host.run(f"mkdir -p /var/lib/lab && truncate -s 16M {self.guest.disk}")
        host.put(f"/root/{self.name}.xml", self.xml(host.tty(self.line)))
        host.run(f"virsh define /root/{self.name}.xml")

    def start(self, host):
        host.run(f"virsh start {self.name}", timeout=180)


def listed(host):
    """Name → (id, state) of what virsh lists."""
    rows = host.run("virsh list --all", timeout=120).out.splitlines()[2:]
    found = (re.match(r"\s*(\S+)\s+(\S+)\s+(\S.*?)\s*$", row) for row in rows)
    return {m[2]: (m[1], m[3]) for m in found if m}


def pids(host):
    """Name → number of QEMU's process, as libvirt has noted it."""
    rows = host.run("cd /run/libvirt/qemu && for f in *.pid; do echo ${f%.pid} $(cat $f); done").out.split("\n")
    return {name: number for name, number in (row.split() for row in rows if " " in row) if name != "driver"}


def start(lab, host, *domains, timeout=240):
    """Define and start domains and wait until each guest has looked at its memory for the first time."""
    for domain in domains:
        domain.define(host)
    marks = [len(host.guest[d.line].lines) for d in domains]
    for domain in domains:
        domain.start(host)
    for domain, mark in zip(domains, marks):
        host.guest[domain.line].wait(r"^TICK \d+ .*mem=ok", timeout, mark)
        lab.say(f"domain {domain.name} ticks ({domain.memory} MiB)")


# a libvirt beside the host's: its own files, name and identity; without a bus, so it asks no machined
SECOND = """#!/bin/sh
set -e
mount --make-rprivate /
for place in /run/libvirt /var/lib/libvirt; do mount -t tmpfs tmpfs $place; done
mount -t tmpfs tmpfs /run/dbus
mount --bind /srv/second/etc /etc/libvirt
hostname second
exec libvirtd -f /etc/libvirt/libvirtd.conf -p /srv/second/pid
"""


def second(host):
    """Another libvirt on the same host, to migrate to; the address that virsh knows it by."""
    host.run("mkdir -p /srv/second/sock /srv/second/ram && cp -a /etc/libvirt /srv/second/etc && rm -rf /srv/second/etc/qemu/*.xml /srv/second/etc/qemu/autostart "
             "/srv/second/etc/qemu/networks/autostart /srv/second/etc/hooks")
    host.put("/srv/second/etc/libvirtd.conf", f'unix_sock_dir = "/srv/second/sock"\nauth_unix_rw = "none"\nhost_uuid = "{uuid.uuid4()}"\n')
    host.put("/srv/second/etc/qemu.conf", 'memory_backing_dir = "/srv/second/ram"\nnamespaces = []\nsecurity_driver = "none"\nstdio_handler = "file"\ncgroup_controllers = []\n')
    host.put("/srv/second/start", SECOND, "755")
    host.run("systemd-run --unit second-libvirt unshare -m -u /srv/second/start")
    address = "qemu+unix:///system?socket=/srv/second/sock/libvirt-sock"
    host.run(f"for i in $(seq 60); do virsh -c '{address}' list && exit; sleep 1; done; journalctl -u second-libvirt | tail; exit 1", timeout=120)
    return f"'{address}'"
