# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest whose iommufd and card were handed in as descriptors, as libvirt does: 7.3 → 7.2 → 7.3 and a new QEMU; the numbers stay, no frame is lost."""

import time

from lab import devices, guests

KERNELS = ["7.3", "7.2"]
LIMIT = 1200

QEMU = "/usr/bin/qemu-system-x86_64"


def behind(lab, host, guest):
    """What is behind the numbers that its QEMU's command line names; as root sees it."""
    pid = next(vm["pid"] for vm in lab.ask(host, "vm list")["vms"] if vm["name"] == guest.name)
    words = host.run(f"tr '\\0' ' ' < /proc/{pid}/cmdline").out
    lab.expect(f"iommufd,id=iommufd0,fd={guests.HANDED}" in words and f"fd={guests.HANDED + 2}" in words, f"its command line: {words}")
    return pid, [host.run(f"stat -Lc %t:%T /proc/{pid}/fd/{n}; cat /sys/dev/char/$(stat -Lc '%Hr:%Lr' /proc/{pid}/fd/{n})/uevent | grep DEVNAME").out.split()[-1]
                 for n in (guests.HANDED, guests.HANDED + 2)]


def same(lab, host, guest, begin, wire, start):
    pid, nodes = behind(lab, host, guest)
    lab.expect(nodes == ["DEVNAME=iommu", "DEVNAME=vfio/devices/vfio0"], f"behind its descriptors: {nodes}")
    copies = host.run(f"ls -l /proc/{pid}/fd | grep -c vfio/devices; ls -l /proc/{pid}/fd | grep -c /dev/iommu").out.split()
    lab.expect(copies == ["1", "1"], f"its QEMU has the device and the iommufd open this often: {copies}")
    devices.nothing_lost(lab, host, wire, guest, start, begin)


def run(lab):
    with devices.host_with_wire(lab) as (host, wire):
        guest = guests.Linux("nic", 0, 256, net=False, passed=[devices.ADDRESS], by="handed")
        lab.start(host, guest)
        wire.stream(True)
        for target in ("7.2", "7.3"):
            with lab.case(f"into {target}"):
                begin = time.monotonic()
                start = lab.update(host, target)
                same(lab, host, guest, begin, wire, start)
                devices.journal_made(lab, host, guest)
        with lab.case("a new QEMU"):
            begin, start = time.monotonic(), host.pump.clock()
            lab.luctl(host, "update --vmm --yes", timeout=300)
            same(lab, host, guest, begin, wire, start)
