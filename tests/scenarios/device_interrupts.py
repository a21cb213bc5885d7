# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices by INTx, and a card without FLR (e1000e), go through an update, and that card also through one that is undone: nothing is lost. As many interrupts as completions.

MSI is for pkeep's own test: e1000e's driver gives it up in a guest this slow.
"""

import time

from lab import devices

KERNELS = ["7.3"]
LIMIT = 1200

# card, what the guest's kernel is told, what the host must be serving then
CASES = {
    "INTx": ("igb", "pci=nomsi", "vfio-intx"),
    "MSI-X, no FLR": ("e1000e", "", "vfio-msix["),
}

REFUSE = "#!/bin/sh\n[ $1 = jump ] && exit 1\nexit 0\n"


def run(lab):
    for title, (card, options, served) in CASES.items():
        with lab.case(title), devices.host_with_card_and_disk(lab, card=card, options=options) as (host, wire, disk, guest):
            lines = host.run("grep vfio- /proc/interrupts").out
            lab.expect(any(served in line and devices.ADDRESS in line for line in lines.splitlines()), f"the card is not served by {served}: {lines}")
            if card == "e1000e":
                host.run("mkdir -p /etc/luctl/hooks.d")
                host.put("/etc/luctl/hooks.d/fault", REFUSE, mode="755")
                begin, start = time.monotonic(), host.pump.clock()
                lab.luctl(host, f"update --kernel {lab.image_of('7.3')} --yes", check=False, timeout=240)
                lab.expect(lab.ask(host, "status")["state"] == "aborted", f"the update is {lab.ask(host, 'status')}")
                devices.nothing_lost(lab, host, wire, guest, start, begin)
                host.run("rm /etc/luctl/hooks.d/fault")
            begin = time.monotonic()
            start = lab.update(host, "7.3")
            devices.nothing_lost(lab, host, wire, guest, start, begin)
            devices.disk_went_on(lab, host, disk, guest, start, begin, shared="nomsi" in options)

    with lab.case("one read at a time"), devices.host_with_card_and_disk(lab, options="flow=one") as (host, wire, disk, guest):
        for _ in range(3):
            start = lab.update(host, "7.3")
            lab.witness(host, [guest], start, settle=8)
            devices.interrupts_are_completions(lab, host, guest, start)
