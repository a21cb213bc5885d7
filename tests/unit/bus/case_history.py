# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports of former updates: kept whatever became of the update, found again, bounded, and nothing waits for their disk."""

import json
import os
import subprocess

from world import PKERNFS, VAR, World, wait_for

REPORTS = VAR / "reports"
LAST = PKERNFS / "update/report.json"


def updated(world):
    """An update of QEMU alone that fails, since there is nothing here that could start the next one; its report."""
    result = world.root.finished(world.root.call("UpdateVMM", ["a"]))
    report = world.root.document("GetReport")
    assert report["result"] == world.root.document("GetStatus")["result"] == result, (result, report)
    return report


def put(number, name=None, at=None, **changes):
    """A report that is kept already; its id."""
    identity = f"{number:08x}-2f0b-4b07-9d5b-0a2f3f0f7a11"
    REPORTS.mkdir(exist_ok=True)
    path = REPORTS / (name or f"{identity}.json")
    path.write_text(json.dumps(World.example("report", "valid-success", id=identity, started_realtime_usec=1000 * number, **changes)))
    os.utime(path, (at or 1000 + number,) * 2)
    return identity


def kept(report):
    return wait_for(lambda: (REPORTS / f"{report['id']}.json").exists(), "the report is kept")


def test_an_update_of_qemu(world):
    """Report, status, job and history say the same of an update after which a guest is missing, and the report is made once."""
    world.define("a")
    world.qemu("a")
    world.start()
    report = updated(world)
    assert report["result"] == "degraded" and report["vms"][0]["result"] == "lost", report
    kept(report)
    told = [line for line in world.daemon.text().splitlines() if "VM a: does not run" in line]
    assert len(told) == 1, told
    entry, = world.root.document("ListReports")["reports"]
    assert {k: entry[k] for k in ("id", "kind", "result", "from", "error")} == {k: report[k] for k in ("id", "kind", "result", "from", "error")}, entry
    assert (entry["vms"], entry["lost"]) == (1, 1), entry
    for name in (report["id"], report["id"][:4], report["id"].upper()):
        assert world.root.document("GetReportOf", name) == report, name
    LAST.unlink()
    assert world.root.fails("GetReport").errno == "ENODATA"
    assert world.root.document("GetReportOf", report["id"]) == report
    assert [x["id"] for x in world.root.document("ListReports")["reports"]] == [report["id"]]


def test_found(world):
    """Newest first; by an id that is clear; and one that is not."""
    ids = [put(number) for number in (0x11110000, 0x11112222, 0x33330000)]
    world.start()
    c = world.caller()
    listed = c.document("ListReports")
    assert [x["id"] for x in listed["reports"]] == ids[::-1] and listed["damaged"] == [], listed
    assert c.document("GetReportOf", "3333")["id"] == ids[2]
    assert c.document("GetReportOf", "11112")["id"] == ids[1]
    assert c.fails("GetReportOf", "1111").errno == "ENOTUNIQ"
    assert c.fails("GetReportOf", "4444").errno == "ENODATA"
    for nonsense in ("", "333", "3333/../x", "..%00", "g" * 8, "3" * 37, "é" * 4):
        assert c.fails("GetReportOf", nonsense).errno == "EINVAL", nonsense


def test_damaged(world):
    """What is no report, and what can't be read, is named, passed over and left."""
    good, cut, other = put(1), put(2), put(3)
    (REPORTS / f"{cut}.json").write_text('{"version": 1')
    put(9, name=f"{other}.json")
    put(7, kind="all")
    os.mkfifo(REPORTS / f"{0x55550000:08x}-2f0b-4b07-9d5b-0a2f3f0f7a11.json")
    (REPORTS / "folder").mkdir()
    (REPORTS / "notes \udcff.txt").write_text("mine")
    world.start()
    listed = world.root.document("ListReports")
    assert [x["id"] for x in listed["reports"]] == [good], listed
    assert len(listed["damaged"]) == 6 and all(x["what"] for x in listed["damaged"]), listed
    assert world.root.fails("GetReportOf", cut).errno == "EBADMSG"
    assert world.root.fails("GetReportOf", "5555").errno == "ENODATA"
    assert len(list(REPORTS.iterdir())) == 7


def test_bounded(world):
    """At most a hundred, the oldest goes; what was left half written goes, too; what is not ours stays."""
    ids = [put(number) for number in range(1, 121)]
    (REPORTS / f".{ids[0]}.json.tmp").write_text("half")
    (REPORTS / "mine").write_text("mine")
    world.define("a")
    world.qemu("a")
    world.start()
    report = updated(world)
    kept(report)
    wait_for(lambda: len(list(REPORTS.iterdir())) == 101, "the oldest are gone")
    names = {p.name for p in REPORTS.iterdir()}
    assert names == {f"{i}.json" for i in ids[21:] + [report["id"]]} | {"mine"}, names
    assert len(world.root.document("ListReports")["reports"]) == 100


def test_bounded_by_size(world):
    """No more than 32 MiB in all."""
    ids = [put(number) for number in range(1, 5)]
    for name in ids[:3]:
        os.truncate(REPORTS / f"{name}.json", 14 << 20)
    for number, name in enumerate(ids):
        os.utime(REPORTS / f"{name}.json", (1000 + number,) * 2)
    world.define("a")
    world.qemu("a")
    world.start()
    kept(updated(world))
    wait_for(lambda: not (REPORTS / f"{ids[0]}.json").exists(), "the oldest is gone")
    assert all((REPORTS / f"{name}.json").exists() for name in ids[1:])


def test_disk_full(world):
    """No room for the report: said in the journal, the update ends as ever, and the report is kept once there is room."""
    REPORTS.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "full", REPORTS], check=True)
    (REPORTS / "filler").write_bytes(b"x" * 4096)
    world.define("a")
    world.qemu("a")
    world.start()
    report = updated(world)
    wait_for(lambda: "is not kept in /var/lib/luctl/reports" in world.daemon.text(), "the journal says so")
    assert not list(REPORTS.glob("*.json")) and not list(REPORTS.glob(".*")), list(REPORTS.iterdir())
    assert [x["id"] for x in world.root.document("ListReports")["reports"]] == [report["id"]]
    assert world.root.document("GetReportOf", report["id"]) == report
    subprocess.run(["umount", REPORTS], check=True)
    world.restart()
    kept(report)


def test_no_folder(world):
    """Where the folder should be is something else: nothing but the history is lost."""
    REPORTS.write_text("")
    world.define("a")
    world.qemu("a")
    world.start()
    report = updated(world)
    wait_for(lambda: "is not kept in /var/lib/luctl/reports" in world.daemon.text(), "the journal says so")
    assert world.root.document("GetReport") == report
    assert "reports" in world.root.fails("ListReports").what
    REPORTS.unlink()


def test_many_ask(world):
    """Many at once: each is answered, or told to come again; one who goes away meanwhile costs nothing."""
    for number in range(50):
        put(number)
    world.start()
    callers = [world.caller() for _ in range(12)]
    for c in callers:
        c.begin("ListReports")
    callers[0].process.kill()
    answers = [c.outcome() for c in callers[1:]]
    assert all(a == "EBUSY" or len(json.loads(a)["reports"]) == 50 for a in answers), answers
    assert any(a != "EBUSY" for a in answers), answers
    world.root.begin("ListReports")
    world.daemon.stop()
