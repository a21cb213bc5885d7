# SPDX-License-Identifier: GPL-2.0-or-later
"""prometheus, promtool and node-exporter as Debian has them, unpacked: installing them would start services on this machine."""

from . import apt, paths
from .say import Failed, run, step

PACKAGES = ["prometheus", "prometheus-node-exporter"]


@paths.locked("prometheus")
def programs():
    """The folder that the programs are in."""
    folder = paths.cache("tools") / f"prometheus-{apt.codename()}"
    if folder.exists():
        return folder / "usr" / "bin"
    state = apt.State(f"prometheus-{apt.codename()}", [apt.line_for(apt.mirror(), apt.codename())])
    log = paths.cache("logs") / "prometheus.log"
    new = folder.with_suffix(".new")
    with step("Debian's prometheus") as this:
        state.update(this)
        new.mkdir(exist_ok=True)
        for package in PACKAGES:
            versions = state.versions(package)
            if not versions:
                raise Failed(f"the mirror has no {package}")
            file = state.download(package, versions[0], new, this)
            run(["dpkg-deb", "-x", file, new], log, this)
            file.unlink()
        new.rename(folder)
    return folder / "usr" / "bin"
