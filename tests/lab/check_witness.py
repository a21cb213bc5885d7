# SPDX-License-Identifier: GPL-2.0-or-later
"""The witness must be able to accuse: invented consoles, each with one thing wrong, and one that is right."""

import pathlib
import tempfile

from . import emulator, machine
from .witness import Span, WitnessError


class Invented:
    """A console with given lines."""

    name = "invented"
    epoch = 1_000_000

    def __init__(self, lines):
        self.lines = lines

    def since(self, seconds):
        return [x for x in self.lines if x[0] >= seconds]


def console(ticks=400, boot="b", hash_of=lambda n: "h", mem=lambda n: "ok", disk=lambda n: "ok:1", flow=lambda n: "ok:1/1/1", number=lambda n: n, when=lambda n: n / 100, extra=(),
            mono=lambda n: n / 100, real=None, tsc=None, told=lambda n: 0, moved=0):
    real, tsc = real or (lambda n: Invented.epoch + mono(n)), tsc or mono
    lines = [(when(n), f"TICK {number(n)} boot={boot if isinstance(boot, str) else boot(n)} ram=64 mem={mem(n)} hash={hash_of(n)} passes={n // 100} "
              f"mono={mono(n):.3f} real={real(n):.3f} tsc={int(tsc(n) * 2e9)} set={told(n)} disk={disk(n)} flow={flow(n)} gap={moved}"
              if n % 25 == 0 else f"T {number(n)}") for n in range(1, ticks)]
    return Invented(sorted(lines + list(extra)))


def after(n, step):
    """The clock of a guest that stands still for 3.5 s after its tick 200, and then goes on step further."""
    return n / 100 + (step if n > 200 else 0)


