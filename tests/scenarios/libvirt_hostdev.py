# SPDX-License-Identifier: GPL-2.0-or-later
"""A newer libvirt (Debian's backports) gives a domain a network card by an iommufd: the card goes on over 7.3 → 7.2 → 7.3, beside a domain as virt-install makes it and two
guests of luctl-vm@. Debian 13's own gives it by a container: refused by name, and if iommufd stands in for that, the card goes on, too."""

import time

from lab import devices, domains, guests

KERNELS = ["7.3", "7.2"]
LIMIT = 1800


def ended(lab, host):
    with lab.case("libvirt ends it and has the card back"):
        host.run("virsh destroy nic", timeout=120)
        driver = host.run(f"readlink /sys/bus/pci/devices/{devices.ADDRESS}/driver", check=False).out
        lab.expect("vfio" not in driver, f"the card is left to {driver}")


HOOK = "/etc/luctl/hooks.d/fault"


def goes_back(lab, host, wire, nic):
    """Its state was saved, its QEMU is another one, in this kernel; and libvirt, which has memory charged by process, has that one."""
    listed, before = domains.listed(host), domains.pids(host)["nic"]
    host.run("mkdir -p /etc/luctl/hooks.d")
    host.put(HOOK, "#!/bin/sh\n[ $1 != sealing ]\n", mode="755")
    begin, start = time.monotonic(), host.pump.clock()
    result = lab.luctl(host, f"update --kernel {lab.image_of('7.3')} --yes", check=False, timeout=300)
    host.run(f"rm {HOOK}")
    lab.expect(result.code == 5 and "failed in state sealing" in result.err, f"luctl: {result}")
    devices.nothing_lost(lab, host, wire, nic, start, begin)
    now = domains.pids(host)["nic"]
    lab.expect(now != before and host.run(f"test -d /proc/{now}", check=False).code == 0, f"libvirt has process {now}, and had {before}")
    lab.expect(domains.listed(host) == listed, f"virsh listed {listed}, now {domains.listed(host)}")


def by_iommufd(lab):
    with devices.host_with_wire(lab, guests=4, files=domains.packages(domains.NEWER, "libvirt*")) as (host, wire):
        domains.unpack(host)
        domains.prepare(host)
        version = host.run("libvirtd --version").out.split()[-1]
        lab.say(f"libvirt {version}")
        lab.expect(int(version.split(".")[0]) >= 12, "it is not the newer one")
        nic = domains.Domain(guests.Linux("nic", 0, 256, disk=False, net=False, passed=[devices.ADDRESS]))
        web = domains.Domain(guests.Linux("web", 1, 256), usual=True)
        red, blue = guests.Ticker("red", 2, 64), guests.Ticker("blue", 3, 64)
        domains.start(lab, host, nic, web, timeout=600)
        for guest in (red, blue):
            lab.start(host, guest)
        wire.stream(True)
        listed = domains.listed(host)
        with lab.case("an update that goes back when all is saved"):
            goes_back(lab, host, wire, nic)
        for target in ("7.2", "7.3"):
            with lab.case(f"into {target}"):
                begin = time.monotonic()
                start = lab.update(host, target)
                devices.nothing_lost(lab, host, wire, nic, start, begin)
                lab.witness(host, (web, red, blue), start)
                devices.journal_made(lab, host, nic)
                lab.expect(domains.listed(host) == listed, f"virsh listed {listed}, now {domains.listed(host)}")
        ended(lab, host)


def by_container(lab):
    with devices.host_with_wire(lab) as (host, wire):
        domains.prepare(host)
        lab.say(f"libvirt {host.run('libvirtd --version').out.split()[-1]}")
        nic = domains.Domain(guests.Linux("nic", 0, 256, disk=False, net=False, passed=[devices.ADDRESS], by="container"))
        with lab.case("a container of type1: refused by name"):
            domains.start(lab, host, nic, timeout=600)
            result = lab.luctl(host, f"plan --kernel {lab.image_of('7.3')}", check=False)
            lab.expect(result.code == 3 and "legacy container" in result.out and "<driver iommufd='yes'/>" in result.out, f"plan: {result}")
            host.run("virsh destroy nic", timeout=120)
        devices.stand_in(host)
        with lab.case("a container that iommufd stands in for"):
            domains.start(lab, host, nic, timeout=600)
            wire.stream(True)
            listed, begin = domains.listed(host), time.monotonic()
            start = lab.update(host, "7.3")
            devices.nothing_lost(lab, host, wire, nic, start, begin)
            calls = [call["call"] for call in lab.ask(host, "journal show nic")["calls"]]
            lab.expect("VFIO_GROUP_GET_DEVICE_FD" in calls and "VFIO_DEVICE_BIND_IOMMUFD" not in calls, f"its calls: {calls}")
            lab.expect(domains.listed(host) == listed, f"virsh listed {listed}, now {domains.listed(host)}")
        ended(lab, host)


def run(lab):
    by_container(lab)
    by_iommufd(lab)
