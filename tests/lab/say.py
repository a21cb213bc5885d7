# SPDX-License-Identifier: GPL-2.0-or-later
"""What the lab is doing, while it does it.

A step has a title, a log file and a duration. On a terminal its last line of progress is shown in place; elsewhere a line is printed every
HEARTBEAT seconds, so that a long build never looks like a hang. A command that fails raises Failed with the end of its log.
"""

import contextlib
import os
import subprocess
import sys
import threading
import time

HEARTBEAT = 30
TERMINAL = sys.stdout.isatty()
_depth = 0


class Failed(Exception):
    """Something the lab needs did not work; the text names it, the cause and what to try."""


def line(text=""):
    sys.stdout.write(("\r\033[K" if TERMINAL else "") + "  " * _depth + text + "\n")
    sys.stdout.flush()


def seconds(value):
    return f"{value:.1f} s" if value < 90 else f"{int(value) // 60} min {int(value) % 60:02} s"


class _Step:
    def __init__(self, title):
        self.title = title
        self.start = time.monotonic()
        self.text = ""
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def progress(self, text):
        self.text = text[:90]

    def _beat(self):
        while not self.done.wait(0.5 if TERMINAL else HEARTBEAT):
            now = f"{self.title}: {seconds(time.monotonic() - self.start)} {self.text}"
            if TERMINAL:
                sys.stdout.write("\r\033[K" + "  " * _depth + now[:150])
                sys.stdout.flush()
            else:
                line("  … " + now)


@contextlib.contextmanager
def step(title):
    """Announce, run, say how long it took."""
    global _depth
    this = _Step(title)
    if not TERMINAL:
        line(title + " …")
    this.thread.start()
    try:
        _depth += 1
        try:
            yield this
        finally:
            _depth -= 1
            this.done.set()
            this.thread.join()
    except BaseException:
        line(f"{title}: failed after {seconds(time.monotonic() - this.start)}")
        raise
    line(f"{title}: {seconds(time.monotonic() - this.start)}")


def run(argv, log, step=None, cwd=None, env=None, nice=False, hint="", shell_input=None):
    """Run argv, everything it prints into log (a path). Its last line is the step's progress."""
    argv = [str(a) for a in argv]
    if nice:
        argv = ["nice"] + argv
    full = dict(os.environ, LC_ALL="C.UTF-8", **(env or {}))
    with open(log, "ab") as out:
        out.write(("$ " + " ".join(argv) + "\n").encode())
        out.flush()
        try:
            proc = subprocess.Popen(argv, cwd=cwd, env=full, stdin=subprocess.PIPE if shell_input else subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except FileNotFoundError:
            raise Failed(f"{argv[0]} is not installed") from None
        if shell_input:
            proc.stdin.write(shell_input)
            proc.stdin.close()
        try:
            for raw in proc.stdout:
                out.write(raw)
                if step:
                    step.progress(raw.decode(errors="replace").strip())
            code = proc.wait()
        except BaseException:
            proc.terminate()
            proc.wait()
            raise
    if code:
        tail = open(log, errors="replace").read().splitlines()[-15:]
        raise Failed(f"{argv[0]} exited with {code}" + (f" ({hint})" if hint else "") + f"; log {log}, its end:\n    " +
                     "\n    ".join(tail))