def gap(n):
    return after(n, 3.5)


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
    "clock ahead": console(mono=lambda n: after(n, 1.5)),
    "clock ahead by a whole uptime": console(mono=lambda n: after(n, 60.0), when=gap),
    "clock ahead of the gap": console(mono=lambda n: after(n, 5.0), when=gap),
    "clock back": console(mono=lambda n: after(n, -0.5), when=gap),
    "clock lost without a gap": console(mono=lambda n: n / 100 if n <= 200 else n / 100 - 0.9 + (200 - n) / 200),
    "slow clock": console(ticks=2000, mono=lambda n: n / 110),
    "fast clock": console(ticks=2000, mono=lambda n: n / 90),
    "TSC ahead": console(tsc=lambda n: after(n, 60.0), when=gap),
    "TSC back": console(tsc=lambda n: after(n, -0.5), when=gap),
    "TSC back by a whole uptime": console(tsc=lambda n: 60 + after(n, -60.0), when=gap),
    "TSC lost without a gap": console(tsc=lambda n: n / 100 if n <= 200 else n / 100 - 0.9 + (200 - n) / 200),
    "wall clock set by nobody": console(real=lambda n: Invented.epoch + gap(n), when=gap),
    "wall clock ahead of the gap": console(real=lambda n: Invented.epoch + after(n, 8.0), when=gap, told=lambda n: n > 200),
}
INNOCENT = {
    "clocks that stood still": console(when=gap),
    "clocks that ran on": console(when=gap, mono=gap),
    "only the TSC ran on": console(when=gap, tsc=gap),
    "wall clock set because somebody said so": console(when=gap, real=lambda n: Invented.epoch + gap(n), told=lambda n: int(n > 200)),
    "lines that came late, all at once": console(when=lambda n: max(n / 100, 3.3 + n / 1e6) if n > 200 else n / 100),
    "more lines that came late": console(mono=lambda n: n / 25, when=lambda n: max(n / 25, 14 + n / 1e6) if n > 200 else n / 25),
    "a rate that is half a percent off": console(ticks=4000, mono=lambda n: n / 100.5),
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
    for title, good in INNOCENT.items():
        try:
            seconds, _ = Span(good).check().blackout()
            if 7 < good.lines[-1][0] < 8 and abs(seconds - 3.51) > 0.001:
                problems.append(f"a silence of 3.51 s was measured as {seconds}: {title}")
        except WitnessError as error:
            problems.append(f"a right console was refused: {title}: {error}")
    behind = Span(INNOCENT["clocks that stood still"]).behind()
    if abs(behind - 3.5) > 0.001:
        problems.append(f"a clock that is 3.5 s behind was found to be so by {behind}")
    for moved in ("1225ms", str(int(1.225 * 2e9))):
        ran = Span(console(when=gap, moved=moved)).ran_silently()
        if abs(ran - 1.225) > 0.001:
            problems.append(f"a guest that ran silently for 1.225 s ({moved}) was found to have done so for {ran}")
    return problems + check_machine() + check_emulator()


STAT = "cpu  {} 0 0 900 0 0 0 {} 0 0\ncpu0 1 0 0 450 0 0 0 0 0 0\ncpu1 1 0 0 450 0 0 0 0 0 0\nintr 1\n"


def check_machine():
    """A machine that lost half, three quarters, or next to nothing while it had nothing to do; and what a clock makes of the first."""
    problems = []
    for ran, stolen, right in ((100, 100, 0.5), (50, 150, 0.25), (200, 0, 1.0), (3, 9, 1.0)):
        found = machine.share(machine.cpus(STAT.format(0, 0)), machine.cpus(STAT.format(ran, stolen)), 1.0)
        if abs(found - right) > 0.001:
            problems.append(f"a machine that ran for {ran} ticks and could not for {stolen} had {found} of its CPUs, not {right}")
    clock = machine.Clock()
    clock._told = [(0.0, 0.0), (10.0, 10.0), (20.0, 15.0)]
    for begin, end, right in ((0, 10, 10), (10, 20, 5), (5, 15, 7.5), (15, 30, 12.5)):
        if abs(clock.had(begin, end) - right) > 0.001:
            problems.append(f"of the seconds {begin} to {end} a machine had {clock.had(begin, end)}, not {right}")
    return problems


DEATH = """   111.366 [   64.921329] BUG: ENTRY_TRAMPOLINE stack guard page was hit at fffffe66e936eff8 (stack is fffffe66e936f000..fffffe66e9370000)
   112.041 [   65.624825] RIP: 0010:error_entry+0x1a/0xc0
   113.718 [   67.308721]  <ENTRY_TRAMPOLINE>
   123.045 [   76.650242] RIP: 0010:irqentry_enter+0x21/0x35
   123.219 [   76.824685] RSP: 0000:fffffe66e936ff00 EFLAGS: 00010046
   123.643 [   77.247671]  asm_sysvec_apic_timer_interrupt+0x1f/0x30
   123.699 [   77.306107] RIP: 0010:asm_sysvec_apic_timer_interrupt+0x7/0x30
   123.779 [   77.385629] Code: 0f 1e fa 0f 01 ca <fc> 6a ff e8 91 03 00 00
   123.931 [   77.536609] RSP: 0000:fffffe66e936ffd8 EFLAGS: 00010097
   124.538 [   78.145563]  </ENTRY_TRAMPOLINE>
"""
BOOT = "{:10.3f} [    0.000000] Linux version 7.3\n"
CALL = """    67.062 [   31.143681] traps: PANIC: double fault, error_code: 0x0
    67.099 [   31.149317] Oops: double fault: 0000 [#1] SMP
    67.267 [   31.355952] RIP: 0010:entry_SYSCALL_64+0x0/0x17
    67.428 [   31.519627] RSP: 0018:00007fff336ceed8 EFLAGS: 00000002
    67.867 [   31.960884] CR2: 00007fff336ceec8 CR3: 0000000000ee6000 CR4: 00000000003506f0
"""


def check_emulator():
    """A guest that the emulator killed, and others that something else may have killed: only the first is put down to it."""
    problems = []
    for title, guest, boots, guilty in (
            ("interrupted with interrupts off", DEATH, (1.4,), True),
            ("the same after the jump", DEATH, (1.4, 100.0), False),
            ("the same before the jump", DEATH, (1.4, 172.4), True),
            ("with interrupts on", DEATH.replace("00010097", "00010297"), (1.4,), False),
            ("further into the entry", DEATH.replace("+0x7/", "+0x1f/"), (1.4,), False),
            ("elsewhere in the kernel", DEATH.replace("asm_sysvec_apic_timer_interrupt+0x7", "memcpy+0x7"), (1.4,), False),
            ("on another stack", DEATH.replace("ENTRY_TRAMPOLINE>", "IRQ>"), (1.4,), False),
            ("interrupted in a system call's entry", CALL, (1.4,), True),
            ("the same after the jump, too", CALL, (1.4, 60.0), False),
            ("in one with interrupts on", CALL.replace("00000002", "00000202"), (1.4,), False),
            ("no interrupt's frame", CALL.replace("eec8 CR3", "ed00 CR3"), (1.4,), False),
            ("on the kernel's own stack", CALL.replace("00007fff336ceed8", "ffffc90000013ed8"), (1.4,), False),
            ("nobody died", "    75.259 T 1\n", (1.4,), False)):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "host.log").write_text("".join(BOOT.format(b) for b in boots))
            (pathlib.Path(folder) / "guest0.log").write_text(guest)
            if bool(emulator.killed(pathlib.Path(folder))) != guilty:
                problems.append(f"a guest's death was {'not ' if guilty else ''}put down to the emulator: {title}")
    return problems
