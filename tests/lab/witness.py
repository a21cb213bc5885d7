# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guests' own lines prove. Everything here is computed from L0's stamps and the guests' text; nothing of luctl's is believed.

A Witness is taken over a span of one guest's console:

    span = witness.Span(host.guest[0], start)
    span.check()            raises with the reason if the guest was reset, went backwards, lost memory, disk or ticks
    span.blackout()         longest time without a line, in seconds of L0, and when it was
"""

import re

REPORT = re.compile(r"^TICK (\d+) (.*)$")
SHORT = re.compile(r"^T (\d+)$")
START = re.compile(r"^START boot=")


class WitnessError(Exception):
    """A guest's own lines contradict what was to be shown."""


class Report:
    def __init__(self, when, number, fields):
        self.when, self.number = when, number
        self.fields = dict(f.split("=", 1) for f in fields.split() if "=" in f)

    def __getattr__(self, name):
        try:
            return self.fields[name]
        except KeyError:
            raise AttributeError(name) from None


class Span:
    def __init__(self, console, start=0.0, end=None):
        self.name = console.name
        self.ticks, self.reports, self.restarts = [], [], 0
        for when, text in list(console.since(start)):
            if end is not None and when > end:
                break
            match = SHORT.match(text) or REPORT.match(text)
            if match:
                self.ticks.append((when, int(match[1])))
                if text.startswith("TICK "):
                    self.reports.append(Report(when, int(match[1]), match[2]))
            elif START.match(text):
                self.restarts += 1

    def _fail(self, text):
        raise WitnessError(f"{self.name}: {text}")

    def check(self, reports=2, slack=50):
        """The guest lived through the span: same boot, numbers go up and never faster than time does, memory and disk right, RAM hash always the same."""
        if self.restarts:
            self._fail("started again")
        if len(self.reports) < reports:
            self._fail(f"only {len(self.reports)} reports of {reports}: it does not run")
        for (before, a), (when, b) in zip(self.ticks, self.ticks[1:]):
            # numbers may be left out: a line was spoiled by the change of kernels, or the guest was not scheduled. At most a tick each 10 ms.
            if not a < b <= a + slack + (when - before) * 100:
                self._fail(f"tick {a} was followed by {b} at {when:.3f} s")
        if len({r.boot for r in self.reports}) != 1:
            self._fail("the boot id changed")
        for r in self.reports:
            if r.mem != "ok":
                self._fail(f"memory damaged at tick {r.number}")
            for what in ("disk", "flow"):
                if r.fields.get(what, "none").startswith("BAD"):
                    self._fail(f"{what} damaged at tick {r.number}")
        hashes = {r.hash for r in self.reports if int(r.passes) > 0}
        if len(hashes) > 1:
            self._fail(f"RAM hash changed: {sorted(hashes)}")
        return self

    def blackout(self):
        """(seconds, when it began): the longest silence between two ticks."""
        return max(((b - a, a) for (a, _), (b, _) in zip(self.ticks, self.ticks[1:])), default=(0.0, 0.0))

    def guest_gap(self):
        """By how much the guest's own clock moved over its longest silence: the TSC's step (cycles) or the Linux clock's (ms) in the report after it."""
        _, began = self.blackout()
        after = [r for r in self.reports if r.when > began]
        return after[0].fields.get("gap") if after else None

    def hash(self):
        """The hash of the last complete pass over RAM, None before the first."""
        done = [r for r in self.reports if int(r.passes) > 0]
        return done[-1].hash if done else None
