# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's journal of calls is not what its devices need: caught right before the jump, or refused by name in the next kernel, and the card goes on."""

import time

from lab import devices

KERNELS = ["7.3"]
LIMIT = 2400

LU_INIT = "/usr/lib/luctl/lu-init"

# What both spoilers share: reading and writing of the journal by its contract (libluctl/calls/calls.h), and commits that fit it.
COMMON = r"""
use strict;
sub get { open my $f, '<', $_[0] or die; binmode $f; local $/; <$f> }
sub put { open my $f, '>', $_[0] or die; binmode $f; print $f $_[1]; close $f or die }
my @table = map { my $c = $_; $c = $c & 1 ? ($c >> 1) ^ 0xedb88320 : $c >> 1 for 1 .. 8; $c } 0 .. 255;
sub crc32 {
	my ($text, $crc) = (@_, 0);
	$crc ^= 0xffffffff;
	$crc = $table[($crc ^ $_) & 0xff] ^ ($crc >> 8) for unpack 'C*', $text;
	return $crc ^ 0xffffffff;
}
our ($dir, $head, @calls);     # the calls as they lie in the file, each with its head
sub load {
	($dir) = glob '/run/luctl/pkernfs/vm/*/journal' or die 'there is no journal';
	$dir =~ s,/journal,,;
	my $data = get("$dir/journal");
	my $at = unpack 'x12 V', $data;
	$head = substr $data, 0, $at;
	while (1) {
		my ($length, $type) = unpack 'x4 V x8 V', substr $data, $at, 24;
		last if $type != 1;
		push @calls, substr $data, $at, $length;
		$at += $length;
	}
}
sub name { my ($n) = unpack 'x40 v', $_[0]; substr $_[0], 48, $n }
# where a call's arguments begin
sub args { my ($a, $b) = unpack 'x40 v v', $_[0]; 48 + (($a + $b + 7) & ~7) }
# numbers, checksums and seal are put right; so are devices.json and saved.json
sub store {
	my $chain = crc32(substr $head, 0, 124);
	substr($head, 124, 4) = pack 'V', $chain;
	my ($data, $salt, $seq) = ($head, unpack('x24 V', $head), 0);
	my $add = sub {
		my ($record) = @_;
		substr($record, 8, 8) = pack 'V V', $salt, ++$seq;
		$chain = crc32(substr($record, 4), $chain);
		substr($record, 0, 4) = pack 'V', $chain;
		$data .= $record;
	};
	$add->($_) for @calls;
	my $sum = crc32($data);
	$add->(pack 'V V V V V V V V', 0, 32, 0, 0, 2, 0, scalar @calls, $sum);
	put("$dir/journal", $data);
	my $text = get("$dir/devices.json");
	$text =~ s/"calls": *\K\d+/scalar @calls/e or die;
	$text =~ s/"sum": *\K\d+/$sum/e or die;
	put("$dir/devices.json", $text);
	my $saved = get("$dir/saved.json");
	$saved =~ s/"devices_size": *\K\d+/length $text/e or die;
	$saved =~ s/"devices_crc32": *\K\d+/crc32($text)/e or die;
	put("$dir/saved.json", $saved);
}
sub pick { my ($call, $n) = (@_, 0); for (0 .. $#calls) { return $_ if name($calls[$_]) eq $call && !$n-- } die "no $call" }
sub change { my ($i, $arg, $by) = @_; my $at = args($calls[$i]) + 8 * $arg; substr($calls[$i], $at, 8) = pack 'Q<', $by->(unpack 'Q<', substr $calls[$i], $at, 8) }
"""

# As PID 1 of the next kernel, in place of lu-init, which it becomes: what was looked at right before the jump is changed after it.
# luctld looks for some words in what is installed (LU_CALLS_READER): comments of it have them.
WRAPPER = r"""#!/usr/bin/perl
COMMON
# luctl: executes journals of calls, version 1
# luctl: executes calls of containers
sub spoil {
	load();
	CHANGE;
}
if ($$ == 1) {
	my $mount = sub { system('mount', '-t', @_) == 0 or warn "mount @_" };
	$mount->('proc', 'proc', '/proc') unless -e '/proc/self';
	$mount->('sysfs', 'sysfs', '/sys') unless -e '/sys/kernel';
	$mount->('devtmpfs', 'devtmpfs', '/dev') unless -e '/dev/null';
	unless (-d '/run/luctl/pkernfs/vm') {
		$mount->('tmpfs', 'tmpfs', '/run') unless -d '/run/luctl';
		system 'mkdir', '-p', '/run/luctl/pkernfs';
		$mount->('pkernfs', '-o', 'nosuid,nodev,noexec', 'pkernfs', '/run/luctl/pkernfs');
	}
	eval { spoil() };
	if ($@ and open my $k, '>', '/dev/kmsg') { print $k "spoil: $@"; close $k }
}
exec '/usr/lib/luctl/lu-init.real', @ARGV;
"""

# A hook of the administrator, which runs before the last look.
HOOK = r"""#!/usr/bin/perl
exit 0 unless $ARGV[0] eq 'jump';
COMMON
load();
CHANGE;
"""

