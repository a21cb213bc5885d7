# SPDX-License-Identifier: GPL-2.0-or-later
"""An emulator that does right what the machine's own QEMU does wrong: the same version, built of Debian's source with qemu-patches. For host VMs whose guests need it."""

import os
import shutil
import subprocess

from . import install, paths
from .say import Failed, run, step

PATCHES = paths.TREE / "tests" / "lab" / "qemu-patches"
DEVICES = PATCHES / "devices.mak"
NEEDS = "libglib2.0-dev libpixman-1-dev libslirp-dev libfdt-dev zlib1g-dev ninja-build bison flex python3-venv python3-packaging".split()
# newer than Debian 12's own, which other builds on this machine use: unpacked beside the source
TOOLS = ["meson", "python3-pycotap"]
OPTIONS = """--target-list=x86_64-softmmu --without-default-features --disable-download --enable-system --enable-tcg --enable-slirp --enable-fdt=system --enable-pixman
    --without-default-devices --with-devices-x86_64=lab --enable-trace-backends=nop --disable-debug-info --disable-werror --firmwarepath=/usr/share/qemu:/usr/share/seabios:/usr/lib/ipxe/qemu""".split()


def _change(patch):
    """What a patch changes, without its message."""
    return patch.read_text().partition("\n--- ")[2]


def _version():
    """Of the source of the machine's QEMU."""
    return subprocess.run(["dpkg-query", "-W", "-f", "${source:Version}", "qemu-system-x86"], check=True, capture_output=True, text=True).stdout


@paths.locked("qemu")
def command():
    """The program. Its firmware and ROMs are those of the machine's own QEMU."""
    version, patches = _version(), sorted(PATCHES.glob("*.patch"))
    program = paths.cache("tools") / f"qemu-{paths.digest(version, *map(_change, patches), DEVICES, *OPTIONS)}" / "qemu-system-x86_64"
    if not program.exists():
        work = paths.cache("build", "qemu")
        shutil.rmtree(work)
        (work / "source").mkdir(parents=True)
        log = paths.cache("logs") / "qemu.log"
        log.unlink(missing_ok=True)
        install.more(NEEDS)
        with step(f"QEMU {version} with patches") as this:
            state = install.state_with_sources()
            state.update(this)
            # some mirrors have no .dsc and no patches of Debian's, which say nothing that is needed here
            run(["sh", "-c", 'apt-get "$@" || true', "sh", *state.options, "-q", "-oAPT::Sandbox::User=root", "source", "--download-only", f"qemu={version}"], log, this, cwd=work)
            tarball = next(work.glob("qemu_*.orig.tar.*"), None)
            if not tarball:
                raise Failed(f"the mirror has no source of QEMU {version}; see {log}")
            run(["tar", "-C", work / "source", "--strip-components=1", "-xf", tarball], log, this)
            for patch in patches:
                run(["patch", "-s", "-p1", "-i", patch], log, this, cwd=work / "source")
            shutil.copy(DEVICES, work / "source/configs/devices/x86_64-softmmu/lab.mak")
            # Debian's source has no firmware, and none is wanted
            (work / "source/pc-bios/meson.build").write_text("roms = []\n")
            for package in TOOLS:
                run(["dpkg-deb", "-x", state.download(package, state.versions(package)[0], work, this), work / "tools"], log, this)
            env = {"CCACHE_DIR": str(paths.cache("ccache")), "PATH": f"{work}/tools/usr/bin:{os.environ['PATH']}", "PYTHONPATH": f"{work}/tools/usr/lib/python3/dist-packages"}
            (work / "build").mkdir()
            run([work / "source/configure", "--cc=ccache gcc", *OPTIONS], log, this, cwd=work / "build", env=env)
            run(["ninja", "-C", work / "build", program.name], log, this, env=env, nice=True)
            program.parent.mkdir(exist_ok=True)
            shutil.copy(work / "build" / program.name, program.with_suffix(".new"))
            program.with_suffix(".new").rename(program)
        shutil.rmtree(work)
        paths.trim_named(paths.cache("tools"), "qemu-*", keep=2)
    return program
