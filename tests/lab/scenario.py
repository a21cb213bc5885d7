# SPDX-License-Identifier: GPL-2.0-or-later
"""What a scenario is given.

A scenario is a short file in tests/scenarios: a docstring whose first line says what it shows, KERNELS (the first is booted, all are in /lab as
bzImage-NAME), an optional LIMIT in seconds, MENDED = True if host VMs need the lab's own emulator (qemu.py), and run(lab). It returns when the thing was shown and raises otherwise; lab.skip(reason) ends it early.
"""

import contextlib
import importlib.util
import json
import pathlib
import signal
import time

from . import emulator, guests, image, kernel, paths, qemu, say, tools
from .host import Host
from .witness import Span

FOLDER = paths.TREE / "tests" / "scenarios"


class Skipped(Exception):
    """Not shown, for a reason that is not the product's fault."""


# what luctl says of a QEMU that hangs: its monitor's greeting and the whole probe have ten seconds each, and which is over first is chance
HUNG = "took longer than its time limit|no greeting in time"


class Wrong(Exception):
    """The product did something else than it should."""


class Lab:
    def __init__(self, name, module, results):
        self.name, self.module, self.results = name, module, results
        self.kernels = getattr(module, "KERNELS", ["7.3"])
        self._emulator = qemu.command() if getattr(module, "MENDED", False) else None
        self._hosts = 0

    # -- talking

    def say(self, text):
        say.line("    " + text)

    def skip(self, reason):
        raise Skipped(reason)

    def expect(self, condition, text):
        if not condition:
            raise Wrong(text)

    @contextlib.contextmanager
    def case(self, title):
        """A part with a name of its own; its failure says so."""
        start = time.monotonic()
        try:
            yield
        except Exception as error:
            raise Wrong(f"{title}: {error}") from error
        self.say(f"{title}: ok ({say.seconds(time.monotonic() - start)})")

    # -- parts

    def product(self, name):
        return kernel.build(name)

    def image_of(self, name):
        """A kernel's path in the host VM."""
        return f"/lab/bzImage-{name}"

    @contextlib.contextmanager
    def host(self, boot=None, files=None, luctl=True, **more):
        """A host VM with luctl (if not told otherwise), up and running."""
        boot = boot or self.kernels[0]
        everything = {f"bzImage-{n}": kernel.build(n).image for n in self.kernels}
        everything.update(files or {})
        disk = image.disk(tools.overlay(kernel.build("7.3").image, tools.product() if luctl else None))
        self._hosts += 1
        results = self.results if self._hosts == 1 else self.results / f"host{self._hosts}"
        with Host(kernel.build(boot).image, disk, results, files=everything, emulator=self._emulator, **more) as host:
            try:
                up = host.wait_up()
                self.say(f"host VM is up after {say.seconds(up)}, kernel {host.release()}")
                yield host
            finally:
                self._keep_logs(host, results)

    def _keep_logs(self, host, results):
        """The host's own words, while it can still be asked."""
        if not host.alive():
            return
        with contextlib.suppress(Exception):
            host.agent.lost()
            host.agent.sync(5)
            for name, command in (("journal.log", "journalctl --no-pager -o short-monotonic"), ("dmesg.log", "dmesg"),
                                  ("units.log", "systemctl --no-pager list-units --all; systemctl --no-pager --failed"),
                                  ("pkernfs.log", "ls -laR /run/luctl; cat /run/luctl/vm/*/qemu.log")):
                (results / name).write_text(str(host.run(command, check=False, timeout=30)))

    def start(self, host, *which, timeout=240):
        """Install and start guests, all at once, and wait until each has looked at its RAM for the first time."""
        for guest in which:
            guest.install(host)
        marks = [len(host.guest[guest.line].lines) for guest in which]
        host.run("systemctl start " + " ".join(guest.unit for guest in which), timeout=timeout)
        for guest, mark in zip(which, marks):
            host.guest[guest.line].wait(r"^TICK \d+ .*mem=ok", timeout, mark)
            self.say(f"guest {guest.name} ticks ({guest.memory} MiB)")

    def three_guests(self, host, extra=lambda name: (), passed=()):
        """The usual set: a Linux guest with disk and network (by passed, if given), two bare-metal ones; extra(name) are more arguments for QEMU."""
        three = (guests.Linux("web", 0, 256, net=not passed, passed=passed, extra=extra("web")), guests.Ticker("red", 1, 64, extra=extra("red")),
                 guests.Ticker("blue", 2, 128, extra=extra("blue")))
        self.start(host, *three)
        return three

    # -- luctl

    def luctl(self, host, arguments, check=True, timeout=60):
        return host.run(f"luctl {arguments}", check=check, timeout=timeout)

    def ask(self, host, arguments, timeout=60):
        """What a reading verb says, as data. That of an update that was aborted or is degraded is no failure of the one who asks."""
        result = self.luctl(host, f"{arguments} --json", check=False, timeout=timeout)
        self.expect(result.code in (0, 5, 6), f"not answered: {result}")
        return json.loads(result.out)

    def ask_anyway(self, host, arguments, code, timeout=90):
        """The same of a verb whose exit code is a verdict."""
        result = self.luctl(host, f"{arguments} --json", check=False, timeout=timeout)
        self.expect(result.code == code, f"not {code}: {result}")
        return json.loads(result.out)

    def update(self, host, target, options="", timeout=900):
        """A live update that must succeed, to the newest kernel that is installed if target is None: returns the moment (L0) at which it was asked for."""
        before, start = host.release(), host.pump.clock()
        kernel_option = f"--kernel {self.image_of(target)}" if target else ""
        command = f"luctl update {kernel_option} --yes {options} 2>&1 | tee /dev/ttyS0"
        result, up = host.jump(command, timeout)
        if result is not None:
            raise Wrong(f"no jump: {result}")
        self.luctl(host, "status --wait", timeout=120)
        state = self.ask(host, "status")
        if state["result"] != "success":
            raise Wrong(f"the update ended as {state['result']}: {state['error']}")
        self.say(f"updated {before} → {host.release()}; agent back after {say.seconds(up - start)}")
        return start

    def span(self, host, guest, start=0.0):
        """What a guest said since a moment."""
        return Span(host.guest[guest.line], start)

    def witness(self, host, which, start, settle=3.0, limit=30.0):
        """Every guest went on from start until now, and ticks: settle seconds' worth of late. Returns its Span by name."""
        mark = host.pump.clock()
        time.sleep(settle)
        spans = {}
        for guest in which:
            console = host.guest[guest.line]
            # so many ticks however slow the machine is today, but not for ever
            while True:
                span = Span(console, start).check()
                late = sum(when >= mark for when, _ in span.ticks)
                if late >= settle * 5:
                    break
                if host.pump.had(mark) > limit:
                    raise Wrong(f"{guest.name} does not run: {late} ticks in {host.pump.clock() - mark:.0f} s; its console:\n{console.tail(5)}")
                time.sleep(0.2)
            seconds, began = span.blackout()
            had = host.pump.had(began, began + seconds)
            if had > limit:
                raise Wrong(f"{guest.name} stood still for {seconds:.1f} s at {began:.1f} s, in which this machine had its CPUs for {had:.1f} s: more than {limit} s")
            spans[guest.name] = span
        return spans


