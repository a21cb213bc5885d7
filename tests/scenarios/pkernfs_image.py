# SPDX-License-Identifier: GPL-2.0-or-later
"""The verifier and the kernel agree: on a host that runs, also of a pool, on its memory in mid-kexec, and on which inodes are damaged in it."""

import json
import re
import shutil
import struct
import subprocess

from lab import paths, tools
from lab.monitor import Monitor, core_pages

KERNELS = ["7.3"]
LIMIT = 900

FILES = """
set -e
mkdir -p /mnt/image
mount -t pkernfs -o name=image,size=256M pkernfs /mnt/image
cd /mnt/image
mkdir -p ram/red vm/1 many
truncate -s 8M ram/red/ram0
fallocate -l 8M ram/red/ram0
dd if=/dev/urandom of=vm/1/state bs=64k count=10 status=none
echo '{}' > vm/1/launch.json
setcap cap_net_raw+ep vm/1/launch.json
ln vm/1/state many/hard
ln -s ../vm many/soft
mkfifo many/pipe
for n in $(seq 40); do echo $n > many/file$n; done
stat -c '%i %n' ram/red/ram0 vm/1/state vm/1/launch.json many many/soft
"""
POOLED = """
set -e
mkdir -p /mnt/pooled
mount -t pkernfs -o name=pooled,size=96M,pool=64M pkernfs /mnt/pooled
fallocate -l 8M /mnt/pooled/ram
"""
COMPAT_POOL = 1 << 1        # linux/pkernfs.h
DIR_MAGIC, XATTR_MAGIC = 0x44464b50, 0x58464b50     # linux/pkernfs.h


def verify(lab, image, *more):
    """luctl of this tree on the build machine: (exit code, document)."""
    root = tools.product()
    result = subprocess.run([root / "usr/bin/luctl", "pkernfs", "verify", "--json", image, *more], capture_output=True, text=True,
                            env={"LD_LIBRARY_PATH": str(root / "usr/lib/x86_64-linux-gnu"), "LC_ALL": "C.UTF-8"})
    lab.expect(result.returncode in (0, 3), f"verify: {result.returncode}: {result.stderr}")
    return result.returncode, json.loads(result.stdout)


def find(core, pages, kind, ino):
    """Physical address of the first page of a sort that belongs to an inode; of a record, of the record."""
    for address, offset in pages.items():
        page = core[offset:offset + 4096]
        if kind in (DIR_MAGIC, XATTR_MAGIC):
            if struct.unpack_from("<IIQ", page)[::2] == (kind, ino):
                return address
        else:
            number, mode, _, uid = struct.unpack_from("<QIII", page, ino % 16 * 256)
            if number == ino and mode >> 12 in (4, 8, 10) and uid == 0:
                return address + ino % 16 * 256
    raise AssertionError(f"no page of inode {ino}")


def accused(document):
    return {int(n) for f in document["findings"] if f["level"] == "error" for n in re.findall(r'^pkernfs "image": inode (\d+)', f["object"])}


def pool(lab, host, size):
    """What luctl says of the pool is what the kernel says: mount table, sysfs, statfs."""
    told = lab.ask(host, "pkernfs show")
    lab.expect(told["ok"], str(told["findings"]))
    shown = {fs["name"]: fs for fs in told["filesystems"]}
    mounted = int(re.search(r"pool=(\d+)k", host.run("grep /mnt/pooled /proc/mounts").out + "pool=0k")[1]) << 10
    free = int(host.run("cat /sys/fs/pkernfs/pool_free_kib").out) << 10
    total, unused, available = (int(n) * 4096 for n in host.run("stat -f -c '%b %f %a' /mnt/pooled").out.split())
    lab.expect((shown["pooled"]["pool"] or 0) == mounted == size, f"pool: {size} was asked for, the mount table has {mounted}: {shown['pooled']}")
    lab.expect(free == max(size - (8 << 20), 0), f"{free} bytes of the pool are free, {size} less a file of 8 MiB should be")
    lab.expect(shown["pooled"]["available"] == available and shown["pooled"]["used"] == total - unused, f"statfs: {total} {unused} {available}: {shown['pooled']}")
    lab.expect((shown["pooled"]["compat"] & COMPAT_POOL != 0) == (size > 0), f"feature bits: {shown['pooled']['compat']:#x}")
    lab.expect(shown["image"]["pool"] is None and not shown["image"]["compat"] & COMPAT_POOL, f"the filesystem without a pool: {shown['image']}")
    table = host.run("luctl pkernfs show").out
    head, rows = table.splitlines()[0], {row.split()[0]: row for row in table.splitlines()[1:] if row.split()}
    right = head.index(" POOL") + len(" POOL")       # numbers end where their heading does
    said = re.search(r"(\S+(?: [KMG]iB| B)?)$", rows["pooled"][:right])[1]
    lab.expect(said == (f"{size >> 20} MiB" if size else "-"), f"the table has {said!r} for a pool of {size}:\n{table}")
    return shown["pooled"]


