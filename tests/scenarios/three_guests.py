# SPDX-License-Identifier: GPL-2.0-or-later
"""One update to another kernel under three guests: all go on, RAM unchanged, and they ran before systemd did."""

from lab import showcase

KERNELS = ["7.3", "7.3-b"]


def run(lab):
    with lab.host() as host:
        showcase.carry(lab, host, lab.three_guests(host), "7.3-b")
