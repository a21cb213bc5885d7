# SPDX-License-Identifier: GPL-2.0-or-later
"""What is set up again differs from what the devices use (a page short, other memory, other rights, another device): refused, and the card goes on."""

import time

from lab import devices

KERNELS = ["7.3"]
LIMIT = 1200

# Right before the jump, what was saved of the devices is changed by a program, and the checksum that guards it is made to fit.
SPOIL = r"""#!/usr/bin/perl
# hook: changes devices.json of the one VM there is
use strict;
exit 0 unless $ARGV[0] eq 'jump';
sub get { open my $f, '<', $_[0] or die; local $/; <$f> }
sub put { open my $f, '>', $_[0] or die; print $f $_[1]; close $f or die }
sub crc32 {
	my $crc = 0xffffffff;
	for my $byte (unpack 'C*', $_[0]) {
		$crc ^= $byte;
		$crc = $crc & 1 ? ($crc >> 1) ^ 0xedb88320 : $crc >> 1 for 1 .. 8;
	}
	return $crc ^ 0xffffffff;
}
my ($dir) = glob '/run/luctl/pkernfs/vm/*/devices.json';
$dir =~ s,/devices.json,,;
my $text = my $old = get("$dir/devices.json");
CHANGE;
die 'nothing was changed' if $text eq $old;
put("$dir/devices.json", $text);
my $saved = get("$dir/saved.json");
$saved =~ s/"devices_size": *\K\d+/length $text/e or die;
$saved =~ s/"devices_crc32": *\K\d+/crc32($text)/e or die;
put("$dir/saved.json", $saved);
"""

# what is changed, and a word of the reason that must be given
CASES = {
    "a page short": (r'$text =~ s/"length": *\K(\d+)/$1 - 4096/e', "translates differently"),
    "other memory": (r'$text =~ s/"length": *\K(\d{8,})(,\s*"memory": *\d+,\s*"offset": *)(\d+)/($1 - 4096) . $2 . ($3 + 4096)/e', "translates differently"),
    "other rights": (r'$text =~ s/"write": *\Ktrue/false/', "translates differently"),
    "another device": (r'$text =~ s/0000:00:0c\.0/0000:00:09.0/g', "not among the devices"),
}


def run(lab):
    for number, (title, (change, reason)) in enumerate(CASES.items()):
        with lab.case(title), devices.host_with_card(lab, rate=25, spare=["-device", "igb,addr=0x9"]) as (host, wire, guest):
            host.run("mkdir -p /etc/luctl/hooks.d")
            host.put("/etc/luctl/hooks.d/fault", SPOIL.replace("CHANGE", change), mode="755")
            begin = time.monotonic()
            result, _ = host.jump(f"luctl update --kernel {lab.image_of('7.3')} --yes")
            lab.expect(result is None, f"no jump: {result}")
            lab.luctl(host, "status --wait", check=False, timeout=240)
            error = next(vm["error"] for vm in lab.ask(host, "report")["vms"])
            lab.expect(error and reason in str(error), f"the reason is {error}")
            state = host.run(f"cat /sys/bus/pci/devices/{devices.ADDRESS}/pkeep_state").out.strip()
            lab.expect(state == "inherited", f"the card is {state}")
            sent = wire.sent
            time.sleep(5)
            waited = wire.waited(begin, host.pump)
            lab.expect(wire.sent > sent + 50 and waited < devices.LONGEST, f"the card stopped: {wire.sent - sent} frames in 5 s, one waited for {waited:.3f} s")
            lab.say(f"  {error}; the card goes on, no frame waited longer than {waited:.3f} s")
