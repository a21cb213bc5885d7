# SPDX-License-Identifier: GPL-2.0-or-later
"""Updates 7.3 → 7.2 → 7.3 under a guest with a passed-through network card: it never stops writing into memory, no frame is lost. Unmarked it stops."""

import time

from lab import devices

KERNELS = ["7.3", "7.2"]
LIMIT = 900

# What takes the mark away right before the jump, which the kernel then makes as if there was no such device
UNMARK = f"#!/bin/sh\n[ $1 = jump ] && echo 0 > /sys/bus/pci/devices/{devices.ADDRESS}/pkeep\nexit 0\n"


def run(lab):
    with devices.host_with_card(lab) as (host, wire, guest):
        for target in ("7.2", "7.3"):
            begin = time.monotonic()
            start = lab.update(host, target)
            devices.nothing_lost(lab, host, wire, guest, start, begin)

        with lab.case("control: a card that is not marked stops, and that is seen"):
            host.run("mkdir -p /etc/luctl/hooks.d")
            host.put("/etc/luctl/hooks.d/fault", UNMARK, mode="755")
            begin, sent = time.monotonic(), wire.sent
            result, _ = host.jump(f"luctl update --kernel {lab.image_of('7.3')} --yes")
            lab.expect(result is None, f"no jump: {result}")
            lab.luctl(host, "status --wait", check=False, timeout=180)
            time.sleep(3)
            # measured as it is where nothing may stop: time that the machine lost must not pass for a card that stopped
            waited = wire.waited(begin, host.pump)
            stopped = not wire.taken or host.pump.had(wire.taken[-1] - host.pump.begin) > devices.LONGEST
            try:
                devices.all_received(lab, host, wire, guest, timeout=5)
                received = True
            except Exception:
                received = False
            lab.say(f"  {wire.sent - sent} frames taken, one waited for {waited:.3f} s, {'' if received else 'not '}all received")
            lab.expect(waited >= devices.LONGEST or stopped or not received, "nothing was lost without the mark: these checks can't fail")
