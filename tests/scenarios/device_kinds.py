# SPDX-License-Identifier: GPL-2.0-or-later
"""Two VMs with passed-through devices behind root ports, 7.3 → 7.2 → 7.3: igb and nvme in one, virtio's network card and disk in the other; nothing is lost."""

import time

from lab import devices, guests
from lab.nvme import Nvme
from lab.wire import Wire

KERNELS = ["7.3", "7.2"]
LIMIT = 1200


def port(number):
    return ["-device", f"pcie-root-port,id=port{number},bus=pcie.0,addr={0x10 + number:#x},chassis={number},slot={number}"]


def behind(host, number):
    """The address of what is behind a port."""
    return host.run(f"cd /sys/bus/pci/devices/0000:00:{0x10 + number:02x}.0 && ls -d 0000:*:00.0").out.strip()


def run(lab):
    blocks = lab.results / "virtio-blk.img"
    with open(blocks, "wb") as image:
        image.truncate(16 << 20)
    # virtio's card holds 1024 frames and has no way to make it more: what a guest that stands still can't take must fit
    with Wire(lab.results, name="igb") as first, Wire(lab.results, rate=30, name="virtio") as second, Nvme(lab.results) as disk, \
            lab.host(qemu_args=port(1) + first.args("igb", "0", "port1") + port(2) + disk.args("0", "port2") +
                     port(3) + second.args("virtio-net-pci,iommu_platform=on,disable-legacy=on,rx_queue_size=1024", "0", "port3") +
                     port(4) + ["-drive", f"file={blocks},if=none,id=blocks,format=raw,cache=unsafe",
                                "-device", "virtio-blk-pci,drive=blocks,bus=port4,addr=0,iommu_platform=on,disable-legacy=on"]) as host:
        one = guests.Linux("one", 0, 256, net=False, passed=[behind(host, 1), behind(host, 2)])
        two = guests.Linux("two", 1, 256, net=False, disk=False, passed=[behind(host, 3), behind(host, 4)])
        lab.start(host, one, two)
        lab.expect(lab.span(host, two).reports[-1].disk.startswith("ok:"), "the second guest has no disk")
        for wire in (first, second):
            wire.stream(True)
        for target in ("7.2", "7.3"):
            begin = time.monotonic()
            start = lab.update(host, target)
            devices.nothing_lost(lab, host, first, one, start, begin)
            devices.disk_went_on(lab, host, disk, one, start, begin)
            devices.nothing_lost(lab, host, second, two, start, begin)
            reports = lab.span(host, two, start).reports
            lab.expect(int(reports[-1].disk[3:]) > int(reports[0].disk[3:]), f"the second guest's disk stopped: {reports[-1].disk}")
