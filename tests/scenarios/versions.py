# SPDX-License-Identifier: GPL-2.0-or-later
"""Between versions and configurations: 7.3 → 7.2 → 7.3 with another configuration → 7.2, the same guests, one with a passed-through card, all the way."""

import time

from lab import devices

KERNELS = ["7.3", "7.2", "7.3-b"]
LIMIT = 1200


def run(lab):
    with devices.host_with_wire(lab) as (host, wire):
        three = lab.three_guests(host, passed=[devices.ADDRESS])
        wire.stream(True)
        begin = host.pump.clock()
        for target in ("7.2", "7.3-b", "7.2"):
            moment, start = time.monotonic(), lab.update(host, target)
            lab.expect(host.release() == lab.product(target).release, f"the kernel is {host.release()}, not {lab.product(target).release}")
            lab.witness(host, three, start)
            devices.stream_whole(lab, host, wire, three[0], moment)
        lab.witness(host, three, begin)
