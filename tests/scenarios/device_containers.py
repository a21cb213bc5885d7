# SPDX-License-Identifier: GPL-2.0-or-later
"""A card in iommufd, in a container of vfio's old interface, and in one that iommufd stands in for: luctl update --vmm goes on with it, and back, and no frame
is lost; with type1 another kernel is refused by name, with iommufd in its place it goes on there."""

import contextlib
import gzip
import json
import struct
import time
import zlib

from lab import devices, guests

KERNELS = ["7.3", "7.3-b"]
LIMIT = 2100

# of struct luctl_note in kernel-patch/include/linux/luctl_note.h
NOTE = b"luctl\0\0\0"
IOMMU_AT = 80
IOMMU_GROUPS = 1 << 6

QEMU = "/usr/bin/qemu-system-x86_64"
BROKEN = "#!/bin/sh\nexit 1\n"
BLACKOUTS = {}


def one(lab, host):
    return lab.ask(host, "vm list")["vms"][0]


def program(host, pid):
    return host.run(f"stat -Lc %i /proc/{pid}/exe").out.strip()


def refused(lab, host, wire, guest):
    """Another kernel: before anything stands still."""
    begin, start = time.monotonic(), host.pump.clock()
    result = lab.luctl(host, f"update --kernel {lab.image_of('7.3')} --yes", check=False, timeout=240)
    lab.expect(result.code == 3 and "legacy container" in result.err and "luctl update --vmm" in result.err, f"luctl: {result}")
    lab.say("  " + result.err.strip().splitlines()[0])
    devices.stream_whole(lab, host, wire, guest, begin)
    span = lab.span(host, guest, start)
    lab.expect(span.blackout()[0] < 2, f"the guest stood still for {span.blackout()[0]:.2f} s")


def older(image):
    """A boot image whose note does not say that it takes devices over by their group, as one of an earlier series. It is to be looked at only."""
    data = bytearray(image)
    at, size = struct.unpack_from("<II", data, 0x248)
    at += (data[0x1f1] + 1) * 512
    kernel = bytearray(zlib.decompressobj(31).decompress(data[at:at + size]))
    field = kernel.index(NOTE) + len(NOTE) + IOMMU_AT
    bits, = struct.unpack_from("<Q", kernel, field)
    if not bits & IOMMU_GROUPS:
        raise ValueError(f"the note says {bits:#x} already")
    struct.pack_into("<Q", kernel, field, bits & ~IOMMU_GROUPS)
    new = gzip.compress(kernel) + struct.pack("<I", len(kernel))
    struct.pack_into("<I", data, 0x24c, len(new))
    data[at:at + len(new)] = new
    return bytes(data)


def older_refused(lab, host, wire, guest):
    """A target that has no such thing, before anything stands still."""
    target = lab.image_of("older")
    begin, start = time.monotonic(), host.pump.clock()
    result = lab.luctl(host, f"update --kernel {target} --yes", check=False, timeout=240)
    lab.expect(result.code == 3 and f"VM {guest.name}: its devices are in a container of vfio's old interface, and the target can't" in result.err,
               f"luctl: {result}")
    vm, = json.loads(lab.luctl(host, f"plan --kernel {target} --json", check=False).out)["vms"]
    lab.expect(vm["verdict"] == "cannot" and len(vm["reasons"]) == 1, f"plan: {vm}")
    devices.nothing_lost(lab, host, wire, guest, start, begin)


def replaced(lab, host, wire, guest, title):
    host.run(f"cp {QEMU}.good {QEMU}.new && mv {QEMU}.new {QEMU}")
    before, installed = one(lab, host)["pid"], host.run(f"stat -c %i {QEMU}").out.strip()
    begin, start = time.monotonic(), host.pump.clock()
    lab.luctl(host, "update --vmm --yes", timeout=300)
    now = one(lab, host)["pid"]
    lab.expect(now != before and program(host, now) == installed, f"process {before} → {now}, which runs {program(host, now)}, not {installed}")
    devices.nothing_lost(lab, host, wire, guest, start, begin)
    report = lab.ask(host, "report")
    lab.expect(report["result"] == "success", f"{report}")
    BLACKOUTS.setdefault(title, []).append(report["vms"][0]["blackout_usec"] / 1e6)


