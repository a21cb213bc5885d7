# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon is killed or stopped at a bad moment, or finds files that somebody has damaged; the next one goes on."""

import json
import os
import signal

from case_saved import FOLDER, STATE, UUID, journal, saved
from case_saved import UPDATE as SAVED_BY
from world import JOB, PKERNFS, wait_for

UPDATE = PKERNFS / "update"
BEFORE = "00000000-aaaa-4000-8000-000000000001"


def examining(world):
    """An update that waits for a monitor that says nothing; that monitor."""
    world.define("a")
    monitor = world.monitor("a", greeting=None)
    world.start()
    world.root.call("UpdateVMM", [])
    assert world.root.property("State") == "examining"
    return monitor


def at_rest(world):
    return wait_for(lambda: (world.root.property("State") in ("idle", "done", "aborted", "degraded")) and world.root.document("GetStatus"),
                    "the daemon comes to rest")


def test_killed_while_idle(world):
    """What was declared in files is known again, what was added by a call is not."""
    world.define("a")
    world.start()
    world.root.call("AddVM", '{"version": 1, "name": "b", "uuid": "6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c0003", "qmp": "/run/b"}')
    world.restart()
    assert [vm["name"] for vm in world.root.document("ListVMs")["vms"]] == ["a"]
    assert world.root.document("GetStatus")["state"] == "idle"


def test_killed_during_an_update(world):
    """Killed while VMs are examined: the next daemon takes the update back, again and again."""
    examining(world)
    world.restart()
    status = at_rest(world)
    assert (status["state"], status["result"]) == ("aborted", "aborted"), status
    for _ in range(3):
        world.root.call("UpdateVMM", [])
        world.restart()
        assert at_rest(world)["state"] == "aborted"


def test_stopped_during_an_update(world):
    """SIGTERM cancels the update, then the daemon ends; the next one says aborted."""
    examining(world)
    world.daemon.stop(30)
    world.start()
    assert world.root.document("GetStatus")["state"] == "aborted"


def test_stopped_while_calls_wait(world):
    """Calls that wait for a monitor when the daemon is stopped are answered with an error, and nothing leaks."""
    world.define("a")
    world.monitor("a", greeting=None)
    world.start()
    callers = [world.caller(0) for _ in range(4)]
    callers[0].begin("Plan", "", {})
    callers[1].begin("ListVMs")
    callers[2].begin("DescribeVM", "a")
    callers[3].begin("Check", "/nonexistent", {})
    world.root.document("GetStatus")
    world.daemon.stop(10)


def restoring(world, state, more=()):
    """Killed while it restored VM a by request: the unit of that is there, in this state; what systemd was asked for since."""
    saved(world)
    asked = world.systemd("257.7-1", {"luctl-restore-a.service": state, **dict(more)})
    return asked


def taken_up(world):
    """A QEMU that lives has taken it up, by what its result says."""
    qemu = world.monitor("a")
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
        boot = f.read().strip()
    with open(f"/proc/{qemu.pid}/stat", encoding="ascii") as f:
        born = int(f.read().rpartition(")")[2].split()[19])
    world.save(UUID, "result.json", world.example("result", "valid-running", update=SAVED_BY, uuid=UUID, boot_id=boot, pid=qemu.pid, start_time=born))
    return qemu


def test_killed_during_a_restore(world):
    """The guest had come up: it gets its scope, its record goes, and the unit is stopped, so that it is not taken for the next restore."""
    asked = restoring(world, "active", more={"luctl-restore-nobody.service": "active"})
    qemu = taken_up(world)
    world.start()
    wait_for(lambda: ["luctl-restore-a.service"] in asked(), "the unit is stopped")
    scope = ["luctl-vm-a.scope", [qemu.pid]]
    assert scope in asked() and asked().index(scope) < asked().index(["luctl-restore-a.service"]), asked()
    assert ["luctl-restore-nobody.service"] not in asked(), asked()
    wait_for(lambda: not FOLDER.exists(), "its record is gone")
    assert "luctl-restore-nobody.service: nobody knows the VM" in world.daemon.text()
    assert world.root.fails("Restore", "a").errno in ("ENODATA", "ENOENT") and qemu.poll() is None


def test_killed_during_a_restore_that_failed(world):
    """It had not come up: the unit is stopped, with all that is in it, and the next restore is one."""
    asked = restoring(world, "failed")
    world.start()
    wait_for(lambda: ["luctl-restore-a.service"] in asked(), "the unit is stopped")
    assert world.root.finished(world.root.call("Restore", "a")) == "failed"
    assert [words[1:] for _, *more in asked() for words in more] == [["--restore", UUID]], asked()
    assert (FOLDER / "state").read_bytes() == STATE