FLIP = r"my $data = get(qq($dir/journal)); substr($data, 600, 1) = chr(ord(substr $data, 600, 1) ^ 4); put(qq($dir/journal), $data)"
CUT = r"my $data = get(qq($dir/journal)); put(qq($dir/journal), substr $data, 0, -1)"
MAP = "pick('IOMMU_IOAS_MAP_FILE')"
LARGEST = r"(sort { unpack('Q<', substr $calls[$b], args($calls[$b]) + 24, 8) <=> unpack('Q<', substr $calls[$a], args($calls[$a]) + 24, 8) } grep { name($calls[$_]) eq 'IOMMU_IOAS_MAP_FILE' } 0 .. $#calls)[0]"

# what is changed after the jump, and a word of the reason that must be given
AFTER = {
    "a page short": (rf"change({LARGEST}, 3, sub {{ $_[0] - 4096 }}); store()", "translates differently"),
    "other memory": (rf"my $i = {LARGEST}; change($i, 3, sub {{ $_[0] - 4096 }}); change($i, 5, sub {{ $_[0] + 4096 }}); store()", "translates differently"),
    "other rights": (rf"change({MAP}, 1, sub {{ $_[0] & ~2 | 4 }}); store()", "translates differently"),
    "a map left out": (rf"splice @calls, {LARGEST}, 1; store()", "translates differently"),
    "another device": (r"change(pick('open-device'), 0, sub { 9 << 3 }); store()", "not among the devices"),
    "a call left out": (r"splice @calls, pick('VFIO_DEVICE_BIND_IOMMUFD'), 1; store()", "journal: call"),
    "two swapped": (r"my $i = pick('VFIO_DEVICE_BIND_IOMMUFD'); @calls[$i, $i - 1] = @calls[$i - 1, $i]; store()", "it would get id"),
    "an id that can't be had": (r"my $i = pick('VFIO_DEVICE_BIND_IOMMUFD'); substr($calls[$i], 36, 4) = pack 'V', 77; store()", "it would get id"),
    "an unknown call": (r"my $i = pick('VFIO_DEVICE_ATTACH_IOMMUFD_PT'); substr($calls[$i], 48, 4) = 'VFOI'; store()", "is not known here"),
    "another VM's": (r"substr($head, 56, 1) = chr(ord(substr $head, 56, 1) ^ 1); store()", "it is of VM"),
    "another boot's": (r"substr($head, 72, 1) = chr(ord(substr $head, 72, 1) ^ 1); store()", "it was written in boot"),
    "not the committed one": (r"my ($d, $s) = (get(qq($dir/devices.json)), get(qq($dir/saved.json))); splice @calls, -1; store(); put(qq($dir/devices.json), $d); put(qq($dir/saved.json), $s)",
                              "is not the one that was committed"),
    "cut": (CUT, "cut off"),
    "flipped": (FLIP, "journal: record"),
}

# the same before it: the update is aborted, by name
BEFORE = {
    "a map changed before the jump": (rf"change({MAP}, 3, sub {{ $_[0] - 4096 }}); store()", "the kernel tells something else now"),
    "flipped before the jump": (FLIP, "journal: record"),
}


def refused(lab, title, change, reason):
    with lab.case(title), devices.host_with_card(lab, rate=100, spare=["-device", "igb,addr=0x9"]) as (host, wire, guest):
        host.run(f"mv {LU_INIT} {LU_INIT}.real")
        host.put(LU_INIT, WRAPPER.replace("COMMON", COMMON).replace("CHANGE", change), mode="755")
        begin = time.monotonic()
        result, _ = host.jump(f"luctl update --kernel {lab.image_of('7.3')} --yes --no-trial")
        lab.expect(result is None, f"no jump: {result}")
        lab.luctl(host, "status --wait", check=False, timeout=240)
        error = next(vm["error"] for vm in lab.ask(host, "report")["vms"])
        lab.expect(error and reason in str(error), f"the reason is {error}; {host.run('dmesg | grep spoil: || true').out}")
        state = host.run(f"cat /sys/bus/pci/devices/{devices.ADDRESS}/pkeep_state").out.strip()
        lab.expect(state == "inherited", f"the card is {state}")
        goes_on(lab, host, wire, begin)
        lab.say(f"  {error}")


def goes_on(lab, host, wire, begin):
    sent = wire.sent
    time.sleep(5)
    waited = wire.waited(begin, host.pump)
    lab.expect(wire.sent > sent + 200 and waited < devices.LONGEST, f"the card stopped: {wire.sent - sent} frames in 5 s, one waited for {waited:.3f} s")
    lab.say(f"  the card goes on, no frame waited longer than {waited:.3f} s")


def aborted(lab, title, change, reason):
    with lab.case(title), devices.host_with_card(lab, rate=100) as (host, wire, guest):
        host.run("mkdir -p /etc/luctl/hooks.d")
        host.put("/etc/luctl/hooks.d/fault", HOOK.replace("COMMON", COMMON).replace("CHANGE", change), mode="755")
        begin = time.monotonic()
        update = host.run(f"luctl update --kernel {lab.image_of('7.3')} --yes --no-trial", check=False, timeout=300)
        lab.expect(update.code == 5 and reason in update.out + update.err, f"exit code {update.code}: {update.out[-600:]}{update.err[-600:]}")
        goes_on(lab, host, wire, begin)
        devices.stream_whole(lab, host, wire, guest, begin)


def run(lab):
    for title, (change, reason) in AFTER.items():
        refused(lab, title, change, reason)
    for title, (change, reason) in BEFORE.items():
        aborted(lab, title, change, reason)
