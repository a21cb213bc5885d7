# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels as Debian packages: Debian's source and configuration, our series, `make bindeb-pkg`.

    build("7.3") → Packages(release="7.3.4-luctl", image=…/linux-image-7.3.4-luctl_….deb, headers=…/linux-headers-7.3.4-luctl_….deb)

`kernel-patch/debian/build` is the command line of this; its README says what is trimmed and why it is made so. Source, patches and ccache are the lab's
(kernel.py); a product is named by a hash of all that it is made of.
"""

import collections
import fcntl
import os
import re
import shutil
import time

from . import image, install, kernel, paths
from .say import Failed, run, step

FOLDER = kernel.PATCHES / "debian"
LUCTL, TRIM, MODULES = FOLDER / "luctl.config", FOLDER / "trim.config", FOLDER / "modules"
RECIPE = "1"        # raised when a package of the same inputs comes out otherwise

Packages = collections.namedtuple("Packages", "release image headers")


def modules():
    """What stays of Debian's modules in a trimmed kernel."""
    return [name for row in MODULES.read_text().splitlines() for name in row.partition("#")[0].split()]


def _key(base, flavour, full, localversion):
    patches = [kernel.change_of(p) for p in kernel.series(kernel.VARIANTS[base]) if kernel.changes_image(p)]
    return paths.digest(RECIPE, kernel.TESTED[base], *kernel.compiler(), flavour, localversion, LUCTL, *([] if full else [TRIM, MODULES]), *patches)


def _ready(folder):
    if not (folder / "release").exists():
        return None
    os.utime(folder)
    release = (folder / "release").read_text().strip()
    return Packages(release, *[next(folder.glob(f"linux-{kind}-{release}_*.deb")) for kind in ("image", "headers")])


def _configure(work, config, full, localversion, log, this):
    """Debian's configuration, what luctl needs, and unless it is to be full without what TRIM and MODULES leave out."""
    out = work / "out"
    make = ["make", "-s", f"O={out}", "-C", work / "src"]
    name = work / "localversion.config"
    name.write_text(f'CONFIG_LOCALVERSION="{localversion}"\n')
    fragments = [LUCTL, *([] if full else [TRIM]), name]
    shutil.copy(config, out / ".config")
    kernel.merge(out, fragments, log, this)
    run([*make, "olddefconfig"], log, this)
    if not full:
        listed = work / "lsmod"
        listed.write_text("Module Size Used by\n" + "".join(f"{name} 1 0\n" for name in modules()))
        # what it asks is about options of modules that go; the answer is the default
        run([*make, f"LSMOD={listed}", "localmodconfig"], log, this, shell_input=b"\n" * 1000)
        run([*make, "olddefconfig"], log, this)
    gone = kernel.lost(out, fragments)
    if gone:
        raise Failed("the configuration lost: " + " ".join(gone))


def _missing(out):
    """Of the modules that were to stay, those that are neither there nor built in."""
    made = (out / "modules.order").read_text() + (out / "modules.builtin").read_text()
    have = {name.replace("-", "_") for name in re.findall(r"([^/\s]+)\.k?o$", made, re.M)}
    return [name for name in modules() if name.replace("-", "_") not in have]


def _compile(work, version, key, log, this):
    """The packages, in work."""
    date = (work / "src/Makefile").stat().st_mtime
    env = {**kernel.ccache(work), "DEBFULLNAME": "luctl", "DEBEMAIL": "luctl@localhost.invalid", "KBUILD_BUILD_USER": "luctl", "KBUILD_BUILD_HOST": "localhost",
           "KBUILD_BUILD_TIMESTAMP": time.strftime("%Y-%m-%d", time.gmtime(date)), "SOURCE_DATE_EPOCH": str(int(date)), "KDEB_CHANGELOG_DIST": image.SUITE,
           "KDEB_SOURCENAME": "linux-luctl", "KDEB_PKGVERSION": f"{version}+luctl.{key[:6]}", "KDEB_COMPRESS": "zstd", "DEB_BUILD_OPTIONS": "terse"}
    run(["make", f"-j{kernel.JOBS}", f"O={work / 'out'}", "-C", work / "src", "CC=ccache gcc", "DPKG_FLAGS=--no-check-builddeps", "bindeb-pkg"], log, this, env=env, nice=True)


def build(base, flavour="cloud-amd64", full=False, localversion="-luctl"):
    """The packages of one kernel, made or taken from the cache. Two that are to be installed beside one another differ in localversion."""
    if not re.fullmatch(r"[-+.a-z0-9]{1,20}", localversion):
        raise Failed(f"localversion {localversion}: letters, digits, and - + . of a package's name")
    key = _key(base, flavour, full, localversion)
    kind = f"{base}-{flavour}{'-full' if full else ''}{localversion}"
    folder = paths.cache("kernel-package") / f"{kind}-{key}"
    # one path for all of a base: it stands in the compiler's arguments, and so in the keys of ccache
    work = paths.cache("build") / f"linux-{base}-package"
    with open(paths.cache("build") / f"lock-{base}-package", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = _ready(folder)
        if found:
            return found
        install.more(["debhelper"])
        log = paths.cache("logs") / f"kernel-package-{kind}.log"
        log.unlink(missing_ok=True)
        shutil.rmtree(work, ignore_errors=True)
        (work / "src").mkdir(parents=True)
        (work / "out").mkdir()
        with step(f"Packages of kernel {kind}") as this:
            config = kernel.fetch_config(base, flavour, this)
            version = kernel.unpack(base, work, log, this, whole=full)
            for patch in kernel.series(kernel.VARIANTS[base]):
                kernel.apply(patch, work, log, this)
            _configure(work, config, full, localversion, log, this)
            _compile(work, version, key, log, this)
            missing = [] if full else _missing(work / "out")
            if missing:
                raise Failed(f"{MODULES}: the kernel has no " + ", ".join(missing))
            new = folder.with_suffix(".new")
            for stale in (new, folder):
                shutil.rmtree(stale, ignore_errors=True)
            new.mkdir()
            for deb in work.glob("linux-*.deb"):
                if not deb.name.startswith("linux-libc-dev"):
                    shutil.move(deb, new / deb.name)
            (new / "release").write_text((work / "out/include/config/kernel.release").read_text())
            new.rename(folder)
            shutil.rmtree(work)
    paths.trim_named(paths.cache("kernel-package"), f"{kind}-" + "?" * 16, keep=2)
    return _ready(folder)
