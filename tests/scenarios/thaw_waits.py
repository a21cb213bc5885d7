# SPDX-License-Identifier: GPL-2.0-or-later
"""An update that is undone while a file system can't be thawed: the guests run on at once, and the undo ends once the disk answers.

An image on a loop device waits, when it is thawed, for the file system that holds it. If luctld thaws that first, all is well. If somebody else holds it frozen, only the
host's file system has to wait for him.
"""

import time

from lab import guests

KERNELS = ["7.3"]
LIMIT = 600

# the outer file system of the second image is seen in a mount namespace of its own only, where luctld does not freeze it
MAKE = """
truncate -s 32M /root/one.img && mke2fs -q -t ext4 -F /root/one.img && mkdir -p /mnt/one && mount -o loop /root/one.img /mnt/one
truncate -s 96M /root/outer.img && mke2fs -q -t ext4 -F /root/outer.img && mkdir -p /mnt/outer /mnt/two
mkdir -p /run/ns && touch /run/ns/outer && mount --bind /run/ns /run/ns && mount --make-private /run/ns
unshare --mount=/run/ns/outer --propagation private sh -c 'mount -o loop /root/outer.img /mnt/outer && truncate -s 32M /mnt/outer/two.img && mke2fs -q -t ext4 -F /mnt/outer/two.img && losetup -f --show /mnt/outer/two.img > /run/two'
mount $(cat /run/two) /mnt/two
touch /mnt/one/x /mnt/two/x; sync
"""
FREEZE = "nsenter --mount=/run/ns/outer fsfreeze --freeze /mnt/outer"
THAW = "nsenter --mount=/run/ns/outer fsfreeze --unfreeze /mnt/outer"


def hook(host, action):
    host.run("mkdir -p /etc/luctl/hooks.d")
    host.put("/etc/luctl/hooks.d/fault", f'#!/bin/sh\n[ "$1" = jump ] || exit 0\n{action}\nexit 1\n', mode="755")


def run(lab):
    with lab.host() as host:
        red = guests.Ticker("red", 1, 64)
        lab.start(host, red)
        for line in MAKE.strip().splitlines():
            host.run(line, timeout=60)

        with lab.case("the file system that holds an image is thawed before the image"):
            hook(host, "")
            begin = host.pump.clock()
            result = lab.luctl(host, f"update --kernel {lab.image_of('7.3')} --yes", check=False, timeout=120)
            lab.expect("exit code 1" in (result.err + result.out), f"not refused by the hook: {result}")
            lab.expect(lab.ask(host, "status")["state"] == "aborted", f"state is {lab.ask(host, 'status')}")
            lab.witness(host, (red,), begin)
            host.run("touch /mnt/one/y /mnt/two/y && sync", timeout=20)

        with lab.case("a file system can't be thawed"):
            hook(host, FREEZE)
            begin = host.pump.clock()
            host.run(f"systemd-run --unit=asked --property=IgnoreOnIsolate=yes luctl update --kernel {lab.image_of('7.3')} --yes")
            deadline = time.monotonic() + 90
            while lab.ask(host, "status")["state"] != "aborting":
                lab.expect(time.monotonic() < deadline, f"state is {lab.ask(host, 'status')}")
                time.sleep(0.5)
            lab.witness(host, (red,), begin)
            state = lab.ask(host, "status")["state"]
            lab.expect(state == "aborting", f"the guest runs, and the undo waits for the disk; but the state is {state}")
            host.run(THAW)
            lab.luctl(host, "status --wait", check=False, timeout=120)
            lab.expect(lab.ask(host, "status")["state"] == "aborted", f"state is {lab.ask(host, 'status')}")
            host.run("touch /mnt/two/z && sync", timeout=20)
            lab.witness(host, (red,), begin)
