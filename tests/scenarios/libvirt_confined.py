# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests of libvirt that AppArmor confines, in namespaces as by default, go through an update: each is confined by the same profile from its first instruction on; one whose rules can't be had does not run without them."""

from lab import domains, guests

KERNELS = ["7.3-apparmor"]
LIMIT = 1800
RNG = "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>\n"
# what Debian does at boot, but for the profiles of other programs, which take a minute here
POLICY = "find /etc/apparmor.d -maxdepth 1 -type f ! -name '*libvirt*' -delete; systemctl daemon-reload; systemctl enable --now apparmor.service; systemctl restart libvirtd"
DAMAGE = """#!/bin/sh
[ "$1" = sealing ] || exit 0
truncate -s 100 /run/luctl/pkernfs/vm/{uuid}/apparmor
"""


def labels(host, *which):
    """Name → how AppArmor confines its QEMU."""
    pids = domains.pids(host)
    return {d.name: host.run(f"cat /proc/{pids[d.name]}/attr/apparmor/current").out.strip() for d in which}


def expect_confined(lab, host, *which):
    wanted = {d.name: f"libvirt-{d.uuid} (enforce)" for d in which}
    now = labels(host, *which)
    lab.expect(now == wanted, f"they are confined as {now}, not as {wanted}")


def expect_kept_out(lab, host, domain):
    """The rules count: its QEMU can't write where every user may. (libvirt notes that somebody was at its monitor.)"""
    out = host.run(f"virsh qemu-monitor-command {domain.name} --hmp 'pmemsave 0 16 \"/var/tmp/{domain.name}\"'", timeout=60, check=False)
    lab.expect("Permission denied" in out.out + out.err and host.run(f"test -s /var/tmp/{domain.name}", check=False).code, f"it may write anywhere: {out}")


def run(lab):
    with lab.host(files=domains.packages()) as host:
        domains.unpack(host)
        domains.prepare(host)
        host.run(POLICY, timeout=300)
        web = domains.Domain(guests.Linux("web", 0, 256))
        red = domains.Domain(guests.Ticker("red", 1, 64))
        blue = guests.Ticker("blue", 2, 64)
        domains.start(lab, host, web, red, timeout=400)
        lab.start(host, blue)
        both, three, listed = (web, red), (web, red, blue), domains.listed(host)
        expect_confined(lab, host, *both)

        with lab.case("a target without AppArmor is refused by name"):
            line = host.run("cat /proc/cmdline").out.strip()
            result = lab.luctl(host, f"check --kernel {lab.image_of('7.3-apparmor')} --cmdline '{line} lsm=bpf'", check=False, timeout=120)
            lab.expect(result.code and "lsm=bpf: the target has no AppArmor" in result.out + result.err, f"the check says: {result}")

        with lab.case("an update: the same profiles, and libvirt works under them"):
            start = lab.update(host, "7.3-apparmor")
            lab.witness(host, three, start)
            lab.expect(domains.listed(host) == listed, f"virsh listed {listed}, now {domains.listed(host)}")
            expect_confined(lab, host, *both)
            host.run("virsh snapshot-create-as web --disk-only --no-metadata --diskspec vda,file=/var/lib/lab/over.img", timeout=120)
            host.run("virsh blockcommit web vda --active --pivot --wait; rm /var/lib/lab/over.img", timeout=180)
            expect_confined(lab, host, *both)
            lab.witness(host, three, start)

        with lab.case("libvirt has left its memory out of the rules after the snapshot: refused by name, and the hint helps"):
            vms = {vm["name"]: vm for vm in lab.ask_anyway(host, f"plan --kernel {lab.image_of('7.3-apparmor')}", 3)["vms"]}
            said = [r["what"] for r in vms["web"]["reasons"]]
            lab.expect(said and all("does not let its next QEMU open /run/luctl/pkernfs/libvirt/qemu/1-web/" in what for what in said), f"the plan says of web: {vms['web']}")
            lab.expect(not vms["red"]["reasons"], f"the plan says of red: {vms['red']}")
            host.run(f"echo '  \"/run/luctl/pkernfs/libvirt/qemu/1-web/*\" rw,' >> /etc/apparmor.d/libvirt/libvirt-{web.uuid}.files; "
                     f"apparmor_parser -r /etc/apparmor.d/libvirt/libvirt-{web.uuid}", timeout=120)
            lab.ask(host, f"plan --kernel {lab.image_of('7.3-apparmor')}")

        with lab.case("rules that can't be had: it does not run without them, and comes back with them"):
            host.run("mkdir -p /etc/luctl/hooks.d")
            host.put("/etc/luctl/hooks.d/damage", DAMAGE.format(uuid=red.uuid), mode="755")
            start = host.pump.clock()
            result, _ = host.jump(f"luctl update --kernel {lab.image_of('7.3-apparmor')} --yes")
            lab.expect(result is None, f"no jump: {result}")
            lab.luctl(host, "status --wait", check=False, timeout=180)
            lab.witness(host, (web, blue), start)
            report = {vm["name"]: vm for vm in lab.ask_anyway(host, "report", 6)["vms"]}
            lab.expect(report["red"]["result"] == "lost" and "AppArmor's profile" in str(report["red"]["error"]), f"the report says of red: {report['red']}")
            host.run(f"rm /etc/luctl/hooks.d/damage; apparmor_parser -r /etc/apparmor.d/libvirt/libvirt-{red.uuid}", timeout=120)
            lab.luctl(host, "restore red", timeout=180)
            lab.witness(host, three, start, limit=300)
            expect_confined(lab, host, *both)

        with lab.case("a device is plugged in, for which the rules are loaded anew; what they forbid they forbid"):
            host.put("/root/rng.xml", RNG)
            host.run("virsh attach-device web /root/rng.xml --live", timeout=120)
            expect_confined(lab, host, *both)
            for domain in both:
                expect_kept_out(lab, host, domain)
