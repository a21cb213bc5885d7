# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt is killed, restarted, asked, or at work on a domain while an update has its guests in hand, and luctld is killed while libvirt stands aside: refused by name, or nothing is lost.

Not a managed save: what libvirt 11.3 has saved QEMU 11.1 does not load ("fd: migration to a file is not supported"), with luctl or without."""

import json
import time

from lab import domains, guests

KERNELS = ["7.3"]
LIMIT = 2400

HOOK = """#!/bin/sh
[ "$1" = {state} ] && rm /run/armed || exit 0
{action}
"""
KILL_LUCTLD = "kill -KILL $(systemctl show -p MainPID --value luctld)"


def arm(host, state, action):
    """Once, when an update is in that state. /run, since at the jump the root file system is frozen."""
    host.run("mkdir -p /etc/luctl/hooks.d; touch /run/armed")
    host.put(f"/etc/luctl/hooks.d/{state}", HOOK.format(state=state, action=action), mode="755")


def disarm(lab, host):
    lab.expect(host.run("test -e /run/armed", check=False).code, "the hook was not called")
    host.run("rm -f /etc/luctl/hooks.d/*")


def reasons(lab, host, name):
    """Why the domain can't go along, as the plan says, which pauses nothing."""
    vms = {vm["name"]: vm for vm in json.loads(lab.luctl(host, "plan --json", check=False, timeout=90).out)["vms"]}
    return " / ".join(reason["what"] for reason in vms[name]["reasons"])


def expect_refused(lab, host, name, word):
    found = reasons(lab, host, name)
    lab.expect(word in found, f"{name} is refused for {found!r}, not for {word!r}")
    result = lab.luctl(host, f"update --kernel {lab.image_of('7.3')} --yes", check=False, timeout=120)
    lab.expect(result.code and name in result.err + result.out and word in result.err + result.out, f"the update was not refused by name: {result}")


def undone(lab, host, which, listed, pids, *, kill=False):
    """An update that is undone: libvirt has its guests back, as they were, in the same processes."""
    start = host.pump.clock()
    result = lab.luctl(host, f"update --kernel {lab.image_of('7.3')} --yes", check=False, timeout=300)
    lab.expect(result.code, f"it was not undone: {result}")
    if kill:
        host.run("systemctl is-active --wait luctld || systemctl is-active luctld", timeout=90)
    lab.luctl(host, "status --wait", check=False, timeout=180)
    state = lab.ask(host, "status")
    lab.expect(state["state"] == "aborted", f"it ended as {state['state']}: {state['error'] or result}")
    lab.witness(host, which, start)
    lab.expect(domains.listed(host) == listed, f"virsh listed {listed}, now {domains.listed(host)}")
    lab.expect(domains.pids(host) == pids, f"the processes were {pids}, now {domains.pids(host)}")
    lab.expect(host.run("test -e /run/luctl/libvirt-held", check=False).code, "libvirt still stands aside")


def run(lab):
    with lab.host() as host:
        domains.prepare(host)
        web = domains.Domain(guests.Linux("web", 0, 128))
        red = domains.Domain(guests.Ticker("red", 1, 64))
        domains.start(lab, host, web, red)
        both, listed, pids = (web, red), domains.listed(host), domains.pids(host)

        with lab.case("libvirtd is killed and started again while it is to stand aside, and asked meanwhile"):
            arm(host, "preparing", "systemctl kill -s KILL libvirtd; systemctl restart --no-block libvirtd")
            host.put("/etc/luctl/hooks.d/sealing", "#!/bin/sh\n[ \"$1\" = sealing ] || exit 0\n"
                     "timeout 3 virsh list > /run/asked 2>&1; echo $? >> /run/asked; systemctl restart --no-block libvirtd; exit 1\n", mode="755")
            undone(lab, host, both, listed, pids)
            disarm(lab, host)
            asked = host.run("cat /run/asked").out
            lab.expect(asked.split()[-1] != "0", f"libvirt answered while luctl was at its guests' monitors: {asked}")

        for state in ("pausing", "sealing"):
            with lab.case(f"luctld is killed in {state}, while libvirt stands aside"):
                arm(host, state, KILL_LUCTLD)
                undone(lab, host, both, listed, pids, kill=True)
                disarm(lab, host)

        with lab.case("a disk is being copied: refused by name"):
            host.run("virsh blockcopy web vda /var/lib/lab/copy.img --bytes --bandwidth 32768 --transient-job", timeout=60)
            expect_refused(lab, host, "web", "block job")
            host.run("virsh blockjob web vda --abort")
            lab.expect(not reasons(lab, host, "web"), f"it is still refused: {reasons(lab, host, 'web')}")

        with lab.case("it is being migrated: refused by name"):
            other, start = domains.second(host), host.pump.clock()
            host.run(f"systemd-run --unit migration virsh migrate --live --unsafe --bandwidth 1 web {other} tcp://127.0.0.1")
            end = time.monotonic() + 120
            while "migration out" not in reasons(lab, host, "web"):
                lab.expect(time.monotonic() < end, f"no migration: {host.run('systemctl status migration', check=False)}")
                time.sleep(1)
            expect_refused(lab, host, "web", "migration out")
            host.run("virsh domjobabort web")
            # the other side has to be there until both have agreed that it was given up
            host.run("while systemctl is-active -q migration; do sleep 1; done; systemctl stop second-libvirt", timeout=120)
            lab.witness(host, (web,), start)

        with lab.case("luctld is killed in the new kernel, before libvirt is let go"):
            listed = domains.listed(host)
            arm(host, "finishing", KILL_LUCTLD)
            start = host.pump.clock()
            result, _ = host.jump(f"luctl update --kernel {lab.image_of('7.3')} --yes")
            lab.expect(result is None, f"no jump: {result}")
            lab.luctl(host, "status --wait", check=False, timeout=180)
            lab.expect(lab.ask(host, "status")["result"] == "success", f"{lab.ask(host, 'status')}")
            disarm(lab, host)
            lab.witness(host, both, start)
            lab.expect(domains.listed(host) == listed, f"virsh listed {listed}, now {domains.listed(host)}")

        with lab.case("libvirtd is restarted and killed afterwards: it has them again each time"):
            pids = domains.pids(host)
            for command in ("systemctl restart libvirtd", "systemctl kill -s KILL libvirtd; sleep 1; systemctl start libvirtd"):
                host.run(command, timeout=120)
                lab.expect(domains.listed(host) == listed and domains.pids(host) == pids, f"after {command}: {domains.listed(host)}")
            lab.witness(host, both, start)
