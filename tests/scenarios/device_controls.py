# SPDX-License-Identifier: GPL-2.0-or-later
"""What must not go on does not: a card that can write outside preserved memory refuses the jump; one whose new owner dies before it is attached stops and writes no more.

And the control of all that goes on: a stock kernel that somebody has forced upon the host takes the card away from its guest.
"""

import time

from lab import devices

KERNELS = ["7.3", "debian"]
LIMIT = 1200

SPARE = "0000:00:09.0"

# A program beside luctl that has the spare card, with a table of ordinary memory: marked like this it could write there for ever.
OWNER = r"""
use POSIX ();
sub call { my ($file, $number, $arg) = @_; defined ioctl($file, ord(';') << 8 | $number, $_[2]) or die "ioctl $number: $!" }
open my $iommufd, '+<', '/dev/iommu' or die "/dev/iommu: $!";
my ($name) = glob "/sys/bus/pci/devices/$ARGV[0]/vfio-dev/*";
$name =~ s,.*/,,;
open my $device, '+<', "/dev/vfio/devices/$name" or die "$name: $!";
call($device, 118, my $bind = pack 'L4', 16, 0, fileno $iommufd, 0);        # VFIO_DEVICE_BIND_IOMMUFD
call($iommufd, 0x81, my $ioas = pack 'L3', 12, 0, 0);                       # IOMMU_IOAS_ALLOC
$ioas = (unpack 'L3', $ioas)[2];
my $memory = "\0" x (1 << 20);
my $at = (unpack('J', pack 'p', $memory) + 4095) & ~4095;
call($iommufd, 0x85, my $map = pack 'L4Q3', 40, 7, $ioas, 0, $at, 65536, 1 << 20);  # IOMMU_IOAS_MAP: fixed, written and read
call($device, 119, my $attach = pack 'L3', 12, 0, $ioas);                   # VFIO_DEVICE_ATTACH_IOMMUFD_PT
open my $mark, '>', "/sys/bus/pci/devices/$ARGV[0]/pkeep" or die "pkeep: $!";
print $mark 1;
close $mark or die "marking: $!";
open my $ready, '>', '/run/owner-ready';
close $ready;
sleep;
"""

# lu-init dies in its second call to the device: the first binds it, attaching comes later
DIES = "strace -o /run/strace.log -P /dev/vfio/devices/vfio0 -P /dev/vfio/devices/vfio1 -e trace=ioctl -e inject=ioctl:signal=KILL:when=2"

# right before the jump another image is put in the place of the one that was checked, and promises what it can't do; it has no root and stays in panic;
# luctld would see that the kernel has counted one more
FORCE = """#!/bin/sh
[ "$1" = jump ] || exit 0
cat /sys/kernel/kexec/changes > /run/changes
mount --bind /run/changes /sys/kernel/kexec/changes
kexec -s -u
exec kexec -s -l {image} --command-line='console=ttyS0 intel_iommu=on kho=on panic=0 pkeep=1'
"""


def state(host, address=devices.ADDRESS):
    return host.run(f"cat /sys/bus/pci/devices/{address}/pkeep_state").out.strip()


def memory(host):
    return host.run("sha256sum /run/luctl/pkernfs/ram/nic/ram0", timeout=120).out


