# SPDX-License-Identifier: GPL-2.0-or-later
"""The same guest with card and disk through kernels that check locks, memory and what is lost of it (lockdep, KASAN, kmemleak): they report nothing."""

import time

from lab import devices

KERNELS = ["7.3-lockdep", "7.3-kasan"]
LIMIT = 3600

# KASAN takes an eighth of memory before anything else, which after a kexec comes from what KHO has set apart
SCRATCH = "kho_scratch=64M,768M,64M"

REPORTS = "WARNING:|BUG:|KASAN:|possible circular|suspicious RCU|inconsistent lock|INFO: task|unreferenced object"
# what mainline allocates for the first root file system of all, before there is a process
KNOWN = "mnt_init"


def reported(host):
    """What the kernel has reported since it began: lines of its log, and memory that nobody points to."""
    found = host.run(f"dmesg | grep -E '{REPORTS}'; true").out
    if host.run("[ -e /sys/kernel/debug/kmemleak ]", check=False).code == 0:
        # what is found is looked at again, since a pointer may have been on its way
        host.run("for i in 1 2; do echo scan > /sys/kernel/debug/kmemleak; sleep 6; done", timeout=900)
        lost = host.run("cat /sys/kernel/debug/kmemleak", timeout=60).out.split("unreferenced object")
        found += "".join("unreferenced object" + one for one in lost[1:] if KNOWN not in one)
    return found


def checks(lab, host, name):
    """They are on, and still on: lockdep ends itself with its first report."""
    if name == "7.3-lockdep":
        lab.expect(host.run("awk '/debug_locks:/ { print $2 }' /proc/lockdep_stats").out.strip() == "1", "lockdep is off")
    else:
        lab.expect("KernelAddressSanitizer initialized" in host.run("dmesg | head -500").out, "KASAN is off")
        lab.expect(host.run("[ -e /sys/kernel/debug/kmemleak ] && ! dmesg | grep -qi 'kmemleak.* disabled'", check=False).code == 0, "kmemleak is off")


def run(lab):
    with devices.host_with_card_and_disk(lab, rate=20, cmdline=SCRATCH) as (host, wire, disk, guest):
        name = lab.kernels[0]
        for target in ("7.3-kasan", "7.3-lockdep"):
            checks(lab, host, name)
            found = reported(host)
            lab.expect(not found, f"{name} reports: {found}")
            begin = time.monotonic()
            start = lab.update(host, target)
            name = target
            devices.nothing_lost(lab, host, wire, guest, start, begin, limit=120)
            devices.disk_went_on(lab, host, disk, guest, start, begin)
        checks(lab, host, name)
        found = reported(host)
        lab.expect(not found, f"{name} reports: {found}")
        with lab.case("control: a report is seen"):
            host.run("echo '<4>WARNING: this is the scenario itself' > /dev/kmsg")
            lab.expect("scenario itself" in host.run(f"dmesg | grep -E '{REPORTS}'").out, "it was not")
