# SPDX-License-Identifier: GPL-2.0-or-later
"""The other end of a network card of the host VM: sends a numbered stream to a guest, answers its pings, and notes when the card took each frame.

    with Wire(folder, rate=100) as wire:
        with lab.host(qemu_args=wire.args("igb", "0xc")) as host:
            ...
            wire.stream(True); ...; wire.stream(False)
            wire.sent, wire.waited(since)

The card's end is a unix datagram socket that holds six frames, and QEMU reads it only while the card can write into its owner's memory. So a card that stops doing
DMA is seen here within a tenth of a second: sending blocks. Frames are never dropped on this side.
"""

import contextlib
import os
import select
import socket
import struct
import threading
import time

GUEST_MAC, OUR_MAC = bytes.fromhex("525400123456"), bytes.fromhex("525400000002")
GUEST_IP, OUR_IP = bytes([10, 0, 2, 15]), bytes([10, 0, 2, 2])


def _sum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def _udp(source_port, port, payload):
    """An Ethernet frame to the guest."""
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 0, 0, 64, 17, 0, OUR_IP, GUEST_IP)
    head = head[:10] + struct.pack(">H", _sum(head)) + head[12:]
    frame = GUEST_MAC + OUR_MAC + b"\x08\x00" + head + struct.pack(">HHHH", source_port, port, 8 + len(payload), 0) + payload
    return frame.ljust(60, b"\0")


class Wire:
    def __init__(self, folder, rate=100, name="wire"):
        self.rate, self.sent, self.answered = rate, 0, 0
        self.taken = []         # time.monotonic() at which the card had taken frame n + 1
        self._waited = []       # seconds for which it was offered that frame; what keeps this machine from offering it is not the card's
        self._name, self._here, self._there = name, str(folder / f"{name}-l0"), str(folder / f"{name}-card")
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._here)   # of a run that was killed
        self._sock.bind(self._here)
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)    # the least there is: a handful of frames
        self._lock = threading.Lock()
        self._on, self._streaming = True, False
        self._threads = [threading.Thread(target=t, daemon=True) for t in (self._send, self._answer)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._on = False
        for thread in self._threads:
            thread.join()
        self._sock.close()
        os.unlink(self._here)

    def args(self, card, slot, bus="pcie.0"):
        """What QEMU gets for this card."""
        return ["-netdev", f"dgram,id={self._name},local.type=unix,local.path={self._there},remote.type=unix,remote.path={self._here}",
                "-device", f"{card},netdev={self._name},bus={bus},addr={slot},mac=52:54:00:12:34:56"]

    def stream(self, on):
        """Start or stop the numbered stream; it goes on where it stopped. On return of stopping the last frame was taken."""
        self._streaming = on
        if not on:
            with self._lock:
                pass

    def _put(self, frame):
        """Blocks until the card has room; False if there is no card (any more)."""
        while self._on:
            try:
                self._sock.sendto(frame, self._there)
                return True
            except BlockingIOError:
                time.sleep(0.002)
            except OSError:
                return False
        return False

    def _send(self):
        due = time.monotonic()
        while self._on:
            with self._lock:
                offered = time.monotonic()
                if self._streaming and self._put(_udp(9, 9, struct.pack("<Q", self.sent + 1))):
                    self.sent += 1
                    self.taken.append(time.monotonic())
                    self._waited.append(self.taken[-1] - offered)
            due = max(due + 1 / self.rate, time.monotonic() - 0.05)    # after a gap not all at once
            time.sleep(max(0, due - time.monotonic()))

    def _answer(self):
        while self._on:
            if not select.select([self._sock], [], [], 0.2)[0]:
                continue
            try:
                frame = self._sock.recv(65536)
            except OSError:
                continue
            kind = frame[12:14]
            if kind == b"\x08\x06" and frame[38:42] == OUR_IP:
                self._put((GUEST_MAC + OUR_MAC + kind + b"\0\1\x08\0\6\4\0\2" + OUR_MAC + OUR_IP + frame[22:32]).ljust(60, b"\0"))
            elif kind == b"\x08\x00" and frame[23] == 17 and frame[36:38] == b"\0\7":
                self.answered += 1
                self._put(_udp(7, struct.unpack(">H", frame[34:36])[0], frame[42:42 + struct.unpack(">H", frame[38:40])[0] - 8]))

    def gap(self, since=0.0):
        """(seconds, when): the longest time between two frames taken, of those since a moment of time.monotonic()."""
        times = [t for t in self.taken if t >= since]
        return max(((b - a, a) for a, b in zip(times, times[1:])), default=(0.0, 0.0))

    def waited(self, since=0.0, pump=None):
        """Seconds: the longest time for which a frame was there and the card took none, since a moment of time.monotonic(); by a host VM's pump, those in which this machine
        had its CPUs."""
        def had(begin, end):
            return pump.had(begin - pump.begin, end - pump.begin) if pump else end - begin
        return max((had(t - w, t) for t, w in zip(self.taken, self._waited) if t >= since), default=0.0)
