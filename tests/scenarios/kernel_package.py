# SPDX-License-Identifier: GPL-2.0-or-later
"""A clean Debian 13 gets packages of kernel and luctl, a first VM and a first update as the README has them: by an initramfs and modules to the next package's kernel."""

import json
import re

from lab import domains, kernel_package, packages, paths, showcase

KERNELS = ["7.3"]
LIMIT = 3600

# what makes an initramfs; the lab's image has none
TOOLS = ["initramfs-tools", "busybox", "zstd", "lvm2"]
# what Debian's systemd does for modules and the lab's image leaves out
UNMASKED = ["kmod-static-nodes.service", "modprobe@.service", "systemd-modules-load.service"]
# an emulated host takes 16 s to unpack an initrd and go through it
LONGEST = 90.0
INSTALL = "DEBIAN_FRONTEND=noninteractive dpkg --install {files}"
# the README's own text, without numbers of versions; a terminal would be asked
EXAMPLE_RELEASE = "7.3.5-lu"
QEMU_GOES_ON = "luctl vm list | grep -w web1 | grep -w running"
LINE = "$(sed 's/ root=[^ ]*//; s/ rootfstype=[^ ]*//; s/ rw / ro /; s/ kho=off//; s/ init=[^ ]*//; s/ luctl.init=[^ ]*//' /proc/cmdline) root={root}"


FSTAB = "{root} / ext4 errors=remount-ro 0 1\n"
VOLUME = "/dev/mapper/lab-root"
MOVE = f"""set -e
disk=/dev/disk/by-id/virtio-lvm
pvcreate -qq $disk && vgcreate -qq lab $disk && lvcreate -qq -y -l 100%FREE -n root lab
mkfs.ext4 -q {VOLUME} && mount {VOLUME} /mnt
cp -ax / /mnt"""

WRONG = """set -e
head -c $(($(stat -c %s /boot/initrd.img-{release}) * 2 / 3)) /boot/initrd.img-{release} > /root/cut.img
cp -a /etc/initramfs-tools /root/without
sed -i 's/^MODULES=.*/MODULES=list/' /root/without/initramfs.conf
rm -f /root/without/conf.d/*
mkinitramfs -d /root/without -o /root/without.img {release}
! lsinitramfs /root/without.img | grep virtio_blk"""


def readme(holding):
    """The commands of the README's block that has this text, a line each."""
    blocks = re.findall(r"(?:^    +.*\n)+", (paths.TREE / "README.md").read_text(), re.M)
    block, = [b for b in blocks if holding in b]
    return [row.strip() for row in block.splitlines()]


def install(lab, host, package, name):
    """dpkg runs the hooks of initramfs-tools and luctl; what they say is returned."""
    out = host.run(INSTALL.format(files=f"/lab/{name}"), timeout=900)
    host.run(f"test -s /boot/initrd.img-{package.release} && test -d /lib/modules/{package.release}")
    lab.say(f"  {package.release} installed in {out.seconds:.0f} s, initrd of {int(host.run(f'stat -c %s /boot/initrd.img-{package.release}').out) >> 20} MiB")
    return out.out + out.err


def load(host, release, line, more=""):
    host.run(f"kexec -s -l /boot/vmlinuz-{release} --initrd=/boot/initrd.img-{release} --command-line=\"{line}{more}\"")


def boot(lab, host, release, root):
    """As firmware and boot loader would: a kexec without guests."""
    load(host, release, LINE.format(root=root))
    host.jump("systemctl kexec; sleep 600")
    lab.expect(host.release() == release, f"{host.release()} runs")


def seconds(host, what):
    """When the kernel's log says so for the first time."""
    found = re.search(rf"^\[ *([\d.]+)\] .*{what}", host.run("dmesg").out, re.M)
    return float(found[1]) if found else None


