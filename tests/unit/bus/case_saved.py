# SPDX-License-Identifier: GPL-2.0-or-later
"""A state that an update saved and that waits: nothing but its guest's running and the operator's word removes it or makes it unreachable."""

import json
import struct
import zlib

from world import ETC, HERE, PKERNFS, RUN, SYSFS, wait_for

UUID = "6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c0001"
UPDATE = "00000000-aaaa-4000-8000-000000000001"
STATE = b"what QEMU has saved"
FOLDER = PKERNFS / "vm" / UUID
RESTORE = "StartTransientUnit"


def saved(world, journal=True, **changes):
    """As an update of the kernel before left it: degraded, VM a with its state complete."""
    world.save(UUID, "state", STATE)
    world.save(UUID, "saved.json", world.example("saved", "valid-complete", update=UPDATE, uuid=UUID, name="a", unit="luctl-vm@a.service",
                                                 size=len(STATE), crc32=zlib.crc32(STATE), **changes))
    world.save(UUID, "launch.json", world.example("launch", "valid-minimal", uuid=UUID, name="a", unit="luctl-vm@a.service",
                                                  qmp=str(world.socket_of("a"))))
    if journal:
        degraded(world)


def journal(update, state, event, result=0, text=b"", same_boot=True, begun_here=False):
    """An update's journal with one record: it came to this state by this event (libluctl/base/state.h)."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
        boot = bytes.fromhex(f.read().strip().replace("-", ""))
    head = b"LUjrnl\r\n" + struct.pack("<IIIIII", 1, 128, 0, 0, 7, 0) + struct.pack("<QQQ", 1, 1, 1)
    head += bytes.fromhex(update.replace("-", "")) + (boot if begun_here else bytes(range(16))) + bytes(36)
    crc = zlib.crc32(head)
    padded = text + bytes(-len(text) % 8)
    record = struct.pack("<IIIIIIi", 96 + len(padded), 7, 1, 1, state, event, result) + struct.pack("<QQQ", 2, 2, 2)
    record += boot if same_boot else bytes(range(16))
    record += struct.pack("<II", len(text), zlib.crc32(padded)) + bytes(16)
    record = struct.pack("<I", zlib.crc32(record, crc)) + record
    return head + struct.pack("<I", crc) + record + padded


def degraded(world):
    folder = PKERNFS / "update"
    folder.mkdir(mode=0o700)
    request = world.example("request", "valid-one", id=UPDATE, vms=[{"name": "a", "uuid": UUID, "predicted_usec": None}])
    (folder / "request.json").write_text(json.dumps(request))
    (folder / "journal").write_bytes(journal(UPDATE, 16, 2, -5, b"VM a: did not come up\nluctl restore"))


def states(world):
    return {vm["uuid"] or vm["name"]: vm["state"] for vm in world.root.document("ListVMs", timeout=60)["vms"]}


def tries(world, key="a"):
    """Restore gets as far as asking systemd, which is not on this bus; it says nothing of a state that is not there."""
    assert world.root.finished(world.root.call("Restore", key)) == "failed"
    assert (FOLDER / "state").read_bytes() == STATE and json.loads((FOLDER / "saved.json").read_text())["complete"]


def marked(unit="luctl-vm@a.service"):
    return (RUN / "resumed" / unit).exists()


def test_found(world):
    """Without a definition, after a jump: it is known, shown as saved, and its unit is kept from starting."""
    saved(world)
    world.start()
    assert states(world) == {UUID: "saved"} and marked()
    assert world.root.document("GetStatus")["state"] == "degraded"
    tries(world)
    tries(world, UUID)


def test_found_without_journal(world):
    """Nothing but the VM's folder tells of it."""
    saved(world, journal=False)
    world.start()
    assert states(world) == {UUID: "saved"} and marked()
    tries(world)


def test_refused_update(world):
    """An update that is refused, and a second one, for whatever reason, leave it as it was, also for the next daemon."""
    saved(world)
    world.start()
    for _ in range(2):
        job = world.root.call("Update", "/nonexistent", {})
        assert world.root.finished(job) == "aborted"
        assert states(world) == {UUID: "saved"}
        tries(world)
    world.restart()
    assert states(world) == {UUID: "saved"} and marked()
    tries(world)


