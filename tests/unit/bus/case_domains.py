# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt stands aside, and is let go only when it knows each of its guests that somebody runs, whichever update that is of.

There is no libvirt and no systemd here, only libvirt's files. What libvirt does not find there it takes for a domain that has ended: it
removes its memory, and starts it once more if somebody asks.
"""

import json
import pathlib
import re
import zlib

from case_saved import journal
from world import PKERNFS, RUN, TREE, wait_for

UPDATE = "00000000-aaaa-4000-8000-000000000001"
LATER = "00000000-aaaa-4000-8000-000000000002"
STATUS = pathlib.Path("/run/libvirt/qemu/red.xml")
HELD = RUN / "libvirt-held"
XML = re.sub("pid='209'", "pid='3999999'", (TREE / "tests/unit/daemon/libvirt/red.xml").read_text())     # it has ended
RED = "11111111-2222-3333-4444-555555555501"
BLUE = "11111111-2222-3333-4444-555555555502"
STATE = b"what QEMU has saved"
ABORTING, DEGRADED = 14, 16
SETTINGS = {"migrate-set-parameters": {}, "migrate-set-capabilities": {},
            "query-migrate-capabilities": [{"capability": "x-ignore-shared", "state": False}]}


def boot_id():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
        return f.read().strip()


def saved(world, name, uuid, xml):
    """A domain of libvirt's whose state was saved by UPDATE."""
    world.save(uuid, "state", STATE)
    world.save(uuid, "saved.json", world.example("saved", "valid-complete", update=UPDATE, uuid=uuid, name=name, size=len(STATE),
                                                 crc32=zlib.crc32(STATE)))
    world.save(uuid, "launch.json", world.example("launch", "valid-minimal", uuid=uuid, name=name, qmp=str(world.socket_of(name))))
    world.save(uuid, "libvirt.xml", xml.encode())


def taken_up(world, **behaviour):
    """red was taken up by another QEMU than libvirt knows of; that QEMU's monitor."""
    STATUS.parent.mkdir(parents=True, exist_ok=True)
    STATUS.unlink(missing_ok=True)
    saved(world, "red", RED, XML)
    qemu = world.monitor("red", **behaviour)
    with open(f"/proc/{qemu.pid}/stat", encoding="ascii") as f:
        born = int(f.read().rpartition(")")[2].split()[19])
    world.save(RED, "result.json", world.example("result", "valid-running", update=UPDATE, uuid=RED, boot_id=boot_id(), pid=qemu.pid,
                                                 start_time=born))
    return qemu


def update(world, id, state, **how):
    folder = PKERNFS / "update"
    folder.mkdir(mode=0o700)
    vms = [{"name": "red", "uuid": RED, "predicted_usec": None}] if id == UPDATE else []
    (folder / "request.json").write_text(json.dumps(world.example("request", "valid-one", id=id, vms=vms)))
    (folder / "journal").write_bytes(journal(id, state, 2, -5, b"why", **how))
    record = json.dumps({"version": 1, "units": ["libvirtd.service"], "autostarted": True})
    (folder / "libvirt.json").write_text(record)
    HELD.write_text(record)


def known():
    """The process of which libvirt's file tells."""
    return int(re.search(r"<domstatus [^>]*pid='(\d+)'|<domstatus [^>]*pid=\"(\d+)\"", STATUS.read_text()).expand(r"\1\2")) if STATUS.exists() else 0


def at_rest(world):
    return wait_for(lambda: world.root.property("State") in ("aborted", "degraded") and world.root.property("State"), "the daemon comes to rest", 90)


def test_undone_in_another_qemu(world):
    """In undo another QEMU has taken the guest up, as it does one with devices, or one whose QEMU has died: libvirt gets that one's number."""
    update(world, UPDATE, ABORTING, begun_here=True)
    qemu = taken_up(world, answers=SETTINGS)
    STATUS.write_text(XML)
    world.start()
    assert at_rest(world) == "aborted", world.daemon.text()
    assert known() == qemu.pid and not HELD.exists(), (known(), qemu.pid, world.daemon.text())
    assert not (PKERNFS / "vm" / RED).exists()


def test_undone_in_one_that_is_silent(world):
    """It does not say that libvirt could reconnect to it: libvirt is not let go, and what is kept for it stays, however often undo is tried."""
    update(world, UPDATE, ABORTING, begun_here=True)
    taken_up(world, answers={**SETTINGS, "query-uuid": "close"})
    STATUS.write_text(XML)
    world.start()
    for _ in range(2):
        assert at_rest(world) == "degraded", world.daemon.text()
        assert HELD.exists() and (PKERNFS / "vm" / RED / "libvirt.xml").exists() and known() == 3999999, world.daemon.text()
        world.restart()


def test_at_the_start(world):
    """A daemon that starts after the update, even after one that knows nothing of this guest, tells libvirt of it and lets libvirt go."""
    for last in (UPDATE, LATER):
        update(world, last, DEGRADED)
        qemu = taken_up(world)
        world.start()
        wait_for(lambda: not HELD.exists(), "libvirt is let go")
        assert known() == qemu.pid, (known(), qemu.pid, world.daemon.text())
        world.daemon.stop()
        for file in (PKERNFS / "update").iterdir():
            file.unlink()
        (PKERNFS / "update").rmdir()
        qemu.kill()
        qemu.wait()


def test_an_update_is_refused(world):
    """Another update, also one that is refused at once, does not let libvirt go while it does not know of a guest that runs."""
    update(world, UPDATE, DEGRADED)
    taken_up(world, leave=True)
    world.start()
    assert world.root.finished(world.root.call("Update", "/nonexistent", {})) == "aborted"
    assert HELD.exists() and known() == 0, world.daemon.text()
    world.restart()
    assert HELD.exists() and known() == 0, world.daemon.text()


def test_another_is_restored(world):
    """Nor does the end of another guest's restore."""
    update(world, UPDATE, DEGRADED)
    taken_up(world, leave=True)
    saved(world, "blue", BLUE, XML.replace(RED, BLUE).replace(">red<", ">blue<"))
    world.start()
    wait_for(lambda: "can't be told of it yet" in world.daemon.text(), "red was asked")
    assert world.root.finished(world.root.call("Restore", "blue")) == "failed"      # there is no systemd
    assert HELD.exists() and known() == 0, world.daemon.text()
    assert (PKERNFS / "vm" / BLUE / "state").read_bytes() == STATE


def test_not_while_they_are_asked(world):
    """A guest of libvirt is not restored while others are asked: when they have answered libvirt is let go."""
    update(world, UPDATE, DEGRADED)
    taken_up(world, greeting=None)
    saved(world, "blue", BLUE, XML.replace(RED, BLUE).replace(">red<", ">blue<"))
    world.start()
    error = world.root.fails("Restore", "blue")
    assert error.errno == "EBUSY" and "still being asked" in error.what, error
