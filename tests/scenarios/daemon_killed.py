# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon is killed in every state before the jump: systemd starts it again, it takes everything back, the guests run on."""

KERNELS = ["7.3"]
LIMIT = 1800

STATES = ["checking", "loading", "preparing", "pausing", "saving", "sealing", "jump"]
# once: what the next daemon does is its own. /run, since at the jump the root file system is frozen
HOOK = """#!/bin/sh
[ "$1" = {state} ] && rm /run/armed || exit 0
kill -KILL $(systemctl show -p MainPID --value luctld)
"""


def run(lab):
    with lab.host() as host:
        host.run("mkdir -p /etc/luctl/hooks.d")
        three = lab.three_guests(host)
        for state in STATES:
            with lab.case(f"killed in {state}"):
                host.put("/etc/luctl/hooks.d/kill", HOOK.format(state=state), mode="755")
                host.run("touch /run/armed")
                boot, begin = host.boot_id(), host.pump.clock()
                result = lab.luctl(host, f"update --kernel {lab.image_of('7.3')} --yes", check=False, timeout=240)
                lab.expect(result.code not in (0, 2), f"luctl exited with {result.code}: {result}")
                lab.expect(host.run("test -e /run/armed", check=False).code, "the hook was not called in this state")
                host.run("systemctl is-active --wait luctld || systemctl is-active luctld", timeout=90)
                lab.luctl(host, "status --wait", check=False, timeout=120)     # its exit code is that of the update
                lab.witness(host, three, begin)
                status = lab.ask(host, "status")
                lab.expect(status["state"] in ("aborted", "idle"), f"state is {status['state']}")
                lab.expect(host.run("cat /proc/sys/kernel/random/boot_id").out.strip() == boot, "the host was rebooted")
                lab.expect(host.run("cat /sys/kernel/kexec_loaded").out.strip() == "0", "an image is still loaded")
                host.run("touch /root/writable && sync")
        host.run("rm /etc/luctl/hooks.d/kill")
        start = lab.update(host, "7.3")
        lab.witness(host, three, start)
