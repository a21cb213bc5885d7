# SPDX-License-Identifier: GPL-2.0-or-later
"""stress-ng and fio for a host VM: a small disk of their own, so that the image which everything else uses stays as it is.

    with lab.host(qemu_args=load.args()) as host:
        load.mount(host)
        host.run(f"{load.RUN} fio --version")

From the suites that the image is made of, by apt's own choice of what the image lacks; of what the packages hold, the programs and the libraries they are linked with.
"""

import os
import pathlib
import shutil
import subprocess

from . import apt, image, paths
from .say import Failed, run, step

PACKAGES = ["stress-ng", "fio"]
PLACE = "/run/load"
RUN = f"env LD_LIBRARY_PATH={PLACE}/lib PATH={PLACE}/bin:$PATH"


def _libraries(program, roots):
    """What a program is linked with, from the first root that has it; the loader tells."""
    folders = [str(root / "usr/lib" / name) for root in roots for name in ("x86_64-linux-gnu", "x86_64-linux-gnu/ceph", ".")]
    told = subprocess.run([roots[-1] / "lib64/ld-linux-x86-64.so.2", "--library-path", ":".join(folders), "--list", program], capture_output=True, text=True)
    if told.returncode:
        raise Failed(f"{program.name} can't be linked: {told.stderr.strip()}")
    return [pathlib.Path(row.split()[2]) for row in told.stdout.splitlines() if "=>" in row]


@paths.locked("load")
def disk():
    """The disk, an ext4 file named by what the base is made of and by what it holds."""
    root = image.base()
    ready = paths.cache("load") / f"load-{paths.digest(image.base_key(), ' '.join(PACKAGES), pathlib.Path(__file__))}.img"
    if ready.exists():
        os.utime(ready)
        return ready
    log = paths.cache("logs") / "load.log"
    log.unlink(missing_ok=True)
    with step("Disk with " + " and ".join(PACKAGES)) as this:
        work = paths.cache("build") / f"load-{os.getpid()}"
        try:
            state = apt.State("image", [apt.line_for(apt.mirror(), suite) for suite in (image.SUITE, f"{image.SUITE}-updates")])
            state.update(this)
            unpacked, keep = work / "all", work / "keep"
            for folder in (unpacked, keep / "bin", keep / "lib"):
                folder.mkdir(parents=True)
            for package in state.download_with_all(PACKAGES, root / "var/lib/dpkg/status", work / "archives", this):
                run(["dpkg-deb", "-x", package, unpacked], log, this)
            for name in PACKAGES:
                program = unpacked / "usr/bin" / name
                shutil.copy(program, keep / "bin")
                for library in _libraries(program, (unpacked, root)):
                    if unpacked in library.parents:
                        shutil.copy(library, keep / "lib")
            new = ready.with_suffix(".new")
            size = sum(path.stat().st_size for path in keep.rglob("*")) * 5 // 4 + (8 << 20)
            run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-L", "load", "-d", keep, new, f"{size >> 10}k"], log, this)
            new.rename(ready)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    paths.trim_named(ready.parent, "load-*.img", keep=2)
    return ready


def args():
    """What a host VM is to be started with to have it."""
    return ["-drive", f"file={disk()},if=none,id=load,format=raw,readonly=on", "-device", "virtio-blk-pci,drive=load,serial=load"]


def mount(host):
    host.run(f"mkdir -p {PLACE} && mount -o ro /dev/disk/by-label/load {PLACE} 2>/dev/null || mount -o ro LABEL=load {PLACE}")
