# SPDX-License-Identifier: GPL-2.0-or-later
"""The host VM comes up whole: no failed unit, pkernfs, KVM, libvirt, the daemon on the bus."""

KERNELS = ["7.3"]


def run(lab):
    with lab.host() as host:
        with lab.case("systemd has no failed unit"):
            failed = host.run("systemctl --failed --plain --no-legend", check=False).out.strip()
            lab.expect(not failed, failed)
        with lab.case("pkernfs is mounted"):
            host.run("findmnt -t pkernfs /run/luctl/pkernfs")
        with lab.case("KVM is there"):
            host.run("test -c /dev/kvm")
        with lab.case("the daemon answers"):
            state = lab.ask(host, "status")
            lab.expect(state["state"] == "idle", f"state is {state['state']}")
        with lab.case("libvirt answers"):
            host.run("virsh -c qemu:///system version", timeout=120)
