# SPDX-License-Identifier: GPL-2.0-or-later
"""Three domains, one as virt-install makes it, one that UEFI has started and one with a passed-through card, and two guests of luctl-vm@ go through one update."""

import json
import time

from lab import devices, domains, guests, image, scenario

KERNELS = ["7.3"]
MENDED = True
LIMIT = 2400
# five guests share two emulated CPUs
LONGEST = 60.0


def run(lab):
    usual = scenario.load("libvirt-domains")
    files = {"agent.initrd": guests.agent_initrd(image.base(), lab.results / "agent.initrd"), **domains.packages(domains.FIRMWARE)}
    with devices.host_with_wire(lab, guests=5, memory="5G", files=files) as (host, wire):
        domains.unpack(host)
        domains.prepare(host)
        # libvirt 11.3 gives a card by a container
        devices.stand_in(host)
        web = domains.Domain(guests.Linux("web", 0, 256, options="attended"), usual=True)
        web.guest.initrd = "/lab/agent.initrd"
        efi = domains.Domain(guests.Linux("efi", 1, 256, net=False), usual=True, uefi=True)
        nic = domains.Domain(guests.Linux("nic", 2, 256, disk=False, net=False, passed=[devices.ADDRESS], by="container"))
        three, two = (web, efi, nic), (guests.Ticker("red", 3, 64), guests.Ticker("blue", 4, 128))
        for domain in three:
            domains.start(lab, host, domain, timeout=600)
        for guest in two:
            lab.start(host, guest)
        wire.stream(True)
        # nic has no display to be asked for
        names = ["web", "efi"]
        before, listed = usual.told(host, names), domains.listed(host)
        plan = lab.ask(host, f"plan --kernel {lab.image_of('7.3')}")
        lab.expect(plan["ok"] and len(plan["vms"]) == 5, f"the plan says: {json.dumps(plan, indent=1)}")

        with lab.case("an update: all five go on, and what is told of the domains is as before"):
            begin = time.monotonic()
            start = lab.update(host, "7.3")
            # three of them share a CPU with all that starts in the new kernel
            host.run("systemctl is-system-running --wait", check=False, timeout=300)
            devices.nothing_lost(lab, host, wire, nic, start, begin, limit=LONGEST)
            spans = lab.witness(host, three + two, start, limit=LONGEST)
            lab.say("  stood still: " + ", ".join(f"{name} {span.blackout()[0]:.2f} s" for name, span in spans.items()))
            lab.expect(domains.listed(host) == listed, f"virsh listed {listed}, now {domains.listed(host)}")
            usual.expect_same(lab, host, before, names)

        with lab.case("libvirt works with them"):
            usual.work_with(lab, host, web)
            for domain in (nic, efi):
                usual.plug(lab, host, domain)
            begun = host.pump.clock()
            host.run("virsh shutdown web --mode agent && virsh destroy efi && virsh destroy nic", timeout=180)
            usual.until(host, "virsh domstate web | grep -q 'shut off'")
            lab.witness(host, two, begun)
