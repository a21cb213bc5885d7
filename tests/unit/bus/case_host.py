# SPDX-License-Identifier: GPL-2.0-or-later
"""What else is on the host that an update would meet: each is a finding with its name, and an update is refused."""

import os
import pathlib
import subprocess
import sys

from world import Skip, wait_for

NOWHERE = "/nonexistent/vmlinuz"
LOCK = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
# a virtual machine without a VMM: the ioctl KVM_CREATE_VM, nothing else
MACHINE = "import fcntl, sys; k = open('/dev/kvm', 'rb+', 0); v = fcntl.ioctl(k, 0xae01, 0); print('made', flush=True); sys.stdin.read()"
LIVEUPDATE = pathlib.Path("/dev/liveupdate")        # run-bus has covered /dev


def findings(world, of, **options):
    document = world.root.document("Check", NOWHERE, options)
    return [f for f in document["findings"] if of in f["object"]]


def child(program, *arguments):
    process = subprocess.Popen([sys.executable, "-c", program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if not process.stdout.readline():
        process.wait()
        return None
    return process


def end(process):
    process.stdin.close()
    process.wait()


def test_packages(world):
    """A dpkg that works is named, and forgotten once it has ended."""
    folder = pathlib.Path("/var/lib/dpkg")
    folder.unlink(missing_ok=True)      # the machine's own, behind a link; it comes back with the next case's world
    folder.mkdir()
    lock = folder / "lock-frontend"
    lock.write_text("")
    world.start()
    assert not findings(world, "dpkg")
    process = child(LOCK, str(lock))
    found = findings(world, "dpkg")
    assert [f["level"] for f in found] == ["error"] and f"process {process.pid} (python" in found[0]["what"], found
    end(process)
    assert not findings(world, "dpkg")


def test_inhibitors(world):
    """Who blocks a shutdown is named in words for a terminal; delays and others' affairs are not."""
    world.logind(("shutdown:sleep", "backup\u001b[2J", "a copy is being made", "block", 4711), ("sleep", "lid", "a film", "block", 4712),
                 ("shutdown", "unattended-upgrades", "stops first", "delay", 4713))
    world.start()
    found = findings(world, "logind")
    assert len(found) == 1 and found[0]["level"] == "error", found
    assert found[0]["what"].startswith("backup?[2J (process 4711)") and "a copy is being made" in found[0]["what"], found


def test_fd_stores(world):
    """Units that have given systemd descriptors to keep: told in one line; those that are to outlive their unit, each by name."""
    world.systemd("257.7-1", logind=(7, "restart"), udevd=(2, "restart"), cache=(3, "yes"), idle=(0, "yes"), luctld=(5, "restart"), plain=(4, "no"))
    LIVEUPDATE.write_text("")       # by itself this systemd carries nothing
    world.start()
    found = findings(world, "")
    LIVEUPDATE.unlink()
    line = [f for f in found if f["object"].startswith("systemd's store")]
    assert [f["level"] for f in line] == ["ok"] and "logind.service (7), udevd.service (2), plain.service (4)" in line[0]["what"], found
    assert not [f for f in found if "luctld.service" in f["what"] or f["object"] == "idle.service"], found
    cache = [f for f in found if f["object"] == "cache.service"]
    assert [f["level"] for f in cache] == ["warning"] and "has 3 descriptors" in cache[0]["what"], found


def test_fd_stores_that_systemd_would_carry(world):
    """A systemd that takes them over a kexec of its own, by /dev/liveupdate, is gone past: refused."""
    world.systemd("261.2", cache=(1, "on-success"), logind=(7, "restart"))
    world.start()
    cache = findings(world, "cache.service")
    assert [f["level"] for f in cache] == ["warning"], cache
    LIVEUPDATE.write_text("")
    cache = findings(world, "cache.service")
    LIVEUPDATE.unlink()
    assert [f["level"] for f in cache] == ["error"] and "FileDescriptorStorePreserve=restart" in cache[0]["hint"], cache


def test_stranger(world):
    """A virtual machine that nobody has declared is an error with its process, unless that is excluded; a declared VM's is none."""
    if not os.access("/dev/kvm", os.W_OK):
        raise Skip("no /dev/kvm")
    process = child(MACHINE)
    if not process:
        raise Skip("/dev/kvm makes no machine")
    world.start()
    name = f"process {process.pid}"
    found = findings(world, name)
    assert [f["level"] for f in found] == ["error"] and f"--exclude pid:{process.pid}" in found[0]["hint"], found
    found = findings(world, name, exclude=[f"pid:{process.pid}"])
    assert [f["level"] for f in found] == ["warning"], found
    document = world.root.document("Plan", "", {})
    assert not document["ok"] and [f for f in document["findings"] if f["object"].startswith(name)], document
    end(process)
    wait_for(lambda: not findings(world, name), "nobody's machine is gone")
    # the command line of one that is declared names its UUID
    uuid = "00000000-0000-4000-8000-000000000001"
    world.define("web", 1, uuid=uuid)
    process = child(MACHINE, "-uuid", uuid)
    world.restart()
    assert not findings(world, f"process {process.pid}")
    end(process)