def run(lab):
    scratch = paths.cache("tmp", f"image-{lab.name}")
    try:
        go(lab, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def go(lab, scratch):
    with lab.host(memory="2G", guests=1, cmdline="loglevel=7", qemu_args=Monitor.args(scratch)) as host:
        inodes = {name: int(ino) for ino, name in (row.split() for row in host.run(FILES).out.splitlines())}
        # unlinked and open until the jump
        host.spawn("exec 9>/mnt/image/gone; rm /mnt/image/gone; touch /run/gone; sleep 1000")
        host.run("until test -e /run/gone; do sleep 0.1; done")
        with lab.case("a host that runs"):
            live = lab.ask(host, "pkernfs verify")
            lab.expect(live["ok"], str(live["findings"]))
            shown = {fs["name"]: fs for fs in lab.ask(host, "pkernfs show")["filesystems"]}
            counts = [int(host.run(f"find /mnt/image -type {kind} | sort -u | wc -l").out) for kind in "fd"]
            # one file has two names, and the one without a name counts
            lab.expect(shown["image"]["files"] == counts[0] - 1 + 1 and shown["image"]["directories"] == counts[1], f"{counts}: {shown['image']}")
            lab.expect(shown["image"]["mounted"] == ["/mnt/image"] and shown["image"]["limit"] == 256 << 20, str(shown["image"]))
            lab.expect(shown["image"]["seal"] == "open" and shown["image"]["unlinked"] == 1 and shown["image"]["huge_blocks"] == 4, str(shown["image"]))
            used = int(host.run("stat -f -c '%b %f' /mnt/image | awk '{ print ($1 - $2) * 4096 }'").out)
            lab.expect(shown["image"]["used"] == used, f"statfs says {used} bytes are used: {shown['image']}")
            lab.say("  " + lab.luctl(host, "pkernfs show").out.replace("\n", "\n      "))

        with lab.case("a pool, when it is made, changed, taken away, asked for in vain"):
            host.run(POOLED)
            pool(lab, host, 64 << 20)
            host.run("mount -o remount,pool=0 /mnt/pooled")
            pool(lab, host, 0)
            result = host.run("mount -o remount,size=0,pool=1T /mnt/pooled", check=False)
            lab.expect(result.code != 0, "a pool of 1 TiB was got from 2 GiB of memory")
            pool(lab, host, 0)
            host.run("mount -o remount,pool=32M /mnt/pooled")
            pooled = pool(lab, host, 32 << 20)

        monitor = Monitor(host, scratch)
        host.run(f"kexec -s -l {lab.image_of('7.3')} --reuse-cmdline")
        mark = len(host.console.lines)
        host.spawn("sync; exec /usr/lib/lab/stamp jump")
        host.console.wait("Starting new kernel", 60, mark)
        monitor.stop()
        monitor.dump(scratch / "core")
        lab.say(f"memory taken in mid-kexec: {(scratch / 'core').stat().st_size >> 20} MiB")
        core = lab.results / "metadata.core"
        with lab.case("sealed memory"):
            code, document = verify(lab, scratch / "core", "--save", core)
            lab.expect(code == 0 and not document["findings"], str(document["findings"]))
            sealed = {fs["name"]: fs for fs in document["filesystems"]}
            lab.expect(sealed["image"]["seal"] == "sealed" and sealed["image"]["generation"] == 1, str(sealed["image"]))
            for what in ("files", "directories", "others", "huge_blocks", "small_blocks", "used", "unlinked", "uuid"):
                lab.expect(sealed["image"][what] == shown["image"][what], f"{what}: {sealed['image'][what]}, the live host said {shown['image'][what]}")
            for what in ("pool", "limit", "used", "compat", "huge_blocks", "uuid"):
                lab.expect(sealed["pooled"][what] == pooled[what], f"{what}: {sealed['pooled'][what]}, the live host said {pooled[what]}")
        with lab.case("its metadata alone"):
            code, alone = verify(lab, core)
            lab.expect(alone["filesystems"] == document["filesystems"] and code == 0, str(alone))
            lab.say(f"  {core.stat().st_size >> 10} KiB")

        with lab.case("damage is named, each by itself"):
            data = core.read_bytes()
            pages = core_pages(core)
            record = find(data, pages, 0, inodes["ram/red/ram0"])
            offset = pages[record & ~0xfff] + (record & 0xfff)
            node = struct.unpack_from("<Q", data, offset + 56)[0] & ~0xfff
            changes = {"vm/1/state": (find(data, pages, 0, inodes["vm/1/state"]) + 90, 0x10),
                       "many": (find(data, pages, DIR_MAGIC, inodes["many"]) + 100, 1),
                       "vm/1/launch.json": (find(data, pages, XATTR_MAGIC, inodes["vm/1/launch.json"]) + 30, 0x80),
                       "ram/red/ram0": (node + 8, 0x40)}
            broken = scratch / "broken"
            everything = bytearray(data)
            for name, (address, bits) in changes.items():
                one = bytearray(data)
                for target in (one, everything):
                    target[pages[address & ~0xfff] + (address & 0xfff)] ^= bits
                broken.write_bytes(one)
                code, document = verify(lab, broken)
                lab.expect(code == 3 and accused(document) == {inodes[name]}, f"{name} ({inodes[name]}): {document['findings']}")
                lab.say("  " + next(f["object"] for f in document["findings"] if ": inode " in f["object"]))
            broken.write_bytes(everything)
            code, document = verify(lab, broken)
            lab.expect(code == 3 and accused(document) == {inodes[name] for name in changes}, str(document["findings"]))

        with lab.case("the next kernel accuses the same"):
            monitor.flip(*changes.values())
            monitor.go_on()
            host.console.wait(r'pkernfs: "image": damaged;', 120, mark)
            text = "\n".join(row for _, row in host.console.lines[mark:])
            named = {int(n) for n in re.findall(r'pkernfs: "image": inode (\d+) damaged', text)}
            lab.expect(named == accused(document), f"the kernel accuses {named}, the verifier {accused(document)}")
            # and what was left alone came through
            lab.expect(re.search(r'pkernfs: "": restored', text), "the other filesystem was not restored")
