# SPDX-License-Identifier: GPL-2.0-or-later
"""One update to another kernel under three guests: all go on, RAM unchanged, and they ran before systemd did."""

from lab import showcase

KERNELS = ["7.3", "7.3-b"]
UNPROVEN = "updates went through, but the emulated host VM under it hangs or resets itself within minutes, also without any update; cause not found"


def run(lab):
    with lab.host() as host:
        showcase.carry(lab, host, lab.three_guests(host), "7.3-b")
