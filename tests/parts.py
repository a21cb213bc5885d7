# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of tests/run: when each runs, and which paths of the tree it covers. The one table of it.

A part is a function of tests/run, or a scenario (a file of tests/scenarios), whose own file it covers by itself. A
path that ends in / is a folder with all that is in it; others are patterns as of fnmatch. lint is part of every
choice. What no part covers is found by lint; what only lint can judge is named in LINT_ALONE.
"""

import fnmatch
import pathlib

SERIES = ["kernel-patch/7.3/", "kernel-patch/7.2/", "kernel-patch/core/", "kernel-patch/common/"]
PKERNFS = SERIES + ["kernel-patch/include/", "kernel-patch/selftest", "kernel-patch/check-header", "kernel-patch/configs/"]
PKEEP = PKERNFS + ["kernel-patch/pkeep/"]
BUILD = ["meson.build", "meson_options.txt", "*/meson.build"]
PROGRAMS = ["libluctl/", "daemon/", "cli/"]
RUNNER = ["tests/run", "tests/parts.py", "tests/lab/say.py", "tests/lab/paths.py", "tests/lab/install.py", "tests/lab/apt.py"]
LAB = ["tests/lab/", "tests/guests/", "tests/scenarios/"]
# what an update goes through, whatever the guests have
UPDATE = ["daemon/main.c", "daemon/bus/", "daemon/update/", "daemon/host/", "daemon/engine/", "daemon/vm/", "daemon/blocks/", "daemon/qmp/", "daemon/launch/", "daemon/lu-init/", "libluctl/base/",
          "libluctl/documents/", "systemd/"]
DEVICES = ["daemon/devices/", "libluctl/calls/", "daemon/vm/passthrough.c", "daemon/vm/transfer.c", "daemon/lu-init/", "kernel-patch/pkeep/", "tests/lab/devices.py",
           "tests/lab/wire.py", "tests/lab/nvme.py"]

OWN_KERNEL = "a kernel of its own to build"
EACH = "a kernel to build for each patch"

# name: what it covers, and for what a whole run leaves out the reason
PARTS = {
    "lint": (["tests/lint", *RUNNER], None),
    "unit": ([*PROGRAMS, *BUILD, "schemas/", "docs/", "python/", "systemd/", "tests/unit/", "kernel-patch/include/", *RUNNER], None),
    "warnings": ([*PROGRAMS, *BUILD, "tests/unit/", "tests/fuzz/"], "four builds of everything; unit and fuzz-short build with warnings as errors, too"),
    "fuzz-short": ([*PROGRAMS, *BUILD, "schemas/", "tests/fuzz/", "tests/unit/calls/", "tests/unit/kernel/", "tests/unit/pkernfs/"], None),
    "fuzz": (["tests/fuzz/"], "its time: as many executions as it is told; fuzz-short makes some of them"),
    "metrics": (["cli/metrics.c", "docs/examples/prometheus/", "tests/metrics/", "tests/lab/prometheus.py"], "packages that nothing else needs"),
    "fleet": (["docs/ansible/", "schemas/status.schema.json", "schemas/plan.schema.json", "schemas/outcome.schema.json", "tests/fleet/", "tests/unit/cli/mock-luctld.c"],
              "packages that nothing else needs"),
    "witness": (["tests/lab/check_witness.py", "tests/lab/emulator.py", "tests/lab/witness.py", "tests/lab/timeline.py", "tests/lab/console.py"], None),
    "pkernfs": (PKERNFS, None),
    "pkernfs-damage": (PKERNFS, None),
    "pkernfs-poison": (PKERNFS, None),
    "pkernfs-gig": (PKERNFS, "its machine has 14 GiB of memory"),
    "pkernfs-random": (PKERNFS, None),
    "pkernfs-random-ten": (PKERNFS, "pkernfs-random makes two kexecs"),
    "pkernfs-faults": (PKERNFS, OWN_KERNEL),
    "pkernfs-restore-faults": (PKERNFS, OWN_KERNEL),
    "pkernfs-kunit": (PKERNFS, OWN_KERNEL),
    "pkernfs-kasan": (PKERNFS, OWN_KERNEL),
    "pkernfs-others": (PKERNFS, "what others test says little about pkernfs"),
    "pkernfs-same": (PKERNFS, "its time: it waits for a tick before each of six thousand operations"),
    "pkernfs-lockdep": (PKERNFS, OWN_KERNEL),
    "pkernfs-races": (PKERNFS, OWN_KERNEL),
    "pkeep": (PKEEP, None),
    "pkeep-more": (PKEEP, "pkeep runs the main cases"),
    "pkeep-lockdep": (PKEEP, OWN_KERNEL),
    "pkeep-kasan": (PKEEP, OWN_KERNEL),
    "each-patch": (PKEEP, EACH),
    "each-patch-7.2": (PKEEP, EACH),
    # scenarios
    "libvirt": (["daemon/libvirt/", "daemon/vm/domain.c", "daemon/launch/inherited.c", "daemon/launch/capture_inherited.c", "daemon/update/steps-libvirt.c", "systemd/", "tests/lab/domains.py"],
                "its time: two updates in a row, one that is undone, and one after which a guest is brought back"),
    "libvirt-modular": (["daemon/libvirt/hold.c", "systemd/luctl-libvirt-gate.service", "systemd/libvirt.conf", "tests/lab/domains.py", "tests/lab/virtqemud.py"],
                        "its time, and a libvirt that Debian does not have"),
    "libvirt-failures": (["daemon/libvirt/", "daemon/update/steps-libvirt.c", "daemon/lu-init/early.c", "systemd/luctl-libvirt-gate.service", "systemd/libvirt.conf", "tests/lab/domains.py"],
                         "its time: four updates"),
    "libvirt-domains": (["daemon/libvirt/", "daemon/vm/domain.c", "daemon/launch/inherited.c", "daemon/launch/capture_inherited.c", "daemon/update/steps-libvirt.c", "tests/lab/domains.py"],
                        "its time: an update, and all that an administrator does with a domain"),
    "libvirt-together": (["daemon/libvirt/", "daemon/vm/domain.c", "daemon/update/steps-libvirt.c", "tests/lab/domains.py"],
                         "its time, and an emulator of its own to build; libvirt-domains, libvirt-uefi and libvirt-hostdev have each kind of domain by itself"),
    "libvirt-uefi": (["daemon/blocks/", "daemon/libvirt/", "tests/lab/domains.py", "tests/lab/qemu.py", "tests/lab/qemu-patches/"],
                     "its time, and an emulator of its own to build"),
    "libvirt-hostdev": (["daemon/libvirt/", "daemon/launch/inherited.c", "daemon/launch/capture_inherited.c", "daemon/devices/cpr.c", "daemon/lu-init/held.c", "daemon/update/steps-libvirt.c",
                         "tests/lab/domains.py"], "its time, and packages that nothing else needs"),
    "libvirt-five": (["daemon/libvirt/", "daemon/update/steps-libvirt.c", "tests/lab/domains.py"], "its time: five updates"),
    "libvirt-confined": (["daemon/libvirt/", "daemon/launch/confined.*", "daemon/launch/spawn.c", "daemon/launch/capture_view.c", "daemon/launch/view*.c", "daemon/lu-init/restore.c", "tests/lab/domains.py"],
                         "a kernel of its own to build, and packages that nothing else needs"),
    "host-comes-up": ([*UPDATE, *LAB, *PKEEP], None),
    "three-guests": ([*UPDATE, *DEVICES, *LAB, *PKEEP, "cli/", "libluctl/", "tests/demo", "tests/bench/"], None),
    "versions": ([*UPDATE, *DEVICES, *LAB, *PKEEP], None),
    "foreign-target": (["libluctl/kernel/", "daemon/update/check.c", *LAB], None),
    "failures-before-the-jump": ([*UPDATE, *LAB], None),
    "best-effort": (["daemon/update/leave.*", "daemon/update/steps.c", "daemon/update/steps-before.c", "daemon/vm/waiting.c"],
                    "its time; the unit tests of luctld on a private bus rehearse each way to be left behind"),
    "failures-after-the-jump": ([*UPDATE, *LAB], None),
    "daemon-killed": ([*UPDATE, *LAB], None),
    "device-checked": (DEVICES, "two kernels of its own to build"),
    "device-controls": (DEVICES, "pkeep has what refuses and stops a device; this has it beside a guest"),
    "five-in-a-row": (["daemon/update/", "daemon/lu-init/", "daemon/vm/"], "versions makes three updates in a row"),
    "device-interrupts": (DEVICES, "three-guests and versions use MSI-X and devices with FLR; pkeep has all kinds"),
    "device-kinds": (DEVICES, "three-guests and versions take a card along; this has five kinds of devices in two guests"),
    "device-modes": (DEVICES, "the same with a card and a disk in each of VT-d's modes takes minutes"),
    "device-refused": (DEVICES, "pkeep has wrong tables, too; this has them in a guest's journal of calls, and sixteen host VMs"),
    "helpers": (["daemon/launch/peers.c", "daemon/launch/capture_tpm.c", "daemon/launch/argv_peers.c", "daemon/lu-init/tpm.c", "daemon/host/host.c", "daemon/update/restore.c",
                 "systemd/luctl-tpm@.service", "tests/guests/"], "its time: three updates, one that is undone, and one after which a guest is brought back"),
    "clock-and-network": (["daemon/lu-init/agent.c", "daemon/lu-init/restore.c", "daemon/vm/pause.c", "tests/lab/agent.py", "tests/guests/"],
                          "each scenario looks at the guests' clocks; what sets them needs a machine that does nothing else"),
    "fifty-resumes": (["daemon/vm/pause.c", "daemon/lu-init/restore.c", *SERIES], "its time; each scenario looks at the guests' clocks at each resume"),
    "device-stays": (DEVICES, "three-guests and versions take a card along; this has the control, too"),
    "device-goes-back": (DEVICES, "daemon-killed and failures-before-the-jump take the same way back with guests without devices"),
    "pkernfs-image": (["libluctl/pkernfs/", "cli/pkernfs.c", *SERIES], "what tests/unit/pkernfs shows on an image, on a whole host"),
    "pkernfs-load": (["tests/lab/load.py", *SERIES], "its time, and packages that nothing else needs"),
    "rehearsal": (["daemon/update/", "daemon/engine/", "daemon/host/hooks.*"], "its time; the engine's unit tests end a rehearsal at each step"),
    "late-disk": (["daemon/update/steps-after.c", "daemon/launch/argv_peers.c"], "its time; what makes a VM late the unit tests show"),
    "data-at-rest": (["daemon/host/disks.*", "daemon/update/steps-before.c", "daemon/host/filesystems.*"], "its time; each scenario with a disk looks at its records"),
    "live-snapshot": (["daemon/blocks/", "daemon/vm/disks.c", "daemon/vm/runtime.c"], "its time; what is said of a changed disk the unit tests show on real QEMUs"),
    "thaw-waits": (["daemon/host/filesystems.*", "daemon/update/steps-before.c", "daemon/host/worker.c"], "failures-before-the-jump thaws file systems that answer at once"),
    "packages": (["debian/", "systemd/", "python/", "docs/examples/", "docs/completion/", "libluctl/kernel/installed.*", "tests/lab/packages.py", *BUILD],
                 "a Debian to build packages in"),
    "kernel-package": (["kernel-patch/debian/", "libluctl/kernel/installed.*", "libluctl/kernel/target_boot.c", "daemon/launch/needs.c", "daemon/lu-init/mounts.c",
                        "tests/lab/kernel_package.py"], "two kernels of its own to build, with Debian's configuration, and packages that nothing else needs"),
    "trial": (["daemon/trial/", "daemon/host/trial-jump.*", "daemon/lu-init/trial*", "daemon/update/check.c"], "its time: five trials, each two kernels in a guest"),
    "killed-at-random": (UPDATE, "its time: three hundred updates; daemon-killed kills it once in each state"),
    "device-containers": (["daemon/devices/containers.c", "daemon/devices/peek.c", "daemon/vm/passthrough.c", "daemon/vm/prepare.c", "daemon/launch/argv.c",
                           "libluctl/kernel/target_iommu.c"],
                          "update-vmm takes the same way with an iommufd"),
    "device-handed": (["daemon/launch/inherited.c", "daemon/launch/capture_inherited.c", "daemon/launch/spawn.c", "daemon/devices/cpr.c", "daemon/lu-init/held.c"],
                      "device-stays, with descriptors that were handed in"),
    "device-waits": (DEVICES, "failures-after-the-jump, with a device"),
    "large-blocks": (["libluctl/src/pkernfs.c", *SERIES], "a host VM of 8 GiB; pkernfs-gig has the kernel's part"),
    "bad-memory": (["daemon/host/bad-memory.*", "daemon/vm/probe.c", "daemon/update/check.c", "libluctl/pkernfs/poison.c", *PKERNFS], "its time; pkernfs-poison has the kernel's part, the unit tests luctld's"),
    "identity": (["daemon/launch/", "daemon/lu-init/sight.c", "daemon/host/unit-limits.c", "daemon/update/steps-after.c", "systemd/luctl-vm@.service", "systemd/luctl.sysusers"],
                 "its time; what a view and limits are made of the unit tests show"),
    "fleet-rolling": (["docs/ansible/", "systemd/luctl-update@.service", "daemon/update/history.*", "tests/lab/ssh.py"], "its time: two host VMs at once, three updates; and packages that nothing else needs"),
    "plan": (["daemon/update/check.c", "daemon/launch/reasons.c", "daemon/devices/pci.c", "daemon/devices/peek.c", "daemon/update/measured.c", "cli/plan.c"],
             "unit tests have each reason; this shows them on real parts"),
    "update-vmm": (["daemon/update/steps-vmm.c", "daemon/update/steps-after.c", "daemon/vm/", "daemon/lu-init/"], "device-goes-back takes the same way; this replaces QEMU on purpose"),
}
QUICK = ("lint", "unit", "fuzz-short", "witness")
# read by people alone
LINT_ALONE = ["*.md", "LICENSES/", ".clang-format", ".gitignore", ".ci/"]


def matches(path, patterns):
    return any(path.startswith(p) if p.endswith("/") else fnmatch.fnmatchcase(path, p) for p in patterns)


def scenario_file(name):
    return f"tests/scenarios/{name.replace('-', '_')}.py"


def covering(path):
    """The parts that cover a path, but for lint, which looks at all."""
    if matches(path, LINT_ALONE):
        return []
    return [name for name, (covers, _) in PARTS.items() if name != "lint" and (path == scenario_file(name) or matches(path, covers))]


def only_by_name():
    return {name: why for name, (_, why) in PARTS.items() if why}


def affected(paths):
    """The parts that a change of these paths asks for, in the table's order, each with the first path that asks."""
    chosen = {"lint": None}
    for path in paths:
        for name in covering(path):
            chosen.setdefault(name, path)
    return {name: chosen[name] for name in PARTS if name in chosen}


def problems(tree):
    """What the table lacks or has too much: for lint. @tree: the project's files."""
    known = set(tree)
    for name, (covers, why) in PARTS.items():
        for pattern in covers:
            if not any(matches(path, [pattern]) for path in known):
                yield f"tests/parts.py: {name} covers {pattern}, and there is nothing"
        if why is not None and name in QUICK:
            yield f"tests/parts.py: {name} is left out of a whole run and is in the quick one"
    run = pathlib.Path(__file__).with_name("run").read_text(encoding="utf-8")
    for name in PARTS:
        if f"def test_{name.replace('-', '_').replace('.', '_')}(" not in run and scenario_file(name) not in known:
            yield f"tests/parts.py: {name} is neither a function of tests/run nor a scenario"
    for path in known:
        if fnmatch.fnmatchcase(path, "tests/scenarios/*.py") and path[len("tests/scenarios/"):-3].replace("_", "-") not in PARTS:
            yield f"{path}: no row of tests/parts.py"
        elif not covering(path) and not matches(path, LINT_ALONE) and not matches(path, PARTS["lint"][0]):
            yield f"{path}: no part of tests/run covers it (tests/parts.py)"
