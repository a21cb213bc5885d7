# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages from suites that the machine itself does not use.

Every set of suites gets an apt state directory of its own below the cache; the machine's sources, lists and pins stay untouched. Which mirror to use
is taken from the machine: apt tells, whichever format its sources are written in. A mirror that does not carry a suite gives apt's own error.
"""

import fcntl
import os
import re
import subprocess
import time

from . import paths
from .say import Failed, run

KEYRING = next((k for k in ("/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp") if os.path.exists(k)),
               "/usr/share/keyrings/debian-archive-keyring.gpg")
FRESH = 12 * 3600


def _output(argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True, env=dict(os.environ, LC_ALL="C.UTF-8")).stdout


def codename():
    for entry in open("/etc/os-release"):
        name, _, value = entry.strip().partition("=")
        if name == "VERSION_CODENAME":
            return value.strip('"')
    return "unknown"


def machine_sources():
    """(uri, suite) of every Debian package list that the machine uses."""
    text = _output(["apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"])
    return sorted({(f[0], f[1]) for f in (row.split() for row in text.splitlines()) if len(f) == 3 and f[2] == "main"})


def mirror():
    """The archive the machine takes its own release from."""
    for uri, suite in machine_sources():
        if suite in (codename(), "stable", "oldstable", "testing", "trixie", "bookworm"):
            return uri
    raise Failed("no Debian archive in this machine's apt sources (apt-get indextargets); add one for its own release")


def line_for(uri, suite):
    return f"deb [signed-by={KEYRING}] {uri} {suite} main\n"


def proxies():
    """apt options that keep the machine's proxy settings where its configuration is not read."""
    options = []
    for row in _output(["apt-config", "dump"]).splitlines():
        match = re.match(r'(Acquire::(?:http|https)::Proxy[^ ]*) "(.+)";', row)
        if match:
            options.append(f'{match[1]} "{match[2]}"')
    return options


class State:
    """apt with a state directory of its own."""

    def __init__(self, name, sources, preferences=""):
        text = "".join(sources)
        self.dir = paths.cache("apt", f"{name}-{paths.digest(text, preferences)}")
        for part in ("lists/partial", "archives/partial"):
            (self.dir / part).mkdir(parents=True, exist_ok=True)
        (self.dir / "sources.list").write_text(text)
        (self.dir / "preferences").write_text(preferences)
        self.options = [f"-oDir::State::lists={self.dir}/lists", f"-oDir::Etc::sourcelist={self.dir}/sources.list",
                        "-oDir::Etc::sourceparts=-", f"-oDir::Cache={self.dir}", f"-oDir::Etc::preferences={self.dir}/preferences",
                        "-oDir::Etc::preferencesparts=-", "-oAPT::Get::List-Cleanup=1", "-oAcquire::Retries=3"]
        self.log = self.dir / "log"

    def update(self, step=None):
        stamp = self.dir / "updated"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < FRESH:
            return
        with open(self.dir / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            run(["apt-get", *self.options, "-q", "update"], self.log, step, hint="can the machine reach its package mirror?")
        stamp.touch()

    def names(self, prefix):
        """Names on offer that begin so."""
        return _output(["apt-cache", *self.options, "pkgnames", prefix]).split()

    def versions(self, package):
        """Versions on offer, newest first."""
        rows = _output(["apt-cache", *self.options, "madison", package]).splitlines()
        return [row.split("|")[1].strip() for row in rows]

    def install(self, packages, step=None, extra=()):
        # the dpkg lock may be held by the machine's own daily job: wait for it
        run(["apt-get", *self.options, "-q", "-y", "--no-install-recommends", "-oDPkg::Lock::Timeout=300", *extra, "install", *packages],
            self.log, step, env={"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"})

    def download(self, package, version, folder, step=None):
        run(["apt-get", *self.options, "-q", "-oAPT::Sandbox::User=root", "download", f"{package}={version}"], self.log, step, cwd=folder)
        found = sorted(folder.glob(f"{package}_*.deb"))
        if not found:
            raise Failed(f"apt downloaded no {package}; see {self.log}")
        return found[-1]

    def download_with_all(self, packages, status, folder, step=None):
        """Packages and what they depend on and a system with that dpkg status lacks; their files."""
        (folder / "partial").mkdir(parents=True)
        run(["apt-get", *self.options, f"-oDir::State::status={status}", f"-oDir::Cache::archives={folder}", "-oAPT::Sandbox::User=root",
             "-oDebug::NoLocking=1", "-q", "-y", "--download-only", "--no-install-recommends", "install", *packages], self.log, step)
        return sorted(folder.glob("*.deb"))
