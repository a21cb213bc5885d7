# SPDX-License-Identifier: GPL-2.0-or-later
"""Ansible updates two hosts over ssh, one after the other, and keeps both reports by their ids; it stops at a host that fails its gate, and at one whose update is aborted."""

import json
import re

from lab import guests, ssh

KERNELS = ["7.3", "7.3-b"]
LIMIT = 5400
BATCH = "PLAY [Rolling live update]"

HOOK = """#!/bin/sh
[ "$1" = saving ] && exit 1
exit 0
"""


def recap(text):
    """Of each host that was touched: how many tasks changed something, could not reach it, failed."""
    found = re.finditer(r"^(\w+) +: ok=\d+ +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", text, re.M)
    return {m[1]: tuple(map(int, m.groups()[1:])) for m in found}


def past(lab, host):
    """What can't be the same on a host on which anything was begun."""
    return host.run("cat /proc/sys/kernel/random/boot_id; uname -r").out, [r["id"] for r in lab.ask(host, "report --list")["reports"]]


def run(lab):
    reports = lab.results / "reports"
    reports.mkdir(exist_ok=True)
    rolling = {"rolling_serial": 1, "rolling_reports": str(reports), "rolling_gates": ["test ! -e /root/ill", "luctl vm list"], "rolling_timeout": 1500}
    files = ssh.files()
    with ssh.Door() as door, lab.host(files=files, guests=2, qemu_args=door.args("one")) as one, lab.host(files=files, guests=2, qemu_args=door.args("two")) as two:
        hosts = {"one": one, "two": two}
        which = {name: (guests.Ticker("red", 0, 64), guests.Ticker("blue", 1, 64)) for name in hosts}
        for name, host in hosts.items():
            lab.start(host, *which[name], timeout=600)
            door.open(name, host)
            lab.say(f"Ansible reaches host {name}")
        begun = {name: host.pump.clock() for name, host in hosts.items()}
        boots = {name: host.release() for name, host in hosts.items()}

        def well(since):
            """Guests of both hosts have gone on since then."""
            for name, host in hosts.items():
                spans = lab.witness(host, which[name], since[name], limit=240)
                lab.say(f"  host {name}: " + ", ".join(f"{guest} stood still for {span.blackout()[0]:.1f} s" for guest, span in spans.items()))

        with lab.case("both hosts, one after the other"):
            code, said = door.play("luctl.host.rolling", lab.results / "ansible-both.log", rolling_kernel=lab.image_of("7.3-b"), **rolling)
            lab.expect(code == 0, f"ansible-playbook: {code}\n{said[-6000:]}")
            lab.expect(recap(said).keys() == hosts.keys() and said.count(BATCH) == 2, f"not two batches of a host each: {recap(said)}")
            kept = {}
            for name, host in hosts.items():
                host.wait_up()
                lab.expect(host.release() != boots[name], f"host {name} runs {host.release()}")
                report = lab.ask(host, "report")
                kept[name] = json.loads((reports / f"{name}-{report['id']}.json").read_text())
                lab.expect(kept[name] == report and report["result"] == "success", f"host {name}: kept is {kept[name]}, luctl report says {report}")
                lab.expect({vm["name"]: vm["result"] for vm in report["vms"]} == {"red": "running", "blue": "running"}, f"host {name}: {report['vms']}")
            lab.expect(kept["one"]["id"] != kept["two"]["id"] and len(list(reports.iterdir())) == 2, f"{sorted(p.name for p in reports.iterdir())}")
            # a host's clock is read from the RTC in the next kernel, in whole seconds
            end = kept["one"]["started_realtime_usec"] + kept["one"]["duration_usec"]
            lab.expect(kept["two"]["started_realtime_usec"] > end - 2_000_000, f"host two did not wait for host one: {kept['two']['started_realtime_usec']} and {end}")
            well(begun)

        with lab.case("once more: both run it already"):
            before = {name: past(lab, host) for name, host in hosts.items()}
            code, said = door.play("luctl.host.rolling", lab.results / "ansible-again.log", rolling_kernel=lab.image_of("7.3-b"), **rolling)
            lab.expect(code == 0 and recap(said) == {name: (0, 0, 0) for name in hosts}, f"ansible-playbook: {code}\n{said[-6000:]}")
            lab.expect(before == {name: past(lab, host) for name, host in hosts.items()}, "something was begun")

        with lab.case("the first host fails its gate: neither is touched"):
            since = {name: host.pump.clock() for name, host in hosts.items()}
            one.run("touch /root/ill")
            code, said = door.play("luctl.host.rolling", lab.results / "ansible-gate.log", rolling_kernel=lab.image_of("7.3"), **rolling)
            lab.expect(code != 0 and recap(said).keys() == {"one"} and recap(said)["one"][2] == 1, f"ansible-playbook: {code}\n{said[-6000:]}")
            lab.expect(before == {name: past(lab, host) for name, host in hosts.items()}, "something was begun")
            one.run("rm /root/ill")
            well(since)

        with lab.case("the first host's update is aborted: the second is not touched"):
            since = {name: host.pump.clock() for name, host in hosts.items()}
            one.run("mkdir -p /etc/luctl/hooks.d")
            one.put("/etc/luctl/hooks.d/fault", HOOK, mode="755")
            code, said = door.play("luctl.host.rolling", lab.results / "ansible-aborted.log", rolling_kernel=lab.image_of("7.3"), **rolling)
            report = lab.ask(one, "report")
            lab.expect(code != 0 and recap(said).keys() == {"one"}, f"ansible-playbook: {code}\n{said[-6000:]}")
            lab.expect(f"update {report['id']} was aborted" in said and "hooks.d/fault" in said, f"not said why:\n{said[-6000:]}")
            lab.expect(json.loads((reports / f"one-{report['id']}.json").read_text()) == report and report["result"] == "aborted", f"{report}")
            lab.expect(before["two"] == past(lab, two) and before["one"][0] == past(lab, one)[0], "a host has jumped, or two was touched")
            well(since)
