# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest with a passed-through card that can't be restored after the jump: the card goes on meanwhile, and luctl restore loses nothing."""

import time

from lab import devices

KERNELS = ["7.3"]
LIMIT = 900

# Before its QEMU is looked for nothing was opened; a QEMU that ends at once leaves a process that keeps the card.
FAULTS = {
    "its QEMU is gone": "mv /usr/bin/qemu-system-x86_64 /usr/bin/away; sync",
    "its QEMU ends at once": "mv /usr/bin/qemu-system-x86_64 /usr/bin/away; printf '#!/bin/sh\\nexit 3\\n' > /usr/bin/qemu-system-x86_64; "
                             "chmod 755 /usr/bin/qemu-system-x86_64; sync",
}


def oom(host, process):
    return host.run(f"cat /proc/{process}/oom_score_adj").out.strip()


def oom_of_qemu(host):
    return oom(host, host.run("pgrep -f name.nic,debug").out.split()[0])


def run(lab):
    # the guest's receive ring must hold what comes while it stands still
    with devices.host_with_card(lab, rate=25) as (host, wire, guest):
        host.run("mkdir -p /etc/luctl/hooks.d")
        before = oom_of_qemu(host)
        for title, fault in FAULTS.items():
            with lab.case(title):
                host.put("/etc/luctl/hooks.d/fault", f'#!/bin/sh\n[ "$1" = pausing ] || exit 0\n{fault}\n', mode="755")
                begin, start = time.monotonic(), host.pump.clock()
                result, _ = host.jump(f"luctl update --kernel {lab.image_of('7.3')} --yes")
                lab.expect(result is None, f"no jump: {result}")
                lab.luctl(host, "status --wait", check=False, timeout=180)
                lab.expect(lab.ask(host, "status")["state"] == "degraded", f"state is {lab.ask(host, 'status')['state']}")
                # the first time nobody has opened it yet, the second time it is kept in its new tables
                lab.say("  " + host.run(f"cat /sys/bus/pci/devices/{devices.ADDRESS}/pkeep_state; dmesg | grep -i 'keeps its devices' | tail -1", check=False).out.strip())
                keeper = lab.ask(host, "vm show nic").get("keeper")
                lab.expect(bool(keeper) == ("at once" in title), f"luctl vm show names {keeper} as the process that keeps the card")
                if keeper:
                    lab.expect(host.run(f"cat /proc/{keeper}/comm").out.strip() == "lu-init", f"process {keeper} is not the one that keeps the card")
                    lab.expect(oom(host, keeper) == "-1000", f"short of memory the kernel may end the process that keeps the card: {oom(host, keeper)}")
                    lab.expect(f"process {keeper}" in lab.luctl(host, "vm list").out, "luctl vm list does not name it")
                host.run("mv /usr/bin/away /usr/bin/qemu-system-x86_64; rm /etc/luctl/hooks.d/fault")
                lab.luctl(host, "restore nic", timeout=120)
                lab.expect(not lab.ask(host, "vm show nic").get("keeper"), "luctl vm show still names a process that keeps the card")
                devices.nothing_lost(lab, host, wire, guest, start, begin, limit=180)
                lab.expect(oom_of_qemu(host) == before, f"QEMU's score for the OOM killer is {oom_of_qemu(host)}, it was {before}")
