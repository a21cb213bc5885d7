# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk of the host VM for a guest: an NVMe controller that reads slowly, so commands are in flight at all times, also over a kexec.

    with Nvme(folder) as disk:
        with lab.host(qemu_args=disk.args("0xd")) as host:
            ...
            disk.completed()            # reads that have come to their end so far
        disk.check(writes)              # what is on it is what the guest says it has written

The guest keeps 64 reads of 16 KiB in flight (tests/guests/linux-init.c, "flow"); at this rate the last of them ends 8 seconds after it began. The first 1024 blocks
are written here, each with its number in each word; the guest writes the next 1024 over and over.
"""

import array
import json
import os
import socket
import threading
import time

BLOCK, BLOCKS, WRITTEN = 16384, 1024, 1 << 62
RATE = 128 << 10


def _content(number, mark=0):
    first = mark | number << 16
    return array.array("Q", range(first, first + BLOCK // 8)).tobytes()


class Nvme:
    def __init__(self, folder, name="nvme", rate=RATE):
        self.rate, self._name = rate, name
        self._image, self._monitor = folder / f"{name}.img", folder / f"{name}.qmp"
        self._sock = None
        self._on, self._thread = True, threading.Thread(target=self._watch, daemon=True)
        self.done = []          # (time.monotonic(), reads that have ended by then), each time there were more

    def __enter__(self):
        with open(self._image, "wb") as image:
            for number in range(BLOCKS):
                image.write(_content(number))
            image.truncate(2 * BLOCKS * BLOCK)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._on = False
        self._thread.join()
        os.unlink(self._image)

    def args(self, slot, bus="pcie.0"):
        """What QEMU gets for this disk."""
        return ["-drive", f"file={self._image},if=none,id={self._name},format=raw,cache=unsafe,throttling.bps-read={self.rate}",
                "-device", f"nvme,drive={self._name},id={self._name},serial={self._name},bus={bus},addr={slot}",
                "-qmp", f"unix:{self._monitor},server=on,wait=off"]

    def _ask(self, command):
        if not self._sock:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(5)
            sock.connect(str(self._monitor))
            self._sock = sock.makefile("rw")
            json.loads(self._sock.readline())
            self._ask("qmp_capabilities")
        self._sock.write(json.dumps({"execute": command}) + "\n")
        self._sock.flush()
        while True:
            answer = json.loads(self._sock.readline())
            if "return" in answer:
                return answer["return"]

    def _watch(self):
        while self._on:
            try:
                stats = next(d["stats"] for d in self._ask("query-blockstats") if d.get("device") == self._name)
                if not self.done or stats["rd_operations"] > self.done[-1][1]:
                    self.done.append((time.monotonic(), stats["rd_operations"]))
            except (OSError, ValueError):
                self._sock = None
            time.sleep(0.1)

    def completed(self, begin=0.0, end=float("inf")):
        """Reads that ended in this time (time.monotonic())."""
        inside = [n for t, n in self.done if begin <= t <= end]
        return inside[-1] - inside[0] if inside else 0

    def wrong(self, writes):
        """What the guest has written so often is on the disk: the first block that is not right, None if all are."""
        with open(self._image, "rb") as image:
            for number in range(max(0, writes - BLOCKS + 1), writes):     # the place of the next one may be half written
                image.seek((BLOCKS + number % BLOCKS) * BLOCK)
                if image.read(BLOCK) != _content(number, WRITTEN):
                    return number
        return None
