# SPDX-License-Identifier: GPL-2.0-or-later
"""luctl plan names every reason of every VM and device, an update refuses the same, and goes through with those VMs left out by name."""

import contextlib
import re
import time

from lab import devices, guests, scenario

KERNELS = ["7.3"]
LIMIT = 900

# Beside the igb at 0c.0: two more cards, and two that a bridge to conventional PCI puts into its IOMMU group, since it speaks for both
ALONE, CONTAINED, BRIDGE = "0000:00:0d.0", "0000:00:0e.0", "0000:00:10.0"
CARDS = ["-device", "e1000e,addr=0xd", "-device", "e1000e,addr=0xe", "-device", "pcie-pci-bridge,id=pci,addr=0x10",
         "-device", "e1000,bus=pci,addr=1", "-device", "e1000,bus=pci,addr=2"]

PLUG = '{"execute": "device_add", "arguments": {"driver": "virtio-rng-pci", "id": "late", "bus": "later"}}'


class Idle(guests.Ticker):
    """A guest that is never let run: what is wrong with it can be seen all the same, and it costs nothing."""

    def __init__(self, name, passed=None, iommufd=True, aux=True, share="on", **more):
        super().__init__(name, 0, 64, **more)
        self.passed, self.iommufd, self.aux, self.share = passed, iommufd, aux, share

    def args(self, tty):
        args = [a.replace("share=on", f"share={self.share}").replace(f"serial,id=con,path={tty}", "null,id=con") for a in super().args(tty)] + ["-S"]
        if self.passed:
            args += ["-machine", f"aux-ram-share={'on' if self.aux else 'off'}"] + (["-object", "iommufd,id=i0"] if self.iommufd else [])
            args += ["-device", f"vfio-pci,host={self.passed},id=passed,romfile=" + (",iommufd=i0" if self.iommufd else "")]
        return args


def bind(host, *addresses):
    for address in addresses:
        function = f"/sys/bus/pci/devices/{address}"
        host.run(f"echo vfio-pci > {function}/driver_override; [ -e {function}/driver ] && echo {address} > {function}/driver/unbind; "
                 f"echo {address} > /sys/bus/pci/drivers_probe; readlink {function}/driver | grep vfio-pci")


def start(host, guest, dropin=None):
    guest.install(host)
    if dropin:
        host.run(f"mkdir -p /etc/systemd/system/{guest.unit}.d")
        host.put(f"/etc/systemd/system/{guest.unit}.d/plan.conf", f"[Service]\n{dropin}\n")
        host.run("systemctl daemon-reload")
    host.run(f"systemctl start {guest.unit}", timeout=120)


# VM → patterns of its reasons, and of those of its device
BAD = {
    "tmpfs": (["is not below /run/luctl/pkernfs", "share=off"], None),
    "hugetlb": (["huge pages of hugetlbfs"], None),
    "namespace": (["ipc namespace of its own", "uts namespace of its own"], None),
    "plugged": (["\"late\" was plugged in after the start"], None),
    "firmware": (["firmware's memory would be lost"], []),
    "legacy": ([], ["legacy container"]),
    "shared": ([], [f"shares its IOMMU group with {BRIDGE} and others"]),
    "hung": ([scenario.HUNG], None),
}


def check(lab, plan):
    """Each of the bad VMs is refused for just its reasons, and the good one goes along."""
    vms = {vm["name"]: vm for vm in plan["vms"]}
    lab.expect(vms["nic"]["verdict"] == "goes-along" and not vms["nic"]["reasons"], f"the good VM: {vms['nic']}")
    lab.expect([d["goes_on"] for d in vms["nic"]["devices"]] == [True], f"its card: {vms['nic']['devices']}")
    lab.expect(vms["off"]["verdict"] == "off", f"off: {vms['off']}")
    for name, (words, device) in BAD.items():
        vm = vms[name]
        lab.expect(vm["verdict"] == "cannot", f"{name}: {vm['verdict']}")
        said = [r["what"] for r in vm["reasons"]] + [r["what"] for d in vm["devices"] for r in d["reasons"]]
        for word in words + (device or []):
            lab.expect(any(re.search(word, s) for s in said), f"{name}: no reason with {word!r} among {said}")
        lab.expect(bool(vm["devices"]) == (device is not None), f"{name}: devices {vm['devices']}")
        for one in vm["devices"]:
            lab.expect(one["goes_on"] == (not device) and all(r["hint"] for r in one["reasons"]), f"{name}: {one}")
    return vms


