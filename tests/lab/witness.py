# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guests' own lines prove. Everything here is computed from L0's stamps and the guests' text; nothing of luctl's is believed.

A Witness is taken over a span of one guest's console:

    span = witness.Span(host.guest[0], start)
    span.check()            raises with the reason if the guest was reset, went backwards, lost memory, disk, ticks or the time
    span.blackout()         longest time without a line, in seconds of L0, and when it was

Clocks: what a guest says of its clocks (mono, real, tsc) is compared with L0's. Each may stand still while the guest does, and may run on meanwhile; none ever goes back or gets
ahead of L0. The wall clock (real) goes with mono unless the guest was told the time in between (set=).
"""

import re
import statistics

REPORT = re.compile(r"^TICK (\d+) (.*)$")
SHORT = re.compile(r"^T (\d+)$")
START = re.compile(r"^START boot=")
TSC = re.compile(r"^TICK .* tsc=(\d+) .*gap=")

# Seconds by which a clock may seem to have moved between two lines without having done so: a line's stamp may come that late. A jump is far beyond.
CLOCK_SLACK = 1.0
# Lines, one of which is stamped in time: six came late at once on a host that checks all its memory accesses
CLOCK_LINES = 8
# the same of the newest ones, on which nobody waits
LAST_LINES = 4
# A rate that the host's kernel has measured, part of the time that went by
CLOCK_RATE = 0.01
# The host VM reads its time from a clock of whole seconds, in each kernel anew
CLOCK_OF_DAY = 3.0


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
        self.console, self.ticks, self.reports, self.restarts = console, [], [], 0
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
        return self.check_clocks()

    # -- clocks

    def _hz(self):
        """The TSC's frequency by all this guest ever said, None if that is too little: half of the steps between two reports are of a guest that ran."""
        told = [(when, int(m[1])) for when, text in list(self.console.since(0)) for m in [TSC.search(text)] if m]
        steps = [(b - a) / (later - when) for (when, a), (later, b) in zip(told, told[1:]) if later > when]
        return statistics.median(steps) if len(steps) >= 8 else None

    def clock(self, name):
        """[(L0's time, the guest's in seconds)] of one clock."""
        hz = self._hz() if name == "tsc" else 1
        return [(r.when, float(r.fields[name]) / hz) for r in self.reports if name in r.fields and "gap" in r.fields] if hz else []

    def check_clocks(self):
        for name in ("mono", "tsc"):
            self._check_clock(name, self.clock(name))
        self._check_real()
        return self

    def _check_clock(self, name, told):
        """On a busy machine a line may be stamped late, never early. So a clock is behind as the best of a few lines says, before and after."""
        silences = [(a, b - a) for (a, _), (b, _) in zip(self.ticks, self.ticks[1:]) if b - a > CLOCK_SLACK]
        behind = [when - clock for when, clock in told]
        for i, ((before, a), (when, b)) in enumerate(zip(told, told[1:])):
            first, last = max(0, i + 1 - CLOCK_LINES), min(len(told), i + 1 + CLOCK_LINES) - 1
            was, now = min(behind[first:i + 1]), min(behind[i + 1:last + 1])
            stood = sum(s for began, s in silences if told[first][0] <= began < told[last][0])
            at = f"{name} between {told[first][0]:.3f} and {told[last][0]:.3f} s"
            if b <= a:
                self._fail(f"the clock went back by {a - b:.3f} s: {at}")
            if now < was - CLOCK_SLACK:
                self._fail(f"the clock jumped by {was - now:.3f} s beyond the time that went by: {at}")
            if now > was + stood + CLOCK_SLACK:
                self._fail(f"the clock lost {now - was:.3f} s while the guest stood still for {stood:.3f} s: {at}")
            # a rate that is a little off adds up, one that is wrong adds up to more
            lost, rate = now - min(behind[:CLOCK_LINES]), CLOCK_SLACK + CLOCK_RATE * (told[last][0] - told[0][0])
            stood = sum(s for began, s in silences if told[0][0] <= began < told[last][0])
            if not -rate <= lost <= stood + rate:
                self._fail(f"the clock lost {lost:.3f} s so far, of which the guest stood still for {stood:.3f} s: {at}")

    def _check_real(self):
        told = [(r, float(r.mono), float(r.real)) for r in self.reports if "real" in r.fields and "gap" in r.fields]
        for (before, mono, real), (r, later_mono, later) in zip(told, told[1:]):
            if r.fields.get("set") == before.fields.get("set") and abs((later - real) - (later_mono - mono)) > CLOCK_SLACK:
                self._fail(f"the wall clock was set by {(later - real) - (later_mono - mono):.3f} s between {before.when:.3f} and {r.when:.3f} s, and nobody told the guest to")
        for r, _, real in told:
            if real > self.console.epoch + r.when + CLOCK_OF_DAY:
                self._fail(f"the wall clock is ahead by {real - self.console.epoch - r.when:.3f} s at {r.when:.3f} s")

    def behind(self):
        """Seconds by which the guest's wall clock was behind L0's in its last reports."""
        return min(self.console.epoch + r.when - float(r.real) for r in self.reports[-LAST_LINES:])

    def blackout(self):
        """(seconds, when it began): the longest silence between two ticks."""
        return max(((b - a, a) for (a, _), (b, _) in zip(self.ticks, self.ticks[1:])), default=(0.0, 0.0))

    def guest_gap(self):
        """By how much the guest's own clock moved over its longest silence: the TSC's step (cycles) or the Linux clock's (ms) in the report after it."""
        _, began = self.blackout()
        after = [r for r in self.reports if r.when > began]
        return after[0].fields.get("gap") if after else None

    def ran_silently(self):
        """Seconds for which the guest itself ran in its longest silence, too busy for a line: its clock moved, which stands still while the guest does."""
        gap = self.guest_gap()
        if gap and gap.endswith("ms"):
            return int(gap[:-2]) / 1000
        return int(gap) / self._hz() if gap and self._hz() else 0.0

    def gap_of_clock(self):
        """Seconds by which the guest's own clock moved over its longest silence, between the reports around it."""
        _, began = self.blackout()
        told = self.clock("mono") or self.clock("tsc")
        around = [(a, b) for (when, a), (later, b) in zip(told, told[1:]) if when <= began < later]
        return around[0][1] - around[0][0] if around else 0.0

    def hash(self):
        """The hash of the last complete pass over RAM, None before the first."""
        done = [r for r in self.reports if int(r.passes) > 0]
        return done[-1].hash if done else None
