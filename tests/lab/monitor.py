# SPDX-License-Identifier: GPL-2.0-or-later
"""The host VM from outside, by its emulator: stop it at a moment, take its memory, change a byte of it.

    monitor = Monitor(host)                 # the host was started with qemu_args=Monitor.args(folder)
    monitor.stop(); monitor.dump(path); monitor.flip(address, 1); monitor.go_on()

Memory is changed through the emulator's gdb stub, in its mode for physical addresses: the monitor itself can't write.
"""

import json
import re
import socket
import struct


class MonitorError(Exception):
    pass


class Monitor:
    @staticmethod
    def args(folder):
        return ["-gdb", f"unix:{folder}/gdb,server=on,wait=off"]

    def __init__(self, host, folder):
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.connect(f"{host._work}/qmp")
        self._sock.settimeout(300)
        self._lines = self._sock.makefile("r")
        self._lines.readline()      # its greeting
        self._gdb = f"{folder}/gdb"
        self.command("qmp_capabilities")

    def command(self, name, **arguments):
        self._sock.sendall(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        while True:
            reply = json.loads(self._lines.readline())
            if "error" in reply:
                raise MonitorError(f"{name}: {reply['error']['desc']}")
            if "return" in reply:
                return reply["return"]

    def stop(self):
        self.command("stop")

    def go_on(self):
        self.command("cont")

    def dump(self, path):
        """All of its memory, as an ELF core."""
        self.command("dump-guest-memory", paging=False, protocol=f"file:{path}")

    def flip(self, *changes):
        """XOR bytes of physical memory: (address, bits) each. Leaves the VM stopped."""
        with socket.socket(socket.AF_UNIX) as stub:
            stub.connect(self._gdb)
            stub.settimeout(60)
            self._packet(stub, "Qqemu.PhyMemMode:1", "OK")
            for address, bits in changes:
                was = int(self._packet(stub, f"m{address:x},1", "[0-9a-f]{2}"), 16)
                self._packet(stub, f"M{address:x},1:{was ^ bits:02x}", "OK")
                now = int(self._packet(stub, f"m{address:x},1", "[0-9a-f]{2}"), 16)
                if now != was ^ bits:
                    raise MonitorError(f"{address:#x} did not change")

    @staticmethod
    def _packet(stub, text, wanted):
        stub.sendall(f"${text}#{sum(text.encode()) & 0xff:02x}".encode())
        data = b""
        # an acknowledgement, then perhaps a report that the VM stopped, then the answer
        while True:
            for body in re.findall(rb"\$([^#]*)#..", data):
                if re.fullmatch(wanted, body.decode()):
                    stub.sendall(b"+")
                    return body.decode()
                if body.startswith(b"E"):
                    raise MonitorError(f"{text}: {body.decode()}")
            more = stub.recv(4096)
            if not more:
                raise MonitorError(f"{text}: the stub is gone")
            data += more


def core_pages(path):
    """The 4 KiB pages of a small ELF core: {physical address: offset in the file}."""
    pages = {}
    with open(path, "rb") as core:
        head = core.read(64)
        start, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
        for n in range(count):
            core.seek(start + n * size)
            kind, _, offset, _, address, kept = struct.unpack("<IIQQQQ", core.read(40))
            for at in range(0, kept if kind == 1 else 0, 4096):
                pages[address + at] = offset + at
    return pages
