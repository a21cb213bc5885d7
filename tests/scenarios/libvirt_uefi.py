# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain that UEFI has started, as virt-install makes it: the same boot after an update, its NVRAM as it was; reset and started again, firmware goes on with it.

In the lab's own emulator: OVMF writes CR8 while an interrupt waits, and the machine's QEMU ends with an assertion then (tests/lab/qemu-patches). No signed kernel,
so no secure boot."""

import json
import struct

from lab import domains, guests, image, scenario

KERNELS = ["7.3"]
MENDED = True
LIMIT = 2400
# of EDK2's variable store: where it begins in the flash, its header, the header of a variable, and what is valid in it
STORE, STORE_HEADER = 0x48, 28
VARIABLE = struct.Struct("<HBxIQ16sIII16s")
START, VALID = 0x55AA, 0x3F


def variables(host, nvram):
    """Name → data of what firmware keeps in that file."""
    flash, at, found = host.get(nvram), STORE + STORE_HEADER, {}
    while VARIABLE.unpack_from(flash, at)[0] == START:
        state, name, data = (VARIABLE.unpack_from(flash, at)[n] for n in (1, 6, 7))
        at += VARIABLE.size
        if state == VALID:
            found[flash[at:at + name].decode("utf-16-le").rstrip("\0")] = flash[at + name:at + name + data]
        at = (at + name + data + 3) & ~3
    return found


def boots(kept):
    """What firmware counts up each time it starts."""
    return int.from_bytes(kept["MTC"], "little")


def started(host, web, mark):
    """From a line on, the guest has come up anew: its first report is of its fifth tick."""
    host.guest[web.line].wait(r"^TICK 5 .*mem=ok", 600, mark)


def run(lab):
    usual = scenario.load("libvirt-domains")
    files = {"agent.initrd": guests.agent_initrd(image.base(), lab.results / "agent.initrd"), **domains.packages(domains.FIRMWARE)}
    with lab.host(files=files) as host:
        domains.unpack(host)
        domains.prepare(host)
        web = domains.Domain(guests.Linux("web", 0, 256, options="attended"), usual=True, uefi=True)
        web.guest.initrd = "/lab/agent.initrd"
        blue = guests.Ticker("blue", 1, 64)
        domains.start(lab, host, web, timeout=600)
        lab.start(host, blue)
        # libvirt itself has chosen firmware and NVRAM
        chosen = host.run("virsh dumpxml web | grep -E '<(loader|nvram)'").out
        lab.expect("type='pflash'" in chosen and "OVMF_CODE" in chosen and "web_VARS" in chosen, f"no UEFI as virt-install gives it: {chosen}")
        nvram = host.run("virsh dumpxml web | sed -n 's:.*<nvram.*>\\(.*\\)</nvram>.*:\\1:p'").out.strip()
        kept, before, listed = variables(host, nvram), usual.told(host, ["web"]), domains.listed(host)
        lab.say(f"firmware keeps {', '.join(sorted(kept))}")
        plan = lab.ask(host, f"plan --kernel {lab.image_of('7.3')}")
        lab.expect(plan["ok"], f"the plan says: {json.dumps(plan, indent=1)}")

        with lab.case("an update: all that is told is as before, and so is its NVRAM"):
            start = lab.update(host, "7.3")
            lab.witness(host, (web, blue), start)
            lab.expect(domains.listed(host) == listed, f"virsh listed {listed}, now {domains.listed(host)}")
            usual.expect_same(lab, host, before, ["web"])
            lab.expect(variables(host, nvram) == kept, f"firmware kept {kept}, and now {variables(host, nvram)}")

        with lab.case("reset: firmware runs out of the flash of its new QEMU, and writes there"):
            mark = len(host.guest[web.line].lines)
            host.run("virsh reset web", timeout=60)
            started(host, web, mark)
            again = variables(host, nvram)
            lab.expect(boots(again) == boots(kept) + 1 and again.keys() >= kept.keys(), f"firmware kept {kept}, and after a reset {again}")

        with lab.case("ended and started again, with the same NVRAM"):
            # not by virsh shutdown: a kernel without EFI, as the lab's is, finds no ACPI tables here and can't turn itself off
            host.run("virsh destroy web", timeout=60)
            lab.expect(domains.listed(host)["web"] == ("-", "shut off"), f"{domains.listed(host)}")
            mark = len(host.guest[web.line].lines)
            web.start(host)
            started(host, web, mark)
            last = variables(host, nvram)
            lab.expect(boots(last) == boots(again) + 1 and last.keys() >= again.keys(), f"firmware kept {again}, and after its next start {last}")
