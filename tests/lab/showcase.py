# SPDX-License-Identifier: GPL-2.0-or-later
"""One live update, looked at from all sides: what tests/demo and the scenario with three guests show.

The guests' own lines are the witnesses: same boot, counters go on, hashes of RAM equal, disk and network right. Then: guests resumed before systemd's first
unit, each in a scope of its own afterwards, and the report agrees with what L0 saw.
"""

import time

from . import timeline


def passes(lab, host, which, count, timeout=300):
    """Wait until each guest has completed count passes over its RAM since now."""
    begin = host.pump.clock()
    for guest in which:
        console, mark = host.guest[guest.line], host.pump.clock()
        want = None
        while True:
            done = [int(r.passes) for r in lab.span(host, guest, mark).reports]
            if done and want is None:
                want = done[0] + count
            if done and done[-1] >= want:
                break
            lab.expect(host.pump.had(begin) < timeout, f"{guest.name} did not complete a pass over its RAM; its console:\n{console.tail(3)}")
            time.sleep(0.5)


def carry(lab, host, which, target, limit=30.0):
    """Update under these guests and check everything; raises with the reason. limit: seconds that a guest may stand still."""
    passes(lab, host, which, 1)
    hashes = {g.name: lab.span(host, g).hash() for g in which}
    before = host.release()

    start = lab.update(host, target)
    if target != lab.kernels[0]:
        lab.expect(host.release() != before, f"the kernel is still {before}")
    passes(lab, host, which, 2)
    spans = lab.witness(host, which, start, limit=limit)

    for guest in which:
        span = spans[guest.name]
        lab.expect(span.hash() == hashes[guest.name], f"{guest.name}: RAM hash was {hashes[guest.name]}, is {span.hash()}")
        lab.say(f"{guest.name}: {len(span.ticks)} ticks, blackout {span.blackout()[0]:.2f} s, RAM hash {span.hash()} as before, "
                f"its own clock moved by {span.guest_gap()} over it")
    web = spans["web"].reports
    lab.expect(web[-1].disk.startswith("ok:") and int(web[-1].disk[3:]) > int(web[0].disk[3:]), f"web's disk: {web[-1].disk}")
    answered = [int(r.net.split("/")[1]) for r in web]
    # still at the end; one report may come before an answer on a busy machine, not four
    lab.expect(answered[-1] > answered[0] and answered[-1] > answered[max(-5, -len(answered))], f"web's network: {web[0].net} … {web[-1].net}")

    with lab.case("guests ran before systemd's first unit"):
        first = int(host.run("systemctl show -p UserspaceTimestampMonotonic --value").out)
        lines = host.run("dmesg | grep lu-init:", check=False).out
        lab.expect("lu-init" in lines, "lu-init left no line in the kernel log")
        report = lab.ask(host, "report")
        lab.expect(all(v["by"] == "lu-init" for v in report["vms"]), f"restored by {[v['by'] for v in report['vms']]}")
        seconds = float(lines.strip().splitlines()[-1].split("]")[0].strip("[ "))
        lab.expect(seconds < first / 1e6, f"lu-init's last line at {seconds} s, systemd started at {first / 1e6} s")
        lab.say(f"lu-init finished {seconds:.2f} s after the kernel's start, systemd began at {first / 1e6:.2f} s")
    with lab.case("each guest is in a unit of its own"):
        for vm in lab.ask(host, "vm list")["vms"]:
            cgroup = host.run(f"cat /proc/{vm['pid']}/cgroup").out.strip()
            lab.expect(vm["name"] in cgroup and "init.scope" not in cgroup, f"{vm['name']} is in {cgroup}")
    with lab.case("the report agrees with what was seen outside"):
        # a VM that has nothing to say is not among the guests that were watched
        watched = [vm for vm in report["vms"] if vm["name"] in spans]
        lab.expect(len(watched) == len(which), f"the report tells of {[vm['name'] for vm in report['vms']]}")
        for vm in watched:
            span, said = spans[vm["name"]], vm["blackout_usec"] / 1e6
            seen, ran, slack = span.blackout()[0], span.ran_silently(), max(0.3, 0.15 * span.blackout()[0])
            lab.expect(-slack < seen - said < slack + ran and ran < seen / 2,
                       f"{vm['name']}: report says {said:.3f} s, L0 saw {seen:.3f} s, in which the guest ran for {ran:.3f} s")
    for row in timeline.draw(report, {name: span.blackout()[0] for name, span in spans.items()}):
        lab.say(row)