def test_update_refused_by_name(world):
    """An update of the kernel is refused while it waits, with what can be done; if it is excluded it is no error."""
    saved(world)
    world.start()
    found = world.root.document("Check", "/nonexistent", {})["findings"]
    of_a = [f for f in found if f["object"] == "VM a"]
    assert [f["level"] for f in of_a] == ["error"] and "waits" in of_a[0]["what"], found
    assert "luctl restore" in of_a[0]["hint"] and "luctl vm forget" in of_a[0]["hint"]
    found = world.root.document("Check", "/nonexistent", {"exclude": ["a"]})["findings"]
    assert [f["level"] for f in found if f["object"] == "VM a"] == ["warning"], found
    plan = world.root.document("Plan", "", {})
    assert [(vm["name"], vm["verdict"]) for vm in plan["vms"]] == [("a", "cannot")], plan


def test_not_excluded_with_devices(world):
    """Its devices would stop: it can't be left out."""
    saved(world, devices_size=1, devices_crc32=1)
    world.start()
    found = world.root.document("Check", "/nonexistent", {"exclude": [UUID]})["findings"]
    assert [f["level"] for f in found if f["object"] == "VM a"] == ["error"], found


def test_running_again_by_hand(world):
    """Somebody has started the guest anew: still only the operator's word gives the state up, and no update writes over it."""
    saved(world)
    world.define("a", unit="luctl-vm@a.service")
    world.monitor("a")
    world.start()
    found = world.root.document("Check", "/nonexistent", {})["findings"]
    assert ["waits" in f["what"] for f in found if f["object"] == "VM a"] == [True], found
    assert world.root.finished(world.root.call("UpdateVMM", ["a"])) == "aborted"
    assert "waits" in world.root.document("GetStatus")["error"]["what"]
    assert (FOLDER / "state").read_bytes() == STATE


def test_edited_definition(world):
    """Its definition is edited, removed, and taken by another VM."""
    saved(world)
    uuid = world.define("a")
    assert uuid == UUID
    world.start()
    assert states(world) == {UUID: "saved"}
    world.define("a", agent="/run/agent")
    assert states(world) == {UUID: "saved"}
    tries(world)
    world.define("a", unit="other.service")
    assert states(world) == {UUID: "saved"} and marked("other.service")
    tries(world)
    world.restart()
    tries(world)
    (ETC / "vms.d" / "a.json").unlink()
    assert states(world) == {UUID: "saved"}
    tries(world)
    world.root.call("RemoveVM", "a")
    assert states(world) == {UUID: "saved"}
    tries(world)
    other = world.define("a", number=2, qmp="/run/other.sock")
    assert states(world) == {UUID: "saved", other: "unreachable"}
    assert "no state of it" in world.root.fails("Restore", "a").what
    tries(world, UUID)


def test_damaged_record(world):
    """A record that can't be read is no reason to lose what it is about; it is told, and only forgotten by name."""
    saved(world)
    (FOLDER / "saved.json").write_text("{")
    world.start()
    assert states(world) == {UUID: "saved"}
    assert world.root.fails("Restore", UUID).errno == "EBADMSG"
    assert world.root.finished(world.root.call("Update", "/nonexistent", {})) == "aborted"
    assert (FOLDER / "state").exists()
    world.root.call("ForgetState", UUID)
    assert not FOLDER.exists()


def test_forget(world):
    """Only with rights, and then for good: the folder, the marker, and a VM that is nowhere defined."""
    saved(world)
    world.start()
    assert marked()
    world.caller().fails("ForgetState", "a")
    assert FOLDER.exists()
    world.root.call("ForgetState", "a")
    assert not FOLDER.exists() and not marked()
    assert states(world) == {}
    assert world.root.fails("ForgetState", "a").errno == "ENOENT"
    assert world.root.fails("Restore", "a").errno == "ENOENT"
    world.define("b", number=2)
    assert world.root.fails("ForgetState", "b").errno == "ENODATA"


def test_forget_of_a_domain(world):
    """The memory of a guest of libvirt lies in its folder while it waits, where nobody else looks for it: it goes, too."""
    saved(world)
    (FOLDER / "memory").mkdir()
    (FOLDER / "memory" / "pc.ram").write_bytes(bytes(1 << 20))
    world.start()
    assert states(world) == {UUID: "saved"}
    world.root.call("ForgetState", "a")
    assert not FOLDER.exists(), list(FOLDER.rglob("*"))
    assert states(world) == {}


