# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever fails before the jump: a clear error, every guest runs on, the host is as it was, and the next update works.

One host VM, one fault after the other. A fault is put in with what an administrator has: files, signals, mount options, a unit's drop-in.
"""

import re

from lab import scenario

KERNELS = ["7.3"]
LIMIT = 1800

RELOAD = "systemctl daemon-reload && systemctl restart luctld"

LIMIT_TO = "mount -o remount,size=$(($(stat -f -c '(%b - %f) * %S' /run/luctl/pkernfs) + {more})) /run/luctl/pkernfs"
UNLIMITED = "mount -o remount,size=0 /run/luctl/pkernfs"

# title → (put the fault in, take it out, a pattern that the reason must have); a pair (state, action) is a hook of luctld's
FAULTS = {
    "loading the image fails": (
        "mount --bind /bin/false /usr/sbin/kexec",
        "umount /usr/sbin/kexec", "kexec"),
    "pkernfs is missing": (
        "mount -t tmpfs none /run/luctl/pkernfs",
        "umount /run/luctl/pkernfs", "pkernfs is not mounted"),
    "pkernfs is full": (
        LIMIT_TO.format(more=64 << 10),
        UNLIMITED, "pkernfs is full"),
    "pkernfs fills up after the check": (
        ("preparing", LIMIT_TO.format(more=900 << 10)),
        UNLIMITED, "pkernfs is full"),
    "pkernfs has room for the state of one VM of three": (
        ("saving", LIMIT_TO.format(more=600 << 10)),
        UNLIMITED, "VM "),
    "a monitor's socket is gone": (
        "mv /run/luctl/vm/red/qmp.sock /run/luctl/vm/red/away",
        "mv /run/luctl/vm/red/away /run/luctl/vm/red/qmp.sock", "red/qmp.sock"),
    "a monitor is silent": (
        "kill -STOP $(systemctl show -p MainPID --value luctl-vm@red)",
        "kill -CONT $(systemctl show -p MainPID --value luctl-vm@red)", f"VM red: .*({scenario.HUNG})"),
    "a declared VM does not exist": (
        """echo '{"version":1,"name":"ghost","uuid":"00000000-0000-4000-8000-000000000001","qmp":"/run/nowhere"}' > /etc/luctl/vms.d/ghost.json && """
        "systemctl restart luctld",
        "rm /etc/luctl/vms.d/ghost.json; systemctl restart luctld", "VM ghost"),
    "a VM's declaration is damaged": (
        "cp /etc/luctl/vms.d/red.json /root/red.json && echo '{\"version\":1,' > /etc/luctl/vms.d/red.json && systemctl restart luctld",
        "cp /root/red.json /etc/luctl/vms.d/red.json && systemctl restart luctld", "red.json: ends in the middle"),
    "a hook refuses while the guests are paused": (
        ("saving", "exit 1"),
        "true", "exit code 1"),
    "a QEMU dies while its guest is saved": (
        ("saving", "kill -KILL $(systemctl show -p MainPID --value luctl-vm@blue)"),
        "systemctl reset-failed luctl-vm@blue; systemctl start luctl-vm@blue", "VM blue"),
    "pkernfs comes into use with what the target does not know": (
        ("saving", "echo 0x8000000000000000 > /run/features && mount --bind /run/features /sys/fs/pkernfs/incompat"),
        "umount /sys/fs/pkernfs/incompat", "was not so at the check"),
    "a VM is declared after the check": (
        ("preparing", """echo '{"version":1,"name":"late","uuid":"00000000-0000-4000-8000-000000000002","qmp":"/run/nowhere"}' > /etc/luctl/vms.d/late.json"""),
        "rm /etc/luctl/vms.d/late.json", "late.json: was changed since the check"),
    "a guest of libvirt is started after the check": (
        ("preparing", "mkdir -p /run/libvirt/qemu && systemd-run --unit lab-domain -p IgnoreOnIsolate=yes bash -c 'exec -a qemu-lab sleep 600' && "
                      "systemctl show -p MainPID --value lab-domain > /run/libvirt/qemu/lab.pid"),
        "systemctl stop lab-domain; rm /run/libvirt/qemu/lab.pid", "libvirt domain lab: was started since the check"),
    "a guest of libvirt runs": (
        "mkdir -p /run/libvirt/qemu && systemd-run --unit lab-domain bash -c 'exec -a qemu-lab sleep 600' && "
        "systemctl show -p MainPID --value lab-domain > /run/libvirt/qemu/lab.pid",
        "systemctl stop lab-domain; rm /run/libvirt/qemu/lab.pid", "libvirt domain lab"),
    "another image is loaded in the place of ours": (
        ("sealing", "kexec -s -l /lab/bzImage-7.3 --reuse-cmdline"),
        # which is not luctl's to take away
        "test $(cat /sys/kernel/kexec_loaded) = 1 || touch /root/taken; kexec -s -u", "not the one that is loaded now"),
    "the reboot call fails": (
        "mkdir -p /etc/systemd/system/luctld.service.d && printf '[Service]\\nSystemCallFilter=~reboot\\n' > /etc/systemd/system/luctld.service.d/fault.conf && " + RELOAD,
        "rm /etc/systemd/system/luctld.service.d/fault.conf && " + RELOAD, "reboot"),
}


def lost_with(title):
    """The guest that the fault itself takes away; it is started anew afterwards."""
    return ["blue"] if title.startswith("a QEMU dies") else []


def attempt(lab, host, word):
    """An update that must not happen, and must leave everything as it was."""
    boot, begin = host.boot_id(), host.pump.clock()
    result = lab.luctl(host, f"update --kernel {lab.image_of('7.3')} --yes", check=False, timeout=240)
    lab.expect(result.code not in (0, 2), f"luctl exited with {result.code}: {result}")
    lab.expect(host.run("cat /proc/sys/kernel/random/boot_id").out.strip() == boot, "the host was rebooted")
    text = (result.err or result.out).strip()
    lab.expect(re.search(word, text) and "busy" not in text, f"the reason does not name it: {text}")
    lab.say("  " + text.replace("\n", "; ")[:200])
    return begin


def run(lab):
    with lab.host() as host:
        host.run("mkdir -p /etc/luctl/hooks.d")
        three = lab.three_guests(host)
        units = host.run("systemctl list-units --state=active --plain --no-legend | awk '{print $1}' | sort").out
        for title, (put, take, word) in FAULTS.items():
            with lab.case(title):
                if isinstance(put, tuple):
                    host.put("/etc/luctl/hooks.d/fault", f"#!/bin/sh\n[ $1 = {put[0]} ] || exit 0\n{put[1]}\n", mode="755")
                else:
                    host.run(put)
                try:
                    begin = attempt(lab, host, word)
                finally:
                    host.run("rm -f /etc/luctl/hooks.d/fault; " + take, check=False)
                # nothing was lost and everything runs, also what was stopped to make the fault
                lab.witness(host, [g for g in three if g.name not in lost_with(title)], begin)
                lab.expect(host.run("cat /sys/kernel/kexec_loaded").out.strip() == "0", "an image is still loaded")
                lab.expect(host.run("test -e /root/taken", check=False).code, "what another one had loaded was unloaded")
                after = host.run("systemctl list-units --state=active --plain --no-legend | awk '{print $1}' | sort").out
                lost = set(units.split()) - set(after.split()) - {u for u in units.split() if u.endswith((".scope", ".device"))}
                lab.expect(not lost, f"units are gone: {sorted(lost)}")
                host.run("touch /root/writable && sync")
        start = lab.update(host, "7.3")
        lab.witness(host, three, start)
