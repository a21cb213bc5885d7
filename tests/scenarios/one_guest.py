# SPDX-License-Identifier: GPL-2.0-or-later
"""Two updates under a Linux guest with disk and network: it goes on, RAM unchanged, and it ran before systemd did."""

from lab import guests, showcase

KERNELS = ["7.3"]


def run(lab):
    with lab.host() as host:
        web = guests.Linux("web", 0, 256)
        lab.start(host, web)
        for number in (1, 2):
            with lab.case(f"update {number}"):
                showcase.carry(lab, host, [web], "7.3")
