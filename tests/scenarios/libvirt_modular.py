# SPDX-License-Identifier: GPL-2.0-or-later
"""All that the scenario libvirt shows, with libvirt's modular daemon (virtqemud) in place of libvirtd."""

from lab import scenario, virtqemud

KERNELS = ["7.3", "7.3-b"]
LIMIT = 1800


def change(host):
    virtqemud.put_up(host)
    host.run("virsh list", timeout=120)
    running = host.run("systemctl is-active virtqemud libvirtd", check=False, timeout=120).out.split()
    if running != ["active", "inactive"]:
        raise scenario.Wrong(f"it is not virtqemud that runs: {running}")


def run(lab):
    scenario.load("libvirt").run(lab, virtqemud.files(), change)
