# SPDX-License-Identifier: GPL-2.0-or-later
"""What the build machine had of its own CPUs. It is a VM itself: for as long as its host gives them to others, nobody here can run, and a limit of time says nothing.

    clock = machine.Clock()
    clock.sample(now)               at least each second or so
    clock.had(begin, end)           of these seconds, those in which it had the CPUs it wanted
"""

import bisect

# Less than this of all CPUs wanted: the shares of so little are noise
IDLE = 0.1


def cpus(text):
    """(CPUs, ticks of 10 ms that they ran, ticks that were wanted and not had), of /proc/stat."""
    rows = [row.split() for row in text.splitlines() if row.startswith("cpu")]
    user, nice, system, _, _, irq, softirq, steal = map(int, rows[0][1:9])
    return len(rows) - 1, user + nice + system + irq + softirq, steal


def share(before, after, seconds):
    """What was had of the CPUs that were wanted, from 0 to 1."""
    count, ran, stolen = after[0], after[1] - before[1], after[2] - before[2]
    return ran / (ran + stolen) if ran + stolen > IDLE * count * seconds * 100 else 1.0


class Clock:
    """Goes as fast as L0's clock while the machine has its CPUs, slower while it has part of them."""

    STEP = 1.0

    def __init__(self):
        self._told, self._cpus = [(0.0, 0.0)], None

    def sample(self, now):
        when, had = self._told[-1]
        if now - when < self.STEP and self._cpus:
            return
        with open("/proc/stat") as f:
            told = cpus(f.read())
        self._told.append((now, had + (now - when) * (share(self._cpus, told, now - when) if self._cpus else 1.0)))
        self._cpus = told

    def _at(self, seconds):
        """Interpolated; beyond the last sample as if all were had."""
        i = bisect.bisect_left(self._told, (seconds,))
        (a, x) = self._told[max(i - 1, 0)]
        if i == len(self._told):
            return x + seconds - a
        (b, y) = self._told[i]
        return x + (y - x) * (seconds - a) / (b - a) if b > a else y

    def had(self, begin, end):
        return self._at(end) - self._at(begin)
