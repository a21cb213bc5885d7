# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's packages: installed on a clean host, updated with, upgraded under guests and during an update, removed and purged."""

from lab import packages

KERNELS = ["7.3", "7.3-b"]
LIMIT = 1800

NEXT = "0.1.1~test"     # the same sources under another version
INSTALL = "dpkg --install {files}"
# what an administrator does beside an update, and what became of it
UPGRADE_HOOK = """#!/bin/sh
[ "$1" = preparing ] || exit 0
dpkg --install {files} > /root/upgrade.out 2>&1
echo $? > /root/upgrade.code
"""
# the files of the next version come over those of the running one, whatever dpkg says to that
REPLACE_HOOK = """#!/bin/sh
[ "$1" = sealing ] || exit 0
dpkg-deb --extract {luctl} / && dpkg-deb --extract {library} /
"""
LEFT = "find /usr /etc /var/lib/luctl /run/systemd/generator* -path /usr/lib/lab -prune -o \\( -name '*luctl*' -o -name 'lu-init' \\) -print 2>/dev/null | sort"


def version_of(host):
    return host.run("dpkg-query -W -f '${Version}' luctl").out


def pid_of(host):
    return host.run("systemctl show -p MainPID --value luctld").out.strip()


def hook(host, text, **files):
    host.run("mkdir -p /etc/luctl/hooks.d; rm -f /root/upgrade.*")
    host.put("/etc/luctl/hooks.d/upgrade", text.format(**files), mode="755")


def run(lab):
    first, after = packages.files(), packages.renamed(NEXT, lab.results)
    files = {f"{name}.deb": path for name, path in first.items()} | {f"next-{name}.deb": path for name, path in after.items()}
    both = INSTALL.format(files="/lab/libluctl0.deb /lab/luctl.deb")
    next_files = "/lab/next-libluctl0.deb /lab/next-luctl.deb"
    with lab.host(files=files, luctl=False) as host:
        # what the lab's image enables by itself is the packages' business here
        host.run("rm -f /etc/systemd/system/*.wants/*luct*; rm -r /etc/luctl")
        before = host.run(LEFT).out
        lab.expect("lu-init" not in before and "luctld" not in before, f"the host is not clean: {before}")
        host.run("mkdir -p /etc/luctl/luctld.conf.d")
        host.put("/etc/luctl/luctld.conf.d/trial.conf", packages.PATIENT)

        with lab.case("installed"):
            host.run(both, timeout=180)
            lab.expect(host.run("systemctl is-active luctld run-luctl-pkernfs.mount; systemctl is-enabled luctld run-luctl-pkernfs.mount").out.split() ==
                       ["active", "active", "enabled", "enabled"], "luctld or pkernfs does not run, or will not run at the next boot")
            lab.expect(lab.ask(host, "status")["state"] == "idle", "luctl status does not say idle")
            listed = host.run("dpkg-deb --contents /lab/luctl.deb").out
            lab.expect(all(f"/usr/share/doc/luctl/examples/{n}\n" in listed for n in ("web1.conf", "web1.json", "luctld.conf", "hook")), "examples are missing")
            units = " ".join(p for p in host.run("dpkg -L luctl").out.split() if p.startswith("/usr/lib/systemd/system/") and p.endswith((".service", ".timer", ".mount", ".target")))
            verdict = host.run(f"systemd-analyze --man=no verify {units.replace('@.', '@web1.')}", check=False, timeout=180)
            lab.expect(units.count("luctl") > 5 and verdict.code == 0 and "luctl" not in verdict.out + verdict.err, f"systemd-analyze verify: {verdict}")
        three = lab.three_guests(host)
        release = host.release()
        with lab.case("the newest installed kernel, by its release"):
            host.run(f"cp {lab.image_of('7.3-b')} /boot/vmlinuz-{release}")
            told = host.run(f"/etc/kernel/postinst.d/zz-luctl {release} /boot/vmlinuz-{release}").out
            lab.expect(f"guests can be taken into kernel {release}" in told, f"the kernel package's hook said: {told}")
            start = lab.update(host, None)
            lab.witness(host, three, start)

        with lab.case("upgraded under guests"):
            begin, pid = host.pump.clock(), pid_of(host)
            host.run(INSTALL.format(files=next_files), timeout=180)
            lab.expect(version_of(host) == NEXT, f"version {version_of(host)} is installed")
            lab.expect(pid_of(host) not in ("0", pid), "luctld was not started anew")
            lab.ask(host, "status")
            lab.witness(host, three, begin)

        with lab.case("dpkg refuses while an update runs, which goes on"):
            hook(host, UPGRADE_HOOK, files="/lab/libluctl0.deb /lab/luctl.deb")
            start = lab.update(host, None)
            code, out = host.get("/root/upgrade.code").decode().strip(), host.get("/root/upgrade.out").decode()
            lab.expect(code == "1" and "a live update is in state preparing" in out, f"dpkg exited with {code}: {out}")
            lab.expect(version_of(host) == NEXT, f"version {version_of(host)} is installed: {out}")
            lab.witness(host, three, start)

        with lab.case("files are replaced between save and jump"):
            hook(host, REPLACE_HOOK, luctl="/lab/luctl.deb", library="/lab/libluctl0.deb")
            host.run("echo >> /usr/share/luctl/schemas/vm.schema.json")     # the hook puts it right, so that it is seen to have run
            start = lab.update(host, None)
            lab.expect(not host.run("dpkg --verify luctl | grep vm.schema", check=False).out, "the hook replaced nothing")
            lab.witness(host, three, start)
            host.run("rm /etc/luctl/hooks.d/upgrade")

        with lab.case("removed: guests run on"):
            begin = host.pump.clock()
            out = host.run("dpkg --remove luctl", timeout=180)
            lab.expect("run on without luctl" in out.out + out.err, f"nothing is said of the guests: {out}")
            lab.expect(host.run("systemctl is-active luctld", check=False).out.strip() != "active", "luctld runs")
            lab.witness(host, three, begin)

        with lab.case("purged: nothing is left but what the administrator made, guests' disks among it"):
            begin = host.pump.clock()
            host.run("mkdir -p /var/lib/luctl/vm/web1 && echo records > /var/lib/luctl/vm/web1/disk.img")
            host.run("dpkg --purge luctl libluctl0", timeout=180)
            left = set(host.run(LEFT).out.split()) - set(before.split())
            own = {p for p in left if p.startswith(("/etc/luctl", "/etc/systemd/system/luctl-vm@.service.d", "/etc/udev/rules.d", "/var/lib/luctl"))}
            lab.expect(left == own, f"left behind: {sorted(left - own)}")
            kept = host.run("find /var/lib/luctl -type f -exec grep -H . {} +").out.strip()
            lab.expect(kept == "/var/lib/luctl/vm/web1/disk.img:records", f"in /var/lib/luctl: {kept}")
            lab.witness(host, three, begin)
