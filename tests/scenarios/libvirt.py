# SPDX-License-Identifier: GPL-2.0-or-later
"""Two guests of libvirt and one of luctl-vm@ go through an update and one that is undone; libvirt knows them as before, works with them, and one that can't be restored is kept from it."""

import json

from lab import domains, guests

KERNELS = ["7.3", "7.3-b"]
LIMIT = 1800
RNG = "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>\n"
HOOK = """#!/bin/sh
[ "$1" = {state} ] || exit 0
{action}
"""


# what an administrator's fencing says of a guest that may run elsewhere
VETO = """#!/bin/sh
[ "$1" != {name} ]
"""


def hook(host, state, action):
    host.run("mkdir -p /etc/luctl/hooks.d")
    host.put("/etc/luctl/hooks.d/fault", HOOK.format(state=state, action=action), mode="755")


def known(host, name, what):
    return host.run(f"virsh {what} {name}", timeout=120).out.strip()


def check_known(lab, host, before, machines):
    """libvirt and machined say of each domain what they said before."""
    now = domains.listed(host)
    lab.expect(now == before, f"virsh listed {before}, now {now}")
    told = host.run("machinectl --no-legend list").out.split()
    for name in machines:
        lab.expect(name in told, f"machined does not know {name}: {told}")


def work_with(lab, host, web):
    """What an administrator does with a domain."""
    lab.expect(known(host, web.name, "domstate") == "running", "domstate")
    lab.expect(known(host, web.name, "vcpupin").split()[-1] == str(web.cpu), "vcpupin")
    known(host, web.name, "dominfo")
    lab.expect("vnet" in known(host, web.name, "domiflist"), "domiflist")
    host.run(f"virsh domifstat {web.name} $(virsh domiflist {web.name} | grep -o 'vnet[0-9]*')", timeout=120)
    host.put("/root/rng.xml", RNG)
    host.run(f"virsh attach-device {web.name} /root/rng.xml --live", timeout=120)
    host.run(f"virsh snapshot-create-as {web.name} --disk-only --no-metadata --diskspec vda,file=/var/lib/lab/over.img", timeout=120)
    host.run(f"virsh blockcommit {web.name} vda --active --pivot --wait", timeout=180)


def run(lab, files=None, change=lambda host: None):
    """change: makes the host's libvirt another one, of files."""
    with lab.host(files=files) as host:
        domains.prepare(host)
        change(host)
        web = domains.Domain(guests.Linux("web", 0, 256))
        red = domains.Domain(guests.Ticker("red", 1, 64))
        blue = guests.Ticker("blue", 2, 64)
        domains.start(lab, host, web, red)
        lab.start(host, blue)
        three = (web, red, blue)
        before, machines = domains.listed(host), [f"qemu-{n}-{name}" for n, name in ((1, "web"), (2, "red"))]

        with lab.case("they are known without being told"):
            listed = {vm["name"]: vm for vm in lab.ask(host, "vm list")["vms"]}
            lab.expect(all(listed[d.name]["updatable"] for d in three), f"not updatable: {json.dumps(listed, indent=1)}")
            plan = lab.ask(host, f"plan --kernel {lab.image_of('7.3-b')}")
            lab.expect(plan["ok"], f"the plan says: {json.dumps(plan, indent=1)}")

        with lab.case("an update that is undone leaves libvirt as it was"):
            old = domains.pids(host)
            start = host.pump.clock()
            hook(host, "sealing", "exit 1")
            result = lab.luctl(host, f"update --kernel {lab.image_of('7.3-b')} --yes", check=False, timeout=300)
            host.run("rm /etc/luctl/hooks.d/fault")
            lab.expect(result.code and lab.ask(host, "status")["state"] == "aborted", f"{result}")
            lab.witness(host, three, start)
            check_known(lab, host, before, machines)
            lab.expect(domains.pids(host) == old, "another QEMU")

        with lab.case("an update: they go on, and libvirt knows them as before"):
            start = lab.update(host, "7.3-b")
            still = {name: span.blackout()[0] for name, span in lab.witness(host, three, start).items()}
            lab.say(f"  red (libvirt) stood still for {still['red']:.2f} s, blue (luctl-vm@) for {still['blue']:.2f} s")
            check_known(lab, host, before, machines)
            report = lab.ask(host, "report")
            lab.expect({vm["name"] for vm in report["vms"]} == {"web", "red", "blue"}, f"the report: {report}")

        with lab.case("a second update in a row"):
            start = lab.update(host, "7.3")
            lab.witness(host, three, start)
            check_known(lab, host, before, machines)

        with lab.case("a domain that may not be restored is kept from libvirt, and brought back"):
            host.run("mkdir -p /etc/luctl/veto.d")
            host.put("/etc/luctl/veto.d/fenced", VETO.format(name=web.name), mode="755")
            start = host.pump.clock()
            result, _ = host.jump(f"luctl update --kernel {lab.image_of('7.3')} --yes")
            lab.expect(result is None, f"no jump: {result}")
            lab.luctl(host, "status --wait", check=False, timeout=180)
            lab.witness(host, (red, blue), start)
            lab.expect(domains.listed(host)["web"] == ("-", "shut off"), f"{domains.listed(host)}")
            result = host.run("virsh start web", check=False, timeout=120)
            lab.expect(result.code and "luctl restore" in result.err, f"libvirt starts it over its kept state: {result}")
            result = lab.luctl(host, "restore web", check=False, timeout=180)
            lab.expect(result.code and "veto.d/fenced" in result.err, f"it was restored against the veto: {result}")
            host.run("rm /etc/luctl/veto.d/fenced")
            lab.luctl(host, "restore web", timeout=180)
            lab.witness(host, three, start, limit=180)
            check_known(lab, host, before, machines)

        with lab.case("libvirt works with them"):
            work_with(lab, host, web)
            host.run("virsh destroy red", timeout=120)
            gone = host.run("ls /run/luctl/pkernfs/libvirt/qemu").out.split()
            lab.expect(gone == ["1-web"], f"memory that is left: {gone}")
            host.run("virsh start red", timeout=180)
            lab.expect(domains.listed(host)["red"][0] == "3", f"an id was given twice: {domains.listed(host)}")
