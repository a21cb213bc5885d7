# SPDX-License-Identifier: GPL-2.0-or-later
"""After an update a guest's agent has set its time of day, a silent one is named in the report, and who has none is left behind; each is announced on its network."""

import struct

from lab import guests, image

KERNELS = ["7.3"]
LIMIT = 1800

HOOK = """#!/bin/sh
[ "$1" = saving ] && exit 1
exit 0
"""
DUMP = "/var/lib/lab/web.pcap"
RARP = 0x8035

# Seconds: what the lab's own reading of a clock may be off by (lines are stamped late), and a clock that was set
UNSURE = 1.5


def rarps(host):
    """How many frames of those that are broadcast to say where somebody is are in the dump, from the guest's card."""
    data, at, found = host.get(DUMP), 24, 0
    while at + 16 <= len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        frame = data[at + 16:at + 16 + size]
        at += 16 + size
        found += len(frame) >= 14 and frame[6:12] == bytes.fromhex("525400123456") and struct.unpack_from(">H", frame, 12)[0] == RARP
    return found


def clocks(lab, host):
    return {vm["name"]: vm["clock"] for vm in lab.ask(host, "report")["vms"]}


def behind(lab, host, guest, start):
    return lab.span(host, guest, start).behind()


def expect_clock(lab, clock, policy, seconds, unsure, error=None):
    lab.expect(clock and clock["policy"] == policy, f"the report says {clock}, not {policy}")
    lab.expect(abs(clock["behind_usec"] / 1e6 - seconds) < unsure, f"the report says {clock}, the lab {seconds:.3f} s")
    lab.expect(bool(clock["error"]) == bool(error) and (not error or error in clock["error"]["what"]), f"the report says {clock}, not {error}")


def run(lab):
    initrd = guests.agent_initrd(image.base(), lab.results / "agent.initrd")
    with lab.host(files={"agent.initrd": initrd}) as host:
        web, late, mute = guests.Linux("web", 0, 256, extra=["-object", f"filter-dump,id=dump,netdev=net,file={DUMP}"]), \
            guests.Linux("late", 1, 256, disk=False, net=False), guests.Ticker("mute", 2, 64)
        # not below /lab, which is mounted later than guests are resumed
        host.run("mkdir -p /var/lib/lab && cp /lab/agent.initrd /var/lib/lab/")
        web.initrd = "/var/lib/lab/agent.initrd"
        for guest in (web, mute):
            guest.add_agent()
        lab.start(host, web, late, mute)
        before = {g.name: behind(lab, host, g, 0) for g in (web, late)}
        lab.say(", ".join(f"{name} is {seconds:.2f} s behind the lab" for name, seconds in before.items()) + " before anything")

        with lab.case("after an update"):
            start = lab.update(host, "7.3")
            spans = lab.witness(host, (web, late, mute), start)
            told = clocks(lab, host)
            lab.say("  " + lab.luctl(host, "report").out.strip().replace("\n", "\n      "))
            gap = {name: span.blackout()[0] for name, span in spans.items()}
            now = {g.name: spans[g.name].behind() - before[g.name] for g in (web, late)}
            lab.say("  " + ", ".join(f"{name} is {seconds:.2f} s more behind than before" for name, seconds in now.items()))
            lab.expect(abs(now["web"]) < UNSURE, "web's clock is not right")
            # the control: a guest whose agent nobody asks
            lab.expect(now["late"] > gap["late"] - UNSURE, "late's clock was to be left behind")
            lab.expect(gap["late"] > 2 * UNSURE, "the guests did not stand still long enough to tell")
            expect_clock(lab, told["web"], "agent", 0, 0.5)
            expect_clock(lab, told["late"], "leave", now["late"], UNSURE)
            expect_clock(lab, told["mute"], "agent", gap["mute"], UNSURE, "did not answer")
            lab.expect(spans["web"].reports[-1].set == "1", f"web's clock was set {spans['web'].reports[-1].set} times")
            lab.expect(rarps(host) > 0, "no frame said where web is")
            lab.say(f"  {rarps(host)} frames said where web is")

        with lab.case("stopped and continued by hand: nobody announces, nobody sets a clock"):
            seen, start = rarps(host), host.pump.clock()
            host.run(f"/usr/lib/lab/qmp {web.qmp} stop 4 cont 3")
            spans = lab.witness(host, (web,), start)
            lab.expect(rarps(host) == seen, f"{rarps(host) - seen} frames said where web is, of themselves")
            lab.expect(spans["web"].reports[-1].set == "1", "web's clock was set by somebody")
            lost = spans["web"].behind() - before["web"]
            lab.expect(lost > 3 - UNSURE, f"web's clock is only {lost:.2f} s behind")

        with lab.case("after an update that was undone"):
            seen, start = rarps(host), host.pump.clock()
            host.run("mkdir -p /etc/luctl/hooks.d")
            host.put("/etc/luctl/hooks.d/fault", HOOK, mode="755")
            result = lab.luctl(host, f"update --kernel {lab.image_of('7.3')} --yes", check=False, timeout=300)
            lab.expect(result.code == 5, f"not aborted: {result}")
            spans = lab.witness(host, (web, late, mute), start)
            told = clocks(lab, host)
            lab.expect(abs(spans["web"].behind() - before["web"]) < UNSURE, f"web's clock is {spans['web'].behind() - before['web']:.2f} s behind")
            expect_clock(lab, told["web"], "agent", 0, 0.5)
            expect_clock(lab, told["mute"], "agent", spans["mute"].blackout()[0], UNSURE, "did not answer")
            lab.expect(spans["web"].reports[-1].set == "2", f"web's clock was set {spans['web'].reports[-1].set} times")
            lab.expect(rarps(host) > seen, "no frame said where web is")
            lab.say(f"  {rarps(host) - seen} frames said where web is")
