# SPDX-License-Identifier: GPL-2.0-or-later
"""The same update five times in one host VM: guests go on, and the host's fds, memory and files are back where they were."""

KERNELS = ["7.3"]
LIMIT = 1200

# What one round may leave behind, by the daemon's own open files and by memory that neither guests nor page cache use
FDS = 4
MEMORY_KIB = 24 << 10


def state(host):
    fds = int(host.run("ls /proc/$(systemctl show -p MainPID --value luctld)/fd | wc -l").out)
    host.run("sync; echo 3 > /proc/sys/vm/drop_caches")
    free = int(host.run("awk '/MemAvailable/ {print $2}' /proc/meminfo").out)
    files = host.run("cd /run/luctl/pkernfs && find . | sort").out.split()
    used = int(host.run("stat -f -c '%b %f' /run/luctl/pkernfs | awk '{print $1 - $2}'").out)
    return fds, free, files, used


def run(lab):
    with lab.host() as host:
        three = lab.three_guests(host)
        begin = host.pump.clock()
        seen = []
        for number in range(1, 6):
            start = lab.update(host, "7.3")
            lab.witness(host, three, start)
            seen.append(state(host))
            lab.say(f"round {number}: {seen[-1][0]} fds, {seen[-1][1] >> 10} MiB available, {len(seen[-1][2])} files and {seen[-1][3]} blocks in pkernfs")
        lab.witness(host, three, begin)
        # the first update makes the files of updates; from then on nothing may grow
        first, last = seen[0], seen[-1]
        lab.expect(abs(last[0] - first[0]) <= FDS, f"the daemon's fds went from {first[0]} to {last[0]}")
        lab.expect(first[1] - last[1] < MEMORY_KIB, f"available memory went from {first[1]} to {last[1]} KiB")
        lab.expect(last[2] == first[2], f"files in pkernfs changed: {sorted(set(first[2]) ^ set(last[2]))}")
        lab.expect(last[3] <= first[3] + 64, f"blocks in pkernfs went from {first[3]} to {last[3]}")
