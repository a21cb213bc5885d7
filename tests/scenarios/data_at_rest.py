# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest wrote to a raw device with cache=unsafe right before the update is on the device in the new kernel."""

import array
import tempfile

from lab import guests

KERNELS = ["7.3"]
LIMIT = 900

MIB = 200
DEVICE = "/dev/disk/by-id/virtio-bulk"
# docs/vm.md: the guest's user may use the disk, and its unit may open it
OWNED = """mkdir -p /etc/systemd/system/luctl-vm@web.service.d
printf '[Service]\\nDeviceAllow=block-virtblk rw\\n' > /etc/systemd/system/luctl-vm@web.service.d/disk.conf
echo 'SUBSYSTEM=="block", ENV{ID_SERIAL}=="bulk", OWNER="luctl-vm"' > /etc/udev/rules.d/71-bulk.rules
udevadm control --reload; udevadm trigger --settle --subsystem-match=block; systemctl daemon-reload
stat -Lc %U """ + DEVICE

# the host's kernel writes nothing out by itself
KEEP_DIRTY = "sysctl -q vm.dirty_writeback_centisecs=0 vm.dirty_expire_centisecs=360000 vm.dirty_ratio=90 vm.dirty_background_ratio=80"


def first_wrong(path):
    """The first MiB of a disk of the guest's that does not hold what it wrote, or None."""
    words = (1 << 20) // 8
    with open(path, "rb") as disk:
        for mib in range(MIB):
            if disk.read(1 << 20) != array.array("Q", range(mib * words, (mib + 1) * words)).tobytes():
                return mib
    return None


def run(lab):
    with tempfile.NamedTemporaryFile(dir=lab.results, suffix=".img") as image:
        image.truncate((MIB + 8) << 20)
        drive = ["-drive", f"file={image.name},if=none,id=bulk,format=raw,cache=unsafe", "-device", "virtio-blk-pci,drive=bulk,serial=bulk"]
        with lab.host(qemu_args=drive) as host:
            host.run(KEEP_DIRTY)
            guest = guests.Linux("web", 0, 256, net=False, options=f"bulk={MIB}", extra=[
                "-blockdev", f"driver=host_device,node-name=bulk,filename={DEVICE},cache.direct=off,cache.no-flush=on", "-device", "virtio-blk-pci,drive=bulk"])
            guests.prepare(host)
            lab.expect(host.run(OWNED).out.split()[-1] == "luctl-vm", "the disk is not the guest's user's")
            lab.start(host, guest)
            lab.expect("bulk=BAD" not in "\n".join(text for _, text in host.guest[0].lines), "the guest could not write to its second disk")
            dirty = int(host.run("sed -n 's/^Dirty: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo").out) >> 10
            with lab.case(f"{dirty} MiB are dirty before the update, and not on the device"):
                lab.expect(dirty >= MIB and first_wrong(image.name) is not None, "the device has it all already: this shows nothing")
            start = lab.update(host, "7.3")
            with lab.case("in the new kernel the device holds what the guest wrote"):
                wrong = first_wrong(image.name)
                lab.expect(wrong is None, f"MiB {wrong} of {MIB} is not what the guest wrote")
            lab.witness(host, [guest], start)
            for phase in lab.ask(host, "report")["phases"]:
                if phase["name"] in ("preparing", "sealing"):
                    lab.say(f"{phase['name']} took {phase['duration_usec'] / 1e6:.2f} s")
