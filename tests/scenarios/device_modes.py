# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest with a passed-through network card and disk through five updates, 7.2 and 7.3 in turn, in each of VT-d's three modes: no frame, no command is lost."""

import time

from lab import devices, host

KERNELS = ["7.3", "7.2"]
LIMIT = 2400


def run(lab):
    for mode in host.VTD:
        with lab.case(f"five updates in VT-d's mode {mode}"), devices.host_with_card_and_disk(lab, vtd=mode) as (machine, wire, disk, guest):
            for target in ("7.2", "7.3", "7.2", "7.3", "7.3"):
                begin = time.monotonic()
                start = lab.update(machine, target)
                devices.nothing_lost(lab, machine, wire, guest, start, begin)
                devices.journal_made(lab, machine, guest)
                devices.disk_went_on(lab, machine, disk, guest, start, begin)
