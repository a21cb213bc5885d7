# SPDX-License-Identifier: GPL-2.0-or-later
"""A rehearsal under three guests, one with a card: all is done but the jump, and taken back; one that fails or takes too long ends as an update does; then a real update works."""

import time

from lab import devices, guests

KERNELS = ["7.3"]
LIMIT = 1200

# the jump's own moment: what a rehearsal leaves out comes right after it. It says by which words it was called.
HOOK = """#!/bin/sh
echo "$@" >> /run/called
[ "$1" = {refuse} ] && exit 1
exit 0
"""


def rehearse(lab, host, code, options=""):
    boot, start = host.boot_id(), host.pump.clock()
    host.run("rm -f /run/called")
    result = lab.luctl(host, f"update --kernel {lab.image_of('7.3')} --rehearse {options} --yes", check=False, timeout=300)
    lab.expect(result.code == code, f"luctl exited with {result.code}, not {code}: {result}")
    lab.expect(host.boot_id() == boot, "the host was rebooted")
    status, report = lab.ask(host, "status"), lab.ask(host, "report")
    lab.expect(status["state"] == "aborted" and status["result"] == report["result"] == ("success" if code == 0 else "aborted"), f"it ended as {status}")
    lab.expect(report["rehearsal"] is True and report["to"] == host.release(), f"its report says {report}")
    lab.expect(host.run("cat /sys/kernel/kexec_loaded").out.strip() == "0", "the target is still loaded")
    lab.expect(host.run("cat /run/called").out.splitlines()[-1].split()[0::2] == ["aborting", "rehearsal"], "hooks were not told of the rehearsal")
    return start, report


def run(lab):
    with devices.host_with_card(lab) as (host, wire, web):
        red, blue = guests.Ticker("red", 1, 64), guests.Ticker("blue", 2, 128)
        lab.start(host, red, blue)
        three = (web, red, blue)
        host.run("mkdir -p /etc/luctl/hooks.d")
        host.put("/etc/systemd/system/ordinary.service", "[Service]\nExecStart=sleep infinity\n")
        host.run("systemctl daemon-reload; systemctl start ordinary.service")
        with lab.case("a rehearsal comes to the jump and back"):
            host.put("/etc/luctl/hooks.d/fault", HOOK.format(refuse="-"), mode="755")
            begin = time.monotonic()
            start, report = rehearse(lab, host, 0)
            states = [row.split()[0] for row in host.run("cat /run/called").out.splitlines()]
            lab.expect(states == ["checking", "loading", "preparing", "pausing", "saving", "sealing", "jump", "aborting"], f"it went through {states}")
            lab.witness(host, three, start)
            devices.nothing_lost(lab, host, wire, web, start, begin)
            for vm in report["vms"]:
                lab.expect(vm["result"] == "running" and vm["blackout_usec"] > 1000, f"the report says of {vm['name']}: {vm}")
            lab.expect(len(report["vms"]) == 3 and "kexec" not in [p["name"] for p in report["phases"]], f"the report: {report}")
            lab.expect(host.run("systemctl is-active ordinary.service", check=False).out.strip() == "active", "an ordinary unit was not started again")
            lab.say(f"the guests stood still for up to {report['blackout_usec'] / 1e6:.2f} s of it")
        with lab.case("one that fails ends as an update does"):
            host.put("/etc/luctl/hooks.d/fault", HOOK.format(refuse="jump"), mode="755")
            begin = time.monotonic()
            start, report = rehearse(lab, host, 5)
            lab.expect(report["error"] is not None, "the report names no error")
            lab.witness(host, three, start)
            devices.nothing_lost(lab, host, wire, web, start, begin)
        with lab.case("one in which the guests would stand still for longer than was asked for is undone before the jump"):
            host.put("/etc/luctl/hooks.d/fault", HOOK.format(refuse="-"), mode="755")
            start, report = rehearse(lab, host, 5, "--max-blackout 0.1")
            lab.expect("longer than the 0.100 s that were asked for" in report["error"]["what"], f"it ended for {report['error']}")
            lab.expect("jump" not in [row.split()[0] for row in host.run("cat /run/called").out.splitlines()], "it went on to the jump all the same")
            lab.witness(host, three, start)
        host.run("rm -f /etc/luctl/hooks.d/fault")
        with lab.case("the next update works"):
            begin = time.monotonic()
            start = lab.update(host, "7.3")
            lab.witness(host, three, start)
            devices.nothing_lost(lab, host, wire, web, start, begin)
            result = lab.luctl(host, f"update --kernel {lab.image_of('7.3')} --max-blackout 0.5 --yes", check=False, timeout=120)
            lab.expect(result.code == 3 and "its predicted blackout" in result.err, f"an update that would take too long was not refused: {result}")
            lab.expect(lab.ask(host, "report").get("rehearsal", False) is False, "the update's report speaks of a rehearsal")