def load(name):
    path = FOLDER / (name.replace("-", "_") + ".py")
    spec = importlib.util.spec_from_file_location(f"scenario_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names():
    return [p.stem.replace("_", "-") for p in sorted(FOLDER.glob("*.py"))]


def perform(name, results):
    """Run one scenario; once more, and said aloud, if it failed because the emulator had killed a guest before any update."""
    folder = pathlib.Path(results) / name
    try:
        attempt(name, folder)
    except Exception:
        victim = emulator.killed(folder)
        if not victim:
            raise
        aside = folder.with_name(f"{name}-emulator")
        folder.rename(aside)
        say.line(f"note: the emulator interrupted a CPU of {victim} that had interrupts off, and its kernel died of it before the host had jumped; "
                 f"once more; logs in {aside}")
        attempt(name, folder)


def attempt(name, folder):
    """Run one scenario to its end, within its limit of time."""
    module = load(name)
    folder.mkdir(parents=True, exist_ok=True)
    limit = getattr(module, "LIMIT", 600)

    def too_long(*_):
        raise Wrong(f"not finished within {limit} s")

    lab = Lab(name, module, folder)
    for kernel_name in lab.kernels:
        kernel.build(kernel_name)
    kernel.build("7.3")     # the Linux guest's
    old = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(limit)
    try:
        module.run(lab)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
