# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests as domains of libvirt: the same programs as in guests.py, described in libvirt's XML and started by virsh.

What a domain needs for an update is set once: qemu.conf (SETTINGS) and <memoryBacking> in its XML. luctl is told nothing.
"""

import re
import uuid
from xml.sax.saxutils import escape, quoteattr

from . import guests

SETTINGS = """
memory_backing_dir = "/run/luctl/pkernfs"
namespaces = []
security_driver = "none"
"""
BRIDGE = "lab0"
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


def prepare(host):
    """What an administrator does once: libvirt's settings, a bridge; and libvirt is to start with the host."""
    host.put("/etc/systemd/system/lab-bridge.service", NETWORK)
    settings = SETTINGS
    host.run("mkdir -p /etc/luctl")
    host.put("/etc/luctl/luctld.conf", "[update]\nlibvirt=yes\n")
    host.run("systemctl restart luctld")
    host.run(f"cat >> /etc/libvirt/qemu.conf <<'E'\n{settings}E\nsystemctl daemon-reload; systemctl enable --now lab-bridge.service; "
             "systemctl enable libvirtd.service; systemctl start libvirtd.service; virsh list", timeout=120)


class Domain:
    """A guest of guests.py as a domain. Lines, memory and programs are the guest's; more is XML for its devices."""

    def __init__(self, guest, cpu=1, more=""):
        self.guest, self.cpu, self.more = guest, cpu, more
        self.name, self.line, self.memory = guest.name, guest.line, guest.memory
        self.uuid = str(uuid.uuid5(uuid.NAMESPACE_DNS, guest.name + ".domain.invalid"))

    def _boot(self, tty):
        """Kernel, initrd and command line, out of the guest's arguments for QEMU."""
        args = self.guest.boot_args(tty)
        words = {args[n]: args[n + 1] for n in range(0, len(args) - 1) if args[n] in ("-kernel", "-initrd", "-append")}
        return "".join(f"<{name}>{escape(words[option])}</{name}>" for option, name in (("-kernel", "kernel"), ("-initrd", "initrd"), ("-append", "cmdline")) if option in words)

    def _devices(self, tty):
        devices = [f"<serial type='dev'><source path={quoteattr(tty)}/><target port='0'/></serial>"]
        if isinstance(self.guest, guests.Linux):
            devices.append(f"<channel type='dev'><source path={quoteattr(tty)}/><target type='virtio' name='lab.lines'/></channel>")
            if self.guest.disk:
                devices.append(f"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file={quoteattr(self.guest.disk)}/><target dev='vda' bus='virtio'/></disk>")
            if self.guest.net:
                devices.append(f"<interface type='bridge'><source bridge='{BRIDGE}'/><model type='virtio'/><rom enabled='no'/></interface>")
        return "".join(devices)

    def xml(self, tty):
        return f"""<domain type='kvm'>
  <name>{self.name}</name><uuid>{self.uuid}</uuid>
  <memory unit='MiB'>{self.memory}</memory>
  <memoryBacking><source type='file'/><access mode='shared'/></memoryBacking>
  <vcpu>1</vcpu><cputune><vcpupin vcpu='0' cpuset='{self.cpu}'/></cputune>
  <os><type arch='x86_64' machine='q35'>hvm</type>{self._boot(tty)}</os>
  <features><acpi/></features><cpu mode='host-passthrough' migratable='off'/>
  <clock offset='utc'><timer name='pit' tickpolicy='discard'/></clock>
  <devices><emulator>/usr/bin/qemu-system-x86_64</emulator><controller type='usb' model='none'/>
    {self._devices(tty)}
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    {self.more}
  </devices>
</domain>
"""

    def define(self, host):
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
