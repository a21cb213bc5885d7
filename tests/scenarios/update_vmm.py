# SPDX-License-Identifier: GPL-2.0-or-later
"""luctl update --vmm: guests go on in the QEMU that is installed now, one with a passed-through card that never stops; a QEMU that is no good is taken back (only by name)."""

import time

from lab import devices, guests

KERNELS = ["7.3"]
LIMIT = 1200

QEMU = "/usr/bin/qemu-system-x86_64"
BROKEN = "#!/bin/sh\nexit 1\n"


def processes(lab, host):
    return {vm["name"]: vm["pid"] for vm in lab.ask(host, "vm list")["vms"]}


def program(host, pid):
    """Inode of what a process executes."""
    return host.run(f"stat -Lc %i /proc/{pid}/exe").out.strip()


def units(lab, host, *which):
    """No unit is failed for a QEMU that was ended on purpose."""
    end = time.monotonic() + 15
    while True:
        failed = host.run("systemctl --failed --no-legend --plain | awk '{print $1}'").out.split()
        failed = [u for u in failed if u.startswith("luctl")]
        if not failed:
            break
        lab.expect(time.monotonic() < end, f"failed units: {failed}")
        time.sleep(1)
    for guest in which:
        group = host.run(f"cat /proc/{processes(lab, host)[guest.name]}/cgroup").out
        lab.expect(f"luctl-vm-{guest.name}.scope" in group, f"{guest.name} runs in {group}")


def went_on(lab, host, wire, card, other, start, begin):
    devices.nothing_lost(lab, host, wire, card, start, begin)
    lab.witness(host, [other], start)


def run(lab):
    with devices.host_with_card(lab) as (host, wire, card):
        other = guests.Ticker("red", 1, 64)
        lab.start(host, other)
        host.run(f"cp {QEMU} {QEMU}.good")
        boot = host.boot_id()

        for again in ("first", "second"):
            with lab.case(f"both guests go on in a QEMU that was replaced at the same path, the {again} time"):
                host.run(f"cp {QEMU}.good {QEMU}.new && mv {QEMU}.new {QEMU}")
                installed, before = host.run(f"stat -c %i {QEMU}").out.strip(), processes(lab, host)
                begin, start = time.monotonic(), host.pump.clock()
                lab.luctl(host, "update --vmm --yes", timeout=300)
                now = processes(lab, host)
                for guest in (card, other):
                    lab.expect(now[guest.name] != before[guest.name], f"{guest.name} is still process {before[guest.name]}")
                    lab.expect(program(host, now[guest.name]) == installed, f"{guest.name} does not run what is installed")
                went_on(lab, host, wire, card, other, start, begin)
                units(lab, host, card, other)
                report = lab.ask(host, "report")
                lab.expect(report["kind"] == "vmm" and report["result"] == "success", f"{report}")
                blackouts = {vm["name"]: vm["blackout_usec"] for vm in report["vms"]}
                lab.expect(all(blackouts.values()), f"blackouts: {blackouts}")
                # one after the other: the second stands still only when the first runs again
                first, second = sorted(report["vms"], key=lambda vm: vm["pause_usec"])
                lab.expect(first["resume_usec"] <= second["pause_usec"], f"both stood still at once: {report['vms']}")
                lab.say("blackouts: " + ", ".join(f"{n} {b / 1e6:.2f} s" for n, b in sorted(blackouts.items())))

        with lab.case("a new QEMU that ends at once: the guest goes on in the old one, the other is not touched"):
            host.put(f"{QEMU}.new", BROKEN, mode="755")
            old, before = program(host, processes(lab, host)["nic"]), processes(lab, host)
            host.run(f"mv {QEMU}.new {QEMU}")
            begin, start = time.monotonic(), host.pump.clock()
            result = lab.luctl(host, "update --vmm --yes", check=False, timeout=300)
            lab.expect(result.code == 5 and "goes on with the old one" in result.err, f"luctl: {result}")
            now = processes(lab, host)
            lab.expect(now["nic"] != before["nic"] and program(host, now["nic"]) == old, "nic is not in its old QEMU")
            lab.expect(now["red"] == before["red"], "the second guest was touched")
            went_on(lab, host, wire, card, other, start, begin)
            units(lab, host, card)
            lab.expect(lab.ask(host, "status")["state"] == "aborted", f"{lab.ask(host, 'status')}")

        with lab.case("the daemon is killed in the middle: the guests go on all the same"):
            host.run(f"cp {QEMU}.good {QEMU}.new && mv {QEMU}.new {QEMU}; mkdir -p /etc/luctl/hooks.d")
            begin, start = time.monotonic(), host.pump.clock()
            host.run("(luctl update --vmm --yes nic > /tmp/vmm.log 2>&1 &) ; "
                     "for i in $(seq 600); do luctl status --json | grep -q replacing && break; sleep 0.05; done; sleep 0.5; "
                     "kill -KILL $(systemctl show -p MainPID --value luctld)", timeout=90)
            lab.luctl(host, "status --wait", check=False, timeout=180)
            went_on(lab, host, wire, card, other, start, begin)
            lab.expect(host.run(f"cat /sys/bus/pci/devices/{devices.ADDRESS}/pkeep").out.strip() == "0", "the card is still marked")

        with lab.case("one VM by name, and a kernel update after all that"):
            before = processes(lab, host)
            lab.luctl(host, "update --vmm --yes red", timeout=300)
            now = processes(lab, host)
            lab.expect(now["red"] != before["red"] and now["nic"] == before["nic"], f"{before} → {now}")
            lab.expect(host.boot_id() == boot, "the host was rebooted")
            begin = time.monotonic()
            start = lab.update(host, "7.3")
            went_on(lab, host, wire, card, other, start, begin)

        with lab.case("control: a guest whose QEMU is killed and not replaced does not go on"):
            start = host.pump.clock()
            host.run(f"kill -KILL {processes(lab, host)['red']}")
            try:
                lab.witness(host, [other], start, limit=6)
                gone = False
            except Exception:
                gone = True
            lab.expect(gone, "it ticks without a QEMU: these checks can't fail")
