# SPDX-License-Identifier: GPL-2.0-or-later
"""A page of a guest's memory goes bad: it is named, an update is refused while the guest's QEMU knows of it, goes into 7.2 and back after a reset, and the page stays bad (only by name)."""

import json

from lab import guests

KERNELS = ["7.3", "7.2"]
LIMIT = 1200

HOLE = 208 << 20            # of web's 256 MiB, from here on its kernel uses none
PAGE = 4096
BAD = HOLE + PAGE           # what web reads when something stands in the page before it
OFFLINE = "/sys/devices/system/memory/hard_offline_page"


def qmp(host, guest, *commands):
    return host.run(f"/usr/lib/lab/qmp {guest.qmp} " + " ".join(f"'{json.dumps(c)}'" if isinstance(c, dict) else c for c in commands), timeout=60).out


def pid_of(lab, host, guest):
    return next(vm["pid"] for vm in lab.ask(host, "vm list")["vms"] if vm["name"] == guest.name)


def spoil(lab, host, guest, address):
    """The machine reports an error in the page at this address of the guest's memory, which is read by QEMU before."""
    qmp(host, guest, {"execute": "human-monitor-command", "arguments": {"command-line": f"xp /1gx {address:#x}"}})
    pid = pid_of(lab, host, guest)
    start = next(int(row.split("-")[0], 16) for row in host.run(f"grep {guest.ram} /proc/{pid}/maps").out.splitlines())
    word = int(host.run(f"dd if=/proc/{pid}/pagemap bs=8 skip={(start + address) // PAGE} count=1 2>/dev/null | od -An -tu8").out)
    lab.expect(word >> 63, f"{guest.name}'s page at {address:#x} is not in memory")
    host.run(f"echo {(word & ((1 << 55) - 1)) * PAGE:#x} > {OFFLINE}")


def touch(host, guest):
    """The guest reads the page; what it says of that."""
    write = f"dd of={guest.ram} bs={PAGE} seek={HOLE // PAGE} count=1 conv=notrunc 2>/dev/null"
    mark = len(host.guest[guest.line].lines)
    host.run(f"yes | head -c {PAGE} | {write}")
    said = host.guest[guest.line].wait(r"touch: (ok|SIGBUS)", 60, mark)[2].group(1)
    host.run(f"head -c {PAGE} /dev/zero | {write}")
    return said


def known(lab, host, guest, limit=1):
    """All who can be asked name the page."""
    lab.expect(lab.ask(host, "status")["pkernfs"]["bad_pages"] == limit, f"status says {lab.ask(host, 'status')}")
    lab.expect(f"luctl_pkernfs_bad_pages {limit}" in lab.luctl(host, "metrics").out, "metrics do not tell")
    shown = [(file["path"], file["offsets"]) for one in lab.ask(host, "pkernfs show")["filesystems"] for file in one["bad_files"]]
    lab.expect(len(shown) == 1 and guest.ram.endswith(shown[0][0]) and shown[0][1] == [BAD], f"pkernfs show names {shown}")


def planned(lab, host, target):
    plan = json.loads(lab.luctl(host, f"plan --kernel {lab.image_of(target)} --json", check=False).out)
    return plan, {vm["name"]: [r["what"] for r in vm["reasons"]] for vm in plan["vms"]}


def refused(lab, host, target, three):
    """Before anybody is paused, by plan and update alike."""
    start = host.pump.clock()
    plan, reasons = planned(lab, host, target)
    lab.expect([name for name in reasons if reasons[name]] == ["web"] and "poisoned" in reasons["web"][0], f"plan says {plan}")
    result = lab.luctl(host, f"update --kernel {lab.image_of(target)} --yes", check=False, timeout=120)
    lab.expect(result.code == 3 and "VM web" in result.err and "poisoned" in result.err and "reset the guest" in result.err, f"the update was not refused: {result}")
    spans = lab.witness(host, three, start)
    lab.expect(spans["red"].blackout()[0] < 2, f"red stood still for {spans['red'].blackout()}")


def run(lab):
    with lab.host() as host:
        web = guests.Linux("web", 0, 256, options=f"mem={HOLE >> 20}M touch={HOLE:#x}")
        red, blue = guests.Ticker("red", 1, 64), guests.Ticker("blue", 2, 128)
        lab.start(host, web, red, blue)
        three = (web, red, blue)
        lab.expect(lab.ask(host, "status")["pkernfs"]["bad_pages"] == 0, "there is bad memory before")
        with lab.case("the guest reads the page while it is good"):
            lab.expect(touch(host, web) == "ok", "it can't")
        with lab.case("a page of web goes bad: it is named, and nobody stops"):
            start = host.pump.clock()
            spoil(lab, host, web, BAD)
            known(lab, host, web)
            lab.witness(host, three, start)
        with lab.case("its QEMU was told, so an update is refused before any pause"):
            refused(lab, host, "7.2", three)
        for target in ("7.2", "7.3"):
            with lab.case(f"after a reset of web an update to {target} takes all along, the page stays bad and known"):
                mark = len(host.guest[web.line].lines)
                qmp(host, web, "system_reset")
                host.guest[web.line].wait(r"^START boot=", 120, mark)
                host.guest[web.line].wait(r"^TICK \d+ .*mem=ok", 120, mark)
                plan, reasons = planned(lab, host, target)
                warned = [f["what"] for f in plan["findings"] if f["object"] == "VM web"]
                lab.expect(not any(reasons.values()) and any("1 page of its memory" in what for what in warned), f"plan says {plan}")
                lab.witness(host, three, lab.update(host, target))
                known(lab, host, web)
            with lab.case("the guest reads it in the new kernel: it is told, and the others go on"):
                start = host.pump.clock()
                said = touch(host, web)
                lab.expect(said == "SIGBUS", f"its process got {said}")
                lab.witness(host, three, start)
                refused(lab, host, target, three)