def taken_back(lab, host, wire, guest):
    host.put(f"{QEMU}.new", BROKEN, mode="755")
    before = one(lab, host)["pid"]
    old = program(host, before)
    host.run(f"mv {QEMU}.new {QEMU}")
    begin, start = time.monotonic(), host.pump.clock()
    result = lab.luctl(host, "update --vmm --yes", check=False, timeout=300)
    lab.expect(result.code == 5 and "goes on with the old one" in result.err, f"luctl: {result}")
    now = one(lab, host)["pid"]
    lab.expect(now != before and program(host, now) == old, "it is not in its old QEMU")
    devices.nothing_lost(lab, host, wire, guest, start, begin)


def killed(lab, host, wire, guest):
    host.run(f"cp {QEMU}.good {QEMU}.new && mv {QEMU}.new {QEMU}")
    begin, start = time.monotonic(), host.pump.clock()
    host.run("(luctl update --vmm --yes > /tmp/vmm.log 2>&1 &) ; "
             "for i in $(seq 600); do luctl status --json | grep -q replacing && break; sleep 0.05; done; sleep 0.5; "
             "kill -KILL $(systemctl show -p MainPID --value luctld)", timeout=90)
    lab.luctl(host, "status --wait", check=False, timeout=180)
    devices.nothing_lost(lab, host, wire, guest, start, begin)
    lab.expect(host.run(f"cat /sys/bus/pci/devices/{devices.ADDRESS}/pkeep").out.strip() == "0", "the card is still marked")


def over(lab, host, wire, guest, title):
    """Into another kernel; what is set up there is an iommufd from the start, which goes over a second time."""
    for again in ("first", "second"):
        with lab.case(f"{title}: another kernel, the {again} time"):
            begin = time.monotonic()
            start = lab.update(host, "7.3")
            devices.nothing_lost(lab, host, wire, guest, start, begin)
            devices.journal_made(lab, host, guest)
            calls = [call["call"] for call in lab.ask(host, f"journal show {guest.name}")["calls"]]
            lab.expect("VFIO_GROUP_GET_DEVICE_FD" in calls and "VFIO_DEVICE_BIND_IOMMUFD" not in calls, f"its calls: {calls}")
        with lab.case(f"{title}: a new QEMU in it, the {again} time"):
            replaced(lab, host, wire, guest, title)


@contextlib.contextmanager
def started(lab, by, compat=False):
    image = lab.results / "bzImage-older"
    image.write_bytes(older(lab.product("7.3-b").image.read_bytes()))
    with devices.host_with_wire(lab, files={image.name: image}) as (host, wire):
        guest = guests.Linux("nic", 0, 256, net=False, passed=[devices.ADDRESS], by=by)
        if compat:
            devices.stand_in(host)
        lab.start(host, guest)
        host.run(f"cp {QEMU} {QEMU}.good")
        wire.stream(True)
        nodes = host.run(f"ls -l /proc/{one(lab, host)['pid']}/fd | grep -o '/dev/vfio/.*' | sort -u").out.split()
        lab.expect(("/dev/vfio/vfio" in nodes) == (by == "container"), f"its QEMU has {nodes}")
        yield host, wire, guest


def run(lab):
    for title, by, compat in (("iommufd", "iommufd", False), ("type1", "container", False), ("iommufd for type1", "container", True)):
        with started(lab, by, compat) as (host, wire, guest):
            if by == "container" and not compat:
                with lab.case(f"{title}: another kernel is refused by name"):
                    refused(lab, host, wire, guest)
            for again in ("first", "second"):
                with lab.case(f"{title}: a new QEMU, the {again} time"):
                    replaced(lab, host, wire, guest, title)
            with lab.case(f"{title}: a new QEMU that ends at once: the guest goes on in the old one"):
                taken_back(lab, host, wire, guest)
            with lab.case(f"{title}: the daemon is killed in the middle"):
                killed(lab, host, wire, guest)
            with lab.case(f"{title}: after all that one more"):
                replaced(lab, host, wire, guest, title)
            if compat:
                with lab.case(f"{title}: a target that can't take it over is refused by name"):
                    older_refused(lab, host, wire, guest)
                over(lab, host, wire, guest, title)

    for title, seconds in BLACKOUTS.items():
        lab.say(f"| {title} | " + " | ".join(f"{s:.2f} s" for s in sorted(seconds)) + " |")
