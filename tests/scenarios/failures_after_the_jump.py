# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever fails after the jump: the other guests run, the one that can't be restored keeps its state, and what can be mended is restored by luctl restore."""

import json

KERNELS = ["7.3"]
LIMIT = 1800

HOOK = """#!/bin/sh
[ "$1" = {state} ] || exit 0
{action}
"""
# a guest that ends itself is stopped by its QEMU then, as by a panic or a fault of KVM
PAUSE = '{"execute": "set-action", "arguments": {"reboot": "shutdown", "shutdown": "pause"}}'
AGAIN = '{"execute": "set-action", "arguments": {"reboot": "reset"}}'


def hook(host, state, action):
    host.run("mkdir -p /etc/luctl/hooks.d")
    host.put("/etc/luctl/hooks.d/fault", HOOK.format(state=state, action=action), mode="755")


def jump(lab, host):
    start = host.pump.clock()
    result, _ = host.jump(f"luctl update --kernel {lab.image_of('7.3')} --yes")
    lab.expect(result is None, f"no jump: {result}")
    lab.luctl(host, "status --wait", check=False, timeout=180)
    return start


def by_name(lab, host):
    return {vm["name"]: vm for vm in lab.ask(host, "vm list")["vms"]}


def run(lab):
    with lab.host() as host:
        three = lab.three_guests(host)
        web, red, blue = three

        with lab.case("the QEMU binary is gone, and comes back"):
            hook(host, "pausing", "mv /usr/bin/qemu-system-x86_64 /usr/bin/away; sync")
            start = jump(lab, host)
            status = lab.ask(host, "status")
            lab.expect(status["state"] == "degraded", f"state is {status['state']}")
            host.run("mv /usr/bin/away /usr/bin/qemu-system-x86_64; rm /etc/luctl/hooks.d/fault")
            for guest in three:
                lab.luctl(host, f"restore {guest.name}", timeout=120)
            lab.witness(host, three, start, limit=180)

        with lab.case("the daemon is killed while it restores"):
            hook(host, "restoring", "rm \"$0\"; kill -KILL $(systemctl show -p MainPID --value luctld)")
            start = jump(lab, host)
            lab.luctl(host, "status --wait", timeout=180)
            lab.witness(host, three, start, limit=180)
            lab.expect(lab.ask(host, "status")["state"] == "done", f"state is {lab.ask(host, 'status')['state']}")

        with lab.case("QEMU has stopped a VM before anybody looks"):
            hook(host, "restoring", f"rm \"$0\"; /usr/lib/lab/qmp {blue.qmp} '{PAUSE}' system_reset 1")
            start = jump(lab, host)
            lab.witness(host, (web, red), start)
            status = lab.ask(host, "status")
            lab.expect(status["state"] == "degraded", f"state is {status['state']}")
            told = next(vm for vm in lab.ask(host, "report")["vms"] if vm["name"] == "blue")
            lab.expect("its QEMU has stopped it: shutdown" in json.dumps(told) and "qemu.log" in json.dumps(told), f"the report says {told}")
            lab.expect("qemu.log" in json.dumps(status), f"the state can't be of use, but: {status}")
            result = lab.luctl(host, "restore blue", check=False, timeout=60)
            lab.expect(result.code and "its QEMU is there already" in result.err, f"its old state was loaded: {result}")
            mark = len(host.guest[blue.line].lines)
            host.run(f"/usr/lib/lab/qmp {blue.qmp} '{AGAIN}' system_reset cont")
            host.guest[blue.line].wait(r"^TICK \d+ .*mem=ok", 60, mark)

        with lab.case("one VM's state file is damaged"):
            hook(host, "jump", f"dd if=/dev/urandom of=/run/luctl/pkernfs/vm/{red.uuid}/state bs=4096 seek=3 count=1 conv=notrunc")
            start = jump(lab, host)
            lab.witness(host, (web, blue), start)
            vms = by_name(lab, host)
            lab.expect(vms["red"]["state"] != "running", f"red is {vms['red']['state']}")
            result = lab.luctl(host, "restore red", check=False, timeout=120)
            lab.expect(result.code, "a damaged state was restored")
            lab.say("  " + result.err.strip().replace("\n", "; ")[:200])
            host.run(f"test -s /run/luctl/pkernfs/vm/{red.uuid}/state && test -s {red.ram}")
