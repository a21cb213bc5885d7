# SPDX-License-Identifier: GPL-2.0-or-later
"""What is laid over the base image: luctl as `meson install` puts it, and the guests.

Built on this machine and run in a Debian 13 host VM, so the machine may be Debian 12 or 13 but nothing newer.
"""

import os
import shutil

from . import guests, paths
from .say import Failed, run, step

SOURCES = ["libluctl", "daemon", "cli", "systemd", "schemas", "docs", "python"]


def key():
    """What the product depends on."""
    files = [paths.TREE / n for n in ("meson.build", "meson_options.txt", "meson.options") if (paths.TREE / n).exists()]
    files += list(paths.files_below(*[paths.TREE / s for s in SOURCES], *[p for p in [paths.TREE / "kernel-patch/include"] if p.exists()]))
    return paths.digest(*[item for path in files for item in (str(path.relative_to(paths.TREE)), path)])


@paths.locked("tools")
def product():
    """luctl, installed into a directory of its own."""
    if not (paths.TREE / "meson.build").exists():
        return None
    folder = paths.cache("tools") / f"luctl-{key()}"
    if folder.exists():
        os.utime(folder)
        return folder
    log = paths.cache("logs") / "tools.log"
    log.unlink(missing_ok=True)
    with step("luctl for the host VM") as this:
        work = paths.cache("build") / f"tools-{os.getpid()}"
        try:
            # the folder has another name each time, which is nothing to compile again for
            env = {"CC": "ccache gcc", "CCACHE_DIR": str(paths.cache("ccache")), "CCACHE_NOHASHDIR": "1"}
            run(["meson", "setup", "--prefix=/usr", "--libdir=lib/x86_64-linux-gnu", "--sysconfdir=/etc", "--localstatedir=/var", "--buildtype=debugoptimized",
                 "-Dtests=disabled", work, paths.TREE], log, this, env=env)
            run(["ninja", "-C", work], log, this, env=env, nice=True)
            new = folder.with_suffix(".new")
            shutil.rmtree(new, ignore_errors=True)
            run(["meson", "install", "-C", work, "--no-rebuild", "--destdir", new], log, this)
            new.rename(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    paths.trim_named(paths.cache("tools"), "luctl-*", keep=2)
    return folder


@paths.locked("overlay")
def overlay(guest_kernel, luctl=None):
    """The directory to lay over the base: luctl (product() or None), the guests, and the kernel that the Linux guest runs."""
    made = guests.build()
    folder = paths.cache("tools") / f"overlay-{paths.digest(luctl.name if luctl else '', *made.values(), guest_kernel)}"
    if folder.exists():
        os.utime(folder)
        return folder
    new = folder.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    if luctl:
        shutil.copytree(luctl, new, symlinks=True)
    lab = new / "usr/lib/lab"
    lab.mkdir(parents=True)
    for name in ("ticker", "linux.initrd", "echo", "stamp"):
        shutil.copy(made[name], lab / name)
    shutil.copy(guest_kernel, lab / "guest-kernel")
    if not os.path.getsize(lab / "guest-kernel"):
        raise Failed(f"{guest_kernel} is empty")
    new.rename(folder)
    paths.trim_named(paths.cache("tools"), "overlay-*", keep=2)
    return folder
