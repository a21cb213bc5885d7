# SPDX-License-Identifier: GPL-2.0-or-later
"""Between versions and configurations: 7.3 → 7.2 → 7.3 → 7.3 with another configuration → 7.2, the same guests all the way."""

KERNELS = ["7.3", "7.2", "7.3-b"]
LIMIT = 1200


def run(lab):
    with lab.host() as host:
        three = lab.three_guests(host)
        begin = host.pump.clock()
        for target in ("7.2", "7.3", "7.3-b", "7.2"):
            start = lab.update(host, target)
            lab.expect(host.release() == lab.product(target).release, f"the kernel is {host.release()}, not {lab.product(target).release}")
            lab.witness(host, three, start)
        lab.witness(host, three, begin)
