# SPDX-License-Identifier: GPL-2.0-or-later
"""Five updates in a row, 7.3 and 7.2 in turn, under two guests of libvirt and one of luctl-vm@: libvirt knows them as before each time, and says nothing that it did not say at first."""

import re

from lab import domains, guests

KERNELS = ["7.3", "7.2"]
LIMIT = 1800
NUMBERS = r"\d+"


def said(host):
    """Errors and warnings of libvirt's in this boot, without numbers."""
    host.run("systemctl is-active --wait libvirtd || systemctl is-active libvirtd", timeout=120)
    lines = host.run("journalctl -b -u libvirtd -u virtlogd -p warning -o cat --no-pager").out.splitlines()
    return {re.sub(NUMBERS, "N", line) for line in lines if line.strip()}


def run(lab):
    with lab.host() as host:
        domains.prepare(host)
        web = domains.Domain(guests.Linux("web", 0, 256))
        red = domains.Domain(guests.Ticker("red", 1, 64))
        blue = guests.Ticker("blue", 2, 64)
        domains.start(lab, host, web, red)
        lab.start(host, blue)
        host.run("systemctl restart libvirtd", timeout=120)
        listed, first = domains.listed(host), said(host)
        ratios = []
        for target in ("7.2", "7.3", "7.2", "7.3", "7.2"):
            start = lab.update(host, target)
            spans = lab.witness(host, (web, red, blue), start)
            theirs, ours = (spans[name].blackout()[0] for name in ("red", "blue"))
            ratios.append(theirs / ours)
            lab.say(f"red (libvirt) stood still for {theirs:.2f} s, blue (luctl-vm@) for {ours:.2f} s: {theirs / ours:.2f}")
            lab.expect(domains.listed(host) == listed, f"virsh listed {listed}, now {domains.listed(host)}")
            told = host.run("machinectl --no-legend list").out
            lab.expect("qemu-1-web" in told and "qemu-2-red" in told, f"machined knows {told}")
            new = said(host) - first
            lab.expect(not new, f"libvirt says what it did not say before: {new}")
        lab.expect(sorted(ratios)[2] <= 1.1, f"a guest of libvirt stands still for longer than another: {ratios}")
        host.run("virsh shutdown web --mode acpi; virsh destroy red", timeout=120)
