# SPDX-License-Identifier: GPL-2.0-or-later
"""The host VM's disk: Debian 13 with QEMU from backports, systemd, libvirt, and our freshly built tools on top.

Two products. The *base* is what mmdebstrap makes of PACKAGES and rootfs-setup, named by a hash over both (not by date: a base stays until the
recipe changes, `tests/run --fresh-image` makes a new one). The *disk* is base plus rootfs/ plus tools, an ext4 file made by mke2fs from a directory,
so that nothing is ever mounted. QEMU opens it with snapshot=on, hence it stays pristine and several host VMs can share it.
"""

import os
import pathlib
import shutil

from . import apt, paths
from .say import run, step

SUITE = "trixie"
PACKAGES = """
    systemd systemd-sysv systemd-container udev dbus polkitd libpam-systemd kmod
    qemu-system-x86 qemu-guest-agent qemu-utils swtpm virtiofsd libvirt-daemon-system libvirt-clients kexec-tools
    iproute2 iputils-ping procps util-linux e2fsprogs strace pciutils
    libjson-c5 libsystemd0 libsmartcols1 libarchive13t64 libinih1 libvirt0 zlib1g libzstd1 liblzma5
""".split()
FROM_BACKPORTS = "qemu* seabios ovmf libslirp0 ipxe-qemu"
DISK_SIZE = "3G"
ROOTFS = pathlib.Path(__file__).with_name("rootfs")
SETUP = pathlib.Path(__file__).with_name("rootfs-setup")
MASKED = pathlib.Path(__file__).with_name("masked-units")

# no documentation and no translations: half the size
EXCLUDES = ["path-exclude=/usr/share/man/*", "path-exclude=/usr/share/locale/*", "path-exclude=/usr/share/doc/*",
            "path-include=/usr/share/doc/*/copyright", "path-exclude=/usr/share/info/*"]


def base_key():
    return paths.digest(SUITE, " ".join(PACKAGES), FROM_BACKPORTS, " ".join(EXCLUDES), SETUP)


@paths.locked("base")
def base(fresh=False):
    """The base as a directory."""
    folder = paths.cache("image") / f"base-{base_key()}"
    if folder.exists() and not fresh:
        os.utime(folder)
        return folder
    for stale in (folder, folder.with_suffix(".new")):
        shutil.rmtree(stale, ignore_errors=True)
    log = paths.cache("logs") / "image.log"
    log.unlink(missing_ok=True)
    tar = folder.with_suffix(".tar")
    sources = "".join(apt.line_for(apt.mirror(), s) for s in (SUITE, f"{SUITE}-updates", f"{SUITE}-backports"))
    pin = f"Package: {FROM_BACKPORTS}\nPin: release n={SUITE}-backports\nPin-Priority: 600\n"
    with step("Image of the host VM: Debian 13 with QEMU, systemd, libvirt") as this:
        run(["mmdebstrap", "--variant=minbase", "--format=tar", f"--include={' '.join(PACKAGES)}",
             *[f"--dpkgopt={e}" for e in EXCLUDES], *[f"--aptopt={o}" for o in apt.proxies()],
             f"--setup-hook=mkdir -p \"$1/etc/apt/preferences.d\" && printf '{pin.replace(chr(10), chr(92) + 'n')}' > \"$1/etc/apt/preferences.d/lab\"",
             f"--customize-hook={SETUP} \"$1\"",
             SUITE, tar, "-"], log, this, shell_input=sources.encode(), hint="does the mirror carry trixie-backports?")
        new = folder.with_suffix(".new")
        new.mkdir()
        run(["tar", "-C", new, "--numeric-owner", "-xpf", tar, "--exclude=./dev/*"], log, this)
        tar.unlink()
        new.rename(folder)
    # two, so that two trees with different packages can take turns
    paths.trim_named(paths.cache("image"), "base-*", keep=2)
    return folder


def qemu_command(folder):
    """A command that runs the base's QEMU on this machine, made in folder; None if there is no base yet."""
    root = paths.cache("image") / f"base-{base_key()}"
    if not root.exists():
        return None
    command = folder / "qemu-system-x86_64"
    command.write_text(f"""#!/bin/sh
exec {root}/lib64/ld-linux-x86-64.so.2 --library-path {root}/usr/lib/x86_64-linux-gnu {root}/usr/bin/qemu-system-x86_64 \\
    -L {root}/usr/share/qemu -L {root}/usr/share/seabios "$@"
""")
    command.chmod(0o755)
    return command


def _mask(stage):
    """Units and generators that the lab host does without; and no "first boot after an update" on every start."""
    for row in MASKED.read_text().split("\n"):
        name = row.split("#")[0].strip()
        if name:
            folder = stage / "etc/systemd" / ("system-generators" if name.endswith("-generator") else "system")
            folder.mkdir(exist_ok=True)
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to("/dev/null")
    for folder in ("etc", "var"):
        stamp = stage / folder / ".updated"
        stamp.unlink(missing_ok=True)
        stamp.touch()


@paths.locked("disk")
def disk(tools=None, fresh=False):
    """The disk image: base, and on top of it the directory tools (what `meson install --destdir` wrote), if any."""
    root = base(fresh)
    layers = [ROOTFS] + ([tools] if tools else [])
    parts = [item for layer in layers for path in paths.files_below(layer) for item in (str(path.relative_to(layer)), path)]
    links = [f"{path.relative_to(ROOTFS)} → {os.readlink(path)}" for path in sorted(ROOTFS.rglob("*")) if path.is_symlink()]
    folder = paths.cache("image")
    image = folder / f"disk-{base_key()}-{paths.digest(*parts, *links, MASKED)}.img"
    if image.exists() and image.stat().st_mtime > root.stat().st_ctime and not fresh:
        os.utime(image)
        return image
    log = paths.cache("logs") / "disk.log"
    log.unlink(missing_ok=True)
    with step("Disk of the host VM: " + ("base and our tools" if tools else "base")) as this:
        stage = folder / f"stage-{os.getpid()}"
        try:
            # hard links cost nothing; tar unlinks a file before it writes a new one, so the base never changes
            run(["cp", "-al", root, stage], log, this)
            for layer in layers:
                overlay = stage.with_suffix(".tar")
                run(["tar", "-C", layer, "--owner=0", "--group=0", "--mode=go-w", "-cf", overlay, "."], log, this)
                run(["tar", "-C", stage, "--keep-directory-symlink", "-xpf", overlay], log, this)
                overlay.unlink()
            _mask(stage)
            new = image.with_suffix(".new")
            new.unlink(missing_ok=True)
            run(["mke2fs", "-q", "-t", "ext4", "-L", "lab", "-m", "0", "-E", "lazy_itable_init=1,nodiscard", "-d", stage, new, DISK_SIZE],
                log, this)
            new.rename(image)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    paths.trim_named(folder, "disk-*.img", keep=3)
    return image
