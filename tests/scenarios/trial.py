# SPDX-License-Identifier: GPL-2.0-or-later
"""A target that does not come up is refused before any guest is paused, since it is tried in a machine of its own; one that does is tried once."""

import json

from lab import guests

KERNELS = ["7.3", "7.3-b", "7.3-kho"]
LIMIT = 1800

CONF = "/etc/luctl/luctld.conf.d/zz-trial.conf"
RUNNING = "$(sed 's/ init=[^ ]*//; s/ luctl.init=[^ ]*//' /proc/cmdline)"

# what the target gets, and what is said of it; the first panics
BAD = {
    "it does not find its root": ("root=/dev/vdz", "Unable to mount root"),
    "its init is not there": ("init=/sbin/none", "luctl.init=/sbin/none can't be executed"),
}


def settings(lab, host, trial, running):
    host.put(CONF, f"[update]\ntrial={trial}\ntrial-running={lab.image_of(running)}\n")
    host.run("systemctl restart luctld")


def check(lab, host, options, code):
    """What luctl check says of the trial: level and text."""
    start = host.pump.clock()
    result = lab.luctl(host, f"check --json --kernel {lab.image_of('7.3-b')} {options}", check=False, timeout=700)
    lab.expect(result.code == code, f"{result.code}: {result.out} {result.err}")
    found = [(f["level"], f["what"]) for f in json.loads(result.out)["findings"] if f["object"] == "trial jump"]
    if found:
        lab.say(f"  {host.pump.clock() - start:.1f} s: {found[0][0]}: {found[0][1]}")
    return found[0] if found else None


def run(lab):
    with lab.host() as host:
        blue = guests.Ticker("blue", 2, 64)
        lab.start(host, blue)
        settings(lab, host, "auto", "7.3")
        begin = host.pump.clock()
        with lab.case("a target that comes up"):
            lab.expect(check(lab, host, "--trial", 0)[0] == "ok", "no")
        with lab.case("it is not tried again, and another one can't be tried where KVM can't be had"):
            host.run("chmod 000 /dev/kvm")
            lab.expect(check(lab, host, "--trial", 0)[0] == "ok", "no")
            level, text = check(lab, host, f"--trial --cmdline \"{RUNNING} other\"", 3)
            lab.expect(level == "error" and "can't be tried here" in text and "KVM" in text, text)
            host.run("chmod 660 /dev/kvm")
        for what, (words, said) in BAD.items():
            with lab.case(f"a target that does not come up: {what}"):
                bad = f"--cmdline \"{RUNNING} {words}\""
                level, text = check(lab, host, f"--trial {bad}", 3)
                lab.expect(level == "error" and said in text, text)
                lab.expect(check(lab, host, bad, 0) is None, "without --trial it was tried")
        with lab.case("an initrd that scratch has no room for"):
            host.run("truncate -s 200M /root/initrd")
            found = check(lab, host, "--trial --initrd /root/initrd", 3)
            lab.say(f"  {found or 'refused without a trial'}")
        with lab.case("a kernel whose handover has another format, which needs no trial"):
            result = lab.luctl(host, f"update --yes --kernel {lab.image_of('7.3-kho')}", check=False, timeout=700)
            lab.expect(result.code == 3 and "kho-other" in result.err, f"{result}")
            lab.say("  " + next(row for row in result.err.splitlines() if "kho-other" in row))
        with lab.case("an update by itself refuses such a target, and pauses nobody"):
            result = lab.luctl(host, f"update --yes --kernel {lab.image_of('7.3-b')} --cmdline \"{RUNNING} root=/dev/vdz\"", check=False, timeout=700)
            lab.expect(result.code == 3 and "Unable to mount root" in result.err, f"{result}")
            lab.expect(lab.ask(host, "status")["state"] == "idle", "an update began")
            lab.witness(host, [blue], begin)
        with lab.case("an update to one that comes up"):
            start = lab.update(host, "7.3-b")
            lab.witness(host, [blue], start)
