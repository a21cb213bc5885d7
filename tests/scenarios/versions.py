# SPDX-License-Identifier: GPL-2.0-or-later
"""Between versions and configurations: 7.3 → 7.2 → 7.3 with another configuration → 7.2, the same guests, one with a passed-through card and disk, all the way."""

import time

from lab import devices

KERNELS = ["7.3", "7.2", "7.3-b"]
LIMIT = 1200


def run(lab):
    with devices.host_with_wire_and_disk(lab) as (host, wire, disk):
        three = lab.three_guests(host, passed=[devices.ADDRESS, devices.DISK])
        wire.stream(True)
        begin = host.pump.clock()
        for target in ("7.2", "7.3-b", "7.2"):
            moment, start = time.monotonic(), lab.update(host, target)
            lab.expect(host.release() == lab.product(target).release, f"the kernel is {host.release()}, not {lab.product(target).release}")
            lab.witness(host, three, start)
            devices.nothing_lost(lab, host, wire, three[0], start, moment)
            devices.disk_went_on(lab, host, disk, three[0], start, moment)
        lab.witness(host, three, begin)
