# SPDX-License-Identifier: GPL-2.0-or-later
"""One update to another kernel under three guests, one with a passed-through card and disk: all go on, RAM unchanged, before systemd did; devices never stop."""

import time

from lab import devices, showcase

KERNELS = ["7.3", "7.3-b"]


def run(lab):
    with devices.host_with_wire_and_disk(lab) as (host, wire, disk):
        three = lab.three_guests(host, passed=[devices.ADDRESS, devices.DISK])
        wire.stream(True)
        begin, start = time.monotonic(), host.pump.clock()
        showcase.carry(lab, host, three, "7.3-b")
        with lab.case("the card and the disk went on all the time"):
            devices.nothing_lost(lab, host, wire, three[0], start, begin)
            devices.disk_went_on(lab, host, disk, three[0], start, begin)
