# SPDX-License-Identifier: GPL-2.0-or-later
"""An update that fails after a guest with a passed-through card was saved: it goes on in the old kernel, the card never stops, the next update works."""

import time

from lab import devices

KERNELS = ["7.3"]
LIMIT = 900

REFUSE = "#!/bin/sh\n[ $1 = jump ] && exit 1\nexit 0\n"
KILL = "#!/bin/sh\n[ $1 = jump ] && rm /run/armed || exit 0\nkill -KILL $(systemctl show -p MainPID --value luctld)\n"
# when it is about to take the first, or the second, piece of the state that QEMU has sent already and can't send again
RECEIVING = """#!/bin/sh
[ $1 = saving ] && rm /run/armed || exit 0
systemd-run --quiet --collect strace -o /run/strace.log -e trace=splice -e inject=splice:signal=KILL:when={count} -p $(systemctl show -p MainPID --value luctld)
sleep 2
"""


def run(lab):
    with devices.host_with_card(lab) as (host, wire, guest):
        host.run("mkdir -p /etc/luctl/hooks.d")
        for title, hook in (("a hook refuses the jump", REFUSE), ("the daemon is killed before the jump", KILL),
                            ("the daemon is killed before it has received anything of the state", RECEIVING.format(count=1)),
                            ("the daemon is killed in the middle of the state", RECEIVING.format(count=3))):
            with lab.case(title):
                host.put("/etc/luctl/hooks.d/fault", hook, mode="755")
                host.run("touch /run/armed")
                boot, begin, start = host.boot_id(), time.monotonic(), host.pump.clock()
                result = lab.luctl(host, f"update --kernel {lab.image_of('7.3')} --yes", check=False, timeout=240)
                lab.expect(result.code not in (0, 2), f"luctl exited with {result.code}: {result}")
                lab.luctl(host, "status --wait", check=False, timeout=120)
                lab.expect(lab.ask(host, "status")["state"] == "aborted", f"the update is {lab.ask(host, 'status')}")
                lab.expect(host.run("cat /proc/sys/kernel/random/boot_id").out.strip() == boot, "the host was rebooted")
                lab.expect("strace" not in hook or "+++ killed by SIGKILL" in host.run("cat /run/strace.log").out, "the daemon was not killed in that moment")
                lab.expect(host.run(f"cat /sys/bus/pci/devices/{devices.ADDRESS}/pkeep").out.strip() == "0", "the card is still marked")
                devices.nothing_lost(lab, host, wire, guest, start, begin)
                host.run("rm -f /etc/luctl/hooks.d/fault")
        begin = time.monotonic()
        start = lab.update(host, "7.3")
        devices.nothing_lost(lab, host, wire, guest, start, begin)
