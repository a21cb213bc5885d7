# SPDX-License-Identifier: GPL-2.0-or-later
"""Serial lines of the host VM, read on the build machine: every line gets L0's time of arrival, is kept, and goes to a log file.

One Pump (one thread) serves all lines of a host VM. A line's stamp is the time at which its first byte arrived, in seconds since the Pump was
made: with the guests' own reports in it, this is the clock that blackouts are measured against, and it does not stop at a kexec.
"""

import bisect
import os
import re
import select
import socket
import threading
import time

from . import machine


class Console:
    """One serial line. lines is a list of (seconds, text), only ever appended to."""

    def __init__(self, name, log_path, clock):
        self.name = name
        self.lines = []
        self.sock = None
        self._log = open(log_path, "w", errors="replace")
        self._clock = clock
        self.epoch = time.time() - clock()      # the time of day at the lines' second 0
        self._part = b""
        self._since = 0.0
        self._news = threading.Condition()
        self.tap = None         # callable(bytes): the interactive shell

    def feed(self, data):
        now = self._clock()
        if self.tap:
            self.tap(data)
        if not self._part:
            self._since = now
        *whole, self._part = (self._part + data).split(b"\n")
        with self._news:
            for raw in whole:
                text = raw.decode(errors="replace").strip("\r\0")
                self.lines.append((self._since, text))
                self._log.write(f"{self._since:10.3f} {text}\n")
                self._since = now
            if whole:
                self._log.flush()
                self._news.notify_all()

    def wait(self, regex, timeout, start=0):
        """The first line from index start on that matches: (index, seconds, match). TimeoutError names what was seen last."""
        pattern = re.compile(regex)
        end = time.monotonic() + timeout
        index = start
        with self._news:
            while True:
                while index < len(self.lines):
                    match = pattern.search(self.lines[index][1])
                    if match:
                        return index, self.lines[index][0], match
                    index += 1
                left = end - time.monotonic()
                if left <= 0:
                    last = self.lines[-1][1] if self.lines else "nothing"
                    raise TimeoutError(f"{self.name}: no line like {regex!r} in {timeout} s; last: {last!r}")
                self._news.wait(min(left, 1))

    def since(self, seconds):
        """Lines that arrived at or after a moment."""
        return self.lines[bisect.bisect_left(self.lines, (seconds, "")):]

    def send(self, data):
        self.sock.sendall(data)

    def tail(self, count=20):
        return "\n".join(text for _, text in self.lines[-count:])


class Pump:
    """Listens for QEMU's chardevs and feeds the consoles."""

    def __init__(self):
        self.begin = time.monotonic()
        self._poll = select.epoll()
        self._by_fd = {}
        self._stop = False
        self._machine = machine.Clock()
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def clock(self):
        return time.monotonic() - self.begin

    def had(self, begin, end=None):
        """Of the seconds from one moment of clock() to another, or to now, those in which this machine had its CPUs: what a limit of time may count."""
        return self._machine.had(begin, self.clock() if end is None else end)

    def listen(self, console, path):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(1)
        self._by_fd[listener.fileno()] = (listener, console)
        self._poll.register(listener, select.EPOLLIN)

    def _loop(self):
        while not self._stop:
            self._machine.sample(self.clock())
            for fd, _ in self._poll.poll(0.2):
                sock, console = self._by_fd[fd]
                if console.sock is None:
                    console.sock, _ = sock.accept()
                    self._drop(fd)
                    self._by_fd[console.sock.fileno()] = (console.sock, console)
                    self._poll.register(console.sock, select.EPOLLIN)
                    continue
                try:
                    data = os.read(fd, 65536)
                except OSError:
                    data = b""
                if data:
                    console.feed(data)
                else:
                    self._drop(fd)

    def _drop(self, fd):
        self._poll.unregister(fd)
        sock, _ = self._by_fd.pop(fd)
        sock.close()

    def stop(self):
        self._stop = True
        self._thread.join()
        for fd in list(self._by_fd):
            self._drop(fd)
