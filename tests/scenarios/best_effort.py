# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that need not go along and fail before the jump, one with a card whose QEMU dies after it was saved, are left behind: the others go on, and they start anew by their units; an excluded one is let be."""

import json
import re

from lab import devices, guests, scenario

KERNELS = ["7.3"]
LIMIT = 1200
RED, BLUE, WEB = guests.Ticker("red", 1, 64), guests.Ticker("blue", 2, 128), guests.Linux("nic", 0, 256, net=False, passed=[devices.ADDRESS])
OTHER = "/run/luctl/vm/red/other.sock"
HOOK = """#!/bin/sh
[ "$1" = {state} ] || exit 0
{command}
"""


def policies(host, **of):
    for guest in (RED, BLUE, WEB):
        guest.more = {"policy": of[guest.name]} if guest.name in of else {}
        host.put(f"/etc/luctl/vms.d/{guest.name}.json", json.dumps({"version": 1, "name": guest.name, "uuid": guest.uuid, "qmp": guest.qmp, "unit": guest.unit,
                                                                    **guest.more}))
    host.run("systemctl restart luctld")


def fault(host, state, command):
    host.run("mkdir -p /etc/luctl/hooks.d")
    host.put("/etc/luctl/hooks.d/fault", HOOK.format(state=state, command=command), mode="755")


def left(lab, host, **why):
    """The report says of these, and of no other, why they were left behind."""
    report = lab.ask(host, "report")
    found = {vm["name"]: vm["what"] for vm in report["left_behind"]}
    lab.expect(found.keys() == why.keys() and all(re.search(word, found[name]) for name, word in why.items()), f"left behind: {found}")
    lab.expect(not set(found) & {vm["name"] for vm in report["vms"]}, f"in the report twice: {report['vms']}")
    text = lab.luctl(host, "report").out
    lab.expect(all(f"{name}:" in text for name in why) and "ended with the old kernel" in text, f"luctl report does not say so:\n{text}")
    host.run("rm -f /etc/luctl/hooks.d/fault")


def starts_anew(lab, host, guest):
    """Nothing keeps its unit from starting, and nothing of the update is left of it."""
    lab.expect(host.run(f"ls -A /run/luctl/pkernfs/vm/{guest.uuid}", check=False).code != 0, f"pkernfs has something of {guest.name}")
    lab.expect(host.run(f"systemctl is-active {guest.unit}", check=False).out.strip() == "inactive", f"{guest.unit} runs")
    lab.start(host, guest)


def run(lab):
    RED.extra = ["-qmp", f"unix:{OTHER},server=on,wait=off"]
    with devices.host_with_wire(lab) as (host, wire):
        lab.start(host, RED, BLUE, WEB)
        wire.stream(True)
        with lab.case("one that can't be saved is left behind, the others go on"):
            policies(host, red="best-effort")
            fault(host, "saving", f"/usr/lib/lab/qmp {OTHER} cont")
            mark = host.pump.clock()
            start = lab.update(host, "7.3")
            lab.expect(lab.luctl(host, "status --wait", check=False, timeout=120).code == 0, "the exit code is not that of success")
            lab.witness(host, [BLUE, WEB], start)
            left(lab, host, red="can't be saved")
            lab.expect(lab.span(host, RED, mark).ticks, "it did not run on until the jump")
            starts_anew(lab, host, RED)
        with lab.case("an excluded one is let be, and one that is not there is left behind"):
            policies(host, red="best-effort", blue="excluded")
            host.run(f"kill -STOP $(systemctl show -p MainPID --value {RED.unit})")
            plan = {vm["name"]: (vm["verdict"], vm["policy"]) for vm in lab.ask(host, "plan")["vms"]}
            lab.expect(plan == {"red": ("left-out", "best-effort"), "blue": ("left-out", "excluded"), "nic": ("goes-along", "required")}, f"plan says {plan}")
            start = lab.update(host, "7.3")
            lab.witness(host, [WEB], start)
            left(lab, host, red=scenario.HUNG, blue="by its policy")
            starts_anew(lab, host, RED)
            starts_anew(lab, host, BLUE)
        with lab.case("one with a card whose QEMU dies after it was saved: no mark of its card, and nothing that was saved, goes along"):
            policies(host, nic="best-effort")
            fault(host, "sealing", "kill -KILL $(pgrep -f -- '-name nic,')")
            start = lab.update(host, "7.3")
            lab.witness(host, [RED, BLUE], start)
            left(lab, host, nic="")
            lab.expect(host.run(f"cat /sys/bus/pci/devices/{devices.ADDRESS}/pkeep").out.strip() == "0", "its card is marked")
            lab.expect(lab.ask(host, "status")["result"] == "success", "the update was no success")
        with lab.case("the next update works"):
            start = lab.update(host, "7.3")
            lab.witness(host, [RED, BLUE], start)
            lab.expect(lab.ask(host, "report")["left_behind"] == [], "the last update's are still named")
