# SPDX-License-Identifier: GPL-2.0-or-later
"""What the machine itself needs: build tools, and a QEMU that emulates SVM well enough (10 or newer).

Skipped in a moment when everything is there. On Debian 12 QEMU comes from bookworm-backports; nothing is added to the machine's own sources.
"""

import os
import re
import shutil
import subprocess

from . import apt
from .say import Failed, line, step

TOOLS = """
    gcc g++ make bc bison flex cpio rsync xz-utils zstd zlib1g-dev libelf-dev libdw-dev libssl-dev patch ccache kmod
    meson ninja-build pkgconf libjson-c-dev libsystemd-dev libvirt-dev libcmocka-dev libsmartcols-dev libarchive-dev libinih-dev libxml2-dev
    libzstd-dev liblzma-dev liblz4-dev clang clang-format sparse codespell pyflakes3 python3-jsonschema python3-gi gir1.2-glib-2.0 man-db
    mmdebstrap e2fsprogs kexec-tools busybox-static debian-archive-keyring ca-certificates git dbus systemd socat swtpm
""".split()
QEMU = ["qemu-system-x86", "qemu-utils"]
QEMU_MINIMUM = 10


def _installed(packages):
    out = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages], capture_output=True, text=True).stdout
    have = {row.split()[0] for row in out.splitlines() if row.endswith(" installed")}
    return [p for p in packages if p not in have]


def qemu_version():
    if not shutil.which("qemu-system-x86_64"):
        return 0
    text = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True).stdout
    match = re.search(r"version (\d+)\.", text)
    return int(match[1]) if match else 0


def _sources():
    base = apt.codename()
    sources = [apt.line_for(uri, suite) for uri, suite in apt.machine_sources() if suite.startswith(base)]
    if not any(f" {base} " in s for s in sources):
        sources.append(apt.line_for(apt.mirror(), base))
    if not any("-backports " in s for s in sources):
        sources.append(apt.line_for(apt.mirror(), f"{base}-backports"))
    return sources


def _state():
    return apt.State(f"machine-{apt.codename()}", _sources())


def state_with_sources():
    """What this machine's packages are made of, too."""
    return apt.State(f"machine-{apt.codename()}-sources", [kind for row in _sources() for kind in (row, row.replace("deb ", "deb-src ", 1))])


def ensure():
    """Install what is missing; needs root only then."""
    missing = _installed(TOOLS)
    need_qemu = qemu_version() < QEMU_MINIMUM
    if not missing and not need_qemu:
        return
    if apt.codename() not in ("bookworm", "trixie"):
        line(f"note: the lab is tested on Debian 12 and 13, this is {apt.codename()}")
    if os.geteuid():
        raise Failed("packages are missing (" + " ".join(missing + (QEMU if need_qemu else [])) + "); run this with sudo")
    with step(f"Installing {len(missing) + (len(QEMU) if need_qemu else 0)} packages on this machine") as this:
        state = _state()
        state.update(this)
        if missing:
            state.install(missing, this)
        if need_qemu:
            extra = ["-t", "bookworm-backports"] if apt.codename() == "bookworm" else []
            state.install(QEMU, this, extra)
    if qemu_version() < QEMU_MINIMUM:
        raise Failed(f"QEMU {qemu_version()} is too old: its emulated SVM crashes guests; version {QEMU_MINIMUM} or newer is needed")


def more(packages):
    """What only one part needs to build something."""
    missing = _installed(packages)
    if missing:
        with step(f"Installing {len(missing)} packages on this machine") as this:
            state = _state()
            state.update(this)
            state.install(missing, this)
