# SPDX-License-Identifier: GPL-2.0-or-later
"""luctl as Debian packages, built and looked at in a Debian 13 of their own.

The *build root* is what mmdebstrap makes of debian/control's Build-Depends and TOOLS; it is never changed: what is written while building goes to an
overlay in a mount namespace of its own, which ends with the build. The product is a directory of .deb files, named by a hash over the sources.
"""

import os
import re
import shutil
import subprocess

from . import apt, image, paths, tools
from .say import run, step

TOOLS = ["build-essential", "lintian", "python3"]
# a trial is two kernels in a guest of an emulated host: minutes beside other guests
PATIENT = "[update]\ntrial-timeout=700\n"
PACKAGES = ["luctl", "libluctl0", "libluctl-dev", "luctl-doc", "python3-luctl", "ansible-collection-luctl-host"]

# in a mount namespace of its own: the build root below, a tmpfs above
BUILD = r"""
set -e
root=$1 source=$2 out=$3
mount --make-rprivate /
mount -t tmpfs -o size=2G tmpfs "$out/over"
mkdir -p "$out/over/upper" "$out/over/work" "$out/over/root"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$out/over/upper,workdir=$out/over/work" "$out/over/root"
cd "$out/over/root"
mount -t proc proc proc
mount --bind /dev dev
cp -a "$source" build
chroot . sh -ec 'cd /build && dpkg-buildpackage --build=binary --no-sign --jobs=auto && cd / && lintian --allow-root --fail-on error --info *.changes'
cp ./*.deb "$out"
"""


def _depends():
    text = (paths.TREE / "debian/control").read_text()
    block = re.search(r"^Build-Depends:\n((?: .*\n)+)", text, re.M)[1]
    names = [row.strip().rstrip(",").split(" ")[0] for row in block.splitlines()]
    return ["debhelper" if n == "debhelper-compat" else n for n in names]


@paths.locked("buildroot")
def buildroot():
    wanted = sorted(set(_depends() + TOOLS))
    folder = paths.cache("image") / f"buildroot-{paths.digest(image.SUITE, ' '.join(wanted))}"
    if folder.exists():
        os.utime(folder)
        return folder
    log = paths.cache("logs") / "buildroot.log"
    log.unlink(missing_ok=True)
    new = folder.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    tar = folder.with_suffix(".tar")
    with step("Debian 13 to build packages in") as this:
        run(["mmdebstrap", "--variant=minbase", "--format=tar", f"--include={' '.join(wanted)}", *[f"--dpkgopt={e}" for e in image.EXCLUDES],
             *[f"--aptopt={o}" for o in apt.proxies()], image.SUITE, tar, "-"], log, this,
            shell_input="".join(apt.line_for(apt.mirror(), s) for s in (image.SUITE, f"{image.SUITE}-updates")).encode())
        new.mkdir()
        run(["tar", "-C", new, "--numeric-owner", "-xpf", tar, "--exclude=./dev/*"], log, this)
        tar.unlink()
        new.rename(folder)
    paths.trim_named(paths.cache("image"), "buildroot-*", keep=1)
    return folder


def _sources(to):
    """What a package is built of: nothing of the tests, and no kernel patches but the headers."""
    for name in ("meson.build", "meson_options.txt", "debian", "README.md", "ARCHITECTURE.md", "kernel-patch/include", *tools.SOURCES):
        source = paths.TREE / name
        target = to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        else:
            shutil.copy(source, target)


def _key():
    inputs = [item for path in [*paths.files_below(paths.TREE / "debian"), paths.TREE / "README.md", paths.TREE / "ARCHITECTURE.md"]
              for item in (str(path.relative_to(paths.TREE)), path)]
    return paths.digest(tools.key(), *inputs, BUILD)


@paths.locked("packages")
def build():
    """The packages: a directory of .deb files."""
    folder = paths.cache("packages") / _key()
    if folder.exists():
        os.utime(folder)
        return folder
    root = buildroot()
    log = paths.cache("logs") / "packages.log"
    log.unlink(missing_ok=True)
    new = folder.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    (new / "over").mkdir(parents=True)
    _sources(new / "source")
    with step("luctl's packages") as this:
        run(["unshare", "--mount", "sh", "-c", BUILD, "sh", root, new / "source", new], log, this, nice=True)
    shutil.rmtree(new / "source")
    (new / "over").rmdir()
    new.rename(folder)
    paths.trim_named(paths.cache("packages"), "*", keep=2)
    return folder


def files():
    """name → the package's file."""
    return {name: next(build().glob(f"{name}_*.deb")) for name in PACKAGES}


def renamed(version, folder):
    """The same, as packages of another version would be: unpacked and packed again, which is what dpkg looks at."""
    made = {}
    for name, path in files().items():
        tree, target = folder / name, folder / f"{name}_{version}.deb"
        subprocess.run(["dpkg-deb", "--raw-extract", path, tree], check=True)
        control = tree / "DEBIAN/control"
        control.write_text(re.sub(r"^Version: .*$", f"Version: {version}", control.read_text(), flags=re.M))
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", "-Zgzip", "-z1", tree, target], check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(tree)
        made[name] = target
    return made