def test_killed_during_a_restore_that_goes_on(world):
    """lu-init is still at it: nothing else is begun meanwhile, and what comes of it is taken up."""
    asked = restoring(world, "activating")
    world.start()
    wait_for(lambda: "luctl-restore-a.service is waited for" in world.daemon.text(), "it is waited for")
    assert world.root.fails("Restore", "a").errno == "EBUSY"
    assert world.root.fails("ForgetState", "a").errno == "EBUSY"
    assert world.root.fails("UpdateVMM", []).errno == "EBUSY"
    assert not asked(), asked()
    qemu = taken_up(world)
    world.set_units({"luctl-restore-a.service": "active"})
    wait_for(lambda: ["luctl-restore-a.service"] in asked(), "the unit is stopped")
    assert ["luctl-vm-a.scope", [qemu.pid]] in asked(), asked()
    assert "no state of it" in world.root.fails("Restore", "a").what


def test_two_daemons(world):
    """A second daemon ends and says why; the first one does not notice."""
    world.start()
    first, second = world.daemon, world.launch()
    assert second.process.wait(30) == 1 and "another luctld" in second.text() and not second.complaints(), second.text()
    world.daemon = first
    assert world.root.document("GetStatus")["state"] == "idle"


def test_damaged_files(world):
    """Each file of the update cut, emptied, overwritten or replaced: the daemon starts, and says so in its log or its status."""
    monitor = examining(world)
    world.root.call("Cancel", path="/org/luctl1/job/1", of=JOB)
    world.root.finished("/org/luctl1/job/1")
    world.daemon.kill()
    monitor.kill()
    files = [f for f in UPDATE.iterdir() if f.is_file()]
    assert {"journal", "trace", "request.json"} <= {f.name for f in files}, files
    for file in files:
        good = file.read_bytes()
        for damage in (b"", good[:len(good) // 2], b"\xff" * len(good), good[:40] + bytes([good[40] ^ 1]) + good[41:], good + b"x" * 5000, b'{"version": 99}'):
            file.write_bytes(damage)
            world.start()
            world.root.document("GetStatus")
            assert world.root.document("ListVMs", timeout=60)["vms"][0]["name"] == "a"
            world.daemon.stop()
        file.write_bytes(good)
    for wrong in ("folder", "fifo", "link"):
        journal = UPDATE / "journal"
        journal.rename(UPDATE / "kept")
        {"folder": os.mkdir, "fifo": os.mkfifo, "link": lambda path: os.symlink("/dev/zero", path)}[wrong](journal)
        world.start()
        world.root.document("GetStatus")
        world.daemon.stop()
        journal.rmdir() if wrong == "folder" else journal.unlink()
        (UPDATE / "kept").rename(journal)


def test_request_of_another_update(world):
    """An update that could not begin has left its request beside the journal of the one before: that one is still taken back."""
    uuid = world.define("a")
    qemu = world.qemu("a", more=["-S"])
    world.save(uuid, "saved.json", world.example("saved", "valid-prepared", update=BEFORE, uuid=uuid, name="a", running=True, pause_tsc=1))
    world.save(uuid, "launch.json", world.example("launch", "valid-minimal", uuid=uuid, name="a", qmp=str(world.socket_of("a"))))
    UPDATE.mkdir(mode=0o700)
    (UPDATE / "journal").write_bytes(journal(BEFORE, 16, 2, -5, b"VM a: QEMU hangs", begun_here=True))
    (UPDATE / "request.json").write_text(json.dumps(world.example("request", "valid-one", vms=[])))
    world.start()
    status = at_rest(world)
    vm = world.root.document("ListVMs")["vms"][0]
    assert vm["state"] == "running", (vm, status, qemu.poll())
    assert status["state"] == "aborted" and f"update {BEFORE}: aborted" in world.daemon.text(), status


def test_pkernfs_goes_away(world):
    """pkernfs is taken away while the daemon runs, and comes back empty."""
    world.define("a")
    world.start()
    world.umount()
    assert not world.root.document("GetStatus")["pkernfs"]["mounted"]
    assert "pkernfs" in world.root.fails("UpdateVMM", []).what
    world.mount()
    assert world.root.finished(world.root.call("UpdateVMM", [])) == "aborted"


def test_signals(world):
    """SIGHUP and SIGPIPE of a terminal or a client that went away don't end it in the middle of something; SIGINT ends it in order."""
    world.start()
    world.daemon.process.send_signal(signal.SIGPIPE)
    assert world.root.document("GetStatus")["state"] == "idle"
    world.daemon.process.send_signal(signal.SIGINT)
    assert world.daemon.process.wait(20) == 0 and not world.daemon.complaints(), world.daemon.text()
