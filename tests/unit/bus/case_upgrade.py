# SPDX-License-Identifier: GPL-2.0-or-later
"""The package is upgraded or downgraded under a running daemon, or in the middle of an update: no document of another luctl costs a guest."""

import json
import os
import signal
import socket
import time

from case_saved import FOLDER, UUID, marked, saved, states, tries
from world import PKERNFS, wait_for

UPDATE = PKERNFS / "update"
UNKNOWN = {"from_a_newer_minor": {"a": [1.5, None]}}


def newer(path, minor=9):
    """What a luctl would have written there that knows more than this one."""
    document = json.loads(path.read_text())
    nested = {k: {**v, **UNKNOWN} if isinstance(v, dict) else [{**x, **UNKNOWN} if isinstance(x, dict) else x for x in v] if isinstance(v, list) else v
              for k, v in document.items()}
    path.write_text(json.dumps({**nested, **UNKNOWN, "minor": minor}))


def other_version(path, version=2):
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": version}))


def records():
    return [FOLDER / "saved.json", FOLDER / "launch.json", UPDATE / "request.json"]


def still_waits(world, key=UUID):
    """Shown, marked, and safe from updates and from another daemon."""
    assert states(world) == {UUID: "saved"} and marked()
    tries(world, key)
    assert world.root.finished(world.root.call("Update", "/nonexistent", {})) == "aborted"
    assert states(world) == {UUID: "saved"}
    tries(world, key)


def test_downgraded(world):
    """Records of a newer minor, found by a daemon that starts: it reads what it knows."""
    saved(world)
    for path in records():
        newer(path)
    world.start()
    assert world.root.document("GetStatus")["state"] == "degraded"
    still_waits(world)
    world.restart()
    still_waits(world, "a")


def test_upgraded_under_it(world):
    """The daemon runs on while a newer lu-init or tool writes a newer minor into the records that it has read, one after the other."""
    saved(world)
    world.start()
    still_waits(world)
    for path in records():
        newer(path, 4294967295)
        assert states(world) == {UUID: "saved"} and marked()
        tries(world)
    world.save(UUID, "result.json", world.example("result", "valid-failed", update="00000000-aaaa-4000-8000-000000000001", uuid=UUID,
                                                  boot_id="00000000-aaaa-4000-8000-000000000009", retry=True))
    newer(FOLDER / "result.json")
    still_waits(world)
    world.restart()
    still_waits(world)


def test_ran_since_by_a_newer_one(world):
    """What a newer lu-init says of a guest counts: one that has run since is not loaded a second time."""
    saved(world)
    world.save(UUID, "result.json", world.example("result", "valid-failed", update="00000000-aaaa-4000-8000-000000000001", uuid=UUID, retry=False))
    newer(FOLDER / "result.json")
    world.define("a")
    world.start()
    assert states(world) == {UUID: "unreachable"}
    assert "no state of it" in world.root.fails("Restore", "a").what


def test_another_version(world):
    """Records of another version are not read. The state stays, is shown and told; what helps is said; no update touches it."""
    for name in ("saved.json", "launch.json", "result.json"):
        saved(world, journal=False)
        world.save(UUID, "result.json", world.example("result", "valid-failed", update="00000000-aaaa-4000-8000-000000000001", uuid=UUID, retry=True))
        other_version(FOLDER / name)
        before = {f.name: f.read_bytes() for f in FOLDER.iterdir()}
        world.start()
        for _ in range(2):
            vm, = world.root.document("ListVMs", timeout=60)["vms"]
            assert (vm["uuid"], vm["state"]) == (UUID, "saved"), vm
            if name != "result.json":
                assert "version 2" in vm["reason"]["what"] and "as new as" in vm["reason"]["hint"], vm
            assert world.root.finished(world.root.call("Update", "/nonexistent", {})) == "aborted"
            assert {f.name: f.read_bytes() for f in FOLDER.iterdir()} == before
            world.restart()
        world.daemon.stop()
        (FOLDER / "result.json").unlink()


def test_another_version_of_the_request(world):
    """The last update's request can't be read: the daemon starts all the same, and the state is found by what is in its folder."""
    saved(world)
    other_version(UPDATE / "request.json")
    world.start()
    assert "version 2" in world.daemon.text() and "as new as" in world.daemon.text(), world.daemon.text()
    assert world.root.document("GetStatus")["state"] == "degraded"
    assert states(world) == {UUID: "saved"} and marked()
    tries(world)


def test_definition(world):
    """A VM's declaration may have been written for a newer luctl; a typing error in one for this luctl is told."""
    world.define("a", minor=2, colour="red")
    world.define("b", number=2, colour="red")
    world.start()
    a, b = world.root.document("ListVMs")["vms"]
    assert (a["name"], a["uuid"]) == ("a", UUID) and "defined" not in a
    assert b["uuid"] is None and "/colour: unknown key" in b["reason"]["what"], b


def ask(place, command):
    """A command at a QEMU's monitor, which has to be free."""
    def answer():
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(2)
            s.connect(str(place))
            f = s.makefile("rw")
            try:
                f.readline()
                for line in ("qmp_capabilities", command):
                    f.write(json.dumps({"execute": line}) + "\n")
                    f.flush()
                    reply = json.loads(f.readline())
                    while "event" in reply:
                        reply = json.loads(f.readline())
                return reply
            except TimeoutError:
                return None
    return wait_for(answer, "QEMU answers")["return"]


def killed_in_between(world):
    """Ask for another QEMU, and kill the daemon as soon as the VM has a record; the guest's state by its QEMU's own words."""
    world.root.call("UpdateVMM", ["a"])
    end = time.monotonic() + 60
    while not (FOLDER / "saved.json").exists():
        assert time.monotonic() < end and world.root.property("State") not in ("aborted", "degraded"), world.daemon.text()
    os.kill(world.daemon.process.pid, signal.SIGSTOP)
    world.daemon.kill()


def test_in_an_update(world):
    """A real QEMU in the middle of an update, the daemon killed, the package exchanged: the next daemon, older or newer than what it
    finds, takes the update back, and the guest runs. One that stood still for the update goes on, also if the next daemon can't
    read what was asked for."""
    world.define("a")
    qemu = world.qemu("a")
    world.start()
    for minor, stop, spoil in ((0, False, None), (1, False, None), (1, True, None), (0, True, other_version), (0, True, lambda path: path.write_text("{"))):
        killed_in_between(world)
        assert qemu.poll() is None
        if minor:
            for path in (FOLDER / "saved.json", FOLDER / "launch.json", UPDATE / "request.json"):
                newer(path)
        if stop:
            ask(world.socket_of("a"), "stop")
            record = json.loads((FOLDER / "saved.json").read_text())
            assert record["running"] is True
            (FOLDER / "saved.json").write_text(json.dumps({**record, "pause_tsc": 1}))
        if spoil:
            spoil(UPDATE / "request.json")
        world.start()
        status = wait_for(lambda: world.root.property("State") in ("aborted", "degraded") and world.root.document("GetStatus"), "at rest", 60)
        assert status["state"] == "aborted", (status, world.daemon.text())
        assert qemu.poll() is None and ask(world.socket_of("a"), "query-status")["status"] == "running", world.daemon.text()
        assert states(world) == {UUID: "running"}