def test_forget_keeps_definition(world):
    """A VM that is defined is only rid of its state."""
    saved(world)
    world.define("a")
    world.start()
    world.root.call("ForgetState", UUID)
    assert states(world) == {UUID: "unreachable"} and not FOLDER.exists()


def test_forget_of_two_with_one_function(world):
    """The mark of a function stays as long as another record needs it."""
    address = "0000:00:1f.7"
    world.functions(address)
    mark = SYSFS / address / "pkeep"
    mark.write_text("1")
    other = UUID[:-1] + "2"
    saved(world)
    for uuid, name in ((UUID, "a"), (other, "b")):
        launch = world.example("launch", "valid-devices", uuid=uuid, name=name, unit=None, qmp=str(world.socket_of(name)))
        world.save(uuid, "launch.json", {**launch, "devices": [address]})
    world.save(other, "state", STATE)
    world.save(other, "saved.json", world.example("saved", "valid-complete", update=UPDATE, uuid=other, name="b", size=len(STATE), crc32=zlib.crc32(STATE)))
    world.start()
    world.root.call("ForgetState", UUID)
    assert mark.read_text() == "1"
    world.root.call("ForgetState", other)
    assert mark.read_text().startswith("0"), mark.read_text()


def test_not_while_updating(world):
    """While an update runs nothing is forgotten."""
    world.define("b", number=2)
    world.monitor("b", greeting=None)
    saved(world)
    world.start()
    world.root.call("UpdateVMM", ["b"])
    assert world.root.fails("ForgetState", "a").errno == "EBUSY"
    assert FOLDER.exists()


def test_journal(world):
    """The journal of calls is there for who may look: the one that waits with what was committed, else the one of the last update."""
    journal = (HERE.parent / "calls/version-1.journal").read_bytes()
    document = json.dumps(world.example("devices", "valid-empty")).encode()
    saved(world, devices_size=len(document), devices_crc32=zlib.crc32(document))
    world.start()
    assert world.root.fails("OpenJournal", "a").errno == "ENOENT"
    world.save(UUID, "journal", journal)
    assert world.root.call("OpenJournal", UUID)[1:] == (UUID, "", 0, 0)
    world.save(UUID, "devices.json", document)
    assert world.root.call("OpenJournal", "a")[1:] == (UUID, "99999999-AAAA-4bbb-8ccc-dddddddddddd", 0, 0)
    (FOLDER / "journal").unlink()
    (PKERNFS / "update/calls").mkdir()
    (PKERNFS / "update/calls" / UUID).write_bytes(journal)
    assert world.root.call("OpenJournal", "a")[1:3] == (UUID, "99999999-AAAA-4bbb-8ccc-dddddddddddd")
    assert world.root.fails("OpenJournal", "nope").errno == "ENOENT"


def test_taken_up(world):
    """A QEMU has it, and lives, whether or not it lets the guest run: told, and not loaded a second time."""
    saved(world)
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
        boot = f.read().strip()
    qemu = world.run(["sleep", "1000"])
    with open(f"/proc/{qemu.pid}/stat", encoding="ascii") as f:
        born = int(f.read().rpartition(")")[2].split()[19])
    world.save(UUID, "result.json", world.example("result", "valid-running", update=UPDATE, uuid=UUID, boot_id=boot, pid=qemu.pid,
                                                  start_time=born))
    world.start()
    error = world.root.fails("Restore", "a")
    assert error.errno == "EALREADY" and "its QEMU is there already" in error.what, error
    assert (FOLDER / "state").exists()


def test_ran_since(world):
    """A guest that has run since has no state that waits: it is not shown as saved and stands in nobody's way."""
    saved(world)
    world.save(UUID, "result.json", world.example("result", "valid-failed", update=UPDATE, uuid=UUID, retry=False))
    world.define("a")
    world.start()
    assert states(world) == {UUID: "unreachable"}
    assert "no state of it" in world.root.fails("Restore", "a").what
    wait_for(lambda: not marked(), "the marker is gone")