def run(lab):
    with contextlib.ExitStack() as stack:
        wire = stack.enter_context(devices.Wire(lab.results, 100))
        host = stack.enter_context(lab.host(qemu_args=[*wire.args("igb", "0xc"), *CARDS]))
        good = guests.Linux("nic", 0, 256, net=False, passed=[devices.ADDRESS])
        lab.start(host, good)
        wire.stream(True)

        with lab.case("one VM of each kind that can't go along"):
            shared = host.run(f"cd /sys/bus/pci/devices/{BRIDGE} && ls -d 0000:*:0[12].0").out.split()
            bind(host, ALONE, CONTAINED, *shared)
            host.run("echo 48 > /proc/sys/vm/nr_hugepages; mkdir -p /dev/hugepages; mount -t hugetlbfs -o mode=1777 none /dev/hugepages")
            start(host, Idle("tmpfs", ram="/dev/shm/tmpfs-ram", share="off"))
            start(host, Idle("hugetlb", ram="/dev/hugepages/ram"))
            start(host, Idle("namespace"), dropin="PrivateIPC=yes\nProtectHostname=yes")
            start(host, Idle("plugged", extra=["-device", "pcie-root-port,id=later,slot=9"]))
            start(host, Idle("firmware", passed=ALONE, aux=False))
            start(host, Idle("legacy", passed=CONTAINED, iommufd=False))
            start(host, Idle("shared", passed=shared[0]))
            start(host, Idle("hung"))
            Idle("off").install(host)
            host.run(f"/usr/lib/lab/qmp /run/luctl/vm/plugged/qmp.sock '{PLUG}'", timeout=60)
            host.run("kill -STOP $(systemctl show -p MainPID --value luctl-vm@hung)")
            result = lab.luctl(host, "plan", check=False, timeout=90)
            lab.expect(result.code == 3, f"luctl plan: {result}")
            (lab.results / "plan.txt").write_text(result.out)
            plan = lab.ask_anyway(host, "plan", 3)
            vms = check(lab, plan)
            reasons = sum(len(vm["reasons"]) + sum(len(d["reasons"]) for d in vm["devices"]) for vm in vms.values())
            lab.say(f"{len(vms)} VMs, {reasons} reasons")
            lab.expect(vms["nic"]["predicted"]["basis"] == "unknown", f"nothing was measured yet: {vms['nic']['predicted']}")

        with lab.case("an update refuses what plan refuses, and nothing was touched"):
            refused = {vm["name"] for vm in plan["vms"] if vm["verdict"] == "cannot"}
            result = lab.luctl(host, f"update --kernel {lab.image_of('7.3')} --yes", check=False, timeout=120)
            lab.expect(result.code == 3, f"luctl update: {result}")
            for name in refused:
                lab.expect(f"VM {name}" in result.err, f"the refusal does not speak of {name}: {result.err}")
            lab.expect("VM nic" not in result.err, f"the refusal speaks of nic: {result.err}")
            # with all but one left out it is refused for that one
            names = sorted(refused)
            options = " ".join(f"--exclude {n}" for n in names[1:])
            result = lab.luctl(host, f"update --kernel {lab.image_of('7.3')} --yes {options}", check=False, timeout=120)
            lab.expect(result.code == 3 and f"VM {names[0]}" in result.err and f"VM {names[1]}" not in result.err, f"one is left: {result}")

        with lab.case("with all of them left out by name it goes through, and they end"):
            options = " ".join(f"--exclude {n}" for n in names)
            plan = lab.ask(host, f"plan --kernel {lab.image_of('7.3')} {options}", timeout=90)
            lab.expect(plan["ok"] and {vm["name"] for vm in plan["vms"] if vm["verdict"] == "left-out"} == refused, f"{plan}")
            begin = time.monotonic()
            start_clock = lab.update(host, "7.3", options)
            devices.nothing_lost(lab, host, wire, good, start_clock, begin)
            states = {vm["name"]: vm["state"] for vm in lab.ask(host, "vm list")["vms"]}
            lab.expect(states["nic"] == "running" and all(states[n] == "unreachable" for n in refused), f"{states}")

        with lab.case("then the next blackout is predicted, and the report compares"):
            report = lab.ask(host, "report")
            lab.expect(report["predicted_usec"] is None and report["blackout_usec"], f"the first was not predicted: {report}")
            for n in names:
                host.run(f"rm /etc/luctl/vms.d/{n}.json")
            predicted = {vm["name"]: vm["predicted"] for vm in lab.ask(host, "plan")["vms"]}["nic"]
            lab.expect(predicted["basis"] == "own" and predicted["blackout_usec"], f"predicted: {predicted}")
            # parts of one measured whole: no more than a rounding between them
            lab.expect(abs(predicted["blackout_usec"] - report["blackout_usec"]) < 1000, f"{predicted} after {report['blackout_usec']}")
            begin = time.monotonic()
            start_clock = lab.update(host, "7.3")
            devices.nothing_lost(lab, host, wire, good, start_clock, begin)
            report = lab.ask(host, "report")
            lab.expect(report["predicted_usec"] == predicted["blackout_usec"], f"the report says {report['predicted_usec']}, plan said {predicted}")
            lab.say(f"predicted {report['predicted_usec'] / 1e6:.3f} s, was {report['blackout_usec'] / 1e6:.3f} s")
