# SPDX-License-Identifier: GPL-2.0-or-later
"""luctld's lines in the journal: by its own protocol, with fields, and never waited for."""

import contextlib
import os
import pathlib
import re
import socket
import struct

import case_saved
from world import SCRATCH, TREE

SOCKET = pathlib.Path("/run/systemd/journal/socket")
IDS = dict(re.findall(r'#define LU_MESSAGE_(\w+) "(\w+)"', (TREE / "daemon" / "host" / "log.h").read_text()))


class Journal:
    """A journald that keeps what it is sent."""

    def __init__(self):
        SOCKET.parent.mkdir(parents=True, exist_ok=True)
        SOCKET.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(SOCKET))
        self.socket.setblocking(False)
        log = SCRATCH / "luctld.0.log"
        log.touch()
        info = os.stat(log)
        self.env = {"JOURNAL_STREAM": f"{info.st_dev}:{info.st_ino}"}
        self.log = log

    def read(self):
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self.parse(self.socket.recv(1 << 20)))
        return found

    @staticmethod
    def parse(data):
        fields = {}
        while data:
            line, _, data = data.partition(b"\n")
            name, is_text, value = line.partition(b"=")
            if not is_text:
                size, = struct.unpack("<Q", data[:8])
                value, data = data[8:8 + size], data[9 + size:]
            fields[name.decode()] = value.decode()
        return fields

    def fill(self):
        """Until nothing more goes in."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s, contextlib.suppress(BlockingIOError):
            s.setblocking(False)
            for _ in range(100000):
                s.sendto(b"MESSAGE=full\n", str(SOCKET))
            raise AssertionError("the socket takes everything")


def refused(world):
    """An update that ends by itself: its VM does not run."""
    assert world.root.finished(world.root.call("UpdateVMM", ["b"])) == "aborted"


def test_fields(world):
    """Each line of an update has its id, a line about a VM has its name, and those that one waits for have a number."""
    journal = Journal()
    case_saved.saved(world, journal=False)
    world.define("b", 2)
    world.start(**journal.env)
    journal.read()
    refused(world)
    lines = journal.read()
    states = [line for line in lines if line.get("MESSAGE_ID") in IDS.values()]
    assert [s["MESSAGE_ID"] for s in states][-1] == IDS["ABORTED"] and IDS["STATE"] in {s["MESSAGE_ID"] for s in states}, lines
    assert states[-1]["PRIORITY"] == "4" and states[0]["PRIORITY"] == "6", states
    assert len({line["LUCTL_UPDATE_ID"] for line in lines}) == 1, lines
    assert re.fullmatch("[0-9a-f-]{36}", lines[0]["LUCTL_UPDATE_ID"]) and lines[0]["LUCTL_UPDATE_ID"] in lines[0]["MESSAGE"], lines[0]
    world.root.call("ForgetState", case_saved.UUID)
    told = journal.read()
    assert [line for line in told if line.get("LUCTL_VM") == "a" and line.get("MESSAGE_ID") == IDS["VM_FORGOTTEN"]], told
    assert not [line for line in told if "LUCTL_UPDATE_ID" in line], told
    assert all(line["SYSLOG_IDENTIFIER"] == "luctld" for line in lines + told)
    assert "update" not in journal.log.read_text(), journal.log.read_text()


def test_lines(world):
    """An error with line breaks in it, as QEMU gives them, is one message."""
    journal = Journal()
    world.settings("[update]\nquiesce=no\nfreeze=no\n")
    world.define("b", 2)
    world.monitor("b", answers={"qmp_capabilities": {"error": "first\nMESSAGE_ID=" + "0" * 32}})
    world.start(**journal.env)
    assert world.root.finished(world.root.call("UpdateVMM", ["b"])) == "aborted"
    assert all(line.get("MESSAGE_ID", IDS["STATE"]) in IDS.values() for line in journal.read())


def test_full(world):
    """A journal that takes nothing any more is not waited for; when it does again, lines come again."""
    journal = Journal()
    world.define("b", 2)
    world.start(**journal.env)
    journal.fill()
    refused(world)
    assert {line["MESSAGE"] for line in journal.read()} == {"full"}
    refused(world)
    assert journal.read()[-1]["MESSAGE_ID"] == IDS["ABORTED"]


def test_gone(world):
    """Without a journald, and when stderr is another file by now, lines are on stderr with their level."""
    journal = Journal()
    journal.socket.close()
    SOCKET.unlink()
    world.define("b", 2)
    world.start(**journal.env)
    refused(world)
    assert re.search(r"(?m)^<4>update [0-9a-f-]{36}: aborted", world.daemon.text()), world.daemon.text()
    world.daemon.stop()
    again = Journal()
    world.start(JOURNAL_STREAM="1:1")
    refused(world)
    assert re.search(r"(?m)^<4>update [0-9a-f-]{36}: aborted", world.daemon.text()) and not again.read()
