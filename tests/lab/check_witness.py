# SPDX-License-Identifier: GPL-2.0-or-later
"""The witness must be able to accuse: invented consoles, each with one thing wrong, and one that is right."""

from .witness import Span, WitnessError


class Invented:
    """A console with given lines."""

    name = "invented"

    def __init__(self, lines):
        self.lines = lines

    def since(self, seconds):
        return [x for x in self.lines if x[0] >= seconds]


def console(ticks=400, boot="b", hash_of=lambda n: "h", mem=lambda n: "ok", disk=lambda n: "ok:1", flow=lambda n: "ok:1/1/1", number=lambda n: n, when=lambda n: n / 100, extra=()):
    lines = [(when(n), f"TICK {number(n)} boot={boot if isinstance(boot, str) else boot(n)} ram=64 mem={mem(n)} hash={hash_of(n)} passes={n // 100} "
              f"disk={disk(n)} flow={flow(n)}" if n % 25 == 0 else f"T {number(n)}") for n in range(1, ticks)]
    return Invented(sorted(lines + list(extra)))


GUILTY = {
    "reset": console(extra=[(2.005, "START boot=c")]),
    "another boot": console(boot=lambda n: "b" if n < 200 else "c"),
    "counter back": console(number=lambda n: n if n < 200 else n - 100),
    "counter ahead": console(number=lambda n: n if n < 200 else n + 1000),
    "memory": console(mem=lambda n: "ok" if n != 300 else "BAD"),
    "hash": console(hash_of=lambda n: "h" if n < 300 else "i"),
    "disk": console(disk=lambda n: "ok:1" if n != 300 else "BAD:7"),
    "flow": console(flow=lambda n: "ok:9/9/9" if n != 300 else "BAD:9/9/9"),
    "silence": console(ticks=20),
}


def check():
    """Problems found, as a list of texts."""
    problems = []
    for title, bad in GUILTY.items():
        try:
            Span(bad).check()
            problems.append(f"a console with this wrong was accepted: {title}")
        except WitnessError:
            pass
    good = console(when=lambda n: n / 100 + (3.5 if n > 200 else 0))
    try:
        seconds, _ = Span(good).check().blackout()
        if abs(seconds - 3.51) > 0.001:
            problems.append(f"a silence of 3.51 s was measured as {seconds}")
    except WitnessError as error:
        problems.append(f"a right console was refused: {error}")
    return problems
