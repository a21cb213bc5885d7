# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that uses its passed-through network card and disk by INTx goes through 7.3 → 7.2 → 7.3: nothing is lost."""

import time

from lab import devices

KERNELS = ["7.3", "7.2"]
LIMIT = 900


def run(lab):
    with devices.host_with_card_and_disk(lab, options="pci=nomsi") as (host, wire, disk, guest):
        lab.expect("intx" in host.run("grep vfio /proc/interrupts").out, f"the host serves no INTx: {host.run('grep vfio /proc/interrupts').out}")
        for target in ("7.2", "7.3"):
            begin = time.monotonic()
            start = lab.update(host, target)
            devices.nothing_lost(lab, host, wire, guest, start, begin)
            devices.disk_went_on(lab, host, disk, guest, start, begin, shared=True)
