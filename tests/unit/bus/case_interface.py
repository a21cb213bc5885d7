# SPDX-License-Identifier: GPL-2.0-or-later
"""What schemas/org.luctl1.xml promises: members, signatures, replies by their schemas."""

from world import DOCUMENTS, JOB, MANAGER, ROOT, interface, interface_of, managed, wait_for


def introspect(caller, path):
    return interface_of(caller.call("Introspect", path=path, of="org.freedesktop.DBus.Introspectable", kind="()"))


def test_members(world):
    """The daemon has the members of the XML, neither more nor less."""
    world.start()
    found = introspect(world.root, ROOT)
    world.define("a")
    world.monitor("a")
    found.update(introspect(world.root, world.root.call("UpdateVMM", [])))
    found.update(introspect(world.root, wait_for(lambda: next((path for path in managed(world.root) if "/vm/" in path), None), "a VM's object")))
    want = interface()
    wrong = [f"{k}: XML {want.get(k)}, luctld {found.get(k)}" for k in sorted(set(want) | set(found)) if want.get(k) != found.get(k)]
    assert not wrong, wrong


def test_documents_are_all_judged(_world):
    """Each method that returns one text returns a document whose schema the tests know."""
    texts = {name for (of, name), (tag, _, _, args) in interface().items()
             if of == MANAGER and tag == "method" and [kind for way, kind, _ in args if way == "out"] == ["s"]}
    assert texts == set(DOCUMENTS), texts ^ set(DOCUMENTS)


def test_replies_without_vms(world):
    """Each method of the manager on a host that has nothing, by root."""
    world.start()
    c = world.root
    assert c.document("GetStatus")["state"] == "idle"
    assert c.document("ListVMs") == {"version": 1, "minor": 1, "vms": []}
    assert c.document("Plan", "", {})["vms"] == []
    assert not c.document("Check", "/nonexistent", {})["ok"]
    assert c.fails("DescribeVM", "a").errno == "ENOENT"
    assert c.fails("RemoveVM", "a").errno == "ENOENT"
    assert c.fails("Restore", "a").errno == "ENOENT"
    assert c.fails("GetReport").errno == "ENODATA"
    assert c.fails("Abort").errno == "ENOENT"
    assert c.fails("AddVM", "{}").hint, "an error of a definition says what to do"
    assert c.property("State") == "idle"
    assert c.property("Version")


def test_an_update_that_is_refused(world):
    """Update and UpdateVMM: a job that ends, and a status that says why."""
    world.start()
    c = world.root
    for method, args in (("Update", ("/nonexistent", {})), ("UpdateVMM", (["nobody"],))):
        job = c.call(method, *args)
        assert c.property("Kind", job, JOB) == "update"
        assert c.finished(job) == "aborted", method
        assert c.property("State", job, JOB) == "aborted"
        assert c.fails("Cancel", path=job, of=JOB).errno == "EALREADY"
        status = c.document("GetStatus")
        assert (status["state"], status["result"]) == ("aborted", "aborted") and status["error"]["what"], status
        assert c.fails("GetReport").errno == "ENODATA", "a check that refuses is no update to report on"


def test_vms(world):
    """A VM that is declared, one that is added, one whose file is no good: listed, described, removed."""
    world.define("a", 1)
    world.monitor("a")
    world.define("broken", 2, nonsense=True)
    world.start()
    c = world.root
    c.call("AddVM", '{"version": 1, "name": "b", "uuid": "6a1d3a5e-0f0f-4b6e-9d5e-2f6f8f1c0003", "qmp": "/run/b"}')
    vms = {vm["name"]: vm for vm in c.document("ListVMs")["vms"]}
    assert set(vms) == {"a", "b", "broken"}
    assert vms["a"]["state"] == "running" and not vms["a"]["updatable"] and vms["a"]["reason"]["what"], vms["a"]
    assert vms["broken"]["reason"]["what"], vms["broken"]
    assert c.document("DescribeVM", "a") == {"version": 1, "minor": 1, **vms["a"]}
    assert {vm["name"] for vm in c.document("Plan", "", {"exclude": ["b"]})["vms"]} == {"a", "b", "broken"}
    c.call("RemoveVM", "b")
    assert c.fails("DescribeVM", "b").errno == "ENOENT"


def test_without_pkernfs(world):
    """No pkernfs: reading goes on, an update is refused and says why."""
    world.umount()
    world.start()
    c = world.root
    assert not c.document("GetStatus")["pkernfs"]["mounted"]
    assert not c.document("Check", "/nonexistent", {})["ok"]
    assert "pkernfs" in c.fails("Update", "/nonexistent", {}).what
    world.mount()
    assert c.document("GetStatus")["pkernfs"]["mounted"], "it is mounted now"


def test_report_of_a_vm(world):
    """What was done to a real QEMU is in the report, in its parts, whose times lie within the update's."""
    world.define("a")
    world.qemu("a")
    world.start()
    result = world.root.finished(world.root.call("UpdateVMM", ["a"]))
    report = world.root.document("GetReport")
    vm, = report["vms"]
    names = [phase["name"] for phase in vm["phases"]]
    assert names[:3] == ["vm-prepare", "vm-pause", "vm-save"] and "vm-blackout" not in names, (result, report)
    assert all(phase["start_usec"] + phase["duration_usec"] <= report["duration_usec"] for phase in vm["phases"]), report
