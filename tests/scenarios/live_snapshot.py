# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest with a live snapshot, and one with another CD, go on on what they have, not on what their units name (only by name)."""

import json

from lab import guests

KERNELS = ["7.3"]
LIMIT = 900

SNAPSHOT = {"execute": "blockdev-snapshot-sync", "arguments": {"node-name": "disk", "snapshot-file": "/var/lib/lab/web.over", "snapshot-node-name": "over"}}
CHANGE = {"execute": "blockdev-change-medium", "arguments": {"device": "cd", "filename": "/var/lib/lab/b.iso", "format": "raw"}}
MIRROR = {"execute": "blockdev-mirror", "arguments": {"job-id": "copy", "device": "over", "target": "nowhere", "sync": "full"}}
NOWHERE = {"execute": "blockdev-add", "arguments": {"driver": "null-co", "node-name": "nowhere", "size": 16 << 20}}
END = {"execute": "block-job-cancel", "arguments": {"device": "copy", "force": True}}


def qmp(host, guest, *commands):
    return host.run(f"/usr/lib/lab/qmp {guest.qmp} " + " ".join(f"'{json.dumps(c)}'" for c in commands), timeout=60).out


def beneath(host, guest):
    """The files that its QEMU has open in the lab's folder."""
    pid = next(vm["pid"] for vm in json.loads(host.run("luctl vm list --json").out)["vms"] if vm["name"] == guest.name)
    return set(host.run(f"readlink /proc/{pid}/fd/* | grep ^/var/lib/lab/ || true").out.split())


def run(lab):
    with lab.host() as host:
        web = guests.Linux("web", 0, 256, net=False)
        red = guests.Ticker("red", 1, 64, extra=["-drive", "file=/var/lib/lab/a.iso,if=none,id=cd,media=cdrom,readonly=on,format=raw", "-device", "ide-cd,drive=cd"])
        guests.prepare(host)
        host.run("truncate -s 1M /var/lib/lab/a.iso /var/lib/lab/b.iso && chown luctl-vm: /var/lib/lab/*.iso")
        lab.start(host, web, red)
        qmp(host, web, SNAPSHOT)
        qmp(host, red, CHANGE)
        base = host.run(f"sha256sum < {web.disk}").out
        with lab.case("plan says what they have, and that it goes along"):
            said = lab.luctl(host, "plan --kernel " + lab.image_of("7.3")).out
            lab.expect("on node \"over\"" in said and "b.iso" in said, f"plan does not tell: {said}")
        with lab.case("a copy that is under way keeps the guest from going along"):
            qmp(host, web, NOWHERE, MIRROR)
            said = host.run("luctl plan --kernel " + lab.image_of("7.3"), check=False).out
            lab.expect("its job \"copy\" (mirror) is under way" in said, f"plan does not tell: {said}")
            qmp(host, web, END)
        for how in ("update", "update --vmm"):
            with lab.case(f"after luctl {how} they are on the overlay and on the second CD, and the base is as it was"):
                start = host.pump.clock() if "--vmm" in how else None
                if start is None:
                    start = lab.update(host, "7.3")
                else:
                    lab.luctl(host, "update --vmm --yes", timeout=300)
                lab.witness(host, [web, red], start)
                lab.expect("/var/lib/lab/web.over" in beneath(host, web), f"web has {beneath(host, web)}")
                lab.expect(beneath(host, red) == {"/var/lib/lab/b.iso"}, f"red has {beneath(host, red)}")
                lab.expect(host.run(f"sha256sum < {web.disk}").out == base, "the base of the snapshot was written to")
