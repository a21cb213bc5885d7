# SPDX-License-Identifier: GPL-2.0-or-later
"""One update to another kernel under three guests, one with a passed-through card: all go on, RAM unchanged, before systemd did; no frame is lost."""

from lab import devices, showcase

KERNELS = ["7.3", "7.3-b"]


def run(lab):
    with devices.host_with_wire(lab) as (host, wire):
        three = lab.three_guests(host, passed=[devices.ADDRESS])
        wire.stream(True)
        showcase.carry(lab, host, three, "7.3-b")
        with lab.case("the card went on all the time"):
            devices.stream_whole(lab, host, wire, three[0], 0)
