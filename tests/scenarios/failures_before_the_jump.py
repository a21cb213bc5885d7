# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever fails before the jump: a clear error, every guest runs on, the host is as it was, and the next update works.

One host VM, one fault after the other. A fault is put in with what an administrator has: files, signals, mount options, a unit's drop-in.
"""

KERNELS = ["7.3"]
LIMIT = 1800

RELOAD = "systemctl daemon-reload && systemctl restart luctld"

# title → (put the fault in, take it out)
FAULTS = {
    "loading the image fails": (
        "mount --bind /bin/false /usr/sbin/kexec",
        "umount /usr/sbin/kexec"),
    "pkernfs is full": (
        "fallocate -l $(($(stat -f -c '%a * %S' /run/luctl/pkernfs) - 65536)) /run/luctl/pkernfs/filler",
        "rm -f /run/luctl/pkernfs/filler"),
    "a monitor's socket is gone": (
        "mv /run/luctl/vm/red/qmp.sock /run/luctl/vm/red/away",
        "mv /run/luctl/vm/red/away /run/luctl/vm/red/qmp.sock"),
    "a monitor is silent": (
        "kill -STOP $(systemctl show -p MainPID --value luctl-vm@red)",
        "kill -CONT $(systemctl show -p MainPID --value luctl-vm@red)"),
    "a declared VM does not exist": (
        """echo '{"version":1,"name":"ghost","uuid":"00000000-0000-4000-8000-000000000001","qmp":"/run/nowhere"}' > /etc/luctl/vms.d/ghost.json && """
        "systemctl restart luctld",
        "rm /etc/luctl/vms.d/ghost.json; systemctl restart luctld"),
    "a VM's declaration is damaged": (
        "cp /etc/luctl/vms.d/red.json /root/red.json && echo '{\"version\":1,' > /etc/luctl/vms.d/red.json && systemctl restart luctld",
        "cp /root/red.json /etc/luctl/vms.d/red.json && systemctl restart luctld"),
    "a hook refuses while the guests are paused": (
        "printf '#!/bin/sh\\n[ $1 != saving ]\\n' > /etc/luctl/hooks.d/refuse && chmod +x /etc/luctl/hooks.d/refuse",
        "rm /etc/luctl/hooks.d/refuse"),
    "the state of one VM of three can't be written": (
        "printf '#!/bin/sh\\n[ $1 != saving ] || chattr +i /run/luctl/pkernfs/vm/UUID/state || fallocate -l 100G /run/luctl/pkernfs/filler; true\\n' > /etc/luctl/hooks.d/fault && "
        "chmod +x /etc/luctl/hooks.d/fault",
        "rm -f /etc/luctl/hooks.d/fault /run/luctl/pkernfs/filler"),
    "the reboot call fails": (
        "mkdir -p /etc/systemd/system/luctld.service.d && printf '[Service]\\nSystemCallFilter=~reboot\\n' > /etc/systemd/system/luctld.service.d/fault.conf && " + RELOAD,
        "rm /etc/systemd/system/luctld.service.d/fault.conf && " + RELOAD),
}


def attempt(lab, host, three):
    """An update that must not happen, and must leave everything as it was."""
    boot, begin = host.boot_id(), host.pump.clock()
    result = lab.luctl(host, f"update --kernel {lab.image_of('7.3')} --yes", check=False, timeout=240)
    lab.expect(result.code not in (0, 2), f"luctl exited with {result.code}: {result}")
    lab.expect(host.run("cat /proc/sys/kernel/random/boot_id").out.strip() == boot, "the host was rebooted")
    text = (result.err or result.out).strip()
    lab.expect(text, "no reason was given")
    lab.say("  " + text.replace("\n", "; ")[:200])
    return begin


def run(lab):
    with lab.host() as host:
        host.run("mkdir -p /etc/luctl/hooks.d")
        three = lab.three_guests(host)
        units = host.run("systemctl list-units --state=active --plain --no-legend | awk '{print $1}' | sort").out
        for title, (put, take) in FAULTS.items():
            with lab.case(title):
                put, take = (text.replace("UUID", three[1].uuid) for text in (put, take))
                host.run(put)
                try:
                    begin = attempt(lab, host, three)
                finally:
                    host.run(take, check=False)
                # nothing was lost and everything runs, also what was stopped to make the fault
                lab.witness(host, three, begin)
                lab.expect(host.run("cat /sys/kernel/kexec_loaded").out.strip() == "0", "an image is still loaded")
                after = host.run("systemctl list-units --state=active --plain --no-legend | awk '{print $1}' | sort").out
                lost = set(units.split()) - set(after.split()) - {u for u in units.split() if u.endswith((".scope", ".device"))}
                lab.expect(not lost, f"units are gone: {sorted(lost)}")
                host.run("touch /root/writable && sync")
        start = lab.update(host, "7.3")
        lab.witness(host, three, start)