def run(lab):
    # the guest's receive ring must hold what comes while it stands still
    with devices.host_with_card(lab, rate=25, spare=["-device", "igb,addr=0x9"]) as (host, wire, guest):
        with lab.case("a card that can write outside preserved memory"):
            host.put("/tmp/owner.pl", OWNER)
            function = f"/sys/bus/pci/devices/{SPARE}"
            host.run(f"echo vfio-pci > {function}/driver_override; [ ! -e {function}/driver ] || echo {SPARE} > {function}/driver/unbind; echo {SPARE} > /sys/bus/pci/drivers_probe")
            host.run(f"systemd-run --quiet --unit=owner -p IgnoreOnIsolate=yes perl /tmp/owner.pl {SPARE}; for i in $(seq 60); do [ -e /run/owner-ready ] && exit; sleep 0.5; done; journalctl -u owner; exit 1", timeout=60)
            said = lab.luctl(host, f"plan --kernel {lab.image_of('7.3')}").out
            lab.expect(f"{SPARE}: is marked to go on" in said and f"{devices.ADDRESS}: is marked" not in said, f"luctl plan does not tell of the mark: {said}")
            begin, start, boot = time.monotonic(), host.pump.clock(), host.boot_id()
            result = lab.luctl(host, f"update --kernel {lab.image_of('7.3')} --yes", check=False, timeout=240)
            lab.luctl(host, "status --wait", check=False, timeout=120)
            status = lab.ask(host, "status")
            lab.expect(status["state"] == "aborted", f"the update is {status}: {result}")
            lab.expect(host.run("cat /proc/sys/kernel/random/boot_id").out.strip() == boot, "the host was rebooted")
            lab.expect(SPARE in str(status["error"]), f"the reason does not name the card: {status['error']}")
            devices.nothing_lost(lab, host, wire, guest, start, begin)
            lab.say(f"  {status['error']}")
            host.run(f"echo 0 > {function}/pkeep; systemctl stop owner")

        with lab.case("its new owner dies before it is attached"):
            host.run("mkdir -p /etc/luctl/hooks.d")
            host.put("/etc/luctl/hooks.d/fault", '#!/bin/sh\n[ "$1" = pausing ] || exit 0\nmv /usr/bin/qemu-system-x86_64 /usr/bin/away; sync\n', mode="755")
            begin = time.monotonic()
            result, _ = host.jump(f"luctl update --kernel {lab.image_of('7.3')} --yes")
            lab.expect(result is None, f"no jump: {result}")
            lab.luctl(host, "status --wait", check=False, timeout=180)
            host.run("mv /usr/bin/away /usr/bin/qemu-system-x86_64; rm /etc/luctl/hooks.d/fault")
            lab.expect(state(host) == "inherited", f"the card is {state(host)}")
            # the control of what follows: as long as it is inherited it writes
            before = memory(host)
            time.sleep(2)
            lab.expect(memory(host) != before, "the card writes nothing while it is inherited: what follows would show nothing")
            uuid = lab.ask(host, "vm show nic")["uuid"]
            host.run(f"{DIES} /usr/lib/luctl/lu-init --restore {uuid}", check=False, timeout=60)
            calls = host.run("cat /run/strace.log").out
            lab.expect("killed by SIGKILL" in calls and calls.count(") = 0") == 1, f"it did not die between binding and attaching: {calls}")
            lab.expect(state(host) == "abandoned", f"the card is {state(host)}: {calls}")
            sent, before = wire.sent, memory(host)
            time.sleep(5)
            lab.expect(memory(host) == before, "the guest's memory still changes")
            lab.expect(wire.sent <= sent + 10, f"the card still takes frames: {wire.sent - sent}")
            result = lab.luctl(host, "restore nic", check=False, timeout=120)
            # what the dead process had is gone with it: this guest can't be restored, and is told so
            lab.expect(result.code != 0 and "a process that had it has ended" in result.err, f"luctl restore: {result}")
            lab.say("  " + result.err.strip())
            lab.expect(memory(host) == before, "the guest's memory still changes")

    with devices.host_with_card(lab, rate=25) as (host, wire, guest), lab.case("a stock kernel"):
        result = lab.luctl(host, f"update --kernel {lab.image_of('debian')} --yes", check=False, timeout=120)
        lab.expect(result.code == 3, f"it is not refused: {result}")
        lab.say("  refused: " + result.err.strip().splitlines()[0])
        host.run("mkdir -p /etc/luctl/hooks.d")
        host.put("/etc/luctl/hooks.d/fault", FORCE.format(image=lab.image_of("debian")), mode="755")
        host.agent.spawn(["/bin/sh", "-c", f"luctl update --kernel {lab.image_of('7.3')} --yes"])
        end = time.monotonic() + 180
        while time.monotonic() < end and not (wire.taken and time.monotonic() - wire.taken[-1] > 10):
            time.sleep(0.5)
        lab.expect(time.monotonic() < end, "the card goes on for a kernel that knows nothing of it: what the other scenarios see proves nothing")
        lab.expect("Translation was enabled for dmar0" in (lab.results / "host2" / "host.log").read_text(errors="replace"), "the stock kernel did not start, or takes over translation")
        lab.say(f"  forced: the card stopped, {wire.sent} frames taken")
