# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory of guests that has gone bad. The kernel says by a feature bit of pkernfs that there is some; a guest goes along with it, and only into a
kernel that knows of it."""

import json
import pathlib

from world import PKERNFS

SYSFS = pathlib.Path("/sys/fs/pkernfs")     # run-bus has covered /sys/fs
POISON = 8
PAGE = 4096


def kernel_tells(incompat, kib=None):
    SYSFS.mkdir(exist_ok=True)
    for name, text in {"version": "1", "ro_compat": "0x0", "incompat": f"{incompat:#x}", "bad_kib": kib}.items():
        (SYSFS / name).unlink(missing_ok=True)
        if text is not None:
            (SYSFS / name).write_text(f"{text}\n")


def spoil(name, *offsets):
    """fakefs.c takes such pages for bad ones."""
    with open(PKERNFS / "ram" / name, "r+b") as f:
        for offset in offsets:
            f.seek(offset)
            f.write(b"BAD PAGE")


def bad(document):
    return {f["object"]: f["what"] for f in document["findings"] if "bad" in f["what"] and f["level"] == "warning"}


def test_named(world):
    """Plan and check name the VM, the file and the number of pages; it goes along all the same."""
    for number, name in enumerate("abc", 1):
        world.define(name, number=number)
        world.qemu(name, number=number)
    spoil("a", 8 << 20, (8 << 20) + PAGE, 12 << 20)      # the firmware writes to the end
    spoil("b", 9 << 20)
    kernel_tells(POISON, 16)
    world.start()
    assert world.root.document("GetStatus")["pkernfs"]["bad_pages"] == 4
    kernel, more = world.target(incompat=POISON)
    plan = world.root.document("Plan", kernel, more)
    ram = f"{PKERNFS}/ram"
    want = {"VM a": f"goes along, but 3 pages of its memory {ram}/a, of 4 KiB, have gone bad and stay so",
            "VM b": f"goes along, but 1 page of its memory {ram}/b, of 4 KiB, has gone bad and stays so"}
    assert plan["ok"] and bad(plan) == want, plan
    assert {vm["name"]: vm["verdict"] for vm in plan["vms"]} == dict.fromkeys("abc", "goes-along"), plan
    check = world.root.document("Check", kernel, more)
    assert check["ok"] and bad(check) == want, check
    # one that is left out is not looked through
    assert list(bad(world.root.document("Plan", kernel, {**more, "exclude": ["a"]}))) == ["VM b"]
    # without the bit there is nothing to look for
    kernel_tells(0, 0)
    assert not bad(world.root.document("Plan", kernel, more))
    assert world.root.document("GetStatus")["pkernfs"]["bad_pages"] == 0
    kernel_tells(0)
    assert world.root.document("GetStatus")["pkernfs"]["bad_pages"] is None


def test_target_that_does_not_know(world):
    """A target that knows nothing of bad memory is refused before anything is paused, and only while there is some."""
    world.define("a")
    world.qemu("a")
    kernel_tells(POISON, 4)
    world.start()
    kernel, more = world.target()
    check = world.root.document("Check", kernel, more)
    wrong = [f for f in check["findings"] if f["level"] == "error"]
    assert [f["object"] for f in wrong] == ["pkernfs"], json.dumps(wrong)
    assert "incompatible features 0x8 that the target does not know" in wrong[0]["what"], wrong
    job = world.root.call("Update", kernel, {**more, "rehearse": True})
    assert world.root.finished(job, 120) == "aborted"
    assert "0x8" in world.root.document("GetStatus")["error"]["what"], world.root.document("GetStatus")
    # there is one of each update that has got beyond its check
    assert world.root.fails("GetReport").errno == "ENODATA"
    assert [vm["state"] for vm in world.root.document("ListVMs")["vms"]] == ["running"]
    kernel_tells(0, 0)
    assert world.root.document("Check", kernel, more)["ok"]


def test_with_devices(world):
    """A device can't be given such a page by another kernel: a VM that has one passed through is refused, by the file, and only for memory of its own."""
    for number, name in enumerate("abc", 1):
        path = PKERNFS / "ram" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\1" * (1 << 20))
        world.define(name, number=number)
        world.monitor(name, words=["-device", f"vfio-pci,host=0000:00:1f.{number},id=card"] if name < "c" else [],
                      answers={"qom-list /objects": [{"name": "ram0", "type": "child<memory-backend-file>"}], "qom-get /objects/ram0 mem-path": str(path),
                               "qom-get /objects/ram0 share": True, "qom-get /objects/ram0 size": 1 << 20, "qom-get /objects/ram0 discard-data": False})
    spoil("a", 0, 9 * PAGE)
    spoil("c", PAGE)
    kernel_tells(POISON, 12)
    world.start()

    def refused():
        plan = world.root.document("Plan", "", {})
        return {vm["name"]: [r["what"] for r in vm["reasons"] if "can't be given to its devices" in r["what"]] for vm in plan["vms"]}, plan

    what = f"2 pages of its memory {PKERNFS}/ram/a, of 4 KiB, have gone bad, and can't be given to its devices in the next kernel"
    found, plan = refused()
    assert found == {"a": [what], "b": [], "c": []}, plan
    assert "a" not in [vm["name"] for vm in plan["vms"] if vm["verdict"] != "cannot"] and "VM a" not in bad(plan), plan
    hint, = [r["hint"] for vm in plan["vms"] for r in vm["reasons"] if r["what"] == what]
    assert "unplug its devices" in hint, hint
    # what can't be looked through may be bad as well
    (PKERNFS / "ram/b").unlink()
    found, plan = refused()
    assert len(found["b"]) == 1 and "whether its memory" in found["b"][0], plan
    kernel_tells(0, 0)
    assert refused()[0] == {"a": [], "b": [], "c": []}


def test_told(world):
    """QEMU saves no guest that it has told of bad memory: that is asked before anybody is paused, only where there is some, and a QEMU that says nothing of it is saved afterwards."""
    words = "Can't migrate this vm with hardware poisoned memory, please reboot the vm and try again"
    for number, name in enumerate("ab", 1):
        world.define(name, number=number)
        (world.qemu if name == "a" else world.monitor)(name, **({"number": number} if name == "a" else {"answers": {"migrate": {"error": words}}}))
    world.start()

    def told(name):
        return [r["what"] for vm in world.root.document("Plan", "", {})["vms"] if vm["name"] == name for r in vm["reasons"] if "poisoned" in r["what"]]

    kernel_tells(0, 0)
    assert told("b") == []
    kernel_tells(POISON, 4)
    assert told("b") == [f"memory of its guest has gone bad, and a QEMU that has told its guest so does not save it: VM b: QEMU refuses migrate: {words}"]
    assert told("a") == []
    kernel, more = world.target(incompat=POISON)
    job = world.root.call("Update", kernel, {**more, "rehearse": True, "exclude": ["b"]})
    assert world.root.finished(job, 120) == "success", world.root.document("GetStatus")
    assert world.root.document("DescribeVM", "a")["state"] == "running"
