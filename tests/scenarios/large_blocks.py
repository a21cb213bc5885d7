# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest with a passed-through card has its memory in blocks of 1 GiB: one entry of KVM's table for each, and no frame is lost, over 7.3 → 7.2 → 7.3 (only by name)."""

import json
import time

from lab import devices, guests

KERNELS = ["7.3", "7.2"]
LIMIT = 1500

POOL = "/sys/fs/pkernfs/pool_1g"
# the areas hold the memory map of a host of this size
HOST = {"memory": "8G", "cmdline": "pkernfs.pool_1g=2G kho_scratch=128M,384M,128M"}
# the first GiB has a hole for VGA's memory, so the second one is what KVM can map whole; the guest uses the ends of the two
USED = "memmap=1536M!0x10000000"
STATS = {"execute": "query-stats", "arguments": {"target": "vm", "providers": [{"provider": "kvm", "names": ["pages_1g"]}]}}


def mapped(host, guest):
    """How many entries of 1 GiB KVM's table of a guest has."""
    told = host.run(f"/usr/lib/lab/qmp {guest.qmp} '{json.dumps(STATS)}'").out
    return json.loads(told.splitlines()[-1])["return"][0]["stats"][0]["value"]


def whole(lab, host, guest, other):
    lab.expect(mapped(host, guest) >= 1, f"KVM maps {guest.name}'s memory in pieces")
    lab.expect(mapped(host, other) == 0, f"KVM says that {other.name} has blocks of 1 GiB, too")
    size, free = (int(n) for n in host.run(f"cat {POOL}_kib {POOL}_free_kib").out.split())
    lab.expect((size >> 20, free) == (2, 0), f"of the pool's {size} KiB {free} are free")
    blocks = sum(one["huge_blocks"] for one in lab.ask(host, "pkernfs show")["filesystems"])
    lab.expect(blocks >= 1024, f"luctl pkernfs show tells of {blocks} blocks of 2 MiB")


def run(lab):
    with devices.host_with_wire(lab, **HOST) as (host, wire):
        nic = guests.Linux("nic", 0, 2048, net=False, passed=[devices.ADDRESS], options=USED)
        nic.align = "1G"
        red = guests.Ticker("red", 1, 64)
        host.run(f"mkdir -p /run/luctl/pkernfs/ram/{nic.name}")
        lab.luctl(host, f"pkernfs set-blocks 1G /run/luctl/pkernfs/ram/{nic.name}")
        lab.start(host, nic, red)
        wire.stream(True)
        whole(lab, host, nic, red)
        with lab.case("what a file has can't be changed, and where there are no more it is said"):
            result = lab.luctl(host, f"pkernfs set-blocks 2M {nic.ram}", check=False)
            lab.expect(result.code == 1 and "another size" in result.err, f"{result}")
            host.run(f"! fallocate -l 1G /run/luctl/pkernfs/ram/{nic.name}/more && rm /run/luctl/pkernfs/ram/{nic.name}/more")
        # what luctl writes has ordinary blocks all the same: there are no others left
        host.run("mkdir -p -m 700 /run/luctl/pkernfs/vm /run/luctl/pkernfs/update")
        for folder in ("vm", "update"):
            lab.luctl(host, f"pkernfs set-blocks 1G /run/luctl/pkernfs/{folder}")
        for target in ("7.2", "7.3"):
            begin = time.monotonic()
            start = lab.update(host, target)
            devices.nothing_lost(lab, host, wire, nic, start, begin)
            lab.witness(host, [red], start)
            whole(lab, host, nic, red)
        lab.luctl(host, "pkernfs set-blocks default /run/luctl/pkernfs/vm")
        with lab.case("the guest is stopped and its file removed: the blocks are free"):
            wire.stream(False)
            host.run(f"systemctl stop luctl-vm-{nic.name}.scope; rm {nic.ram}")
            host.run(f"for i in $(seq 50); do [ $(cat {POOL}_free_kib) = {2 << 20} ] && exit; sleep 0.1; done; exit 1")
