# SPDX-License-Identifier: GPL-2.0-or-later
"""virtqemud, libvirt's daemon for QEMU alone. Debian's packages have only libvirtd, so it is built of their source; it loads the driver that the image has."""

import shutil

from . import apt, image, install, paths
from .say import Failed, run, step

NEEDS = """libglib2.0-dev libgnutls28-dev libtirpc-dev libnl-3-dev libnl-route-3-dev libcap-ng-dev libattr1-dev libapparmor-dev libxml2-utils xsltproc
    python3-docutils""".split()
OPTIONS = """-Dauto_features=disabled -Ddriver_remote=enabled -Ddriver_libvirtd=enabled -Ddriver_qemu=enabled -Djson_c=enabled -Dcapng=enabled
    -Dlibnl=enabled -Dattr=enabled -Dapparmor=enabled -Dsecdriver_apparmor=enabled -Ddocs=disabled -Dtests=disabled --prefix=/usr --libdir=lib/x86_64-linux-gnu
    --sysconfdir=/etc --localstatedir=/var --libexecdir=/usr/lib/libvirt -Drunstatedir=/run -Dinitconfdir=/etc/default -Dunitdir=/usr/lib/systemd/system
    -Dinit_script=systemd""".split()
UNITS = ["virtqemud.service", "virtqemud.socket", "virtqemud-ro.socket", "virtqemud-admin.socket"]


def _version():
    """Of libvirt in the image: the daemon and the driver have to be of one."""
    status = (image.base() / "var/lib/dpkg/status").read_text()
    entry = next(e for e in status.split("\n\n") if e.startswith("Package: libvirt0\n"))
    return next(row.split(": ")[1] for row in entry.split("\n") if row.startswith("Version: "))


@paths.locked("virtqemud")
def files():
    """What the image lacks: file name → path, to be given to the host VM."""
    version = _version()
    folder = paths.cache("tools") / f"virtqemud-{paths.digest(version, *NEEDS, *OPTIONS)}"
    if not folder.exists():
        work = paths.cache("build", "virtqemud")
        shutil.rmtree(work)
        work.mkdir()
        log = paths.cache("logs") / "virtqemud.log"
        log.unlink(missing_ok=True)
        env = {"CC": "ccache gcc", "CCACHE_DIR": str(paths.cache("ccache"))}
        install.more(NEEDS)
        with step("virtqemud of libvirt's source") as this:
            state = apt.State("libvirt-source", [apt.line_for(apt.mirror(), s).replace("deb ", "deb-src ", 1) for s in (image.SUITE, f"{image.SUITE}-updates")])
            state.update(this)
            # some mirrors have no .dsc, which says nothing that is needed here
            run(["sh", "-c", 'apt-get "$@" || true', "sh", *state.options, "-q", "-oAPT::Sandbox::User=root", "source", "--download-only", f"libvirt={version}"], log, this, cwd=work)
            tarballs = [next(work.glob(f"libvirt_*.{kind}.tar.*"), None) for kind in ("orig", "debian")]
            if None in tarballs:
                raise Failed(f"the mirror has no source of libvirt {version}; see {log}")
            (work / "source").mkdir()
            run(["tar", "-C", work / "source", "--strip-components=1", "-xf", tarballs[0]], log, this)
            run(["tar", "-C", work / "source", "-xf", tarballs[1]], log, this)
            run(["sh", "-ec", "for patch in $(grep -v '^#' debian/patches/series); do patch -s -p1 < debian/patches/$patch; done"], log, this, cwd=work / "source")
            run(["meson", "setup", *OPTIONS, work / "build", work / "source"], log, this, env=env)
            run(["ninja", "-C", work / "build", "src/virtqemud"], log, this, env=env, nice=True)
            new = folder.with_suffix(".new")
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            for name in ("virtqemud", *UNITS):
                shutil.copy(work / "build/src" / name, new)
            new.rename(folder)
        shutil.rmtree(work)
    return {path.name: path for path in sorted(folder.iterdir())}


def put_up(host):
    """In libvirtd's place: as an administrator changes from one to the other."""
    host.run("systemctl disable --now libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket; cp /lab/virtqemud /usr/sbin/; "
             "cp /lab/virtqemud*.s* /usr/lib/systemd/system/; systemctl daemon-reload; systemctl reset-failed; "
             # virtproxyd, which is not there, would find out for a client which daemon it wants
             "printf 'remote_mode = \"direct\"\nuri_default = \"qemu:///system\"\n' >> /etc/libvirt/libvirt.conf; "
             "systemctl enable --now virtqemud.socket virtqemud-ro.socket virtqemud-admin.socket virtqemud.service", timeout=120)