def tell_phases(lab, host, spans):
    """Where the blackout goes: what stands between the new kernel's first line and guests."""
    run_init, first, last = (seconds(host, what) for what in ("Run /init as init process", "lu-init: ", "VMs resumed"))
    lab.expect(run_init is not None and first and last and run_init < first < last, f"not in this order: /init {run_init}, lu-init {first}, all resumed {last}")
    unpacked = seconds(host, "Freeing initrd memory")
    lab.say(f"  by the new kernel's clock: initrd unpacked at {unpacked} s, initramfs from {run_init:.2f} s to {first:.2f} s, lu-init to {last:.2f} s")
    for phase in lab.ask(host, "report")["phases"]:
        lab.say(f"  {phase}")
    return {name: span.blackout()[0] for name, span in spans.items()}


def bare_kexec(host, release, line):
    """From the reboot call to the real root's init."""
    load(host, release, line, " init=/usr/lib/lab/stamp")
    mark = len(host.guest[0].lines)
    host.jump("sync; exec /usr/lib/lab/stamp jump")
    _, went, _ = host.guest[0].wait("^KEXEC", 30, mark)
    _, came, _ = host.guest[0].wait("^USERSPACE", 120, mark)
    return came - went


def run(lab):
    first, second = kernel_package.build("7.3"), kernel_package.build("7.3", localversion="-luctl2")
    tools, debs = domains.packages(TOOLS), packages.files()
    files = {**tools, "first.deb": first.image, "second.deb": second.image, **{f"{name}.deb": debs[name] for name in ("luctl", "libluctl0")}}
    volume = lab.results / "lvm.img"
    with open(volume, "wb") as sparse:
        sparse.truncate(3 << 30)
    drive = ["-blockdev", f"driver=raw,node-name=lvm,file.driver=file,file.filename={volume},discard=unmap", "-device", "virtio-blk-pci,drive=lvm,serial=lvm"]
    with lab.host(files=files, cmdline="kho=off", luctl=False, qemu_args=drive) as host:
        # what the lab's image enables and sets by itself is the packages' business here
        host.run("rm -f /etc/systemd/system/*.wants/*luct*; rm -r /etc/luctl; mkdir -p /etc/luctl/luctld.conf.d")
        # and no Debian leaves out what packages have as documentation, the README's first VM
        host.run("sed -i '\\,^path-exclude=/usr/share/doc,d' /etc/dpkg/dpkg.cfg.d/*")
        host.put("/etc/luctl/luctld.conf.d/trial.conf", packages.PATIENT)
        with lab.case("the kernel's package installed"):
            host.run("rm " + " ".join(f"/etc/systemd/system/{unit}" for unit in UNMASKED))
            uuid = host.run("findmnt -n -o UUID /").out.strip()
            host.put("/etc/fstab", FSTAB.format(root=f"UUID={uuid}"))
            host.run(INSTALL.format(files=" ".join(f"/lab/{name}" for name in tools)), timeout=900)
            install(lab, host, first, "first.deb")
        with lab.case("it comes up by an initramfs, and its root's driver is a module"):
            boot(lab, host, first.release, f"UUID={uuid}")
            lab.expect(host.run("lsmod | grep -c -e '^virtio_blk ' -e '^kvm_amd '").out.strip() == "2", "no modules for disk and KVM")
        with lab.case("its root moves to LVM, whose driver is a module, too"):
            host.run(MOVE, timeout=900)
            host.put("/mnt/etc/fstab", FSTAB.format(root=VOLUME))
            host.run("umount /mnt")
            boot(lab, host, first.release, VOLUME)
            lab.expect(host.run("findmnt -n -o SOURCE /; lsmod | grep -o '^dm_mod'").out.split() == [VOLUME, "dm_mod"], "the root is not on LVM")
        with lab.case("luctl's packages installed"):
            host.run(INSTALL.format(files="/lab/libluctl0.deb /lab/luctl.deb"), timeout=300)
            lab.expect(lab.ask(host, "status")["state"] == "idle", "luctl status does not say idle")
        with lab.case("the README's first VM"):
            # a shell does not stop at what fails before &&
            host.run("\n".join(["set -e", *(row.replace(" && ", "\n") for row in readme("install -D -t /etc/luctl/vm "))]), timeout=300)
            host.run(QEMU_GOES_ON)
        with lab.case("the next package"):
            told = install(lab, host, second, "second.deb")
            lab.expect(f"guests can be taken into kernel {second.release}" in told, f"the kernel package's hook said: {told}")
        three = lab.three_guests(host)
        begin = host.pump.clock()
        with lab.case("without its initrd or its modules it is refused"):
            result = lab.luctl(host, f"check --kernel /boot/vmlinuz-{first.release}", check=False, timeout=240)
            lab.expect(result.code == 3 and "none is given" in result.out + result.err, f"{result}")
            host.run(f"mv /lib/modules/{first.release} /root/")
            result = lab.luctl(host, f"check --kernel {first.release}", check=False, timeout=240)
            lab.expect(result.code == 3 and "the target's are not there" in result.out + result.err, f"{result}")
            host.run(f"mv /root/{first.release} /lib/modules/")
        with lab.case("a trial refuses an initrd that is cut, and one without the driver of the root"):
            host.run(WRONG.format(release=second.release), timeout=300)
            for initrd in ("cut", "without"):
                begun = host.pump.clock()
                result = lab.luctl(host, f"check --json --trial --kernel {second.release} --initrd /root/{initrd}.img", check=False, timeout=900)
                found = [f for f in json.loads(result.out)["findings"] if f["object"] == "trial jump"]
                lab.expect(result.code == 3 and [f["level"] for f in found] == ["error"], f"{initrd}: {result}")
                lab.say(f"  {initrd}: in {host.pump.clock() - begun:.0f} s: {found[0]['what']}")
        with lab.case("the README's plan and rehearsal"):
            plan, rehearsal, update, *after = [row.partition("#")[0].strip() for row in readme("luctl update --rehearse")]
            lab.expect(update == "luctl update", f"the README's third command is {update}")
            host.run(plan.replace(EXAMPLE_RELEASE, second.release), timeout=240)
            begun = host.pump.clock()
            host.run(f"{rehearsal} --yes", timeout=900)
            lab.say(f"  the rehearsal took {host.pump.clock() - begun:.0f} s, a trial jump among it")
            lab.witness(host, three, begin, limit=LONGEST)
        with lab.case("the README's update"):
            line = host.run("cat /proc/cmdline").out
            mark = host.pump.clock()
            showcase.carry(lab, host, three, None, limit=LONGEST)
            lab.expect(host.release() == second.release, f"{host.release()} runs")
            lab.expect(f"root={VOLUME}" in host.run("cat /proc/cmdline").out, f"not the line of before: {line}")
            host.run(QEMU_GOES_ON)
            blackouts = tell_phases(lab, host, {g.name: lab.span(host, g, mark) for g in three})
            for command in after:
                host.run(f"cd /root && {command}", timeout=60)
            host.run("grep -q '<svg' /root/update.svg")
        with lab.case("the first kernel's package removed"):
            host.run(f"dpkg --purge linux-image-{first.release}", timeout=300)
            host.run(f"test ! -e /boot/initrd.img-{first.release} && test ! -e /boot/vmlinuz-{first.release}")
            lab.luctl(host, "check", timeout=240)
        with lab.case("luctl's packages removed: guests run on"):
            begin = host.pump.clock()
            host.run("dpkg --purge luctl libluctl0", timeout=300)
            host.run("! command -v luctl && ! test -e /usr/sbin/luctld")
            lab.witness(host, three, begin)
        with lab.case("a bare kexec of this host"):
            host.run("systemctl stop 'luctl-vm@*' 'luctl-vm-*'", timeout=120)
            bare = bare_kexec(host, second.release, LINE.format(root=VOLUME))
            lab.say(f"  {bare:.2f} s; ÷ blackout: " + ", ".join(f"{name} {bare / seen:.2f}" for name, seen in blackouts.items()))
